"""Bulk replay, step-by-step fold, a slow oracle and SQL agree at every prefix."""

from __future__ import annotations

import datetime as dt
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings

from cartcast import features as F
from cartcast.errors import DataError, DefinitionError, NotFoundError, UsageError

sys.path.insert(0, str(Path(__file__).parent))
import oracle
import sql
from logs import BEGIN, EVERYTHING, differences, logs, table

SLOW = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True
)


def replayed(log, clock="time", features=EVERYTHING, **how):
    found = features.replay(table(log, clock), **how)
    return found.select(list(features.names)).to_pylist()


def stepped(log, clock="time", features=EVERYTHING):
    """Every event through the pure live interface, states stored and loaded in between."""
    states, pasts, rows = {}, {}, []
    for event in log:
        session, visitor = event["session_id"], event["visitor_id"]
        new = session not in states
        if new:
            known = pasts.get(visitor, F.History()) if visitor is not None else None
            states[session] = features.dump(features.start(known, clock))
        state = features.step(features.load(states[session]), event)
        states[session] = features.dump(state)
        rows.append(features.value(state))
        if visitor is not None:
            time = F.microseconds(event["event_time"])
            pasts[visitor] = pasts.get(visitor, F.History()).after(event["event_type"], time, new)
    return rows


@SLOW
@given(log=logs())
def test_bulk_replay_equals_the_oracle_at_every_prefix(log):
    assert differences(replayed(log), oracle.replay(EVERYTHING, log), log) == []


@settings(parent=SLOW, max_examples=15)
@given(log=logs(max_events=25))
def test_stored_and_stepped_states_equal_bulk_exactly(log):
    bulk, live = replayed(log), stepped(log)
    assert bulk == live  # the same kernels: not a bit may differ


@settings(parent=SLOW, max_examples=15)
@given(log=logs())
def test_sql_windows_agree_at_every_prefix(log):
    found = replayed(log, features=sql.FEATURES)
    assert differences(found, sql.replay(table(log)), log) == []


@settings(parent=SLOW, max_examples=8)
@given(log=logs(max_events=25))
@pytest.mark.parametrize("clock", ["day", "session", "order"])
def test_other_clocks(log, clock):
    begin = {}
    for e in log:
        since = e["event_time"] - begin.setdefault(e["session_id"], e["event_time"])
        if clock == "session":
            e["session_seconds"] = since.total_seconds()
        e["event_time"] = dt.datetime(2026, 3, 1) if clock == "day" else None
    assert differences(replayed(log, clock), oracle.replay(EVERYTHING, log, clock), log) == []


@settings(parent=SLOW, max_examples=15)
@given(log=logs())
def test_rows_that_arrive_out_of_order_are_sorted(log):
    shuffled = table(log).take(np.random.default_rng(len(log)).permutation(len(log)))
    # History across sessions goes by the log's own order, which ties of time do not keep.
    features = F.FeatureSet.of(
        (n, f) for n, f in EVERYTHING.features.items() if "before" not in f.lineage.window
    )
    keys = ["session_id", "event_order"]
    found = features.replay(shuffled).sort_by([(k, "ascending") for k in keys])
    truth = features.replay(table(log)).sort_by([(k, "ascending") for k in keys])
    assert found.equals(truth)


@settings(parent=SLOW, max_examples=15)
@given(log=logs())
def test_chosen_clicks_and_the_end_are_rows_of_every_click(log):
    whole = EVERYTHING.replay(table(log)).to_pylist()
    chosen = EVERYTHING.replay(table(log), at=[1, 3]).to_pylist()
    assert chosen == [row for row in whole if row["click"] in (1, 3)]
    last = {row["session_id"]: row for row in whole}
    ends = EVERYTHING.replay(table(log), at="end").to_pylist()
    assert {row["session_id"] for row in ends} == set(last)
    for row in ends:
        assert {n: last[row["session_id"]][n] for n in EVERYTHING.names} == {
            n: row[n] for n in EVERYTHING.names
        }


def long_log(events=30_000, sessions=3, step=1):
    rng = np.random.default_rng(7)
    counts = [0] * sessions
    rows = []
    for k in range(events):
        s = int(rng.integers(sessions))
        counts[s] += 1
        rows.append(
            {
                "visitor_id": f"v{s}",
                "session_id": f"s{s}",
                "event_order": counts[s],
                "event_time": BEGIN + dt.timedelta(seconds=k * step),
                "event_type": "view_item",
                "item_id": f"i{rng.integers(20_000)}",
                "category": f"c{rng.integers(500)}",
                "price": float(rng.integers(1, 9000)) / 100,
                "quantity": None,
                "session_seconds": None,
                "rank": None,
            }
        )  # fmt: skip
    return rows


