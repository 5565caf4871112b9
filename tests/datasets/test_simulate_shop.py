from __future__ import annotations

import gzip
import json
from datetime import datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pyarrow.json
import pyarrow.parquet as pq
import pytest

from cartcast import datasets
from cartcast.datasets.simulate_first import Stream
from cartcast.datasets.simulate_model import Shop
from cartcast.errors import UsageError
from cartcast.events.schema import COLUMNS, EVENT_TYPES


@pytest.fixture(scope="module")
def events(shop_log: datasets.Simulation) -> pd.DataFrame:
    return shop_log.events.to_pandas()


def test_the_same_seed_gives_the_same_log_whatever_the_chunk() -> None:
    whole = datasets.simulate(3_000, seed=9, truth=True)
    pieces = datasets.simulate(3_000, seed=9, truth=True, chunk=37)
    assert whole.events.equals(pieces.events)
    assert whole.truth.equals(pieces.truth)
    left, right = dict(whole.counts), dict(pieces.counts)
    assert left.pop("revenue") == pytest.approx(right.pop("revenue"))  # sums in another order
    assert left == right


def test_another_seed_gives_another_log_in_the_same_shop() -> None:
    one, two = (datasets.simulate(500, seed=s).events for s in (1, 2))
    assert not one.equals(two)
    prices = [
        dict(zip(*(t[c].to_pylist() for c in ("item_id", "price")), strict=True))
        for t in (one, two)
    ]
    shared = prices[0].keys() & prices[1].keys()
    assert len(shared) > 100
    assert all(prices[0][i] == prices[1][i] for i in shared)


def test_columns_are_canonical_and_events_in_time_order(events: pd.DataFrame) -> None:
    assert set(events) - set(COLUMNS) == {"event_id"}
    assert set(events.event_type) <= set(EVENT_TYPES)
    assert events.event_time.is_monotonic_increasing
    needed = ["visitor_id", "session_id", "event_time", "event_order", "event_type", "country"]
    assert events[needed].notna().all().all()


def test_sessions_are_as_many_as_asked_and_numbered_from_one(
    shop_log: datasets.Simulation, events: pd.DataFrame
) -> None:
    orders = events.sort_values(["session_id", "event_order"]).groupby("session_id").event_order
    assert orders.ngroups == shop_log.counts["sessions"] == 30_000
    assert (orders.cumcount() + 1).equals(
        events.sort_values(["session_id", "event_order"]).event_order.rename(None)
    )
    assert shop_log.counts["events"] == len(events)
    assert shop_log.counts["visitors"] == events.visitor_id.nunique()


def test_session_ids_agree_with_sessions_by_a_gap_of_thirty_minutes(events: pd.DataFrame) -> None:
    rows = events.sort_values(["visitor_id", "event_time", "event_order"])
    gap = rows.groupby("visitor_id").event_time.diff()
    new = gap.isna() | (gap > pd.Timedelta(minutes=30))
    changed = rows.session_id != rows.session_id.shift()
    assert (new == changed).all()


