"""Retraining: promoted in a changed world, not in the same one; each step survives a kill."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest
from filelock import FileLock
from sklearn.metrics import brier_score_loss, log_loss

from cartcast.api.server import Plan as ServePlan
from cartcast.api.server import resolve
from cartcast.cli import main
from cartcast.datasets import Shop, simulate
from cartcast.errors import DataError, NotFoundError, UsageError
from cartcast.live.metrics import exposition
from cartcast.live.record import ScoreRecord
from cartcast.live.watched import WatchedRuns
from cartcast.monitoring import retrain as steps
from cartcast.monitoring.alarms import Alarm, Notice
from cartcast.monitoring.check import check
from cartcast.monitoring.compare import Comparison, compare
from cartcast.monitoring.decide import decide
from cartcast.monitoring.moments import moments_in
from cartcast.monitoring.paired import Verdict
from cartcast.monitoring.plan import Plan
from cartcast.monitoring.retrain import Retrained, retrain
from cartcast.monitoring.store import Store, open_store
from cartcast.runs.registry import Registry
from cartcast.runs.run import Run
from cartcast.train import Options
from cartcast.train.checkpoint import Checkpoint

from ..operations.conftest import database, host, postgres  # noqa: F401 - fixtures


class Promoted(NamedTuple):
    project: Path
    done: Retrained
    log: pd.DataFrame

    @property
    def late(self) -> pd.DataFrame:
        """The end of the log, on which the two were compared."""
        return self.log[self.log["event_time"] >= "2025-06-01"]


def project_of(folder: Path, *runs: Path) -> Path:
    """A project whose registry knows copies of runs; the first is champion, the last challenger."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "cartcast.yaml").write_text("currency: EUR\n")
    for run in runs:
        place = folder / ".cartcast" / "runs" / Run.open(run).id
        shutil.copytree(run, place)
        Registry(folder).add(place)
    return folder


@pytest.fixture(scope="module")
def promoted(watched, tmp_path_factory: pytest.TempPathFactory) -> Promoted:
    """From May on the shop's payment fails for most orders."""
    project = project_of(tmp_path_factory.mktemp("changed"), watched.run)
    made = simulate(7_000, seed=7, start=date(2025, 5, 5), days=56, shop=Shop(paid=0.2))
    assert made.events is not None
    log = made.events.to_pandas()
    return Promoted(project, retrain("champion", log, project=project, hold="28d"), log)


@pytest.fixture(scope="module")
def same(watched, tmp_path_factory: pytest.TempPathFactory) -> Retrained:
    project = project_of(tmp_path_factory.mktemp("same"), watched.run)
    return retrain("purchase/champion", watched.later, project=project, hold="28d")


def test_a_changed_world_promotes_and_says_why(promoted: Promoted, watched) -> None:
    done, found = promoted.done, promoted.done.comparison
    assert done.decision == "promoted"
    assert done.trained
    assert found is not None
    assert found.better
    assert (done.before, done.champion) == (Run.open(watched.run).id, done.challenger)
    registry = Registry(promoted.project)
    assert registry.aliases()["purchase", "champion"] == done.challenger
    given, taken, *_ = registry.promotions()
    assert (given.alias, taken.alias) == ("champion", "challenger")
    assert given.who
    assert "proven better" in given.reason
    assert f"{found.moments:,} moments" in given.reason
    assert f"settings of {done.before}" in taken.reason
    assert "in place of" in done.steps[-1]
    assert "rollback" in done.steps[-1]