def test_huge_sessions_grow_their_sets_beyond_blocks_and_chunks():
    log = long_log()
    features = F.FeatureSet(
        items=F.NUnique("item_id"),
        mode=F.Mode("item_id"),
        lately=F.CountWithin(5000),
        above=F.Mean(F.AboveAverage("price", by="category")),
        n=F.Count(),
    )
    found = features.replay(table(log), at="end", threads=2).sort_by("session_id").to_pylist()
    for row in found:
        events = [e for e in log if e["session_id"] == row["session_id"]]
        items = [e["item_id"] for e in events]
        assert row["items"] == len(set(items))
        assert items.count(row["mode"]) == Counter(items).most_common(1)[0][1]
        assert row["n"] == len(events)
        latest = events[-1]["event_time"]
        assert row["lately"] == sum(
            (latest - e["event_time"]).total_seconds() <= 5000 for e in events
        )


def test_threads_and_batches_do_not_change_a_bit(tmp_path):
    log = long_log(3000, sessions=400)
    path = tmp_path / "log.parquet"
    pq.write_table(table(log), path, row_group_size=700)
    one = EVERYTHING.replay(path, threads=1)
    assert one.equals(EVERYTHING.replay(table(log), threads=3))
    out = EVERYTHING.replay(path, out=tmp_path / "out.parquet", threads=2)
    assert pq.read_table(out).equals(one)
    assert pa.types.is_string(pq.read_table(out).schema.field("favourite").type)


def test_a_log_grouped_by_session_needs_no_first_pass(tmp_path):
    log = sorted(long_log(2000, sessions=100), key=lambda e: (e["session_id"], e["event_order"]))
    path = tmp_path / "log.parquet"
    pq.write_table(table(log, "order", "session"), path, row_group_size=333)
    features = F.FeatureSet(n=F.Count(), items=F.NUnique("item_id"), spend=F.Sum("price"))
    assert features.replay(path).equals(features.replay(table(log, "order")))
    found = features.replay(path, at="end")
    assert found.num_rows == len({e["session_id"] for e in log})


def test_a_log_that_says_it_is_grouped_but_is_not(tmp_path):
    log = long_log(2000, sessions=5)
    path = tmp_path / "log.parquet"
    pq.write_table(table(log, "order", "session"), path, row_group_size=333)
    features = F.FeatureSet(n=F.Count(), items=F.NUnique("item_id"))
    assert features.replay(path).equals(features.replay(table(log, "order")))


def test_event_order_against_time_is_refused():
    log = long_log(3, sessions=1)
    log[0]["event_order"], log[1]["event_order"] = 2, 1
    with pytest.raises(DataError, match="event_order contradicts event_time"):
        EVERYTHING.replay(table(log))


def test_an_unknown_column_is_refused_before_events_are_read():
    features = F.FeatureSet(a=F.Sum("prise"))
    with pytest.raises(DefinitionError, match="prise.*Did you mean 'price'"):
        features.replay(table(long_log(3)))
    text = F.FeatureSet(a=F.Sum("rank")).replay
    with pytest.raises(DefinitionError, match="holds string"):
        text(table(long_log(3)).set_column(10, "rank", pa.array(["a", "b", "c"])))


def test_a_canonical_column_that_is_absent_is_null():
    found = F.FeatureSet(a=F.NUnique("brand"), b=F.Last("device"), c=F.Sum("price")).replay(
        table(long_log(3)).drop_columns(["price"]), at="end"
    )
    assert found.select(["a", "b", "c"]).to_pylist()[0] == {"a": 0.0, "b": None, "c": None}


def test_own_columns_work_by_their_names():
    found = F.FeatureSet(r=F.Sum("rank"), u=F.NUnique("rank"), m=F.Mode("rank")).replay(
        table([e | {"rank": k % 2} for k, e in enumerate(long_log(5, sessions=1))]), at="end"
    )
    assert found.to_pylist() == [{"session_id": "s0", "r": 2.0, "u": 2.0, "m": 0.0}]


def test_pandas_and_polars_are_accepted():
    import polars as pl

    arrow = table(long_log(50))
    truth = EVERYTHING.replay(arrow)
    assert EVERYTHING.replay(arrow.to_pandas()).equals(truth)
    assert EVERYTHING.replay(pl.from_arrow(arrow)).equals(truth)


