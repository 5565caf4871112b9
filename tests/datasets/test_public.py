from __future__ import annotations

import dataclasses
import gzip
import io
import threading
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from cartcast.datasets import public
from cartcast.errors import NotFoundError, NotTrustedError, UsageError

TABLE = b"visitor,spend\r\na,1\r\nb,2"


class Server:
    def __init__(self, url: str) -> None:
        self.url = url
        self.answers: dict[str, bytes] = {}
        self.asked: list[str] = []


@pytest.fixture
def server() -> Iterator[Server]:
    state = Server("")

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            state.asked.append(self.path)
            data = state.answers.get(self.path)
            self.send_response(404 if data is None else 200)
            self.send_header("Content-Length", str(len(data or b"")))
            self.end_headers()
            self.wfile.write(data or b"")

        def log_message(self, *words: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as web:
        thread = threading.Thread(target=web.serve_forever, daemon=True)
        thread.start()
        state.url = f"http://127.0.0.1:{web.server_port}"
        yield state
        web.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def _folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CARTCAST_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("CARTCAST_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("no_proxy", "*")


def offer(monkeypatch: pytest.MonkeyPatch, url: str, **changes: str) -> public.Dataset:
    dataset = public.Dataset(
        **{
            "name": "tiny", "title": "two rows", "licence": "CC0", "citation": "nobody",
            "url": url, "file": "tiny/tiny.csv", "sha256": public.content_hash("a.csv", TABLE),
            **changes,
        }
    )  # fmt: skip
    monkeypatch.setitem(public.DATASETS, "tiny", dataset)
    return dataset


def test_downloads_once_and_keeps_it(
    server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    offer(monkeypatch, f"{server.url}/tiny.csv")
    server.answers["/tiny.csv"] = TABLE
    shares: list[float | None] = []
    path = public.fetch("tiny", progress=lambda what, share: shares.append(share))
    assert path == tmp_path / "cache" / "tiny" / "tiny.csv"
    assert path.read_bytes() == TABLE
    assert shares == [1.0]
    assert public.fetch("tiny") == path
    assert server.asked == ["/tiny.csv"]


def test_own_folder_comes_first(
    server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    offer(monkeypatch, f"{server.url}/tiny.csv")
    own = tmp_path / "data" / "tiny" / "tiny.csv"
    own.parent.mkdir(parents=True)
    own.write_bytes(TABLE.replace(b"\r\n", b"\n"))
    assert public.fetch("tiny") == own
    assert server.asked == []


def test_takes_the_member_out_of_an_archive(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    offer(monkeypatch, f"{server.url}/a.zip", member="in/tiny.csv")
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("in/tiny.csv", TABLE)
    server.answers["/a.zip"] = packed.getvalue()
    assert public.fetch("tiny").read_bytes() == TABLE
    offer(monkeypatch, f"{server.url}/a.zip", member="other.csv", file="other.csv")
    with pytest.raises(NotTrustedError, match=r"must be a zip archive that holds other\.csv"):
        public.fetch("tiny")


def test_a_table_kept_packed_is_packed_here(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    offer(monkeypatch, f"{server.url}/tiny.csv", file="tiny.csv.gz")
    server.answers["/tiny.csv"] = TABLE
    path = public.fetch("tiny")
    assert gzip.decompress(path.read_bytes()) == TABLE
    assert public.fetch("tiny") == path


def test_a_wrong_hash_is_refused_and_nothing_kept(
    server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    dataset = offer(monkeypatch, f"{server.url}/tiny.csv")
    server.answers["/tiny.csv"] = TABLE + b"3"
    with pytest.raises(NotTrustedError, match="sha256 must be") as caught:
        public.fetch("tiny")
    assert caught.value.exit_status == 5
    assert not (tmp_path / "cache").exists()
    cached = tmp_path / "cache" / dataset.file
    cached.parent.mkdir(parents=True)
    cached.write_bytes(b"something else")
    with pytest.raises(NotTrustedError, match="Remove .* and fetch it again"):
        public.fetch("tiny")


def test_a_damaged_file_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    offer(monkeypatch, "http://127.0.0.1:9/", file="tiny.csv.gz")
    own = tmp_path / "data" / "tiny.csv.gz"
    own.parent.mkdir()
    own.write_bytes(gzip.compress(TABLE)[:-9])
    with pytest.raises(NotTrustedError, match="damaged gzip file"):
        public.fetch("tiny")


def test_no_network_says_where_to_put_the_file(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    offer(monkeypatch, f"{server.url}/gone.csv")
    with pytest.raises(NotFoundError, match="cannot be fetched .* by hand and put it at"):
        public.fetch("tiny")


def test_an_unknown_name_gets_a_near_one() -> None:
    with pytest.raises(UsageError, match="Did you mean 'shoppers'"):
        public.fetch("shopper")


@pytest.mark.data
@pytest.mark.parametrize("name", ["eshop-2008", "shoppers", "hillstrom"])
def test_the_real_files_have_the_recorded_hashes(
    name: str,
    monkeypatch: pytest.MonkeyPatch,
    eshop_file: Path,
    shoppers_file: Path,
    hillstrom_file: Path,
) -> None:
    monkeypatch.setenv("CARTCAST_DATA", str(eshop_file.parents[1]))
    path = public.fetch(name)
    assert path in (eshop_file, shoppers_file, hillstrom_file)


def test_every_entry_names_its_terms() -> None:
    for name, dataset in public.DATASETS.items():
        assert dataset.name == name
        assert all(dataclasses.astuple(dataset)[:7])
        assert dataset.url.startswith("https://")
        assert len(dataset.sha256) == 64