def test_the_figures_are_those_of_the_scores(promoted: Promoted) -> None:
    found = promoted.done.comparison
    assert found is not None
    assert found.log_loss is not None
    assert found.brier is not None
    registry = Registry(promoted.project)
    log = Run.open(registry.get(found.champion).path).read(promoted.log)
    for name in ("champion", "challenger"):
        run = Run.open(registry.get(getattr(found, name)).path)
        moments = moments_in(run, log).known
        moments = moments[moments["time"] >= found.since]
        assert len(moments) == found.moments
        assert moments["label"].sum() == found.outcomes
        p, y = moments["probability"].clip(1e-4, 1 - 1e-4), moments["label"]
        assert getattr(found.log_loss, name) == pytest.approx(log_loss(y, p))
        assert getattr(found.brier, name) == pytest.approx(brier_score_loss(y, p))
        # Neither was trained on them.
        assert pd.Timestamp(run.data["data"]["end"]).tz_convert(None) < found.since


def test_the_challenger_has_the_settings_of_the_champion(promoted: Promoted, watched) -> None:
    champion = Run.open(watched.run)
    challenger = Run.open(Registry(promoted.project).get(promoted.done.challenger).path)
    for name in ("options", "moment", "anchors", "target"):
        assert challenger.data[name] == champion.data[name], name
    assert challenger.data["reading"] == {**champion.data["reading"], "zone": "UTC"}
    assert challenger.data["features"]["fingerprint"] == champion.data["features"]["fingerprint"]
    # UTC is what a log without a zone is read by.
    assert Options.from_run(challenger) == replace(Options.from_run(champion), zone="UTC")
    older = replace(champion, data={k: v for k, v in champion.data.items() if k != "options"})
    asked = Options.from_run(older)
    assert (asked.target, asked.models, asked.seed) == ("purchase", ("click_count",), 42)


def test_the_same_world_promotes_nobody(same: Retrained) -> None:
    found = same.comparison
    assert same.decision == "waiting"
    assert same.champion == same.before
    assert found is not None
    assert not found.better
    assert not found.worse
    assert "nothing is proven yet" in same.steps[-1]


def test_a_rollback_is_not_undone(promoted: Promoted, monkeypatch: pytest.MonkeyPatch) -> None:
    registry = Registry(promoted.project)
    registry.rollback("champion")
    try:
        assert registry.aliases()["purchase", "champion"] == promoted.done.before

        def trained(_options: Options, where: Path, *_: object, **__: object) -> None:
            Checkpoint.place(where).mkdir()
            raise NotImplementedError

        monkeypatch.setattr(steps, "train_as", trained)
        # A retraining that was killed has left a note and what it had fitted; the other is the app's.
        runs = promoted.project / ".cartcast" / "runs"
        for name in ("killed", "other"):
            (runs / f".{name}.part" / "key").mkdir(parents=True)
        (promoted.project / ".cartcast" / "retraining.txt").write_text("killed")
        # It is no longer asked of: another one would be trained.
        with pytest.raises(NotImplementedError):
            retrain("champion", promoted.log, project=promoted.project)
        # What it had fitted would be of use to no other run.
        assert [path.name for path in runs.glob(".*.part")] == [".other.part"]
        assert not (promoted.project / ".cartcast" / "retraining.txt").exists()
    finally:
        registry.promote(promoted.done.challenger)


KILLED = """
import os, signal, sys
from pathlib import Path
from cartcast.monitoring.retrain import retrain
from cartcast.runs.registry import Registry

def killed(*args, **kwargs):
    os.kill(os.getpid(), signal.SIGKILL)

Registry.promote = killed
retrain("champion", sys.argv[2], project=Path(sys.argv[1]))
"""


