"""The shop's clock after the contract, over both of its changes, against plain `zoneinfo`."""

from __future__ import annotations

import datetime as dt
import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import pytest

from cartcast import features as F
from cartcast import insights
from cartcast.api.server import Plan, make_store
from cartcast.errors import DataError
from cartcast.events import Log, load
from cartcast.features.shop_clock import ShopClock
from cartcast.live.event import Event
from cartcast.live.model import ModelScorer
from cartcast.live.sessions import Sessions
from cartcast.live.state import MemoryStore
from cartcast.runs.foreign import require_same
from cartcast.runs.run import Run

ZONES = {
    "Europe/Berlin": ("2024-03-31T01:00", "2024-10-27T01:00"),
    "America/Los_Angeles": ("2024-03-10T10:00", "2024-11-03T09:00"),
}
"""Zone -> when its clock changes (UTC)."""

FEATURES = F.FeatureSet(
    hour=F.Hour(), weekday=F.DayOfWeek(), month=F.Month(), n=F.Count(),
    seconds=F.SecondsInSession(), gap=F.Last(F.Gap()), sessions=F.EarlierSessions(),
)  # fmt: skip


class Shop(NamedTuple):
    """A log of a zone, and its events as plain rows with `local`, the time by zoneinfo."""

    zone: str
    log: Log
    rows: list[dict[str, Any]]
    sessions: dict[str, dict[str, Any]]


