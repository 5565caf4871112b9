"""A store in a folder and the copies of it on a host: the last copy of a run is never given up."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from cartcast.errors import NotFoundError, StorageError
from cartcast.runs import store
from cartcast.runs.registry import Registry
from cartcast.runs.store import RunStore, address

from .conftest import make_run


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    """A project with a store in a folder, and one run in it."""
    project = tmp_path / "shop"
    project.mkdir()
    (project / "cartcast.yaml").write_text("store: ../store\n")
    made = Registry.of(project)
    made.add(make_run(project / ".cartcast" / "runs" / "one", "one"))
    return made


def archives(registry: Registry) -> set[str]:
    return {p.name for p in (registry.folder / ".." / "store").iterdir()}


def test_what_the_store_lost_stays_where_it_lies(registry: Registry) -> None:
    (entry,) = registry.runs()
    (entry.path / "card.md").write_text("changed here")
    shutil.rmtree(registry.folder / ".." / "store")
    with registry.rewritten():
        assert (entry.path / "card.md").read_text() == "changed here"
    assert [p.name for p in entry.path.parent.iterdir()] == ["one"]


def test_a_store_that_refuses_takes_nothing_from_the_host(registry: Registry, monkeypatch) -> None:
    (entry,) = registry.runs()
    (entry.path / "card.md").write_text("changed here")
    refusal = StorageError("no answer")
    monkeypatch.setattr(RunStore, "pull", lambda *_: (_ for _ in ()).throw(refusal))
    with pytest.raises(StorageError, match="no answer"), registry.rewritten():
        pass
    assert (entry.path / "card.md").read_text() == "changed here"


def test_a_changed_folder_gives_way_to_the_stores(registry: Registry) -> None:
    (entry,) = registry.runs()
    (entry.path / "card.md").write_text("changed here")
    with registry.rewritten():
        (now,) = registry.runs()
        assert address(now.path) == entry.stored
    assert not (now.path / "card.md").exists()


def test_an_archive_is_there_whole_or_not_at_all(registry: Registry, monkeypatch) -> None:
    (entry,) = registry.runs()
    before = (registry.folder / ".." / "store" / f"{entry.stored}.tar").read_bytes()
    (entry.path / "more.bin").write_bytes(b"x" * 10)

    def breaks(stream: Any, block: bytes) -> None:
        stream.write(block[: len(block) // 2])
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(store, "_send", breaks)
    for _ in range(2):
        with pytest.raises(StorageError, match="Input/output error"):
            registry.push("one")
        (entry.path / "more.bin").unlink(missing_ok=True)  # then under the address that is there
    assert archives(registry) == {f"{entry.stored}.tar"}
    assert (registry.folder / ".." / "store" / f"{entry.stored}.tar").read_bytes() == before


def test_a_missing_archive_is_pushed_from_the_folder_that_is_named(
    registry: Registry, tmp_path: Path
) -> None:
    (entry,) = registry.runs()
    away = tmp_path / "kept" / "one"
    shutil.move(entry.path, away)
    shutil.rmtree(registry.folder / ".." / "store")
    with pytest.raises(NotFoundError, match="push it again"):
        registry.run("one")
    registry.push(str(away))
    assert address(registry.run("one").dir) == entry.stored