def test_a_kill_leaves_the_last_good_state(
    promoted: Promoted, watched, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    challenger = Registry(promoted.project).get(promoted.done.challenger).path
    project = project_of(tmp_path / "shop", watched.run, challenger)
    promoted.late.to_parquet(tmp_path / "log.parquet")
    done = subprocess.run(
        [sys.executable, "-c", KILLED, project, tmp_path / "log.parquet"], check=False
    )
    assert done.returncode == -signal.SIGKILL
    registry = Registry(project)
    assert registry.aliases()["purchase", "champion"] == promoted.done.before
    for entry in registry.runs():
        registry.verify(entry)
    monkeypatch.chdir(project)
    words = ["retrain", "champion", str(tmp_path / "log.parquet"), "--json", "--promote"]
    monkeypatch.setattr(steps, "prove", lambda *_: "told of one proven")
    for how, said in (("never", "proven"), ("proven", "promoted")):
        assert status([*words, how]) == 0
        told = json.loads(capsys.readouterr().out)
        assert told["decision"] == said
        assert ("told of one proven" in told["steps"]) == (how == "never")
        # The same blocks count once, whatever happened between.
        assert told["comparison"]["moments"] == promoted.done.comparison.moments  # type: ignore[union-attr]
        assert told["comparison"]["log_loss"]["better"] >= 20
        assert not told["trained"]
        holds = promoted.done.before if how == "never" else promoted.done.challenger
        assert registry.aliases()["purchase", "champion"] == holds
    assert status(["models", "rollback"]) == 0
    assert registry.aliases()["purchase", "champion"] == promoted.done.before


def test_two_at_one_time_and_no_champion(promoted: Promoted, tmp_path: Path) -> None:
    lock = promoted.project / ".cartcast" / "retrain.lock"
    with FileLock(lock), pytest.raises(UsageError, match="another retraining"):
        retrain("champion", promoted.log, project=promoted.project)
    with pytest.raises(UsageError, match="not the champion"):
        retrain(promoted.done.before, promoted.log, project=promoted.project)
    with pytest.raises(UsageError, match="promote must be"):
        retrain("champion", promoted.log, project=promoted.project, promote="always")
    with pytest.raises(NotFoundError):
        retrain("champion", promoted.log, project=tmp_path)
    with pytest.raises(UsageError, match="meanwhile"):
        Registry(promoted.project).promote(promoted.done.before, instead_of="somebody")


def test_recorded_scores_of_both_compare_alike(promoted: Promoted, watched, tmp_path: Path) -> None:
    registry = Registry(promoted.project)
    champion = Run.open(watched.run).loaded()
    challenger = Run.open(registry.get(promoted.done.challenger).path).loaded()
    log = champion.read(promoted.late)
    one, other = (moments_in(run, log).table for run in (champion, challenger))
    both = one.merge(other[["session_id", "click", "probability"]], on=["session_id", "click"])
    record = ScoreRecord(tmp_path, 10**9)
    micros = both["time"].to_numpy().astype("datetime64[us]").astype(np.int64)
    for time, row in zip(micros, both.itertuples(), strict=True):
        # A service names sessions its own way where events come without a name.
        name = f"live {row.session_id}" if row.click == 1 else row.session_id
        record.add(
            int(time), name, str(row.visitor_id), row.click, row.probability_x, champion.version,
            row.probability_y, challenger.version,
        )  # fmt: skip
    record.flush()
    found = compare(Store(None), champion, challenger, log, scored=tmp_path)
    own = compare(Store(None), champion, challenger, log)
    assert found.moments == own.moments
    assert found.visitors == own.visitors
    # A click and an order of one time may be told apart in one way only.
    assert found.outcomes == pytest.approx(own.outcomes, rel=0.01)
    assert found.log_loss is not None
    assert own.log_loss is not None
    assert found.log_loss.challenger == pytest.approx(own.log_loss.challenger, rel=0.02)
    with pytest.raises(DataError, match="none of its scores is of the challenger"):
        compare(Store(None), champion, champion, log, scored=tmp_path)


def test_a_log_before_the_end_of_both_says_nothing_yet(promoted: Promoted, watched) -> None:
    champion = Run.open(watched.run).loaded()
    challenger = Run.open(Registry(promoted.project).get(promoted.done.challenger).path).loaded()
    early = promoted.log[promoted.log["event_time"] < "2025-05-20"]
    found = compare(Store(None), champion, challenger, champion.read(early))
    assert found.moments == 0
    assert found.log_loss is None
    assert not found.better
    assert "no moment yet" in found.describe()


def compared(better: float, worse: float, gain: float = 0.01, days: int = 5) -> Comparison:
    verdict = Verdict(0.3, 0.3 - gain, 0.0, 0.02, better, worse)
    now = pd.Timestamp("2026-03-02")
    return Comparison("a", "b", now, now, days, 900, 2_000, 50, verdict, verdict, 0.95, None)


def alarm(code: str, severity: str = "page") -> Alarm:
    return Alarm(7, "a", code, "x", severity, "open", "", "", "", 1, None, None, "m")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("found", "pages", "doubts", "said"),
    [
        (compared(25, 0.1), [], [], "promote"),
        (compared(15, 0.1), [], [], "wait"),
        (compared(15, 0.1), [alarm("MO103")], [], "promote"),
        (compared(0.5, 15, -0.01), [alarm("MO103")], [], "wait"),
        (compared(0.1, 25, -0.01), [alarm("MO103")], [], "drop"),
        (compared(25, 0.1, -0.01), [], [], "wait"),
        (compared(25, 0.1), [], [alarm("MO114", "ticket")], "wait"),
        (compared(15, 0.1, days=28), [], [], "drop"),
        (replace(compared(15, 0.1), outcomes=3), [alarm("MO101")], [], "wait"),
    ],
)
def test_what_is_decided(found: Comparison, pages, doubts, said: str) -> None:
    assert decide(found, pages, doubts, Plan())[0] == said


