"""What a tracker's messages become live, beside what its tool's export becomes in a file.

Both sides end as canonical logs of the same contract: the export is read by its batch layout, the
events that the service took are written down in Cartcast's own form.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pyarrow.parquet as pq

from cartcast import events
from cartcast.events.schema import COLUMNS
from cartcast.live.service import Live

__all__ = ["COMPARED", "Result", "Taken", "compare", "record", "same_sessions"]

COMPARED = [c for c in COLUMNS if c != "known_time"]
"""When a row became known is the tool's server's to say, and ours."""


@dataclass
class Taken:
    """What a service took: events, their sessions, and how many were set aside or came twice."""

    events: list[Any] = field(default_factory=list)
    sessions: list[str] = field(default_factory=list)
    refused: int = 0
    repeats: int = 0


@dataclass(frozen=True)
class Result:
    """Rows kept on both sides, rows set aside on both sides, and cells that differ."""

    kept: int
    refused: tuple[int, int]
    differences: list[tuple[int, str, Any, Any]]


def record(live: Live) -> Taken:
    """Write down what the service takes from now on."""
    taken, ingest = Taken(), live.ingest

    async def recording(given: Any, **options: Any) -> Any:
        copies = [msgspec.structs.replace(event) for event in given]
        answers = await ingest(given, **options)
        for event, answer in zip(copies, answers, strict=True):
            if answer.status in ("accepted", "late_accepted"):
                taken.events.append(event)
                taken.sessions.append(answer.session_id)
            else:
                taken.repeats += answer.status == "duplicate"
        return answers

    live.ingest = recording  # type: ignore[method-assign]
    return taken


def own_form(taken: Iterable[Any]) -> Iterable[dict[str, Any]]:
    for number, event in enumerate(taken):
        row = msgspec.to_builtins(event)
        moment = datetime.fromtimestamp(row.pop("event_time") / 1e6, UTC)
        # Repeats were told by the service; here each row stands for itself.
        row.pop("event_id", None)
        yield row | {"event_time": moment.isoformat(), "place": number}


def load(path: Path, layout: str, folder: Path) -> Any:
    log = events.load(path, layout=layout, folder=folder, max_reject_share=1.0)
    return log, pq.read_table(log.path).to_pylist()


def compare(taken: Taken, export: Iterable[Any], layout: str, folder: Path) -> Result:
    """Compare every canonical column of every row."""
    theirs, mine = folder / "export.jsonl", folder / "live.jsonl"
    theirs.write_text("".join(json.dumps(line) + "\n" for line in export))
    mine.write_text("".join(json.dumps(row) + "\n" for row in own_form(taken.events)))
    batch, expected = load(theirs, layout, folder / "batch")
    _, found = load(mine, "cartcast", folder / "live")
    differences: list[tuple[int, str, Any, Any]] = []
    if len(expected) != len(found):
        differences.append((-1, "rows", len(expected), len(found)))
    for number, (one, other) in enumerate(zip(expected, found, strict=False)):
        # Where a file has no word of its own, the type is read as one.
        other["source_event"] = taken.events[int(other["place"])].source_event
        for name in COMPARED:
            if one.get(name) != other.get(name):
                differences.append((number, name, one.get(name), other.get(name)))
    return Result(len(found), (batch.summary.rejects, taken.refused), differences)


def same_sessions(taken: Taken, folder: Path) -> int:
    """Return how many rows lie in another session live than in the log of the same events."""
    rows = pq.read_table(folder / "live" / "events.parquet").to_pylist()
    pairs = {(row["session_id"], taken.sessions[int(row["place"])]) for row in rows}
    return len(pairs) - max(len({a for a, _ in pairs}), len({b for _, b in pairs}))


def send(http: Any, sent: Iterable[Any], live: Live, taken: Taken) -> None:
    """Send requests as a tracker does; what is set aside is counted."""
    for path, body, headers in sent:
        answer = http.get(path) if body is None else http.post(path, content=body, headers=headers)
        assert answer.status_code in (200, 422), (path, answer.text[:500])
        taken.refused += answer.status_code == 422
    taken.refused += sum(live.metrics.set_aside.values())