@pytest.mark.parametrize("at", ["now", [], [0], [1.5]])
def test_wrong_moments(at):
    with pytest.raises(UsageError):
        EVERYTHING.replay(table(long_log(3)), at=at)


def test_missing_file_and_other_formats(tmp_path):
    with pytest.raises(NotFoundError):
        EVERYTHING.replay(tmp_path / "none.parquet")
    (tmp_path / "a.parquet").write_text("no")
    with pytest.raises(DataError, match="not a Parquet file"):
        EVERYTHING.replay(tmp_path / "a.parquet")


def test_an_interrupted_write_leaves_nothing(tmp_path, monkeypatch):
    from cartcast.features import replay

    def broken(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(replay, "write_batches", broken)
    with pytest.raises(KeyboardInterrupt):
        EVERYTHING.replay(table(long_log(3)), out=tmp_path / "t.parquet")
    assert list(tmp_path.iterdir()) == []


def test_ends_are_found_in_parts_where_the_table_of_sessions_would_be_too_large(tmp_path):
    from cartcast.features import passes
    from cartcast.features.source import open_source

    rng = np.random.default_rng(5)
    sessions = rng.integers(0, 40_000, 90_000)
    counts: Counter[int] = Counter()
    orders = []
    for s in sessions.tolist():
        counts[s] += 1
        orders.append(counts[s])
    log = pa.table({"session_id": [f"s{s}" for s in sessions], "event_order": orders})
    path = tmp_path / "log.parquet"
    pq.write_table(log, path, row_group_size=9_000)
    for source in (open_source(log), open_source(path)):
        found = passes.find_ends(source, most=200_000)
        first = np.zeros(len(sessions), bool)
        last = np.zeros(len(sessions), bool)
        first[np.unique(sessions, return_index=True)[1]] = True
        last[len(sessions) - 1 - np.unique(sessions[::-1], return_index=True)[1]] = True
        assert np.array_equal(found.rows(found.first, 0, len(sessions)), first)
        assert np.array_equal(found.rows(found.last, 0, len(sessions)), last)


@pytest.mark.parametrize("sorted_", [True, False])
def test_sessions_made_in_the_replay_are_those_of_sql(tmp_path, sorted_):
    import duckdb

    rng = np.random.default_rng(11)
    n, visitors = 20_000, 300
    times = np.sort(rng.integers(0, 40 * 86_400, n)) * 1_000_000
    log = pa.table({
        "visitor_id": [f"v{v}" for v in rng.integers(0, visitors, n)],
        "event_time": pa.array(times).cast(pa.timestamp("us")),
        "price": rng.integers(1, 900, n) / 4,
    })  # fmt: skip
    if not sorted_:
        log = log.take(rng.permutation(n))
    path = tmp_path / "log.parquet"
    pq.write_table(log, path, row_group_size=3_000)
    features = F.FeatureSet(n=F.Count(), spend=F.Sum("price"), length=F.SecondsInSession())
    with duckdb.connect() as con:
        truth = con.execute("""
            WITH marked AS (
                SELECT *, coalesce(epoch_us(event_time) - epoch_us(lag(event_time) OVER v)
                                   > 1800000000, true) AS new
                FROM log WINDOW v AS (PARTITION BY visitor_id ORDER BY event_time)),
            numbered AS (
                SELECT *, sum(new::INT) OVER (PARTITION BY visitor_id ORDER BY event_time
                                              ROWS UNBOUNDED PRECEDING) AS k FROM marked)
            SELECT visitor_id || '-' || epoch_ms(min(event_time)) AS session_id,
                   count(*)::DOUBLE AS n, sum(price) AS spend,
                   (epoch_us(max(event_time)) - epoch_us(min(event_time))) / 1e6 AS length
            FROM numbered GROUP BY visitor_id, k ORDER BY session_id""").to_arrow_table()
    for events in (log, path):
        found = features.replay(events, at="end", session_gap=1800).sort_by("session_id")
        assert found.to_pylist() == truth.to_pylist()
        every = features.replay(events, session_gap=1800)
        assert every.num_rows == n
        assert every["click"].equals(every["event_order"])
    with pytest.raises(UsageError, match="session_gap > 0"):
        features.replay(log, session_gap=0)
    with pytest.raises(DataError, match="visitor_id"):
        features.replay(log.drop_columns(["visitor_id"]), session_gap=1800)
