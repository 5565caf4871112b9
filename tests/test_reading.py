"""A log is scored as the run's own was read; one that the run cannot speak of is refused."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from typer.testing import CliRunner

from cartcast.cli import app as cli
from cartcast.datasets import simulate
from cartcast.errors import DataError, UsageError
from cartcast.insights.explain import explain_sessions
from cartcast.live.event import Event
from cartcast.live.model import ModelScorer, load_scorer
from cartcast.live.parity import parity
from cartcast.live.problems import Problem
from cartcast.score import predict
from cartcast.train import Run, train

RATE = 0.00625
"""A power of two times 1/10: what a yen is worth here."""


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    folder = tmp_path_factory.mktemp("shop")
    simulate(sessions=2500, seed=3, out=folder / "shop.parquet", truth=folder / "truth.parquet")
    return pd.read_parquet(folder / "shop.parquet")


@pytest.fixture(scope="module")
def run(shop: pd.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("run") / "run"
    return train(shop, models=("logistic_regression",), run_dir=folder, threads=1)


def in_yen(log: pd.DataFrame) -> pd.DataFrame:
    return log.assign(currency="JPY", price=log["price"] / RATE)


def codes(found: Any) -> dict[str, str]:
    return {f.code: f.severity for f in found if f.code.startswith("SC")}


def scored(log: pd.DataFrame, run: Run, **how: Any) -> Any:
    return predict(log, run.dir, layout="cartcast", everything=True, **how)


def test_its_own_log_is_scored_without_a_word(shop: pd.DataFrame, run: Run) -> None:
    table, found = scored(shop, run)
    assert len(table) == sum(run.data["split"]["parts"][p]["rows"] for p in ("train", "test")) + (
        run.data["dropped"]["gap"]
        + run.data["dropped"]["visitor_overlap"]
        + run.data["dropped"]["censored"]
    )
    assert codes(found) == {}


def test_another_currency_is_refused_and_converts_with_rates(shop: pd.DataFrame, run: Run) -> None:
    said = r"in JPY, but the run was trained in EUR.*--rates FILE.*`into: EUR`.*`JPY: 1.23`"
    with pytest.raises(DataError, match=said):
        scored(in_yen(shop), run)
    with pytest.raises(DataError, match=said):
        explain_sessions(in_yen(shop), run.dir, layout="cartcast")
    with pytest.raises(DataError, match=said):
        parity([in_yen(shop)], run.dir, layout="cartcast")
    half = pd.concat([shop.iloc[::2], in_yen(shop.iloc[1::2])]).sort_index()
    rates = {"into": "EUR", "JPY": RATE}
    usual, _ = scored(shop, run)
    for log in (half, in_yen(shop)):
        table, found = scored(log, run, rates=rates)
        assert table["probability"].tolist() == pytest.approx(usual["probability"].tolist())
        assert codes(found) == {}


def test_a_currency_that_is_not_stated_is_told(shop: pd.DataFrame, run: Run) -> None:
    _, found = scored(shop.drop(columns="currency"), run)
    assert codes(found) == {"SC101": "warn"}
    _, found = scored(in_yen(shop).drop(columns="currency"), run)
    assert codes(found) == {"SC101": "warn", "SC104": "warn"}


@pytest.mark.parametrize("share", [1.0, 0.97, 0.7, 0.1, 0.0])
def test_words_that_the_run_has_not_seen(shop: pd.DataFrame, run: Run, share: float) -> None:
    log = shop.copy()
    foreign = log.index < share * len(log)
    log.loc[foreign, "event_type"] = "zeige_" + log["event_type"]
    if share > 0.95:
        with pytest.raises(DataError, match=f"knows {1 - share:.0%} of its events.*`events:`"):
            scored(log, run)
        words = {f"zeige_{w}": w for w in shop["event_type"].unique()}
        layout = {"columns": {c: c for c in shop.columns}, "events": words}
        # The advice works.
        predict(log, run.dir, layout=_written(run.dir.parent, layout))
        return
    _, found = scored(log, run)
    assert codes(found) == ({"SC102": "warn" if share > 0.5 else "note"} if share else {})
    for told in (f for f in found if f.code == "SC102"):
        # A few rows are events that were sent twice.
        assert told.evidence["known"] == pytest.approx(1 - foreign.mean(), abs=0.005)


def _written(folder: Path, layout: Any) -> str:
    path = folder / "layout.yaml"
    path.write_text(json.dumps(layout))
    return str(path)


@pytest.mark.parametrize("column", ["price", "category", "device"])
def test_a_lost_column_is_refused_and_one_lost_in_part_is_told(
    shop: pd.DataFrame, run: Run, column: str
) -> None:
    with pytest.raises(DataError, match=f"no values in {column}, which .* read.*cartcast layout"):
        scored(shop.drop(columns=column), run)
    part = shop.copy()
    part.loc[part.index % 4 > 0, column] = None
    _, found = scored(part, run)
    told = [f for f in found if f.code == "SC103" and f.evidence["column"] == column]
    assert told
    assert told[0].evidence["features"]


def test_a_log_without_such_events_is_no_log_without_the_column(
    shop: pd.DataFrame, run: Run
) -> None:
    pages = shop[shop["event_type"] == "page_view"]
    table, found = scored(pages, run)
    assert table["session_id"].nunique() <= pages["session_id"].nunique()
    assert set(table["session_id"]) <= set(pages["session_id"])
    assert "SC103" not in codes(found)


def old(run: dict[str, Any]) -> None:
    """Make the facts of a run those of one from before its reading was recorded."""
    for name in ("words", "kinds", "filled", "read_by", "prices"):
        run["source"].pop(name, None)
    reading = run.pop("reading")
    run["source"] |= {**reading, "layout": run["source"]["layout"]}


def test_a_run_from_before_is_held_to_what_it_has(
    shop: pd.DataFrame, run: Run, tmp_path: Path
) -> None:
    from cartcast import events
    from cartcast.runs.foreign import require_same

    told = json.loads(json.dumps(run.data))
    old(told)

    def held(log: pd.DataFrame) -> list[Any]:
        return require_same(events.load(log, layout="cartcast"), Run(run.dir, told))

    assert codes(held(shop)) == {"SC105": "note"}
    with pytest.raises(DataError, match="in JPY"):
        held(in_yen(shop))
    with pytest.raises(DataError, match="knows 0%"):
        held(shop.assign(event_type="zeige"))
    with pytest.raises(DataError, match="no values in price"):
        held(shop.drop(columns="price"))


def visits() -> pd.DataFrame:
    """One visitor each evening from 23:50 to 00:10, by a click every 4 minutes; some buy."""
    rows = []
    for visitor in range(150):
        for day in range(8):
            start = dt.datetime(2025, 1, 1 + day, 23, 50)
            for click in range(6):
                bought = click == 5 and (visitor + day) % 4 == 0
                rows.append(
                    {
                        "wer": f"v{visitor}", "wann": start + dt.timedelta(minutes=4 * click),
                        "was": "kauf" if bought else "ansicht", "ding": f"i{(visitor + click) % 9}",
                        "preis": 10.0 + (visitor * 7 + click) % 40,
                    }
                )  # fmt: skip
    return pd.DataFrame(rows).sort_values("wann", kind="stable", ignore_index=True)


@pytest.fixture(scope="module")
def evenings(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Run]:
    """A run with a layout, breaks and a zone of its own; its evenings end at the shop's midnight."""
    folder = tmp_path_factory.mktemp("evenings")
    visits().to_csv(folder / "log.csv", index=False)
    layout = {
        "columns": {"visitor_id": "wer", "event_time": "wann", "event_type": "was",
                    "item_id": "ding", "price": "preis"},
        "events": {"kauf": "purchase", "ansicht": "view_item"},
    }  # fmt: skip
    run = train(
        str(folder / "log.csv"), layout=_written(folder, layout), run_dir=folder / "run",
        models=("logistic_regression",), session_breaks=("midnight",), session_gap=600.0, threads=1,
    )  # fmt: skip
    (folder / "layout.yaml").unlink()
    return folder, run


