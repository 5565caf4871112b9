"""The slow and obvious truth: every feature of a prefix, from the prefix's events alone.

Written from the documented meaning of each declaration, not from the kernels: no state, no
increments; a prefix of n events costs n steps for every feature, again for every prefix.
"""

from __future__ import annotations

import datetime as dt
import math
import statistics
from typing import Any

from cartcast import features as F

Event = dict[str, Any]
EPOCH = dt.datetime(1970, 1, 1)


def now(event: Event, clock: str) -> float | None:
    """Microseconds of the clock that measures differences."""
    if clock == "time" and event["event_time"] is not None:
        return round((event["event_time"] - EPOCH) / dt.timedelta(microseconds=1))
    if clock == "session" and event.get("session_seconds") is not None:
        return round(event["session_seconds"] * 1e6)
    return None


def holds(condition: Any, events: list[Event], k: int) -> bool:
    """Whether a condition holds for event k of the session."""
    event = events[k]
    if condition is None:
        return True
    if isinstance(condition, F.Eq):
        return event.get(condition.column) == condition.value
    if isinstance(condition, F.In):
        return event.get(condition.column) in condition.values
    if isinstance(condition, F.Above | F.Below):
        x = event.get(condition.column)
        if x is None:
            return False
        return x > condition.value if isinstance(condition, F.Above) else x < condition.value
    if isinstance(condition, F.NotNull):
        return event.get(condition.column) is not None
    if isinstance(condition, F.SameAsPrevious):
        x = event.get(condition.column)
        return k > 0 and x is not None and events[k - 1].get(condition.column) == x
    if isinstance(condition, F.Previous):
        return k > 0 and holds(condition.condition, events, k - 1)
    if isinstance(condition, F.Not):
        return not holds(condition.condition, events, k)
    if isinstance(condition, F.And):
        return all(holds(c, events, k) for c in condition.conditions)
    if isinstance(condition, F.Or):
        return any(holds(c, events, k) for c in condition.conditions)
    raise AssertionError(condition)


def number(operand: Any, events: list[Event], k: int, clock: str) -> Any:
    """Value of a column or expression on event k."""
    event = events[k]
    if isinstance(operand, str):
        return event.get(operand)
    if isinstance(operand, F.Gap):
        if not holds(operand.where, events, k) or now(event, clock) is None:
            return None
        before = [
            now(events[j], clock)
            for j in range(k)
            if holds(operand.where, events, j) and now(events[j], clock) is not None
        ]
        return (now(event, clock) - before[-1]) / 1e6 if before else None
    if isinstance(operand, F.Times):
        a, b = event.get(operand.left), event.get(operand.right)
        b = operand.default if b is None else b
        return None if a is None or b is None else a * b
    if isinstance(operand, F.Negated):
        x = number(operand.operand, events, k, clock)
        return -x if x is not None and holds(operand.where, events, k) else x
    if isinstance(operand, F.AboveAverage):
        x, group = event.get(operand.column), event.get(operand.by)
        if x is None or group is None or not holds(operand.where, events, k):
            return None
        before = [
            events[j][operand.column]
            for j in range(k)
            if events[j].get(operand.by) == group
            and events[j].get(operand.column) is not None
            and holds(operand.where, events, j)
        ]
        if not before:
            return None
        return 1.0 if x > math.fsum(before) / len(before) else 0.0
    raise AssertionError(operand)


def value(feature: Any, events: list[Event], clock: str, past: dict[str, Any] | None) -> Any:
    """Value of a feature after the last of `events`, all of one session, in order."""
    if isinstance(feature, F.Ratio | F.Difference | F.Total | F.Product):
        return _pair(feature, events, clock, past)
    if isinstance(feature, F.EarlierSessions):
        return None if past is None else past["sessions"]
    if isinstance(feature, F.EarlierEvents):
        return None if past is None else past["counts"].get(feature.event_type, 0)
    if isinstance(feature, F.EarlierWords):
        return past and sum(e.get(feature.column) == feature.value for e in past["before"])
    if isinstance(feature, F.DaysSinceLastSession):
        return None if past is None else past["days"]
    if isinstance(feature, F.Hour | F.DayOfWeek | F.Month):
        return _calendar(feature, events, clock)
    if isinstance(feature, F.SecondsInSession | F.SecondsSince | F.CountWithin):
        return _time(feature, events, clock)
    if isinstance(feature, F.DecayedCount | F.DecayedSum):
        return _decayed(feature, events, clock)
    rows = [k for k in range(len(events)) if holds(feature.where, events, k)]
    if isinstance(feature, F.Count):
        if feature.column is None:
            return len(rows)
        return sum(number(feature.column, events, k, clock) is not None for k in rows)
    found = [number(feature.column, events, k, clock) for k in rows]
    return _reduced(feature, [x for x in found if x is not None])


