"""The record of scores: what was told stands in it, bounded, and it never costs an answer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from cartcast.errors import NotFoundError, NotTrustedError
from cartcast.live import record as module
from cartcast.live.event import Event
from cartcast.live.metrics import exposition
from cartcast.live.record import ScoreRecord, read_record
from cartcast.live.service import Live
from cartcast.live.session import Rules
from cartcast.live.state import MemoryStore
from cartcast.monitoring.moments import read_scored

T0 = 1_780_000_000_000_000


def put(record: ScoreRecord, number: int) -> None:
    record.add(T0 + number, f"s{number}", f"visitor {number} ü", 1, 0.5, "run/model")


def live_of(scorer: Any, folder: Path) -> Live:
    live = Live(scorer, MemoryStore(scorer, Rules(), durability="none"))
    live.record = ScoreRecord(folder, 10**9)
    return live


def send(live: Live, *events: Event, **how: Any) -> list[Any]:
    return asyncio.run(live.ingest(list(events), now=T0, **how))


def view(visitor: str, second: int, event_id: str | None = None) -> Event:
    return Event("view_item", T0 + second * 10**6, visitor, event_id=event_id)


def test_what_is_told_is_recorded_with_the_shadow(
    stand_in: Callable[..., Any], tmp_path: Path
) -> None:
    live = live_of(stand_in("run-1/m"), tmp_path)
    told = send(live, view("ann", 1, "e1"))
    live.take_shadow(stand_in("run-2/m"))
    told += send(live, view("ann", 2, "e2"), view("bob", 3, "e3"))
    # Neither what counts once nor what is answered without a score is told of again.
    send(live, view("ann", 2, "e2"))
    send(live, view("bob", 4, "e4"), scores=False)
    assert live.record is not None
    live.record.flush()
    found = read_record(tmp_path).sort_values("anchor_time", ignore_index=True)
    assert found["visitor_id"].tolist() == ["ann", "ann", "bob"]
    assert found["click"].tolist() == [1, 2, 1]
    assert found["probability"].tolist() == pytest.approx([a.p_buy for a in told])
    assert found["session_id"].tolist() == [a.session_id for a in told]
    assert found["anchor_time"].tolist() == [
        pd.Timestamp(T0 + s * 10**6, unit="us") for s in (1, 2, 3)
    ]
    assert found["challenger"].fillna("").tolist() == ["", "run-2/m", "run-2/m"]
    assert found["challenger_probability"][1] == found["probability"][1]
    text = exposition(live.record.collect())
    assert "cartcast_scores_recorded_total 3.0" in text
    # The watch reads the folder as it reads any kept scores.
    assert len(read_scored(tmp_path)) == 3


def test_a_shadow_that_fails_leaves_and_costs_no_answer(
    stand_in: Callable[..., Any], tmp_path: Path
) -> None:
    live = live_of(stand_in("run-1/m"), tmp_path)
    shadow = stand_in("run-2/m")

    def fails(state: Any) -> Any:
        raise ValueError("no such column")

    shadow.score = fails
    live.take_shadow(shadow)
    (answer,) = send(live, view("ann", 1))
    assert answer.p_buy is not None
    assert live.shadow is None
    with pytest.raises(NotTrustedError, match="same features"):
        live.take_shadow(stand_in("run-3/m", "0" * 64))
    assert live.shadow is None


def test_the_oldest_files_go_and_a_cut_line_is_left_out(tmp_path: Path) -> None:
    record = ScoreRecord(tmp_path, 20_000)
    for begin in range(0, 2_000, 50):
        for number in range(begin, begin + 50):
            put(record, number)
        record.flush()
        assert sum(f.stat().st_size for f in tmp_path.iterdir()) <= 20_000 + 10_000
    found = read_record(tmp_path)
    assert found["session_id"].iloc[-1] == "s1999"
    assert 50 <= len(found) < 500
    assert found["session_id"].tolist() == [f"s{n}" for n in range(2_000 - len(found), 2_000)]
    newest = max(tmp_path.iterdir())
    newest.write_bytes(newest.read_bytes()[:-40])
    assert read_record(tmp_path)["session_id"].iloc[-1] == "s1998"
    with pytest.raises(NotFoundError, match="no recorded scores"):
        read_record(tmp_path / "none")


def test_a_disk_that_refuses_costs_scores_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "taken").write_text("")
    record = ScoreRecord(tmp_path / "taken" / "scores", 1_000)
    monkeypatch.setattr(module, "WAITING", 3)
    for number in range(5):
        put(record, number)
    record.flush()
    assert (record.recorded, record.lost) == (0, 5)


def test_it_writes_by_itself_and_at_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "EVERY", 0.01)
    record = ScoreRecord(tmp_path, 10**6)

    async def served() -> None:
        task = asyncio.ensure_future(record.keep())
        put(record, 1)
        while not record.recorded:
            await asyncio.sleep(0.01)
        put(record, 2)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(asyncio.wait_for(served(), 30))
    assert len(read_record(tmp_path)) == 2
