"""Retraining: a challenger by the champion's own settings, compared, and promoted when proven.

The registry is the only memory of who holds which alias, so a process that is killed between two
steps leaves the last good state, and the next call continues from there: the run that is compared
is the one that holds the alias `challenger` and never was champion. A challenger that is dropped
leaves its alias to the champion, which means to nobody.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pandas as pd

from cartcast.atomic import write_text
from cartcast.config import STATE_FOLDER, Settings, find_project, parse_duration, read_settings
from cartcast.errors import NotFoundError, UsageError
from cartcast.events import Log, privacy_from
from cartcast.lock import alone
from cartcast.monitoring.changes import announce, prove, refuse
from cartcast.monitoring.compare import Comparison, compare
from cartcast.monitoring.decide import DOUBTED, decide
from cartcast.monitoring.holdback import before
from cartcast.monitoring.moments import own_test
from cartcast.monitoring.plan import Plan, plan_from
from cartcast.monitoring.store import Store, open_store
from cartcast.progress import Progress, quiet
from cartcast.runs.registry import Entry, Registry
from cartcast.runs.run import Run
from cartcast.runs.write import new_run_id
from cartcast.scratch import scratch
from cartcast.train import Options, train_as
from cartcast.train.checkpoint import Checkpoint

__all__ = ["Retrained", "retrain"]

UNDER_WAY = "retraining.txt"
"""File of the state that names the run that is being trained."""


@dataclass(frozen=True)
class Retrained:
    """What one call did.

    Attributes:
        target: whose champion it is about.
        champion: run id of the champion after the call.
        before: run id of the champion before it.
        challenger: run id of the challenger that was trained or compared last.
        decision: `promoted`, `proven` (it would be, but for `--promote never`), `dropped`
            (a challenger was proven worse, or stayed undecided too long) or `waiting`.
        trained: whether a challenger was trained.
        steps: what was done and why, in words, in order.
        comparison: the figures.
    """

    target: str
    champion: str
    before: str
    challenger: str
    decision: str
    trained: bool
    steps: list[str] = field(default_factory=list)
    comparison: Comparison | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return {**self.__dict__, "comparison": self.comparison and self.comparison.as_dict()}


def retrain(
    alias: str,
    *sources: Any,
    project: Path | None = None,
    promote: str = "proven",
    hold: str | float | None = "7d",
    fresh: bool = False,
    scored: Path | str | None = None,
    layout: str | None = None,
    orders: str | None = None,
    rates: Any = None,
    progress: Progress | None = None,
) -> Retrained:
    """Compare the challenger on what is new, or train one; promote it when it is proven.

    Args:
        alias: the champion: `champion`, `purchase/champion`, or its run id.
        sources: the newest log, with the outcomes in it or in `orders`.
        project: its folder; None means here or above.
        promote: `proven`, or `never`: then the champion stays, whatever is proven.
        hold: duration at the end of the log that a new challenger is not trained on, so that the
            comparison begins at once; None trains on all.
        fresh: train a challenger even if one is being compared.
        scored: folder of the scores that a live service recorded; None lets both score the log.
        layout: layout of the log.
        orders: outcomes kept apart.
        rates: what each currency is worth.
        progress: called with what is done.

    Raises:
        NotFoundError: no project, or no such run.
        UsageError: the run is no champion, says no probability, or another retraining is at work.
        DataError: the log has no outcomes, or is too short.
    """
    if promote not in ("proven", "never"):
        raise UsageError(f"promote must be proven or never, got {promote!r}.")
    held = None if hold is None else pd.Timedelta(seconds=parse_duration(hold))
    folder = project or find_project()
    if folder is None:
        raise NotFoundError("retraining needs a project, and there is none here (`cartcast init`).")
    settings = read_settings(folder)
    refusal = UsageError(f"{folder}: another retraining is at work here; wait for it.")
    with alone(folder / STATE_FOLDER / "retrain.lock", refusal), scratch() as work:
        job = _Job.begin(alias, folder, settings, promote)
        (progress or quiet)("reading", None)
        log = job.champion.read(
            *sources, folder=work, layout=layout, orders=orders,
            rates=rates or settings.rates or None, privacy=privacy_from(settings.privacy),
        )  # fmt: skip
        challenger = None if fresh else job.challenger()
        if challenger is not None:
            (progress or quiet)("comparing", None)
            done = job.judge(challenger, log, scored)
            if done.decision != "dropped":
                return done
        challenger = job.train(log, held, Path(work), progress)
        # A live service has not seen the new one yet.
        found = job.judge(challenger, log, None)
        return replace(found, trained=True)


@dataclass
class _Job:
    """One call: the champion, where alarms and comparisons are kept, what was done so far."""

    folder: Path
    settings: Settings
    registry: Registry
    entry: Entry
    champion: Run
    store: Store
    plan: Plan
    promote: bool
    steps: list[str] = field(default_factory=list)

    @classmethod
    def begin(cls, alias: str, folder: Path, settings: Settings, promote: str) -> _Job:
        registry = Registry.of(folder)
        entry = registry.get(alias)
        if registry.aliases().get((entry.target, "champion")) != entry.run_id:
            raise UsageError(
                f"{alias}: run {entry.run_id} is not the champion of {entry.target}; retraining "
                "is of a champion."
            )
        champion: Run = registry.run(entry.run_id).loaded()
        champion.require_during("retraining")
        own_test(champion)
        return cls(
            folder, settings, registry, entry, champion, open_store(folder),
            plan_from(settings.monitoring), promote == "proven",
        )  # fmt: skip

    def challenger(self) -> Run | None:
        """Return the run to compare: it holds the alias, and never was champion."""
        named = self.registry.aliases().get((self.entry.target, "challenger"))
        was = {p.run_id for p in self.registry.promotions() if p.alias == "champion"}
        if named is None or named in was:
            return None
        run: Run = self.registry.run(named)
        if run.kind != "classifier" or run.features is None or run.moment.dated:
            self.steps.append(f"challenger {named} cannot be compared: it is asked otherwise")
            return None
        return run.loaded()

    def judge(self, challenger: Run, log: Log, scored: Path | str | None) -> Retrained:
        """Compare, and do what follows from it."""
        found = compare(
            self.store, self.champion, challenger, log, scored=scored,
            targets=self.settings.targets, level=1 - self.plan.promotion,
        )  # fmt: skip
        own = [a for a in self.store.alarms() if a.run == self.champion.id]
        pages = [a for a in own if a.severity == "page" and a.state != "resolved"]
        doubts = [a for a in own if a.code in DOUBTED and a.state == "open"]
        decision, why = decide(found, pages, doubts, self.plan)
        evidence = f"{why}; {found.describe()}"
        now, new, held = self.champion.id, challenger.id, self.champion.id
        told: str | None = None
        said = {"promote": "promoted", "drop": "dropped", "wait": "waiting"}[decision]
        if decision == "promote" and not self.promote:
            said = "proven"
            self.steps.append(f"{new} would be champion, but for --promote never: {evidence}")
            told = prove(self.registry, self.entry.target, new, found)
        elif decision == "promote":
            self.registry.promote(new, "champion", f"retrain: {evidence}", instead_of=held)
            now = new
            back = f"`cartcast models rollback --target {self.entry.target}`"
            self.steps.append(
                f"{new} is champion in place of {held} ({back} undoes it): {evidence}"
            )
            told = announce(self.registry, self.entry.target, found=found)
        elif decision == "drop":
            reason = f"retrain: {new} is dropped, {evidence}"
            self.registry.promote(held, "challenger", reason, instead_of=new)
            self.steps.append(f"{new} is dropped: {evidence}")
            told = refuse(self.registry, self.entry.target, new, found)
        else:
            self.steps.append(f"{new} stays challenger: {evidence}{self._outlook(found)}")
        if told:
            self.steps.append(told)
        return Retrained(
            self.entry.target, now, self.champion.id, challenger.id, said, False, self.steps, found
        )

    def _outlook(self, found: Comparison) -> str:
        """Return how long it may take yet."""
        if not found.needed or not found.days:
            return ""
        days = found.needed * found.days / found.moments
        return (
            f"; about {found.needed:,} more moments ({days:,.0f} days) if the gain stays like this"
        )

    def train(
        self, log: Log, hold: pd.Timedelta | None, work: Path, progress: Progress | None
    ) -> Run:
        """Train by the champion's own settings, register the run as challenger, and return it."""
        part = log if hold is None else before(log, hold, work, self.champion.reading.sessions)
        where = self.folder / STATE_FOLDER / "runs" / new_run_id(self.entry.target)
        end = (part.summary.end or "its end")[:16].replace("T", " ")
        reason = f"retrain: by the settings of {self.champion.id}, on data to {end}"
        note = self._sweep()
        write_text(note, where.name)
        try:
            run = train_as(
                Options.from_run(self.champion), where, part, registry=self.registry,
                reason=reason, progress=progress,
            )  # fmt: skip
        except BaseException:
            # The next training is another run: what this one has fitted is of use to nobody.
            self._sweep()
            raise
        note.unlink(missing_ok=True)
        self.steps.append(f"{run.id} is trained, {reason.removeprefix('retrain: ')}")
        return run.loaded()

    def _sweep(self) -> Path:
        """Remove what a retraining that was killed has fitted; return where the next is noted."""
        note = self.folder / STATE_FOLDER / UNDER_WAY
        if note.is_file():
            left = self.folder / STATE_FOLDER / "runs" / note.read_text(encoding="utf-8")
            if left.parent == note.parent / "runs":
                shutil.rmtree(Checkpoint.place(left), ignore_errors=True)
                left.with_name(f".{left.name}.lock").unlink(missing_ok=True)
            note.unlink()
        return note