def test_conversion_traffic_and_prices_are_those_of_a_shop(
    shop_log: datasets.Simulation, events: pd.DataFrame
) -> None:
    counts = shop_log.counts
    assert 0.02 < counts["conversion"] < 0.04
    assert 0.005 < counts["bot_sessions"] / counts["sessions"] < 0.02
    days = events.event_time.dt.date.nunique()
    assert 90 <= days <= 91
    again = 1 - counts["visitors"] / counts["sessions"]
    assert 0.15 < again < 0.4  # visits of those who come back
    log_price = np.log(events.drop_duplicates("item_id").price.dropna())
    assert abs(log_price.skew()) < 0.5
    bought = events[events.event_type == "purchase"]
    orders = (bought.price * bought.quantity).groupby(bought.order_id).sum().sort_values()
    top = orders.tail(len(orders) // 10).sum() / orders.sum()
    assert 0.25 < top < 0.7  # a tenth of the orders brings far more than a tenth of the money
    unique = bought.drop_duplicates(["order_id", "item_id"])
    assert (unique.price * unique.quantity).sum() == pytest.approx(counts["revenue"])


def test_purchases_are_complete_and_follow_the_steps(events: pd.DataFrame) -> None:
    bought = events[events.event_type == "purchase"]
    filled = ["order_id", "currency", "price", "quantity", "item_id", "category"]
    assert bought[filled].notna().all().all()
    assert events.order_id.isna()[events.event_type != "purchase"].all()
    first = events.groupby(["session_id", "event_type"]).event_order.min().unstack()
    first = first.loc[bought.session_id.unique()]
    for before, after in (
        ("add_to_cart", "begin_checkout"),
        ("begin_checkout", "add_payment_info"),
        ("add_payment_info", "purchase"),
    ):
        assert (first[before] < first[after]).all()


def test_what_is_bought_is_what_was_left_in_the_cart(events: pd.DataFrame) -> None:
    rows = events.drop_duplicates("event_id")
    amount = rows.price * rows.quantity
    sign = rows.event_type.map({"add_to_cart": 1.0, "remove_from_cart": -1.0})
    cart = (amount * sign).groupby(rows.session_id).sum()
    paid = amount[rows.event_type == "purchase"].groupby(rows.session_id).sum()
    assert np.allclose(cart[paid.index], paid)


def test_late_and_repeated_events_have_their_share() -> None:
    made = datasets.simulate(8_000, seed=3, late=0.05, twice=0.03)
    events, n = made.events.to_pandas(), made.counts["events"]
    repeated = events.event_id.duplicated()
    assert made.counts["repeated_events"] == repeated.sum()
    assert abs(repeated.sum() / (n - repeated.sum()) - 0.03) < 4 * np.sqrt(0.03 / n)
    late = (events.known_time > events.event_time) & ~repeated
    assert abs(late.mean() - 0.05) < 0.005
    assert (events.known_time >= events.event_time).all()
    bought = events[(events.event_type == "purchase") & repeated]
    assert len(bought) > 0  # an order that arrives twice is there to be found


def test_noise_changes_nothing_else() -> None:
    clean = datasets.simulate(1_000, seed=4, late=0, twice=0)
    noisy = datasets.simulate(1_000, seed=4, late=0.3, twice=0.3)
    kept = noisy.events.to_pandas().drop_duplicates("event_id")
    assert (clean.events["event_time"].to_pandas().to_numpy() == kept.event_time.to_numpy()).all()
    assert (clean.events["event_type"].to_pylist()) == kept.event_type.tolist()
    assert clean.counts["late_events"] == clean.counts["repeated_events"] == 0


def test_disorder_writes_rows_as_they_became_known() -> None:
    ordered = datasets.simulate(2_000, seed=4, late=0.05)
    mixed = datasets.simulate(2_000, seed=4, late=0.05, disorder=True, chunk=100)
    rows = mixed.events.to_pandas()
    assert rows.known_time.is_monotonic_increasing
    assert not rows.event_time.is_monotonic_increasing
    keys = [("session_id", "ascending"), ("event_order", "ascending")]
    assert mixed.events.sort_by(keys).equals(ordered.events.sort_by(keys))


def test_an_arm_lifts_conversion_by_exactly_its_lift() -> None:
    arms = (datasets.Arm("old", 0.5), datasets.Arm("new", 0.5, 0.3))
    made = datasets.simulate(40_000, seed=8, experiment=arms, truth=True)
    plain = datasets.simulate(40_000, seed=8, truth=True)
    # Who buys comes back more often, and takes the place of a new visitor on that day: only
    # visits at the same moment are the same visit in both simulations.
    keys = ["session_id", "event_time"]
    first = [
        m.events.to_pandas().assign(p=m.truth["p_purchase"]).query("event_order == 1")
        for m in (made, plain)
    ]
    shared = first[0].merge(first[1][[*keys, "p"]], on=keys, suffixes=("", "_plain"))
    shared = shared[shared.session_id.str.endswith("-0")]
    assert len(shared) > 1_000
    ratio = shared.p / shared.p_plain
    expected = np.where(shared.arm == "new", 1.3, 1.0)
    assert np.allclose(ratio, expected)
    events = made.events.to_pandas()
    bought = events[events.event_type == "purchase"].session_id.unique()
    sessions = events.drop_duplicates("session_id")
    by_arm = sessions.session_id.isin(bought).groupby(sessions.arm).agg(["mean", "size", "sum"])
    lift = by_arm["mean"]["new"] / by_arm["mean"]["old"] - 1
    error = 1.3 * np.sqrt((1 / by_arm["sum"]).sum())
    assert abs(lift - 0.3) < 4 * error
    visitors = events.drop_duplicates("visitor_id").arm.value_counts(normalize=True)
    assert abs(visitors["new"] - 0.5) < 0.02
    assert events.groupby("visitor_id").arm.nunique().max() == 1


@pytest.mark.parametrize("suffix", [".csv", ".csv.gz", ".jsonl", ".jsonl.gz", ".parquet"])
def test_every_format_holds_the_same_events(tmp_path: Path, suffix: str) -> None:
    table = datasets.simulate(300, seed=2, truth=True)
    path, truth = tmp_path / f"log{suffix}", tmp_path / f"truth{suffix}"
    made = datasets.simulate(300, seed=2, out=path, truth=truth)
    assert made.events is made.truth is None
    assert sorted(p.name for p in tmp_path.iterdir()) == [path.name, truth.name]
    for file, expected in ((path, table.events), (truth, table.truth)):
        data = gzip.decompress(file.read_bytes()) if suffix.endswith(".gz") else file.read_bytes()
        if "csv" in suffix:
            options = pyarrow.csv.ConvertOptions(
                column_types=expected.schema, strings_can_be_null=True
            )
            back = pyarrow.csv.read_csv(pa.BufferReader(data), convert_options=options)
        elif "json" in suffix:
            rows = [json.loads(line) for line in data.splitlines()]
            for row in rows:
                for name in ("event_time", "known_time"):
                    if name in row:
                        row[name] = datetime.fromisoformat(row[name])
            back = pa.Table.from_pylist(rows, schema=expected.schema)
        else:
            back = pq.read_table(file)
        assert back.equals(expected.combine_chunks()) or back.to_pylist() == expected.to_pylist()


def test_rows_leave_memory_as_the_log_goes_on() -> None:
    stream = Stream(
        Shop(), 6_000, 1, (), datetime(2025, 3, 3).date(), 90,
        late=0.0, twice=0.0, disorder=False, chunk=100,
    )  # fmt: skip
    sizes = [events.num_rows for events, _ in stream.tables(wants_truth=False)]
    assert sum(sizes) > 30_000
    assert max(sizes) < 4_000


@pytest.mark.parametrize(
    ("wrong", "rule"),
    [
        ({"sessions": 0}, "sessions must be at least 1"),
        ({"seed": -1}, "seed must fulfil"),
        ({"late": 1.5}, "late must fulfil 0 <= late < 1"),
        ({"out": "log.xlsx"}, "the suffix must be one of"),
        ({"experiment": (datasets.Arm("a", 1.0),)}, "two arms"),
        ({"experiment": (datasets.Arm("a", 0.5), datasets.Arm("b", 0.4))}, "add up to 1"),
        ({"experiment": (datasets.Arm("a", 0.5), datasets.Arm("b", 0.5, 2.0))}, "lift must"),
    ],
)
def test_a_broken_argument_is_refused_by_its_rule(wrong: dict[str, object], rule: str) -> None:
    with pytest.raises(UsageError, match=rule):
        datasets.simulate(**{"sessions": 10, **wrong})  # type: ignore[arg-type]


@pytest.mark.parametrize("text", ["a", "a:x,b:0.5", ":0.5,b:0.5", "a:0.5:1:2,b:0.5"])
def test_arms_in_another_form_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match="an arm must look like"):
        datasets.parse_arms(text)


def test_nothing_is_left_when_writing_fails(tmp_path: Path) -> None:
    def stop(what: str, share: float | None) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        datasets.simulate(100, out=tmp_path / "a.csv", truth=tmp_path / "b.csv", progress=stop)
    assert list(tmp_path.iterdir()) == []


def test_very_few_sessions_over_many_days() -> None:
    made = datasets.simulate(3, seed=1)
    assert made.counts["sessions"] == len(set(made.events["session_id"].to_pylist())) == 3