def _reduced(feature: Any, values: list[Any]) -> Any:
    if isinstance(feature, F.NUnique):
        return len(set(values))
    if isinstance(feature, F.Std):
        return statistics.stdev(values) if len(values) > 1 else None
    if not values:
        return None
    if isinstance(feature, F.Sum):
        return math.fsum(values)
    if isinstance(feature, F.Min | F.Max):
        return (min if isinstance(feature, F.Min) else max)(values)
    if isinstance(feature, F.First | F.Last):
        return values[0 if isinstance(feature, F.First) else -1]
    if isinstance(feature, F.Mode):
        most = max(values.count(v) for v in values)
        reached = {v: [k for k, x in enumerate(values) if x == v][most - 1]
                   for v in set(values) if values.count(v) == most}  # fmt: skip
        return min(reached, key=lambda v: reached[v])
    raise AssertionError(feature)


def _pair(feature: Any, events: list[Event], clock: str, past: Any) -> Any:
    left, right = (value(p, events, clock, past) for p in feature.parts)
    if left is None or right is None:
        return None
    if isinstance(feature, F.Ratio):
        return left / right if right != 0 else None
    if isinstance(feature, F.Difference):
        return left - right
    return left + right if isinstance(feature, F.Total) else left * right


def _calendar(feature: Any, events: list[Event], clock: str) -> Any:
    known = clock == "time" or (clock == "day" and not isinstance(feature, F.Hour))
    begun = next((e for e in events if e["event_time"] is not None), None)
    if not known or begun is None:
        return None
    there = dt.timezone(dt.timedelta(minutes=begun.get("utc_offset") or 0))
    local = begun["event_time"].replace(tzinfo=dt.UTC).astimezone(there)
    if isinstance(feature, F.Hour):
        return local.hour
    return local.month if isinstance(feature, F.Month) else local.weekday()


def _time(feature: Any, events: list[Event], clock: str) -> Any:
    times = [now(e, clock) for e in events]
    known = [t for t in times if t is not None]
    if not known:
        return None
    if isinstance(feature, F.CountWithin):
        latest = known[-1]
        return sum(
            t is not None
            and holds(feature.where, events, k)
            and latest - t <= feature.seconds * 1e6
            for k, t in enumerate(times)
        )
    where = None if isinstance(feature, F.SecondsInSession) else feature.where
    when = [t for k, t in enumerate(times) if t is not None and holds(where, events, k)]
    if not when:
        return None
    last = type(feature) is F.SecondsSince
    return (known[-1] - (when[-1] if last else when[0])) / 1e6


def _decayed(feature: Any, events: list[Event], clock: str) -> Any:
    total, found = 0.0, False
    if feature.by == "clicks":
        ages: list[float | None] = [float(len(events) - 1 - k) for k in range(len(events))]
    else:
        times = [now(e, clock) for e in events]
        known = [t for t in times if t is not None]
        if not known:
            return None
        ages = [None if t is None else (known[-1] - t) / 1e6 for t in times]
    for k, age in enumerate(ages):
        if age is None or not holds(feature.where, events, k):
            continue
        x = 1.0 if isinstance(feature, F.DecayedCount) else number(feature.column, events, k, clock)
        if x is not None:
            found = True
            total += x * 2.0 ** -(age / feature.half_life)
    return total if found or isinstance(feature, F.DecayedCount) else None


def pasts(log: list[Event], clock: str) -> dict[str, dict[str, Any] | None]:
    """What was known of each session's visitor when it began, by looking at all earlier rows."""
    found: dict[str, dict[str, Any] | None] = {}
    for row, event in enumerate(log):
        session = event["session_id"]
        if session in found:
            continue
        visitor, time = event["visitor_id"], event["event_time"]
        if visitor is None or time is None or clock not in ("time", "day"):
            found[session] = None
            continue
        before = [
            e for e in log[:row] if e["visitor_id"] == visitor and e["event_time"] is not None
        ]
        begun = {}
        for e in log[:row]:
            begun.setdefault(e["session_id"], e)
        latest = max((e["event_time"] for e in before), default=None)
        types = [e["event_type"] for e in before]
        found[session] = {
            "sessions": sum(
                e["visitor_id"] == visitor and e["event_time"] is not None for e in begun.values()
            ),
            "counts": {t: types.count(t) for t in types},
            "before": before,
            "days": None if latest is None else (time - latest) / dt.timedelta(days=1),
        }
    return found


def replay(features: F.FeatureSet, log: list[Event], clock: str = "time") -> list[dict[str, Any]]:
    """Values after every row of a log in order."""
    past = pasts(log, clock)
    sessions: dict[str, list[Event]] = {}
    rows = []
    for event in log:
        events = sessions.setdefault(event["session_id"], [])
        events.append(event)
        known = past[event["session_id"]]
        rows.append({n: value(f, events, clock, known) for n, f in features.features.items()})
    return rows
