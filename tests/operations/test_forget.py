"""A person is gone from every place, searched by value; everybody else is as before."""

from __future__ import annotations

import asyncio
import gzip
import json
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.parquet as pq
import pytest

from cartcast.app.access import Access
from cartcast.backup import Store, back_up, restore
from cartcast.errors import StorageError, UsageError
from cartcast.events import open_log
from cartcast.forget import Marks, export, finish, forget
from cartcast.forget.person import Person
from cartcast.forget.texts import drop_records

from .conftest import content, live_event, opened, send, states

Run = Callable[..., tuple[int, str, str]]
WHO = "visitor-0017"
IN_A_NOTE = ".cartcast/uploads/1/shop.csv"
"""There somebody else's row mentions WHO, which no column tells: it stays, and is told."""


@pytest.fixture
def log(project: Path) -> Path:
    return project / ".cartcast" / "app" / "logs" / "abc" / "events.parquet"


def visitors(log: Path) -> dict[str, int]:
    rows = duckdb.sql(f"SELECT visitor_id, count(*) FROM '{log}' GROUP BY 1").fetchall()
    return dict(rows)


def test_a_visitor_of_the_log_is_gone_and_the_others_are_whole(project: Path, log: Path) -> None:
    before = pq.read_table(log)
    who = max(visitors(log), key=lambda v: visitors(log)[v])
    done = forget(project, who)
    after = pq.read_table(log)
    keep = [v != who for v in before["visitor_id"].to_pylist()]
    assert after.equals(before.filter(keep))
    assert after.schema.metadata.keys() == before.schema.metadata.keys()
    assert done.remains == ()
    # What the log says of itself was counted again: an oracle in plain SQL.
    summary = open_log(log).summary
    told = duckdb.sql(
        f"SELECT count(*), count(DISTINCT visitor_id), count(DISTINCT session_id) FROM '{log}'"
    ).fetchone()
    assert (summary.events, summary.visitors, summary.sessions) == told
    sessions = pq.read_table(log.with_name("sessions.parquet"))
    assert set(sessions["visitor"].to_pylist()) == set(visitors(log))
    assert who not in visitors(log)


def test_a_visitor_of_the_live_state_is_gone(project: Path) -> None:
    live = project / ".cartcast" / "live"
    send(live, [live_event(300, WHO, session_id="own-1"), live_event(301, "other", user_id=WHO)])
    before = states(live)
    own = [k for k in before if WHO in k or k == "sown-1" or k == "vother"]
    assert len(own) == 5, own  # vWHO, uWHO, vother, sown-1, history
    forget(project, WHO)
    after = states(live)
    kept = {k: v for k, v in before.items() if k not in own}
    # The history of "other" is made of an event that was the person's, too.
    assert {k: v for k, v in after.items() if k != "history other"} == {
        k: v for k, v in kept.items() if k != "history other"
    }
    assert not any(WHO.encode() in p.read_bytes() for p in live.glob("*.bin"))


def test_uploads_lose_the_persons_records_only(project: Path) -> None:
    path = project / ".cartcast" / "uploads" / "1" / "shop.csv"
    lines = path.read_bytes()
    done = forget(project, "17")
    assert path.read_bytes() == lines  # a price and an item, but no visitor
    done = forget(project, "6")
    assert (
        path.read_bytes()
        == lines[: lines.index(b"2024-01-01T00:01")] + lines[lines.index(b"2024-01-01T00:02") :]
    )
    assert done.short
    done = forget(project, WHO)
    assert path.read_bytes().count(b"\n") == 2
    assert done.remains == ()


def test_uploads_with_columns_of_their_own(project: Path) -> None:
    """The layout says that `fullVisitorId` is the visitor, a number here; the price is not."""
    import pandas as pd

    path = project / ".cartcast" / "uploads" / "3" / "ga.parquet"
    path.parent.mkdir()
    times = pd.date_range("2024-01-01", periods=3, freq="h", tz="UTC")
    pd.DataFrame(
        {"event_time": times, "user_id": [41312140, 41312141, 41312140], "event_type": "view",
         "product_id": [1, 41312140, 3], "price": [1.0, 2.0, 3.0]}
    ).to_parquet(path)  # fmt: skip
    done = forget(project, "41312140")
    assert pq.read_table(path)["user_id"].to_pylist() == [41312141]
    assert done.remains == ()


