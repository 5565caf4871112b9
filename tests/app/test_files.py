from __future__ import annotations

import io
import zipfile

import pandas as pd
import pytest

from cartcast.app import files
from cartcast.errors import DataError, NotFoundError, UsageError
from cartcast.spreadsheet import csv_bytes


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r"])
def test_no_exported_cell_or_heading_begins_a_formula(start):
    table = pd.DataFrame(
        {f"{start}head": [f"{start}cmd|' /C calc'!A0", "fine", None], "n": [-1, 2, 3]}
    )
    text = csv_bytes(table).decode()
    read = pd.read_csv(io.StringIO(text), keep_default_na=False)
    assert read.columns[0][0] == "'"
    assert [c[:1] for c in read.iloc[:, 0]] == ["'", "f", ""]
    assert list(read["n"]) == [-1, 2, 3]


def test_categories_and_objects_are_neutralised_too():
    table = pd.DataFrame({"a": pd.Categorical(["=1", "x"]), "b": ["+2", 3]})
    assert csv_bytes(table).decode().splitlines()[1] == "'=1,'+2"


def test_exports_read_back():
    table = pd.DataFrame({"a": ["x", None], "b": [1.5, None]})
    pd.testing.assert_frame_equal(pd.read_parquet(io.BytesIO(files.parquet_bytes(table))), table)


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("../../etc/passwd.csv", "passwd.csv"),
        ("C:\\Users\\x\\log.csv", "log.csv"),
        ("<img src=x>.csv", "_img_src_x_.csv"),
        (".hidden", "hidden"),
        ("", "upload"),
    ],
)
def test_file_names_lose_folders_and_markup(name, safe):
    assert files.safe_name(name) == safe


def test_an_upload_is_kept_once_under_its_hash(tmp_path):
    first = files.save_upload(tmp_path, "a.csv", io.BytesIO(b"x\n1\n"), 1)
    again = files.save_upload(tmp_path, "a.csv", io.BytesIO(b"x\n1\n"), 1)
    assert first == again
    assert first.read_bytes() == b"x\n1\n"
    assert first.is_relative_to(tmp_path / ".cartcast")


def test_what_is_refused_before_it_is_stored(tmp_path):
    with pytest.raises(DataError, match="empty"):
        files.save_upload(tmp_path, "a.csv", io.BytesIO(b""), 1)
    with pytest.raises(DataError, match="more than the 1 MB allowed"):
        files.save_upload(tmp_path, "a.csv", io.BytesIO(b"x" * 1_000_001), 1)
    with pytest.raises(UsageError, match="unknown kind of file"):
        files.save_upload(tmp_path, "a.exe", io.BytesIO(b"x"), 1)
    with pytest.raises(DataError, match="not a whole zip"):
        files.save_upload(tmp_path, "a.zip", io.BytesIO(b"PK"), 1)
    assert not (tmp_path / ".cartcast").exists()


def test_a_zip_bomb_is_refused(tmp_path):
    bomb = io.BytesIO()
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.csv", b"0" * 21_000_000)
    assert bomb.tell() < 1_000_000
    with pytest.raises(DataError, match="unpacks to 21 MB"):
        files.save_upload(tmp_path, "a.zip", bomb, 1)


def test_only_files_of_the_project_can_be_picked(tmp_path):
    project = tmp_path / "p"
    (project / ".cartcast").mkdir(parents=True)
    (project / "a.csv").write_text("x")
    (project / ".cartcast" / "b.csv").write_text("x")
    (tmp_path / "c.csv").write_text("x")
    (project / "link.csv").symlink_to(tmp_path / "c.csv")
    assert "a.csv" in files.project_files(project)
    assert not any("cartcast" in f for f in files.project_files(project))
    assert files.resolve_inside(project, "a.csv").name == "a.csv"
    for name in ("../c.csv", "link.csv", "none.csv", "/etc/passwd"):
        with pytest.raises(NotFoundError):
            files.resolve_inside(project, name)


def test_an_upload_does_not_stay_where_ids_are_replaced(project, monkeypatch):
    import io

    from cartcast.app import actions
    from cartcast.events.privacy import KEY_VARIABLE

    monkeypatch.setenv(KEY_VARIABLE, "a key of at least sixteen characters")
    (project.folder / "cartcast.yaml").write_text("privacy: {pseudonymise: [visitor_id]}\n")
    made = type(project).open(project.folder)
    owner = made.access.owner()
    sent = io.BytesIO((project.folder / "shop.csv").read_bytes())
    path = actions.add_upload(made, owner, "shop.csv", sent)
    data = actions.read_log(made, owner, [str(path)])
    assert not path.exists()
    assert data.log.privacy is not None
    with data.log.connect() as con:
        assert con.execute("SELECT max(length(visitor_id)) FROM events").fetchone() == (32,)
    # Another key is another log, not the one read before.
    monkeypatch.setenv(KEY_VARIABLE, "another key of sixteen characters")
    again = actions.read_log(made, owner, [str(made.folder / "shop.csv")])
    assert again.key != data.key
