"""`run`, `why` and `report`: what a stored run says, of what, and how far to trust it."""

from __future__ import annotations

from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta

from cartcast.evaluate.intervals import LEVEL, TOO_FEW, unsaid
from cartcast.features.words import in_words
from cartcast.insights.explain import explain_run
from cartcast.mcp.answer import Answer
from cartcast.mcp.ask import Word
from cartcast.mcp.desk import Desk
from cartcast.report import answers
from cartcast.report.evidence import SHOWN, Evidence
from cartcast.runs.run import Run

__all__ = ["OfRun", "Why", "report", "run", "why"]

_SHOWN: Final = {
    "classifier": ("roc_auc", "average_precision", "log_loss", "brier", "ece", "f1"),
    "regressor": ("spearman", "gini", "r2", "rmse", "mae", "bias"),
}
_SHARES: Final = ("ece",)
_MONEY: Final = ("rmse", "mae", "bias")
MOST_CLICKS: Final = 8


class OfRun(msgspec.Struct, forbid_unknown_fields=True):
    """Which run."""

    name: Annotated[Word, Meta(description="Run id, or alias as champion.")] = "champion"


class Why(msgspec.Struct, forbid_unknown_fields=True):
    """Which run, and how much of it."""

    name: Annotated[Word, Meta(description="Run id, or alias as champion.")] = "champion"
    top: Annotated[int, Meta(ge=1, le=20, description="How many drivers.")] = 10


def _told_of(found: Run) -> dict[str, Any]:
    """Return what every number of a run is about."""
    about: str | None = found.target
    if not found.proxy and found.target in ("purchase", "revenue"):
        about = "purchase"
    elif not found.proxy and not found.data.get("anchors"):
        about = None  # A column of somebody's own table: whether it is a purchase, they know.
    return {"about": about, "proxy": found.proxy}


def _head(a: Answer, found: Run) -> None:
    target = a.quote(found.target)
    what = f"target {target}"
    if found.proxy:
        what = f"a PROXY, {target}: a rule that stands in for an outcome, not an observed one"
    a.say(f"Run {a.quote(found.id)}: {what}. Champion: {a.quote(found.champion)}.")


def run(desk: Desk, asked: OfRun) -> Answer:
    """Return the figures of a run on test, beside the baselines, and its findings.

    Raises:
        NotFoundError, NotTrustedError: there is no such run, or it is damaged.
    """
    a, found = Answer(desk), desk.run(asked.name)
    how, e = _told_of(found), Evidence(found)
    _head(a, found)
    level = a.figure(LEVEL, "share", "level of the intervals of runs")
    rows = a.figure(len(e.test), "rows", f"test rows of run {found.id}", **how)
    a.say(f"On {rows} that no model saw, intervals: {level} over visitors.")
    if (share := e.prevalence) is not None and found.kind == "classifier":
        shown = a.figure(share, "share", "rows with the outcome", of="rows", **how)
        a.say(f"Rows with the outcome: {shown}.")
    for model in dict.fromkeys([found.champion, *found.baselines]):
        told = [f"{in_words(s)} {_score(a, found, model, s, how)}" for s in _SHOWN[found.kind]
                if s in found.metrics.get(model, {})]  # fmt: skip
        kind = "champion" if model == found.champion else "baseline"
        a.say(f"- {a.quote(model)} ({kind}): {'; '.join(told)}")
    metric = SHOWN[found.kind]
    clicks = e.sliced("click", metric)
    clicks = clicks[clicks["model"] == found.champion] if "model" in clicks else clicks
    for row in clicks.head(MOST_CLICKS).to_dict("records"):
        click = a.figure(int(float(row["slice"])), "clicks", "click at which it is asked")
        value = _worded(a, found, metric, (row["value"], row["low"], row["high"]),
                        f"{in_words(metric)} after click {row['slice']}", how)  # fmt: skip
        a.say(f"- after {click}: {in_words(metric)} {value}")
    a.findings(found.findings)
    return a


def _score(a: Answer, found: Run, model: str, score: str, how: dict[str, Any]) -> str:
    what = f"{in_words(score)} of {model} in run {found.id}"
    return _worded(a, found, score, found.figure(model, score), what, how)


def _worded(
    a: Answer, found: Run, score: str, told: tuple[Any, Any, Any], what: str, how: dict[str, Any]
) -> str:
    value, low, high = told
    if unsaid(score, value, low):
        return TOO_FEW
    unit = "share" if score in _SHARES else "points"
    if score in _MONEY:
        unit = found.currency or "money"
    return a.figure(value, unit, what, low=low, high=high, **how)


def why(desk: Desk, asked: Why) -> Answer:
    """Return what drives a run: what shuffling each feature costs. Single visitors are not shown.

    Raises:
        NotFoundError, NotTrustedError: there is no such run, or it is damaged.
    """
    a, found = Answer(desk), desk.run(asked.name)
    how = _told_of(found)
    _head(a, found)
    drivers = explain_run(found).dropna(subset=["mean_drop"]).head(asked.top)
    if drivers.empty:
        a.say("Nothing is known about its drivers.")
    cost = "log loss" if found.kind == "classifier" else "R²"
    a.say(f"What shuffling a feature costs, in {cost}; features that say the same share it.")
    for row in drivers.to_dict("records"):
        name = a.quote(in_words(row["feature"]))
        told = a.figure(row["mean_drop"], "points", f"{cost} lost without {name}",
                        low=row["low"], high=row["high"], **how)  # fmt: skip
        way = f"; more of it {row['direction']} the prediction" * isinstance(row["direction"], str)
        a.say(f"- {name}: {told}{way}")
    a.findings(found.blocking)
    return a


def report(desk: Desk, asked: OfRun) -> Answer:
    """Return the report of a run in sentences: the answer, how far to trust it, what to do next.

    Raises:
        NotFoundError, NotTrustedError: there is no such run, or it is damaged.
    """
    a, found = Answer(desk), desk.run(asked.name)
    how, e = _told_of(found), Evidence(found)
    _head(a, found)
    sentences = [answers.headline(e), answers.trust(e), answers.good(e)]
    if found.kind == "classifier":
        sentences.append(answers.calibrated(e))
    if e.revenue_model is not None:
        sentences.append(answers.revenue(e))
    for sentence in sentences:
        a.say(a.sentence(sentence, f"report of run {found.id}: {sentence}", **how))
    for step in answers.next_steps(e):
        a.say(f"Next: {desk.quote(step, most=300)}")
    a.findings(found.findings)
    return a