@pytest.fixture(scope="module", params=ZONES)
def shop(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """Visits within hours of both changes, and over the year; sessions end at midnight."""
    zone = str(request.param)
    rng = random.Random(3)
    begins = [
        dt.datetime.fromisoformat(change) + dt.timedelta(minutes=rng.randrange(-600, 600))
        for change in ZONES[zone]
        for _ in range(60)
    ]
    begins += [
        dt.datetime(2024, 1, 1) + dt.timedelta(minutes=rng.randrange(365 * 1440)) for _ in range(90)
    ]
    lines = ["visitor,time,event,item"]
    for k, at in enumerate(begins):
        for _ in range(rng.randint(1, 6)):
            kind = rng.choice(["view_item", "view_item", "purchase"])
            lines.append(f"v{k % 70},{at:%Y-%m-%dT%H:%M:%SZ},{kind},i{rng.randrange(9)}")
            at += dt.timedelta(seconds=rng.randrange(1, 1700))
    folder = tmp_path_factory.mktemp("shop")
    (folder / "log.csv").write_text("\n".join(lines))
    log = load(folder / "log.csv", zone=zone, session_breaks=["midnight"], folder=folder)
    rows = log.table().sort_by("event_time").to_pylist()
    sessions: dict[str, dict[str, Any]] = {}
    for row in rows:
        aware = row["event_time"].replace(tzinfo=dt.UTC)
        row["local"] = aware.astimezone(ZoneInfo(zone)).replace(tzinfo=None)
        sessions.setdefault(row["session_id"], row)
    return Shop(zone, log, rows, sessions)


def by_session(shop: Shop, what: Callable[[dt.datetime], Any]) -> Counter[Any]:
    """Count sessions by something of the local time at which they begin."""
    return Counter(what(row["local"]) for row in shop.sessions.values())


def test_the_log_lies_on_both_sides_of_its_changes(shop: Shop) -> None:
    offsets = Counter((row["local"] - row["event_time"]) for row in shop.rows)
    assert len(offsets) == 2
    assert min(offsets.values()) > 50
    days = {
        s: {r["local"].date() for r in shop.rows if r["session_id"] == s} for s in shop.sessions
    }
    assert all(len(found) == 1 for found in days.values())
    assert shop.log.zone == shop.zone


def test_single_moments_have_the_offsets_of_zoneinfo(shop: Shop) -> None:
    clock = ShopClock(shop.zone)
    for change in ZONES[shop.zone]:
        for seconds in (-1, 0, 1):
            at = dt.datetime.fromisoformat(change).replace(tzinfo=dt.UTC)
            at += dt.timedelta(seconds=seconds)
            offset = at.astimezone(ZoneInfo(shop.zone)).utcoffset()
            assert clock.offset(int(at.timestamp() * 1e6)) * dt.timedelta(minutes=1) == offset
    assert ShopClock(None).local(5) == ShopClock("UTC").local(5) == 5


@pytest.mark.parametrize("at", ["every click", "end"])
def test_features(shop: Shop, at: Any) -> None:
    table = FEATURES.replay(shop.log, at=at).to_pylist()
    assert len(table) == (len(shop.rows) if at == "every click" else len(shop.sessions))
    for row in table:
        begun = shop.sessions[row["session_id"]]["local"]
        found = (row["hour"], row["weekday"], row["month"])
        assert found == (begun.hour, begun.weekday(), begun.month)


def test_live_features_and_sessions_are_those_of_the_batch(shop: Shop) -> None:
    source = {"clock": "time", "zone": shop.zone, "session_breaks": ["midnight"]}
    run = {"run_id": "r", "champion": "m", "source": source}
    live: dict[str, Any] = {}

    def watch(session: Any, click: int, event: Event, state: Any) -> None:
        live[str(event.event_id)] = {"click": click, **scorer.values(state)}

    scorer = ModelScorer(run, FEATURES, None, None, None, {})
    sessions = Sessions(scorer, scorer.rules, watch=watch)
    batch = {}
    for row in FEATURES.replay(shop.log).to_pylist():
        name = f"{row.pop('session_id')} {row.pop('event_order')}"
        batch[name] = row
    for row in shop.rows:
        time = int(row["event_time"].replace(tzinfo=dt.UTC).timestamp() * 1e6)
        name = f"{row['session_id']} {row['event_order']}"
        sessions.apply(Event(row["event_type"], time, row["visitor_id"], event_id=name), time)
    assert live == batch


def test_states_of_another_zone_are_not_gone_on_with() -> None:
    def scorer(zone: str | None) -> ModelScorer:
        run = {"run_id": "r", "champion": "m", "target": {"name": "purchase"},
               "source": {"clock": "time", "zone": zone}}  # fmt: skip
        return ModelScorer(run, FEATURES, None, None, None, {})

    berlin, utc = scorer("Europe/Berlin"), scorer(None)
    assert berlin.fingerprint != utc.fingerprint == scorer("UTC").fingerprint
    assert utc.fingerprint == FEATURES.fingerprint
    assert berlin.describe()["feature_set"] == FEATURES.fingerprint


def test_a_server_ends_sessions_by_the_clock_of_its_run() -> None:
    source = {"clock": "time", "zone": "Europe/Berlin", "session_breaks": ["midnight"]}
    run = {"run_id": "r", "champion": "m", "source": source}
    scorer = ModelScorer(run, FEATURES, None, None, None, {})
    store = make_store(Plan("m", late_window=60.0), scorer)
    assert isinstance(store, MemoryStore)
    rules = store.sessions.rules
    told = (rules.zone, rules.sessions.breaks, rules.late_window)
    assert told == ("Europe/Berlin", ("midnight",), 60.0)


@pytest.mark.parametrize("kept", [False, True])
def test_insights(shop: Shop, tmp_path: Path, kept: bool) -> None:
    table = insights.write_sessions(shop.log, tmp_path / "sessions.parquet") if kept else None
    how: Any = {"sessions": table}
    cells = insights.heat_map(shop.log, **how).cells
    found = {(c.weekday, c.hour): c.sessions for c in cells if c.sessions}
    assert found == by_session(shop, lambda t: (t.isoweekday(), t.hour))
    for column, of in {
        "hour": lambda t: str(t.hour),
        "weekday": lambda t: str(t.isoweekday()),
        "month": lambda t: str(t.month),
    }.items():
        rows = insights.breakdown(shop.log, column, **how).rows
        assert {r.value: r.sessions for r in rows} == by_session(shop, of)
    for grain, start in {
        "hour": lambda t: t.replace(minute=0, second=0),
        "day": lambda t: dt.datetime.combine(t, dt.time()),
        "month": lambda t: dt.datetime(t.year, t.month, 1),
    }.items():
        trend = insights.overview(shop.log, grain=grain, **how).trend
        assert {t.start: t.sessions for t in trend if t.sessions} == by_session(shop, start)


def test_cohorts_and_days_asked_for(shop: Shop) -> None:
    first: dict[str, dt.datetime] = {}
    for row in shop.rows:
        first.setdefault(row["visitor_id"], row["local"])
    weeks = Counter((t - dt.timedelta(days=t.weekday())).date() for t in first.values())
    assert {c.week: c.visitors for c in insights.cohorts(shop.log).cohorts} == weeks
    day = dt.datetime.fromisoformat(ZONES[shop.zone][1]).date()
    where = insights.Slice(start=day, end=day)
    asked = by_session(shop, lambda t: t.date())
    assert insights.overview(shop.log, where=where).sessions == asked[day] > 10


def test_a_log_cleaned_by_another_clock_is_refused(shop: Shop) -> None:
    run = {"run_id": "r", "champion": "m", "models": {"m": {"kind": "classifier"}},
           "source": {"clock": "time", "zone": shop.zone, "session_breaks": ["midnight"]},
           "data": {}}  # fmt: skip
    run["features"] = {"yaml": FEATURES.to_yaml(), "fingerprint": FEATURES.fingerprint}
    assert [f.code for f in require_same(shop.log, Run(Path(), run))] == ["SC105"]
    run["source"] = {"clock": "time"}
    with pytest.raises(DataError, match=f"clock of {shop.zone}.*that of UTC"):
        require_same(shop.log, Run(Path(), run))
