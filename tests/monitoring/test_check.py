"""The whole look, from a log to alarms: what is kept, what is found, and what is refused."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cartcast.cli import main
from cartcast.errors import DataError, NotFoundError, UsageError
from cartcast.monitoring.check import check
from cartcast.monitoring.plan import Plan
from cartcast.monitoring.store import open_store
from cartcast.runs.run import Run
from cartcast.score import predict
from cartcast.segments import Segment, Values


def look(watched, table: pd.DataFrame, project: Path | None = None, **how):
    return check(watched.run, [table], project=project, **how)


def codes(found) -> set[str]:
    return {a.code for a in found.opened}


PHONES = Segment("phones", (Values("device", ("mobile", "phone")),))


@pytest.fixture(scope="module")
def clean(watched):
    return look(watched, watched.later, segments=[PHONES, replace(PHONES, name="label")])


def test_a_clean_log_raises_no_page(clean, watched) -> None:
    assert not [a for a in clean.opened if a.severity == "page"]
    assert (
        len(clean.days)
        == (pd.Timestamp(clean.days["day"].max()) - clean.days["day"].min()).days + 1
    )
    assert clean.days["day"].min() >= pd.Timestamp("2025-05-05")
    assert clean.estimate is not None
    assert clean.estimate.low < clean.risk["log_loss"] < clean.estimate.high
    assert set(clean.calibration["by"]) == {"click", "segment", "phones", "label"}
    # Who is in a declared segment and who is not are all, at each of their moments.
    sums = clean.calibration.groupby("by")[["moments", "expected", "realised"]].sum()
    assert sums.loc["phones"].to_numpy() == pytest.approx(sums.loc["click"].to_numpy())
    own = clean.calibration.set_index("by").loc["phones"]
    assert list(own["value"]) == ["all others", "in the segment"]
    mobile = watched.later.groupby("session_id")["device"].first().isin(["mobile", "phone"])
    part = own["moments"].iloc[1] / own["moments"].sum()
    assert part == pytest.approx(mobile.mean(), abs=0.1)
    json.dumps(clean.estimate._asdict())


def test_the_realised_loss_is_that_of_the_scores(clean) -> None:
    # Against the truth of the table kept: the last 28 days, by hand.
    last = clean.days.tail(28)
    assert clean.risk["log_loss"] == pytest.approx(last["log_loss"].sum() / last["moments"].sum())
    assert clean.risk["purchases"] == pytest.approx(last["realised"].sum() / last["expected"].sum())


def test_lost_purchases_page_with_money_and_day(watched, clean) -> None:
    table = watched.later
    rng = np.random.default_rng(1)
    lost = (table["event_type"] == "purchase") & (table["event_time"] >= "2025-05-26")
    orders = table.loc[lost, "order_id"].unique()
    gone = set(rng.choice(orders, int(0.9 * len(orders)), replace=False))
    found = look(
        watched, table[~(lost & table["order_id"].isin(gone))], plan=Plan(least_expected=5)
    )
    alarm = next(a for a in found.opened if a.code == "MO101")
    assert alarm.severity == "page"
    assert abs(pd.Timestamp(alarm.since) - pd.Timestamp("2025-05-26")) <= pd.Timedelta(days=7)
    assert alarm.money is not None
    assert alarm.money < 0
    assert "orders" in alarm.look[0]
    # Realised loss does not rise: it would not have said so.
    assert found.risk["log_loss"] < clean.risk["log_loss"]


def test_a_doubled_feed_and_a_moved_clock_make_tickets(watched) -> None:
    table = watched.later
    twice = table[(table["event_time"] >= "2025-06-10") & (table["event_time"] < "2025-06-12")]
    doubled = pd.concat(
        [table, twice.assign(known_time=twice["known_time"] + pd.Timedelta(hours=5))]
    )
    found = look(watched, doubled.sort_values(["session_id", "event_time"], kind="stable"))
    alarm = next(a for a in found.opened if a.code == "MO112")
    assert alarm.severity == "ticket"
    assert "rows came twice" in alarm.message
    assert not [a for a in found.opened if a.severity == "page"]
    shift = table["event_time"] >= "2025-06-10"
    moved = table.assign(
        event_time=table["event_time"] + pd.to_timedelta(np.where(shift, 9, 0), "h")
    )
    moved["known_time"] = table["known_time"] + pd.to_timedelta(np.where(shift, 9, 0), "h")
    assert "MO115" in codes(look(watched, moved))


def test_prices_in_cents_are_told_at_once(watched) -> None:
    table = watched.later.copy()
    late = table["event_time"] >= "2025-06-10"
    table.loc[late, "price"] *= 100
    found = look(watched, table)
    alarm = next(a for a in found.opened if a.code == "MO116")
    assert alarm.since[:10] == "2025-06-10"


def test_two_looks_are_one_look(watched, tmp_path: Path) -> None:
    middle = pd.Timestamp("2025-06-05")
    day = pd.Timedelta(days=1)
    early = watched.later[watched.later["event_time"] < middle + day]
    late = watched.later[watched.later["event_time"] >= middle - 3 * day]
    (tmp_path / "a").mkdir(), (tmp_path / "b").mkdir()
    look(watched, early, tmp_path / "a")
    second = look(watched, late, tmp_path / "a")
    once = look(watched, watched.later, tmp_path / "b")
    assert len(second.days) == len(once.days)
    known = second.days["day"] < middle - 3 * day
    a, b = second.days[known].drop(columns="day"), once.days[known].drop(columns="day")
    np.testing.assert_allclose(a.to_numpy(float), b.to_numpy(float), rtol=1e-9, atol=1e-9)
    before = len(open_store(tmp_path / "b").alarms())
    again = look(watched, watched.later, tmp_path / "b")
    assert again.opened == []
    assert len(open_store(tmp_path / "b").alarms()) == before
    pd.testing.assert_frame_equal(again.days, once.days)
    prom = (tmp_path / "b" / ".cartcast" / "monitor.prom").read_text()
    assert 'cartcast_monitor_alarms{severity="page",state="open"} 0' in prom


def test_kept_scores_joined_to_outcomes_are_the_scores_of_the_log(
    watched, clean, tmp_path: Path
) -> None:
    from cartcast.monitoring.moments import moments_of
    from cartcast.runs.run import Run

    scorer = Run.open(watched.run)
    own = moments_of(scorer, [watched.later]).table
    kept = own[["visitor_id", "session_id", "click", "time", "probability"]]
    kept.to_parquet(tmp_path / "kept.parquet")
    joined = moments_of(scorer, [watched.later], scored=tmp_path / "kept.parquet")
    both = joined.known.merge(own, on=["session_id", "click"], suffixes=("", "_own"))
    assert len(both) > 1000
    # A tie of time between a click and the purchase is the only way in which they may differ.
    assert (both["label"] == both["label_own"]).mean() > 0.999
    # Kept scores have no features: that drift was not looked for is said, and is not "none".
    told = look(watched, watched.later, scored=tmp_path / "kept.parquet")
    assert told.drift == []
    assert told.untold is not None
    assert told.untold in told.as_dict()["untold"]
    assert clean.untold is None


def test_scores_of_ended_sessions_are_refused(watched, tmp_path: Path) -> None:
    table, _ = predict([watched.later], watched.run, everything=True)
    table = table.drop_duplicates("session_id", keep="last").drop(columns="as_of")
    ended = watched.later.groupby("session_id")["event_time"].max()
    table["last_event"] = table["session_id"].map(ended)
    table.to_csv(tmp_path / "scores.csv", index=False)
    with pytest.raises(DataError, match="ended sessions"):
        look(watched, watched.later, scored=tmp_path / "scores.csv")
    table.drop(columns="last_event").to_csv(tmp_path / "less.csv", index=False)
    with pytest.raises(DataError, match="need the columns time"):
        look(watched, watched.later, scored=tmp_path / "less.csv")


def test_a_shop_that_sells_nothing_any_more_is_told(watched) -> None:
    down = watched.later[watched.later["event_type"] != "purchase"]
    down = down[down["event_time"] < down["event_time"].min() + pd.Timedelta(days=24)]
    found = look(watched, pd.concat([watched.first, down]))
    assert found.risk["purchases"] < 0.1
    assert {"MO101", "MO104"} <= codes(found)


def test_a_log_whose_orders_lie_elsewhere(watched) -> None:
    run = Run.open(watched.run)
    run.data["reading"]["orders"] = True
    with pytest.raises(DataError, match="--orders FILE"):
        check(run, [watched.later[watched.later["event_type"] != "purchase"]])


def test_a_log_before_the_run(watched) -> None:
    with pytest.raises(DataError, match="nothing new to watch"):
        look(watched, watched.first)


def test_a_run_without_its_level(watched, tmp_path: Path) -> None:
    shutil.copytree(watched.run, tmp_path / "run")
    (tmp_path / "run" / "predictions.parquet").unlink()
    with pytest.raises(NotFoundError, match="predictions.parquet is missing"):
        check(tmp_path / "run", [watched.later])
    data = json.loads((tmp_path / "run" / "run.json").read_text())
    data["models"][data["champion"]]["kind"] = "regressor"
    (tmp_path / "run" / "run.json").write_text(json.dumps(data))
    with pytest.raises((UsageError, NotFoundError), match="says amounts"):
        check(tmp_path / "run", [watched.later])


def status(words: list[str]) -> int:
    with pytest.raises(SystemExit) as stop:
        main(words)
    return int(stop.value.code or 0)


def test_the_verb(
    watched, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "cartcast.yaml").write_text("currency: EUR\nmonitoring: {budget: 2}\n")
    monkeypatch.chdir(tmp_path)
    table = watched.later.copy()
    table.loc[table["event_time"] >= "2025-06-10", "price"] *= 100
    table.to_parquet("later.parquet")
    watched.first.to_parquet("first.parquet")
    words = ["monitor", "check", "later.parquet", "--model", str(watched.run)]
    assert status([*words, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["evidence"]["threshold"] == pytest.approx(np.log(6 * 365.25 / 2))
    number = next(a["number"] for a in told["alarms"] if a["code"] == "MO116")
    assert status(["monitor", "acknowledge", str(number), "--why", "asked the sender"]) == 0
    assert status(["monitor", "resolve", str(number)]) == 0
    assert status(["monitor", "alarms", "--state", "resolved"]) == 0
    assert "MO116 resolved" in capsys.readouterr().out
    assert status(["monitor", "silence", "MO101", "--for", "8h", "--why", "release"]) == 0
    assert status(words) == 0
    assert "90 %); estimated from the probabilities alone" in capsys.readouterr().out
    for wrong, code in (
        (["monitor", "check", "first.parquet", "--model", str(watched.run)], 3),
        (["monitor", "check", "none.parquet", "--model", str(watched.run)], 5),
        (["monitor", "check", "later.parquet", "--model", "nobody"], 5),
        (["monitor", "resolve", "99"], 5),
        (["monitor", "alarms", "--state", "opne"], 2),
        (["monitor", "silence", "MO000", "--for", "8h", "--why", "x"], 2),
    ):
        assert status(wrong) == code, wrong
        assert len(capsys.readouterr().err.strip().splitlines()) == 1
    monkeypatch.chdir(tmp_path.parent)
    assert status(["monitor", "alarms"]) == 5


def test_the_job_of_the_app_does_what_the_verb_does(watched, clean, tmp_path: Path) -> None:
    from cartcast.app import worker

    watched.later.to_parquet(tmp_path / "later.parquet")
    folder = tmp_path / ".cartcast" / "app" / "jobs" / "one"
    folder.mkdir(parents=True)
    asked = {"kind": "watch", "project": str(tmp_path), "run_dir": str(watched.run),
             "sources": [str(tmp_path / "later.parquet")]}  # fmt: skip
    (folder / "request.json").write_text(json.dumps(asked))
    assert worker.work(folder) == 0
    assert json.loads((folder / "status.json").read_text())["state"] == "done"
    kept = open_store(tmp_path).newest_look(Path(watched.run).name)
    assert kept is not None
    for name, value in clean.risk.items():
        assert kept[1]["risk"][name] == pytest.approx(value)
    assert kept[1]["days"] == len(clean.days)
