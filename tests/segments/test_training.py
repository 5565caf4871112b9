"""A segment in training, lists and evaluation: known at the first event, or refused."""

from __future__ import annotations

import pytest

from cartcast.datasets import simulate
from cartcast.errors import DataError, UsageError
from cartcast.events import open_log
from cartcast.insights import Slice
from cartcast.insights.listing import session_ids
from cartcast.insights.scored import with_scores
from cartcast.live.model import load_scorer
from cartcast.score import predict
from cartcast.segments import (
    Bought,
    Did,
    Range,
    Scored,
    Seen,
    Segment,
    Values,
    at_start,
    save_segment,
)
from cartcast.train import train
from cartcast.train.options import Options

from ..insights.conftest import make_log, random_events

PHONE = Segment("phone", (Values("device", ("mobile", "phone")), Range("hour", 6)))


@pytest.mark.parametrize(
    ("where", "of", "why"),
    [
        (Bought(), "session", "`bought` is known only later"),
        (Did("add_to_cart", negated=True), "session", "`without cart` is known only later"),
        (Range("events", 5), "session", "known only later"),
        (Values("last_event", ("purchase",)), "session", "known only later"),
        (Values("brand", ("x",)), "session", "known only later"),
        (Scored("champion", 0.5), "session", "known only later"),
        (Seen(86_400), "session", "known only later"),
        (Values("device", ("mobile",)), "visitor", "all sessions of a visitor"),
    ],
)
def test_what_comes_after_the_first_event_does_not_choose_the_rows(where, of, why):
    future = Segment("future", (Values("country", ("DE",)), where), of)
    with pytest.raises(UsageError, match=why):
        Options(segment={"name": "future", **future.as_dict()})


def test_a_value_that_only_a_later_event_bears_does_not_count():
    """An order's campaign is written on the purchase: the segment would be one of buyers."""
    events = random_events(6, sessions=60)
    first = {}
    for e in sorted(events, key=lambda e: (e["session_id"], e["event_order"])):
        e["campaign"] = "sale" if e["event_type"] == "purchase" else None
        first.setdefault(e["session_id"], e)
    segment = Segment("sale", (Values("campaign", ("sale",)), Values("first_event", (), True)))
    log = make_log(events)
    sold = session_ids(log, Slice(segments=(segment,)))
    assert sold == {e["session_id"] for e in events if e["campaign"]}

    class Part:
        clock, columns = "time", tuple(log.column_names)

        def connect(self):
            import duckdb

            con = duckdb.connect()
            con.register("events", log)
            return con

    assert at_start(Part(), segment) == {s for s, e in first.items() if e["campaign"]} < sold
    calendar = Segment("late", (Range("hour", 20), Values("weekday", ("1", "3", "7"))))
    began = session_ids(log, Slice(segments=(calendar,)))
    assert 0 < len(began) < len(first)
    assert at_start(Part(), calendar) == began


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shop")
    simulate(sessions=1500, seed=4, out=folder / "shop.parquet")
    (folder / "cartcast.yaml").write_text("sources: [shop.parquet]\n")
    save_segment(folder, PHONE)
    return folder


@pytest.fixture(scope="module")
def run(shop):
    return train(
        project=shop, segment="phone", models=("logistic_regression",), features="usual",
        backtest=False, refit=False, segments=2, threads=1,
    )  # fmt: skip


def test_a_run_of_a_segment_is_of_its_sessions_and_says_so(shop, run):
    log = open_log(run.read(str(shop / "shop.parquet"), folder=shop / "read").path)
    mine = session_ids(log, Slice(segments=(PHONE,)))
    assert 0 < len(mine) < log.summary.sessions
    assert set(run.predictions["session_id"]) < mine
    assert run.segment == PHONE
    assert "of segment 'phone'" in run.data["target"]["describe"]
    assert Options.from_run(run).chosen == PHONE
    assert sum(s["size"] for s in run.data["segments"]) <= len(mine)
    scored, _ = predict(log, run, everything=True)
    assert set(scored["session_id"]) <= mine
    with pytest.raises(UsageError, match="learnt from segment 'phone' only"):
        load_scorer(run)
    # A list of those whom a score names: the highest of any moment.
    best = scored.groupby("session_id")[run.column].max()
    least = float(best.quantile(0.9))
    hot = with_scores(Segment("hot", (Scored(str(run.dir), least),)), log, shop)
    chosen = session_ids(log, Slice(segments=(hot,)))
    assert chosen == set(best[best >= least].index)
    few, _ = predict(log, run, everything=True, only=lambda log: chosen)
    assert set(few["session_id"]) == chosen
    nobody, _ = predict(log, run, everything=True, only=lambda log: set())
    assert nobody.empty
    assert list(nobody.columns) == list(few.columns)


def test_a_segment_without_a_session_is_one_line(shop, run):
    nobody = Segment("nobody", (Values("device", ("abacus",)),))
    with pytest.raises(DataError, match="segment 'nobody': no session of this log is in it"):
        train(shop / "read" / "events.parquet", segment=nobody, features="usual",
              run_dir=shop / "none")  # fmt: skip