def test_predict_by_the_command_line_reads_as_the_run_did(evenings: tuple[Path, Run]) -> None:
    folder, run = evenings
    log = visits()
    wanted, last = 0, dict[str, dt.datetime]()
    for who, when in zip(log["wer"], log["wann"], strict=True):
        before = last.get(who)
        wanted += before is None or (when - before).seconds > 600 or when.date() != before.date()
        last[who] = when
    out = folder / "x.parquet"
    asked = ["predict", str(folder / "log.csv"), "--model", str(run.dir), "--out", str(out),
             "--everything"]  # fmt: skip
    done = CliRunner().invoke(cli, [*asked, "--json"])
    assert done.exit_code == 0, done.output
    table = pd.read_parquet(out)
    assert len(table) == json.loads(done.output)["rows"]
    # Every session has a first click that is no purchase.
    assert table["session_id"].nunique() == (table["click"] == 1).sum() == wanted
    with pytest.raises(UsageError, match=f"no session 'nobody' among {wanted:,}\\b"):
        explain_sessions(str(folder / "log.csv"), run.dir, sessions=["nobody"])
    assert parity([str(folder / "log.csv")], run.dir).equal


def test_a_log_cleaned_by_other_session_rules_is_refused(
    evenings: tuple[Path, Run], tmp_path: Path
) -> None:
    from cartcast import events

    log = visits().set_axis(
        ["visitor_id", "event_time", "event_type", "item_id", "price"], axis=1
    ).replace({"kauf": "purchase", "ansicht": "view_item"})  # fmt: skip
    for how, good in (({}, False), ({"session_gap": 600.0, "session_breaks": ["midnight"]}, True)):
        clean = tmp_path / f"{good}.parquet"
        events.load(log, layout="cartcast", out=clean, **how)  # type: ignore[arg-type]
        if good:
            assert len(predict(str(clean), evenings[1].dir)[0])
            continue
        with pytest.raises(
            DataError, match="by a pause of 1800 s, not by a pause of 600 s and midnight"
        ):
            predict(str(clean), evenings[1].dir)


