"""Target lists: whom they hold, what they promise, and whether that came, against slow truths."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from cartcast import events
from cartcast.datasets import simulate
from cartcast.errors import CartcastError, DataError, UsageError
from cartcast.events import Privacy
from cartcast.features import load_set
from cartcast.live.model import load_scorer
from cartcast.moments import Moment
from cartcast.moments.dates import Due, end_of
from cartcast.moments.lists import check_of, listed
from cartcast.moments.machines import machines
from cartcast.moments.waits import Waits, waits_of
from cartcast.runs.run import Run
from cartcast.score import predict
from cartcast.score.parts import unseen
from cartcast.score.without import Without
from cartcast.targets import Proxy, Purchase
from cartcast.train import train

GAP = 1800.0


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("lists") / "shop.parquet"
    simulate(sessions=4000, seed=21, out=out)
    return out


@pytest.fixture(scope="module")
def table(shop: Path) -> pd.DataFrame:
    return cleaned(shop)


def cleaned(shop: Path) -> pd.DataFrame:
    log = events.load(shop)
    with log.connect() as con:
        return con.sql("SELECT * FROM events").df()


def made(shop: Path, folder: Path, **how: Any) -> Run:
    return train(
        shop, models=("logistic_regression",), run_dir=folder / "run", threads=1, segments=2,
        backtest=False, refit=False, **how,
    )  # fmt: skip


@pytest.fixture(scope="module")
def during(shop: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return made(shop, tmp_path_factory.mktemp("during"))


@pytest.fixture(scope="module")
def day(shop: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return made(shop, tmp_path_factory.mktemp("day"), moment="day", horizon="3d", every="2d")


def test_a_list_of_open_sessions_holds_those_and_their_features(
    shop: Path, table: pd.DataFrame
) -> None:
    log, features = events.load(shop), load_set("usual")
    due = Due(Moment("during"), end_of(log), GAP).now
    rows, known = listed(log, Purchase(), features, due)
    last = table.groupby("session_id")["event_time"].max()
    bought = set(table.loc[table["event_type"] == "purchase", "session_id"])
    late = last.index[last + pd.Timedelta(seconds=GAP) > last.max()]
    assert set(rows["session_id"]) == set(late) - bought
    assert len(rows)
    ended = features.replay(log, at="end").to_pandas().set_index("session_id")
    wanted = ended.loc[rows["session_id"], list(features.names)].reset_index(drop=True)
    pd.testing.assert_frame_equal(known, wanted)
    # The same rows when the list is one of several, and its features are of any click.
    every, told = listed(log, Purchase(), features, Due(Moment("during"), end_of(log), GAP))
    now = (every["anchor_time"] == rows["anchor_time"].iloc[0]).to_numpy()
    assert list(every.loc[now, "session_id"]) == list(rows["session_id"])
    pd.testing.assert_frame_equal(told[now].reset_index(drop=True), known, check_dtype=False)


def test_silence_is_counted_as_a_slow_loop_counts_it(shop: Path, table: pd.DataFrame) -> None:
    steps: dict[bool, list[int]] = {True: [], False: []}
    for _, session in table.sort_values(["session_id", "event_order"]).groupby("session_id"):
        kinds = list(session["event_type"])
        bought = kinds.index("purchase") if "purchase" in kinds else None
        times = list(session["event_time"])
        for k in range(len(times)):
            if bought is not None and k >= bought:
                break
            wait = (times[k + 1] - times[k]).total_seconds() if k + 1 < len(times) else GAP
            steps[bought is not None].append(int(min(wait, GAP) // 30))
    waits = Waits.counted([waits_of(events.load(shop), Purchase(), GAP)], GAP)
    assert waits is not None
    for outcome, curve in ((True, waits.if_outcome), (False, waits.if_none)):
        found = np.asarray(steps[outcome])
        wanted = [((found >= k).sum() + 0.5) / (len(found) + 0.5) for k in range(61)]
        np.testing.assert_allclose(curve, wanted, atol=1e-6)
    assert waits.share == pytest.approx(len(steps[True]) / sum(map(len, steps.values())))
    # Bayes' rule, by hand.
    p, (a, b) = 0.3, (waits.if_outcome[2], waits.if_none[2])
    assert waits.probability(p, 60.0) == pytest.approx(p * a / (p * a + (1 - p) * b))


def drawn(rng: np.random.Generator, factor: float = 1.0) -> Any:
    """Rows of visitors who are on several lists, and buy alike on all of them."""
    n, lists = 400, 4
    who = rng.beta(1, 20, n)
    buys = rng.random(n) < who
    rows = pd.DataFrame(
        {
            "visitor_id": np.repeat(np.arange(n).astype(str), lists),
            "session_id": np.repeat(np.arange(n).astype(str), lists),
            "anchor_time": np.tile(pd.date_range("2025-01-01", periods=lists), n),
            "outcome": np.repeat(buys, lists),
            "amount": np.repeat(buys * 10.0, lists),
        }
    )
    return rows, np.repeat(who, lists) * factor


def test_what_is_expected_rightly_agrees_and_the_double_does_not() -> None:
    rng = np.random.default_rng(5)
    right = [check_of(*drawn(rng), money=False) for _ in range(300)]
    share = np.mean([c is not None and c.agrees for c in right])
    # 95 % nominal; four copies of each visitor would give 67 % if rows were taken for units.
    assert 0.92 <= share <= 0.98
    twice = [check_of(*drawn(rng, 2.0), money=False) for _ in range(100)]
    assert np.mean([c is not None and c.agrees for c in twice]) < 0.1
    rows, said = drawn(rng)
    money = check_of(rows, said * 10, money=True)
    shares = check_of(rows, said, money=False)
    assert money is not None
    assert shares is not None
    assert money.happened == pytest.approx(10 * shares.happened)
    assert money.low == pytest.approx(10 * shares.low, rel=0.25)
    assert check_of(rows, np.full(len(rows), np.nan), money=False) is None


def test_a_run_lists_who_is_there_and_says_how_lists_came_out(
    shop: Path, table: pd.DataFrame, during: Run
) -> None:
    told, found = predict(shop, during.dir)
    assert told["probability"].is_monotonic_decreasing
    assert told["visitor_id"].is_unique
    bought = set(table.loc[table["event_type"] == "purchase", "session_id"])
    assert not set(told["session_id"]) & bought
    assert (told["as_of"] == table["event_time"].max()).all()
    codes = [f.code for f in found if f.code.startswith("TL")]
    assert codes in (["TL101", "TL105"], ["TL102", "TL105"])
    kept = during.data["lists"]
    assert kept["check"]["rows"] > 100
    # A silent visitor is less likely to buy than the model of clicks says.
    silent = (told["as_of"] - told["last_event"]).dt.total_seconds() > 120
    assert during.features is not None
    ended = during.features.replay(events.load(shop), at="end").to_pandas()
    X = during.typed(ended.set_index("session_id").loc[told["session_id"]].reset_index())
    before = during.score(X)["probability"]
    assert (told["probability"] < before)[silent.to_numpy()].all()


def test_everything_has_the_outcome_that_followed(
    shop: Path, table: pd.DataFrame, during: Run
) -> None:
    told, found = predict(shop, during.dir, everything=True)
    assert not [f for f in found if f.code.startswith("TL")]
    assert set(told["click"]) <= set(during.moment.clicks)
    first = table[table["event_type"] == "purchase"].groupby("session_id")["event_order"].min()
    buys = told["session_id"].map(first)
    assert not (told["click"] >= buys).any()
    known = told["outcome"].notna()
    assert known.mean() > 0.95
    assert (told.loc[known, "outcome"].astype(bool) == buys.notna()[known]).all()


def test_visitors_of_a_day(shop: Path, table: pd.DataFrame, day: Run) -> None:
    told, _ = predict(shop, day.dir)
    end = table["event_time"].max()
    seen = table[table["event_time"] > end - pd.Timedelta(days=30)]
    fast = set(machines(events.load(shop))["visitor"])
    assert set(told["visitor_id"]) == set(seen["visitor_id"].dropna()) - fast
    assert told["visitor_id"].is_unique
    everything, _ = predict(shop, day.dir, everything=True)
    assert fast & set(seen["visitor_id"]) <= set(everything["visitor_id"])
    horizon = pd.Timedelta(days=3)
    buys = table[table["event_type"] == "purchase"]
    for row in everything.sample(60, random_state=1).itertuples():
        when = buys.loc[buys["visitor_id"] == row.visitor_id, "event_time"]
        after = ((when > row.as_of) & (when <= row.as_of + horizon)).any()
        assert pd.isna(row.outcome) if row.as_of + horizon > end else row.outcome == after
    assert "within 3d" in (day.dir / "report.html").read_text()


def test_a_run_is_asked_at_moments_of_its_kind_only(shop: Path, day: Run) -> None:
    from cartcast.insights.explain import explain_sessions
    from cartcast.monitoring.check import check

    for asks in (
        lambda: load_scorer(day.dir),
        lambda: explain_sessions(str(shop), day.dir),
        lambda: check(day.dir, [shop]),
    ):
        with pytest.raises(UsageError, match="visitors seen in the last 30 days.*during a session"):
            asks()


def test_a_log_without_times_has_no_list(shop: Path, tmp_path: Path) -> None:
    raw = pd.read_parquet(shop).sort_values(["session_id", "event_order"])
    bare = raw.drop(columns=["event_time", "event_id"]).iloc[:9000]
    bare.to_csv(tmp_path / "bare.csv", index=False)
    run = made(tmp_path / "bare.csv", tmp_path, features={"clicks": _clicks()})
    with pytest.raises(DataError, match="--everything.*--moment after"):
        predict(tmp_path / "bare.csv", run.dir)
    told, _ = predict(tmp_path / "bare.csv", run.dir, everything=True)
    assert told["outcome"].notna().all()


def _clicks() -> Any:
    from cartcast.features import Count

    return Count()


def test_a_proxy_is_listed_until_it_is_reached(shop: Path) -> None:
    log = events.load(shop)
    due = Due(Moment("during", every=60.0), end_of(log), GAP, 0, 5000)
    target = Proxy("cart", column="event_type", value="add_to_cart")
    rows, _ = listed(log, target, load_set("usual"), due)
    table = cleaned(shop)
    carts = table[table["event_type"] == "add_to_cart"].groupby("session_id")["event_order"].min()
    assert len(rows) > 50
    assert not (rows["event_order"] >= rows["session_id"].map(carts)).any()


@pytest.mark.parametrize(
    ("value", "said"),
    [(5.0, None), (19.0, None), (21.0, "21"), (-9.9, None), (-11.0, "-11"), (np.nan, None)],
)
def test_a_state_the_model_never_saw_gets_a_reason(value: float, said: str | None) -> None:
    X = pd.DataFrame({"clicks": [5.0, value], "flat": [1.0, 9.0]})
    found = unseen({"clicks": [0.0, 10.0], "flat": [1.0, 1.0]}, X)
    assert found[0] is None
    assert (found[1] is None) if said is None else f"is {said};" in found[1]


def test_a_value_far_off_is_listed_last_without_a_number(shop: Path, during: Run) -> None:
    log = pd.read_parquet(shop)
    last = log.loc[log["event_type"] != "purchase"].sort_values("event_time").iloc[-1]
    log.loc[log["session_id"] == last["session_id"], "price"] = 1e7
    told, _ = predict(log, during.dir, layout="cartcast")
    row = told[told["session_id"] == last["session_id"]].iloc[0]
    assert pd.isna(row["probability"])
    assert "the model learnt from" in row["reason"]
    assert told["probability"].isna().to_numpy()[-1]


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ({"moment": "day", "horizon": "400d"}, "too young"),
        ({"moment": "day", "every": "300d"}, "more often than every 300 days"),
        ({"horizon": "400d"}, "a horizon shorter than 400d"),
        ({"moment": "day", "horizon": "session"}, "must be a time"),
        ({"moment": "after", "target": "proxy:browsing"}, "the moment `during`"),
        ({"moment": "noon"}, "during, after or day"),
        ({"moment": "day", "every": "5s"}, "every minute"),
    ],
)
def test_what_cannot_be_asked_is_said(
    shop: Path, tmp_path: Path, how: dict[str, Any], said: str
) -> None:
    with pytest.raises(CartcastError, match=said):
        made(shop, tmp_path, **how)


def test_who_opted_out_is_on_no_list(shop: Path, day: Run, tmp_path: Path) -> None:
    told, _ = predict(shop, day.dir)
    gone = list(told["visitor_id"][:3])
    left, found = predict(shop, day.dir, without=gone)
    assert set(left["visitor_id"]) == set(told["visitor_id"]) - set(gone)
    assert [f.severity for f in found if f.code == "TL104"] == ["note"]
    file = tmp_path / "out.csv"
    file.write_text("\ufeffvisitor_id,why\n" + "".join(f"{v},asked\n" for v in gone))
    again, _ = predict(shop, day.dir, without=file)
    pd.testing.assert_frame_equal(again, left)
    all_there, found = predict(shop, day.dir, without=["nobody"])
    assert len(all_there) == len(told)
    assert [f.severity for f in found if f.code == "TL104"] == ["warn"]
    for bad in (tmp_path / "none.csv", tmp_path):
        with pytest.raises(CartcastError, match="leave out|ids"):
            predict(shop, day.dir, without=bad)


def test_who_may_be_meant_is_left_out(tmp_path: Path) -> None:
    file = tmp_path / "out.csv"
    file.write_text('visitor_id;why\n1001.0;"asked, twice"\nauth0|7\n"a;b"\n')
    out = Without.of(file, None)
    assert {"1001", "auth0|7", "a;b", "a"} <= out.ids
    assert out.count == 4


def test_a_list_of_before_the_training_says_so(shop: Path, during: Run) -> None:
    log = pd.read_parquet(shop)
    _, found = predict(log.iloc[: len(log) // 4], during.dir, layout="cartcast")
    assert [f.severity for f in found if f.code == "TL106"] == ["warn"]
    _, found = predict(shop, during.dir)
    assert "TL106" not in {f.code for f in found}


def test_a_login_leaves_out_its_visitor(tmp_path: Path) -> None:
    log = tmp_path / "log.csv"
    log.write_text(
        "visitor_id,user_id,event_time,event_type\n"
        "d1,ann@shop.example,2025-01-01T10:00:00Z,view_item\n"
        "d2,,2025-01-01T10:00:00Z,view_item\n"
    )
    assert Without.of(["ann@shop.example"], None).visitors(events.load(log)) == {"d1"}
    privacy = Privacy(("visitor_id",), b"a key of sixteen bytes or more")
    hidden = events.load(log, privacy=privacy)
    out = Without.of(["ann@shop.example"], privacy)
    assert out.visitors(hidden) == {privacy.name("d1")}
    assert out.count == 1


def test_a_proxy_bears_its_name(shop: Path, tmp_path: Path) -> None:
    run = made(shop, tmp_path, target="proxy:browsing:3", features="usual", anchors=[1, 2])
    told, _ = predict(shop, run.dir)
    assert "proxy_browsing" in told
    assert "probability" not in told
    every, _ = predict(shop, run.dir, everything=True)
    left = cleaned(shop).groupby("session_id").size()
    assert ((every["session_id"].map(left) - every["click"] >= 3) == every["outcome"])[
        every["outcome"].notna()
    ].all()
