"""Live scores in Spark Structured Streaming: the service's sessions and kernels, Spark's state.

Events are grouped by who they are of; Spark keeps one state for each as bytes, in its checkpoint,
and hands it to `Sessions` with the events of a micro-batch. So gaps, late events, repeats and
logins are treated as by the service, and a restart from the checkpoint counts nothing twice.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import msgspec

from cartcast.errors import DataError
from cartcast.live.event import Event
from cartcast.live.model import ModelScorer, load_scorer
from cartcast.live.problems import Problem
from cartcast.live.session import Session, Visitor, dump_session, load_session
from cartcast.live.sessions import Sessions

__all__ = ["scores"]

_FIELDS: Final = tuple(f for f in Event.__struct_fields__ if f not in ("extra", "event_time"))
_MOMENT: Final = "cartcast_moment"
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder().decode


def scores(events: Any, run_dir: Path | str, *, features: bool = False) -> Any:
    """Return a streaming DataFrame of scores after every event, lazily.

    Rows: `session_id, click, arrival, event_id, p_buy, revenue, segment`, and the features when
    asked for. When a late event changes later clicks these come again: of the rows of a session
    and click the one with the largest `arrival` holds.

    Args:
        events: a streaming DataFrame of canonical events; without `event_id` the place of an event
            in its session (`event_order`) stands for it.
        run_dir: the run, at a path that the workers reach too.
        features: whether features come as columns.

    Raises:
        NotFoundError, NotTrustedError: the run is not there, or not as recorded.
        DataError: while the query runs, an event is in another currency than the run's, or an own
            column is no number.
    """
    from pyspark.sql import functions as fn
    from pyspark.sql.streaming.state import GroupStateTimeout

    scorer = load_scorer(Path(run_dir))
    held = [f for f in _FIELDS if f in events.columns]
    own = [c for c in scorer.features.program.columns if c in events.columns and c not in held]
    time = fn.unix_micros(fn.col("event_time").cast("timestamp")).alias("event_time")
    who = fn.coalesce(*[fn.col(c) for c in ("visitor_id", "session_id") if c in held]).alias("who")
    columns = [fn.col(f"`{c}`") for c in (*held, *own)]
    moment = fn.col("event_time").cast("timestamp").alias(_MOMENT)
    # States end by the events' own time. (Ending them by the wall clock would make Spark run
    # empty micro-batches for ever, and a query over what is there would never be done.)
    behind = f"{int(max(scorer.rules.sessions.gap, scorer.rules.late_window))} seconds"
    rows = events.select(who, moment, time, *columns).withWatermark(_MOMENT, behind)
    schema = (
        "session_id string, click long, arrival long, event_id string, p_buy double, revenue double"
    )
    schema += ", segment string"
    if features:
        for name, text in zip(scorer.features.names, scorer.features.program.text, strict=True):
            schema += f", `{name}` {'string' if text else 'double'}"
    return rows.groupBy("who").applyInPandasWithState(
        _Fold(str(run_dir), tuple(held), tuple(own), features),
        schema,
        "state binary",
        "append",
        GroupStateTimeout.EventTimeTimeout,
    )


@lru_cache(maxsize=2)
def _scorer(run_dir: str) -> ModelScorer:
    """Return the run's scorer, loaded once per worker."""
    return load_scorer(Path(run_dir))


class _Fold:
    """Folds the events of one visitor; a class, so that Spark can send it to the workers."""

    def __init__(
        self, run_dir: str, held: tuple[str, ...], own: tuple[str, ...], features: bool
    ) -> None:
        self.run_dir = run_dir
        self.held = held
        self.own = own
        self.features = features

    def __call__(self, key: tuple[Any, ...], frames: Iterator[Any], state: Any) -> Iterator[Any]:
        import pandas as pd

        scorer = _scorer(self.run_dir)
        if state.hasTimedOut:
            state.remove()
            return
        sessions, arrivals = _restore(scorer, state.get[0] if state.exists else None)
        counted = [arrivals]
        found: list[dict[str, Any]] = []

        def watch(session: Session, click: int, event: Event, at: Any) -> None:
            row: dict[str, Any] = {"session_id": session.id, "click": click}
            row |= {"arrival": counted[0], "event_id": event.event_id}
            score = scorer.score(at)
            row |= {"p_buy": score.p_buy, "revenue": score.revenue, "segment": score.segment}
            if self.features:
                row |= scorer.values(at)
            found.append(row)

        sessions.watch = watch
        window = int(sessions.rules.late_window * 1e6)
        for event in sorted((e for frame in frames for e in self._events(frame)), key=_place):
            now = _when(event)
            known = sessions.find(Sessions.keys_of(event))
            if known is not None and not known.settled and now - known.touched > window:
                sessions.settle(known)
            counted[0] += 1
            sessions.apply(event, now)
        state.update((_store(sessions, _newest(sessions), counted[0]),))
        rules = sessions.rules
        kept = rules.visitor_ttl if scorer.reads_history else rules.session_ttl
        ends = _newest(sessions) // 1000 + int(kept * 1000)
        if ends > state.getCurrentWatermarkMs():
            state.setTimeoutTimestamp(ends)
        if found:
            yield pd.DataFrame(found)

    def _events(self, frame: Any) -> Iterator[Event]:
        for row in frame.to_dict("records"):
            plain: dict[str, Any] = {
                k: None if v is None or v != v else v
                for k, v in row.items()
                if k not in ("who", _MOMENT)
            }
            for name in ("event_time", "event_order"):
                if (number := plain.get(name)) is not None:
                    plain[name] = int(number)
            extra = {name: plain.pop(name) for name in self.own}
            if plain.get("event_id") is None:
                plain["event_id"] = f"{plain.get('session_id')}:{plain.get('event_order')}"
            event = Event(**plain, extra=extra or None)
            try:
                _scorer(self.run_dir).check(event)
            except Problem as problem:
                raise DataError(f"event {event.event_id}: {problem.detail}.") from None
            yield event


def _newest(sessions: Sessions) -> int:
    return max((s.touched for s in sessions.index.values() if isinstance(s, Session)), default=0)


def _restore(scorer: ModelScorer, data: bytes | None) -> tuple[Sessions, int]:
    """Return the sessions of one visitor as they were stored, and how many events had come."""
    sessions, arrivals = Sessions(scorer, scorer.rules), 0
    if data is not None:
        kept, visitors, arrivals = _decode(data)
        for one in kept:
            session = load_session(one, scorer.load)
            for key in session.keys:
                sessions.index[key] = session
        for who, visitor in visitors.items():
            sessions.visitors[who] = Visitor.load(visitor)
    return sessions, arrivals


def _store(sessions: Sessions, now: int, arrivals: int) -> bytes:
    """Return the sessions that may still get events, and the visitor's history."""
    open_ones = {
        id(s): s
        for s in sessions.index.values()
        if isinstance(s, Session) and sessions.expires(s) >= now
    }
    kept = [dump_session(s, sessions.scorer.dump) for s in open_ones.values()]
    history = {who: sessions.visitor(who).dump() for who in sessions.visitors}
    return _encode((kept, history, arrivals))


def _when(event: Event) -> int:
    return event.event_time if isinstance(event.event_time, int) else 0


def _place(event: Event) -> tuple[int, int]:
    return _when(event), event.event_order or 2**62