@pytest.mark.parametrize("form", ["utf-8", "latin-1", "utf-16", "gzip", "zip", "nested", "large"])
def test_the_search_sees_every_form(
    form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from cartcast.forget import remains

    name = "bjørn-17"
    person = Person(lambda v: v == name, frozenset({name}))
    text = f"x,{name}\n,{name}b\n,a{name},{name}\n"
    path = tmp_path / "x.dat"
    if form == "gzip":
        path = tmp_path / "x.csv.gz"
        path.write_bytes(gzip.compress(text.encode()))
    elif form == "zip":
        path = tmp_path / "x.zip"
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("a", text)
    elif form == "nested":
        import pyarrow as pa

        path = tmp_path / "x.parquet"
        cells = [[{"key": "id", "value": name}], [{"key": "id", "value": "other"}], None]
        pq.write_table(pa.table({"params": cells, "plain": ["a", None, f"id={name}"]}), path)
    elif form == "large":
        # Blocks as short as they can be, so that a match lies across every edge.
        monkeypatch.setattr(remains, "BLOCK", 7)
        monkeypatch.setattr(remains, "_OVERLAP", 24)
        path.write_bytes(text.encode())
    else:
        path.write_bytes(text.encode(form))
    wide = form == "utf-16"  # there, parts of words count too: better told once too often
    assert remains.count_in(path, person) == (4 if wide else 2)


@pytest.mark.parametrize("ending", [".csv", ".csv.gz", ".jsonl", ".tsv"])
def test_records_of_any_text(ending: str, tmp_path: Path) -> None:
    rows = [("v1", 'says "hi"\nand goes'), ("v2", "v1"), ("v1", "x"), ("v3", "é")]
    path = tmp_path / f"t{ending}"
    if "json" in ending:
        made = [json.dumps({"visitor_id": v, "note": n}) + "\n" for v, n in rows]
    else:
        mark = "\t" if "tsv" in ending else ","
        made = [f'{v}{mark}"{n.replace(chr(34), chr(34) * 2)}"\r\n' for v, n in rows]
        made.insert(0, f"visitor_id{mark}note\r\n")
    data = "".join(made).encode()
    path.write_bytes(gzip.compress(data) if "gz" in ending else data)
    person = Person(lambda v: v == "v1", frozenset({"v1"}))
    assert drop_records(path, person)[0] == 2
    left = gzip.decompress(path.read_bytes()) if "gz" in ending else path.read_bytes()
    first = 0 if "json" in ending else 1
    assert left.decode() == "".join(
        made[i] for i in range(len(made)) if i not in (first, first + 2)
    )


def test_archives_and_the_audit_log(project: Path) -> None:
    path = project / ".cartcast" / "uploads" / "2" / "a.zip"
    path.parent.mkdir()
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("in/shop.csv", f"visitor_id,x\n{WHO},1\nv2,2\n")
        archive.writestr("readme.md", "of the shop")
    done = forget(project, WHO)
    with zipfile.ZipFile(path) as archive:
        assert archive.read("in/shop.csv") == b"visitor_id,x\nv2,2\n"
        assert archive.read("readme.md") == b"of the shop"
    assert Access(project).audit()[0].detail == "session of [forgotten] as CSV"
    assert [p.place for p in done.remains] == [IN_A_NOTE]


def test_what_cannot_be_cleaned_is_told(project: Path) -> None:
    (project / ".cartcast" / "report.html").write_text(f"<p>{WHO}</p><p>{WHO}-b</p>")
    (project / "clicks.csv").write_text(f"visitor_id\n{WHO}\n")
    (project / "cartcast.yaml").write_text("sources: [clicks.csv]\n")
    remains = {(p.place, p.count) for p in forget(project, WHO).remains}
    assert (".cartcast/report.html", 2) in remains
    assert ("clicks.csv", 1) in remains
    assert (project / "clicks.csv").read_text().count(WHO) == 1  # the shop's own file


def test_a_session_id_of_somebody_else_is_not_taken(project: Path) -> None:
    """Two logs, both of which count their sessions from 1: only the person's own goes."""
    import pandas as pd

    for name, people in (("x", ["ann", "bob"]), ("y", ["cid", "dan"])):
        folder = project / ".cartcast" / "batches" / name
        folder.mkdir(parents=True)
        table = pd.DataFrame({"session_id": ["1", "2"], "visitor_id": people})
        table.to_parquet(folder / "log.parquet")
        table.drop(columns="visitor_id").to_parquet(folder / "scores.parquet")
    forget(project, "ann")
    batches = project / ".cartcast" / "batches"
    left = {
        p.relative_to(batches).as_posix(): pq.read_table(p)["session_id"].to_pylist()
        for p in batches.rglob("*.parquet")
    }
    assert left == {
        "x/log.parquet": ["2"], "x/scores.parquet": ["2"],
        "y/log.parquet": ["1", "2"], "y/scores.parquet": ["1", "2"],
    }  # fmt: skip


def test_an_older_backup_is_restored_without_the_person(project: Path, tmp_path: Path) -> None:
    back_up(project, Store.make(tmp_path / "b"))
    forget(project, WHO, stores=[tmp_path / "b"])
    done = restore(Store(tmp_path / "b"), tmp_path / "new")
    assert done.forgotten > 0
    assert done.live[0].records == 58  # of 60
    for path in (tmp_path / "new").rglob("*"):
        if path.is_file() and path.name != "keys.json":
            # The audit log is free text, which hashes cannot search.
            assert WHO.encode() not in path.read_bytes() or path.name in ("shop.csv", "app.db"), (
                path
            )
    text = (tmp_path / "b" / "forgotten.json").read_text()
    assert WHO not in text
    assert states(tmp_path / "new" / ".cartcast" / "live") == states(project / ".cartcast" / "live")


def test_a_backup_made_while_somebody_is_forgotten(project: Path, tmp_path: Path) -> None:
    """It is younger than the wish and may hold the person: what counts is when all was done."""
    (project / ".cartcast" / "live" / "forget.json").touch()
    Marks().adding([WHO]).write(project / ".cartcast")
    back_up(project, Store.make(tmp_path / "b"))
    forget(project, WHO)
    restore(Store(tmp_path / "b"), project, swap=True)
    assert WHO not in str(states(project / ".cartcast" / "live"))


def test_who_comes_back_is_kept(project: Path, tmp_path: Path) -> None:
    forget(project, WHO)
    send(project / ".cartcast" / "live", [live_event(700, WHO)])
    back_up(project, Store.make(tmp_path / "b"))
    assert restore(Store(tmp_path / "b"), tmp_path / "new").forgotten == 0
    assert f"v{WHO}" in states(tmp_path / "new" / ".cartcast" / "live")


def test_pseudonyms(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from cartcast.events import privacy_from

    key = {"CARTCAST_PRIVACY_KEY": "kYc3vN0q7-unlikely-to-be-guessed-4Fz"}
    (project / "cartcast.yaml").write_text("privacy: {pseudonymise: visitor_id}\n")
    with pytest.raises(UsageError, match="CARTCAST_PRIVACY_KEY"):
        forget(project, WHO)
    monkeypatch.setenv(*next(iter(key.items())))
    privacy = privacy_from({"pseudonymise": "visitor_id"}, key)
    assert privacy is not None
    hidden = str(privacy.name(WHO))
    send(project / ".cartcast" / "live", [live_event(400, hidden)])
    assert f"v{hidden}" in states(project / ".cartcast" / "live")
    done = forget(project, WHO)
    assert (done.ids, [p.place for p in done.remains]) == (2, [IN_A_NOTE])
    assert f"v{hidden}" not in states(project / ".cartcast" / "live")


def test_a_running_service_forgets(project: Path) -> None:
    live = project / ".cartcast" / "live"

    async def run() -> tuple[Any, dict[str, Any]]:
        store = await opened(live)
        assert f"v{WHO}" in store.sessions.index
        done = await asyncio.to_thread(forget, project, WHO)
        keys = dict(store.sessions.index), dict(store.sessions.visitors)
        await store.close()
        return done, keys

    done, (index, histories) = asyncio.run(run())
    assert f"v{WHO}" not in index
    assert WHO not in histories
    assert len(index) == 29
    assert [p.place for p in done.remains] == [IN_A_NOTE]
    assert WHO not in str(states(live))


def test_a_service_that_does_not_answer(project: Path) -> None:
    from filelock import FileLock

    lock = FileLock(project / ".cartcast" / "live" / "lock")
    with lock, pytest.raises(StorageError, match="did not forget within"):
        forget(project, WHO, wait=0.3)
    assert [m.done is not None for m in Marks.of(project).entries] == [False]
    (project / ".cartcast" / "live" / "forget.json").unlink()
    finish(project)
    assert [m.done is not None for m in Marks.of(project).entries] == [True]
    assert WHO not in str(states(project / ".cartcast" / "live"))


def test_export_tells_everything(project: Path, cartcast: Run) -> None:
    before = content(project)
    send(project / ".cartcast" / "live", [live_event(500, WHO, user_id="ann@example.org")])
    told = export(project, WHO)
    assert told["linked"] == ["ann@example.org"]
    assert len(told["known"][".cartcast/live (events)"]) == 6  # 3 kept in its session, 3 logged
    code, out, _ = cartcast("forget", WHO, "--export", "--project", project)
    assert (code, json.loads(out)["ids"]) == (0, [WHO])
    assert content(project).keys() == before.keys() | {p for p in content(project) if "log-" in p}


def test_retention_by_age(project: Path, log: Path, cartcast: Run) -> None:
    rows = pq.read_table(log)["event_time"].to_pylist()
    code, out, _ = cartcast("forget", "--older-than", "1d", "--project", project, "--json")
    assert code == 0
    gone = {r["place"]: r["count"] for r in json.loads(out)["removed"]}
    assert gone[log.relative_to(project).as_posix()] == len(rows)


def test_usage(project: Path, cartcast: Run) -> None:
    for words in ((), ("a", "--finish"), ("--older-than", "x"), ("  ",)):
        code, _, err = cartcast("forget", *words, "--project", project)
        assert (code, err.count("\n")) == (2, 1)
    shutil.rmtree(project / ".cartcast")
    assert cartcast("forget", "nobody", "--project", project)[0] == 0
