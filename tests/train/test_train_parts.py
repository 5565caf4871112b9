"""A log in several parts, each of whole visitors, gives the rows of the log in one part."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import duckdb
import pandas as pd
import pytest
from pandas.testing import assert_frame_equal

from cartcast.datasets import simulate
from cartcast.errors import DataError
from cartcast.events import Log, load
from cartcast.features import load_set
from cartcast.moments import Moment, from_log
from cartcast.rows import Rows
from cartcast.runs.counts import recorded
from cartcast.segments import Segment, Values
from cartcast.targets import parse_target
from cartcast.train import segments, train

FEATURES = load_set("usual")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Log:
    folder = tmp_path_factory.mktemp("whole")
    simulate(sessions=700, seed=5, out=folder / "shop.parquet")
    return load(folder / "shop.parquet", folder=folder)


@pytest.fixture(scope="module")
def parts(whole: Log, tmp_path_factory: pytest.TempPathFactory) -> Log:
    """The same log, as Spark leaves it: a file holds some visitors, and says nothing of itself."""
    folder = tmp_path_factory.mktemp("parts")
    with duckdb.connect() as con:
        for k in range(3):
            con.sql(
                f"COPY (SELECT * FROM '{whole.path}' WHERE hash(visitor_id) % 3 = {k}) "
                f"TO '{folder}/part-{k}.parquet'"
            )
    return replace(whole, path=folder)


@pytest.mark.parametrize("target", ["purchase", "revenue:7d", "add_to_cart", "proxy:browsing"])
def test_rows_are_those_of_one_part(target: str, whole: Log, parts: Log) -> None:
    asked = parse_target(target, {})
    one, many = (from_log(log, asked, FEATURES, (1, 2, 3)) for log in (whole, parts))
    assert_frame_equal(one.table, many.table)
    assert_frame_equal(one.values, many.values)
    assert (one.dropped, one.findings) == (many.dropped, many.findings)


def together(rows: Rows) -> pd.DataFrame:
    return pd.concat([rows.table, rows.values], axis=1)


@pytest.mark.parametrize("of", ["whole", "parts"])
def test_whole_visitors_are_drawn(whole: Log, parts: Log, of: str) -> None:
    """Which are drawn is known before a row is made, and is another share of another seed."""
    target = parse_target("purchase", {})
    everything = together(from_log(whole, target, FEATURES, (1, 2)))
    log = {"whole": whole, "parts": parts}[of]
    drawn = [from_log(log, target, FEATURES, (1, 2), most_rows=500, seed=s) for s in (1, 1, 2)]
    assert_frame_equal(together(drawn[0]), together(drawn[1]))
    kept, others = (set(d.table["visitor_id"]) for d in drawn[1:])
    assert kept != others
    # Of these visitors nothing is missing but what a shorter horizon may take or give.
    known = [*FEATURES.names, "label", "amount"]
    key = ["session_id", "event_order"]
    expected = everything[everything["visitor_id"].isin(kept)].set_index(key)[known]
    found = together(drawn[0]).set_index(key)[known]
    both = expected.index.intersection(found.index)
    assert len(both) > 0.95 * len(expected)
    assert_frame_equal(expected.loc[both], found.loc[both])
    (note,) = (f for f in drawn[0].findings if f.code == "MD101")
    assert "visitors" in note.message
    assert len(found) == pytest.approx(500, rel=0.25)


@pytest.mark.parametrize("moment", [(1, 2), Moment("day", every=864_000, seen=864_000)])
def test_a_sample_is_of_the_moments_of_the_segment(
    parts: Log, moment: Moment | Sequence[int]
) -> None:
    """A log has more moments than are wanted, but its segment has not: all of those are used."""
    target = parse_target("purchase:7d" if isinstance(moment, Moment) else "purchase", {})
    mobile = Segment("mobile", (Values("device", ("mobile",)),))
    ask = partial(from_log, parts, target, FEATURES, moment, segment=mobile)
    all_of_them = ask()
    # Some are dropped later, when the horizon of a label is not over.
    most = len(all_of_them.table) + sum(all_of_them.dropped.values())
    assert len(from_log(parts, target, FEATURES, moment).table) > most
    assert_frame_equal(ask(most_rows=most).table, all_of_them.table)
    assert ask(most_rows=most // 2).findings[-1].evidence["rows"] == most


def test_what_a_run_keeps_of_its_log_is_that_of_one_part(whole: Log, parts: Log) -> None:
    one, many = (recorded(log, FEATURES) for log in (whole, parts))
    assert one.pop("prices") == pytest.approx(many.pop("prices"), rel=1e-12)
    assert one == many
    with duckdb.connect() as con:
        row = con.sql(
            f"SELECT quantile_cont(price, [0.05, 0.5, 0.95]) FROM '{whole.path}' WHERE price > 0"
        ).fetchone()
    assert recorded(parts, FEATURES)["prices"] == pytest.approx(row[0], rel=1e-12)


def test_segments_compare_the_sessions_of_one_part(
    whole: Log, parts: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    features = segments.session_features(whole)
    assert features == segments.session_features(parts)
    one, many = (segments._sessions(log, features, 1) for log in (whole, parts))
    assert_frame_equal(one, many)
    monkeypatch.setattr(segments, "MOST_SESSIONS", 300)
    assert len(segments._sessions(parts, features, 1)) == pytest.approx(300, rel=0.25)
    mobile = Segment("mobile", (Values("device", ("mobile",)),))
    of_mobile = len(segments._sessions(whole, features, 1, mobile))
    monkeypatch.setattr(segments, "MOST_SESSIONS", of_mobile)
    assert len(segments._sessions(parts, features, 1, mobile)) == of_mobile


def test_a_log_without_times_has_no_order_in_parts(parts: Log) -> None:
    with pytest.raises(DataError, match="has no times"):
        from_log(replace(parts, clock="order"), parse_target("purchase", {}), FEATURES, (1,))


def test_a_ready_table_is_read_here() -> None:
    from cartcast.errors import UsageError

    with pytest.raises(UsageError, match="is read on this machine"):
        train(rows=pd.DataFrame({"x": [1.0]}), target="x", engine="spark")
