"""The catalogue in a backup, from SQLite or PostgreSQL, into either."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from cartcast.backup import Store, back_up, restore, verify
from cartcast.errors import NotTrustedError, UsageError
from cartcast.runs.registry import Registry

from ..events.test_databases import postgres  # noqa: F401 - a fixture

STAYS = ["promotions", "runs"]


def test_rows_of_another_version_are_refused(project: Path) -> None:
    registry = Registry(project)
    rows = registry.copy()
    spoiled = {**rows, "runs": [{**rows["runs"][0], "colour": "red"}]}
    with pytest.raises(NotTrustedError, match="another version"):
        registry.replace(spoiled)
    assert registry.copy() == rows


def test_a_replacement_that_fails_changes_nothing(project: Path) -> None:
    from cartcast.errors import StorageError

    registry = Registry(project)
    rows = registry.copy()
    twice = {**rows, "runs": [rows["runs"][0], rows["runs"][0]]}
    with pytest.raises(StorageError):
        registry.replace(twice)
    assert registry.copy() == rows
    assert sorted(rows) == STAYS


@pytest.mark.postgres
def test_a_shared_catalogue(
    project: Path,
    tmp_path: Path,
    postgres: Any,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rows = Registry(project).copy()
    (project / "cartcast.yaml").write_text(f"catalogue: {postgres}\n")
    (project / ".cartcast" / "catalogue.db").unlink()
    shared = Registry(project, postgres)
    shared.replace(rows)
    back_up(project, Store.make(tmp_path / "b"))
    assert verify(Store(tmp_path / "b")).runs == 2
    store = Store(tmp_path / "b")
    # In use by the team: a drill elsewhere does not touch it, unless told.
    with pytest.raises(UsageError, match="not empty"):
        restore(store, tmp_path / "drill")
    assert not (tmp_path / "drill").exists()
    restore(store, tmp_path / "drill", catalogue="leave")
    assert shared.copy() == rows
    # Lost: an empty database is filled, with the paths of the new place.
    shared.replace({})
    restore(store, tmp_path / "new")
    entry = Registry(tmp_path / "new", postgres).get("champion")
    assert entry.path == tmp_path / "new" / ".cartcast" / "runs" / "run-1"
    assert shared.copy()["promotions"] == rows["promotions"]
    restore(store, tmp_path / "again", catalogue="replace")
    assert shared.get("champion").path.is_relative_to(tmp_path / "again")
    # The variable may hold what libpq itself takes.
    from psycopg.conninfo import make_conninfo

    monkeypatch.setenv("CARTCAST_HELD", told := make_conninfo(postgres))
    assert "host=" in told
    assert Registry(tmp_path / "again", "$CARTCAST_HELD").runs() == shared.runs()