def test_a_live_event_in_another_currency_is_refused(run: Run) -> None:
    scorer = load_scorer(run.dir)
    event = Event("view_item", session_id="s", price=100.0, currency="JPY")
    with pytest.raises(Problem, match="currency must be EUR.*got JPY") as refused:
        scorer.check(event)
    assert (refused.value.status, refused.value.field) == (422, "currency")
    for fine in ("EUR", None):
        scorer.check(Event("view_item", session_id="s", price=100.0, currency=fine))


def test_live_money_is_converted_as_a_log_is(run: Run) -> None:
    facts = json.loads((run.dir / "run.json").read_text())
    facts["reading"]["rates"] = {
        "into": "EUR",
        "USD": 0.5,
        "JPY": {"2025-01-01": 1, "2025-02-01": 2},
    }
    facts["reading"]["zone"] = "Asia/Tokyo"
    scorer = ModelScorer(facts, load_scorer(run.dir).features, None, None, None, {})

    def price(code: str, *moment: int) -> float | None:
        time = int(dt.datetime(*moment, tzinfo=dt.UTC).timestamp() * 1e6)  # type: ignore[misc, arg-type]
        event = Event("view_item", time, session_id="s", price=3.0, currency=code)
        scorer.check(event)
        assert event.currency == "EUR"
        return event.price

    assert price("USD", 2025, 1, 1) == 1.5
    # By the shop's clock it is February already.
    assert [price("JPY", 2025, 1, 31, h) for h in (14, 15)] == [3.0, 6.0]
    for code, year in (("JPY", 2024), ("GBP", 2025)):
        with pytest.raises(Problem, match="or have a rate"):
            price(code, year, 6, 1)


@pytest.mark.parametrize("wrong", [lambda e: e, lambda e: {**e, "currency": "JPY"}])
def test_a_stream_sets_a_foreign_message_aside(
    run: Run, wrong: Callable[[dict[str, Any]], dict[str, Any]]
) -> None:
    from cartcast.live.stream import _parse

    scorer = load_scorer(run.dir)

    class One:
        id = "m1"
        body = b""

    class Parsed:
        problems: tuple[Any, ...] = ()
        events = (Event(**wrong({"event_type": "view_item", "session_id": "s"})),)

    events, letters = _parse([One()], lambda body, where: Parsed(), scorer.check)  # type: ignore[list-item, arg-type, return-value]
    foreign = wrong({}) != {}
    assert (len(events), len(letters)) == ((0, 1) if foreign else (1, 0))