def test_a_page_promotes_a_doubted_feed_holds_and_the_verb_stays_meanwhile(
    promoted: Promoted, watched, tmp_path: Path, receiver, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    challenger = Registry(promoted.project).get(promoted.done.challenger).path
    project = project_of(tmp_path / "shop", watched.run, challenger)
    webhook, hook = receiver
    # Nothing is proven as surely as that, so that only the page can decide.
    settings = f"monitoring: {{promotion: 1.0e-9, webhook: {json.dumps(webhook)}}}"
    (project / "cartcast.yaml").write_text(settings)
    day = pd.Timestamp("2025-06-10")
    store = open_store(project)
    found = [
        Notice("MO101", "purchases_down", "page", day, day, "fewer purchases"),
        Notice("MO114", "carts", "ticket", day, day, "half the carts"),
    ]
    store.notice(promoted.done.before, found, None)
    done: list[Retrained] = []

    def turn(*sources: object, **how: object) -> Retrained:
        if not done:
            assert not (project / "log.parquet").exists()
            promoted.late.to_parquet(project / "log.parquet")
        done.append(retrain(*sources, **how))  # type: ignore[arg-type]
        if len(done) == 1:
            ticket = next(a.number for a in store.alarms() if a.severity == "ticket")
            store.change(ticket, "acknowledged")
        else:
            os.kill(os.getpid(), signal.SIGTERM)
        return done[-1]

    monkeypatch.setattr(steps, "retrain", turn)
    monkeypatch.chdir(project)
    assert status(["retrain", "champion", "log.parquet", "--every", "0.01s", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["decision"] == "waiting"
    held, taken = done
    assert (held.decision, taken.decision) == ("waiting", "promoted")
    assert held.comparison is not None
    assert not held.comparison.better
    assert "in doubt" in held.steps[-1]
    assert taken.steps[-1] == "told by webhook"
    newest = Registry(project).promotions()[0]
    assert "proven bad" in newest.reason
    ((_, body),) = hook.seen
    change = json.loads(body)["change"]
    assert f"{change['why']}; {change['figures']}" == newest.reason
    assert taken.comparison is not None
    assert change["evidence"]["moments"] == taken.comparison.moments
    assert (change["what"], change["run"], change["who"]) == (
        "promoted", promoted.done.challenger, newest.who,
    )  # fmt: skip


def status(words: list[str]) -> int:
    with pytest.raises(SystemExit) as stop:
        main(words)
    return int(stop.value.code or 0)


def test_bad_words_of_the_verb(
    promoted: Promoted, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(promoted.project)
    for words, code in (
        (["retrain", "champion", "none.parquet"], 5),
        (["retrain", "nobody", "none.parquet"], 5),
        (["retrain", "champion", "none.parquet", "--promote", "always"], 2),
        (["retrain", "champion", "none.parquet", "--hold", "soon"], 2),
    ):
        assert status(words) == code, words
        assert len(capsys.readouterr().err.strip().splitlines()) == 1


def test_the_service_tells_what_the_watch_said(promoted: Promoted, watched) -> None:
    gauges = WatchedRuns(promoted.project)
    version = Run.open(Registry(promoted.project).get("champion").path).version
    store = open_store(promoted.project)
    day = pd.Timestamp("2025-06-10")
    risk = {"log_loss": 0.2, "log_loss_expected": 0.3, "brier": None, "brier_expected": None,
            "purchases": None, "revenue": None}  # fmt: skip
    look = {"run": version, "evidence": {"brier": 1.0, "threshold": 7.7}, "risk": risk,
            "estimate": None, "last_day": day}  # fmt: skip
    at = pd.Timestamp("2025-06-12", tz="UTC").to_pydatetime()
    run_id = version.partition("/")[0]
    for run, says in ((run_id, version), ("nobody", "nobody/any")):
        store.keep_look(run, look | {"run": says}, at)
    store.notice(run_id, [Notice("MO101", "x", "page", day, day, "m")], None)
    told = exposition(gauges.collect())
    label = f'run="{version}"'
    assert f'cartcast_monitor_loss{{kind="realised",{label}}} 0.2' in told
    assert f'cartcast_monitor_loss{{kind="expected",{label}}} 0.3' in told
    for alias in ("champion", "challenger"):
        assert f'run_info{{alias="{alias}",{label},target="purchase"}} 1.0' in told
    assert f"cartcast_monitor_last_look_seconds{{{label}}} 1.7496864e+09" in told
    assert 'cartcast_monitor_alarms{severity="page",state="open"} 1.0' in told
    # A run that holds no alias is not watched any more; before the first look there is nothing.
    assert "nobody" not in told
    assert WatchedRuns(promoted.project / "elsewhere").collect() == []
    assert not (promoted.project / "elsewhere").exists()
    assert store.path is not None
    store.path.write_bytes(b"no database, but as long as the head of one would be" * 40)
    assert gauges.collect() == []


@pytest.mark.postgres
def test_what_one_host_promotes_the_other_watches_serves_and_retrains(
    promoted: Promoted,
    database: str,  # noqa: F811
    tmp_path: Path,
) -> None:
    one, two = (host(tmp_path / name, database, str(tmp_path / "store")) for name in ("a", "b"))
    old, new = promoted.done.before, promoted.done.challenger
    for name in (old, new):
        shutil.copytree(Registry(promoted.project).get(name).path, one / ".cartcast/runs" / name)
        Registry.of(one).add(one / ".cartcast/runs" / name)
    shutil.move(one, away := tmp_path / "switched-off")
    # The other host pulls both, finds the challenger better and promotes it.
    done = retrain("champion", promoted.late, project=two)
    assert (done.decision, done.challenger) == ("promoted", new)
    assert done.comparison is not None
    assert done.comparison.moments == promoted.done.comparison.moments  # type: ignore[union-attr]
    shutil.move(away, one)
    served = [resolve(ServePlan(model="champion", project=str(h))) for h in (one, two)]
    assert [Run.open(p).id for p in served] == [new, new]
    assert [p.is_relative_to(h / ".cartcast") for p, h in zip(served, (one, two), strict=True)] == [
        True, True,
    ]  # fmt: skip
    # Each host watches what is champion when it looks, and keeps what it saw for itself.
    Registry.of(one).rollback()
    look = check(Run.open("champion", two), [promoted.late], project=two)
    assert look.run.startswith(f"{old}/")
    assert len(look.days) > 20
    assert not open_store(one).rows("days", old)
    assert [r for p in Registry.of(two).promotions() if (r := p.run_id)] == [old, new, new, old]
