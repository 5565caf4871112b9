"""Candidates: which models are trained, on how many rows, tuned or not."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from importlib import import_module
from typing import Any

import numpy as np
import pandas as pd

from cartcast.errors import UsageError
from cartcast.findings import Finding, declare, finding
from cartcast.models.classifiers import DEFAULT_CLASSIFIERS
from cartcast.models.declaration import pick
from cartcast.models.own import OwnModel
from cartcast.models.persist import refusal
from cartcast.models.regressors import DEFAULT_REGRESSORS
from cartcast.models.tuning import LEAST_BUDGET, Tuning, tune
from cartcast.train.budget import LEFT_OUT, Budget, span
from cartcast.train.champion import surely_better
from cartcast.train.checkpoint import Checkpoint
from cartcast.train.fit import (
    BASELINES,
    DECLARATIONS,
    Fitted,
    Plan,
    declared,
    fit_one,
    plan_of,
)
from cartcast.train.options import Options
from cartcast.train.task import Part, Task

__all__ = ["fit_candidates", "model_names", "sampled"]

_DEFAULTS = {"classifier": DEFAULT_CLASSIFIERS, "regressor": DEFAULT_REGRESSORS}

OWN = declare(
    "MD136",
    "note",
    "a model is its user's own estimator",
    "It is fitted, calibrated and judged like every other, but it is not tuned and has no compiled "
    "form: a live service asks it through scikit-learn, which takes milliseconds a score.",
    "Nothing to do. To train it again, give it again from Python.",
)
NOT_KEPT = declare(
    "MD137",
    "warn",
    "a model cannot be read back from its file",
    "A run is read without pickle, and builds nothing but the types that Cartcast trusts: what "
    "holds code of your own is judged, but could never be asked again.",
    "Build it from the parts of scikit-learn, LightGBM or XGBoost, without functions of your own.",
)

FOR_MODELS = 0.6
"""Share of the time left that goes to the models; the rest is for figures, drivers and refit."""
LEAST_ROWS = 20_000
"""A model that has time for fewer rows than this, and not for all, is left out."""
PROBES = (1000, 4000)
"""Rows of two small fits that tell how long a large one takes."""


def model_names(asked: Sequence[str | OwnModel], kind: str) -> list[str]:
    """Return the models to train; the baselines always come first, ensembles after their members.

    Raises:
        UsageError: a name does not exist, is of the other kind, needs an extra that is absent, or
            is that of a model here and of one of the user's own too.

    >>> model_names(["lightgbm"], "classifier")
    ['prevalence', 'click_count', 'lightgbm']
    """
    wanted: list[str] = []
    own = {m.name: m for m in asked if not isinstance(m, str)}
    for name in own:
        if name in ("default", "all") or any(name in known for known in DECLARATIONS.values()):
            raise UsageError(
                f"{name!r} is the name of a model that is here already; give your own another."
            )
    known = declared(kind, own)
    for name in (m if isinstance(m, str) else m.name for m in asked):
        wanted += _DEFAULTS[kind] if name == "default" else [name]
    other = "regressor" if kind == "classifier" else "classifier"
    for name in wanted:
        found = known.get(name, DECLARATIONS[other].get(name))
        if found is not None and found.kind == other:
            holds = "two outcomes" if kind == "classifier" else "amounts"
            raise UsageError(
                f"{name!r} is a {other}, and the target holds {holds}: give a {kind}, your own or "
                f"one of {', '.join(sorted(DECLARATIONS[kind]))}."
            )
    chosen = pick(known, wanted)
    if not chosen:
        raise UsageError("no model to train; name one with --models.")
    names = dict.fromkeys([*BASELINES[kind], *chosen])
    return sorted(names, key=lambda n: known[n].family == "ensemble")


def fit_candidates(
    task: Task, options: Options, names: Sequence[str], budget: Budget, checkpoint: Checkpoint
) -> tuple[list[Fitted], Plan]:
    """Fit every model that the budget allows to the train rows; return them and their plan.

    What models predict for held-out rows (`raw`, `held`) is aligned with all train rows, NaN where
    a model was fitted to a sample of the visitors and these rows are not in it.

    Raises:
        UsageError: the budget is too small for any model but the baselines.
    """
    plan = plan_of(task, options, {})
    with budget("planning"):
        made = budget.decide("models", lambda: _planned(task, plan, names, options, budget))
    shares: dict[str, float] = made["shares"]
    for name, needed in made["left_out"].items():
        text = f"{name} would take about {span(needed)}, more than its share of the budget."
        budget.findings.append(finding(LEFT_OUT, text, model=name, seconds=round(needed, 1)))
    tuning = None
    if made["tuning"]:
        with budget("tuning"):
            tuning = _tuned(list(shares), task, options, made["tuning"], checkpoint, budget)
        plan = replace(plan, params=tuning)
    found: dict[str, Fitted] = {}
    for name, share in shares.items():
        rows, _ = sampled(task.train, share)
        same = {n: f for n, f in found.items() if shares[n] == share}
        with budget(f"model {name}"):
            found[name] = checkpoint.model(name, partial(fit_one, name, rows, plan, same))
            if plan.params.get(name):
                usual = replace(plan, params={n: p for n, p in plan.params.items() if n != name})
                other = checkpoint.model(f"{name}-usual", partial(fit_one, name, rows, usual))
                if not surely_better(found[name], other, found, rows):
                    found[name], plan = other, usual
        if tuning is not None and name in tuning.models:
            kept = name in plan.params
            found[name].facts["tuning"] = tuning.models[name].as_dict() | {"kept": kept}
        found[name].facts["share"] = share
    budget.findings += _told_of_own(found.values())
    whole = len(task.train)
    return [_aligned(f, sampled(task.train, shares[n])[1], whole) for n, f in found.items()], plan


def sampled(rows: Part, share: float) -> tuple[Part, Any]:
    """Return the rows of a share of the visitors, and their places; a smaller share is inside."""
    if share >= 1:
        return rows, np.arange(len(rows))
    place = pd.util.hash_array(rows.groups, categorize=True) / 2.0**64
    kept = np.flatnonzero(place < share)
    return rows.take(kept), kept


def _told_of_own(models: Iterable[Fitted]) -> list[Finding]:
    """Return what holds of models of the user's own, once it is known which ones can be kept."""
    found = []
    for m in (m for m in models if m.declaration.family == "own"):
        why = m.facts.pop("refused", None)
        if why is None:
            why = refusal(m.model)
        if why:
            m.facts["refused"] = why
            text = f"{m.name} is judged but cannot be the champion: its file {why}"
            found.append(finding(NOT_KEPT, text, model=m.name, why=why))
        else:
            found.append(finding(OWN, f"{m.name}: {m.facts['notes']}", model=m.name))
    return found


def _aligned(fitted: Fitted, kept: Any, rows: int) -> Fitted:
    if len(kept) == rows:
        return fitted
    wide = np.full((2, rows), np.nan)
    wide[0, kept], wide[1, kept] = fitted.raw, fitted.held
    return replace(fitted, raw=wide[0], held=wide[1])


def _planned(
    task: Task, plan: Plan, names: Sequence[str], options: Options, budget: Budget
) -> dict[str, Any]:
    """Return the share of rows of each model, the seconds of those left out, and of tuning."""
    if not math.isfinite(budget.limit):
        return {"shares": dict.fromkeys(names, 1.0), "left_out": {}, "tuning": 0.0}
    alone = [n for n in names if not plan.members(n)]
    wanted = list(dict.fromkeys([*alone, *(m for n in names for m in plan.members(n))]))
    needs = {n: _seconds(n, task, plan, budget.clock) for n in wanted}
    left = FOR_MODELS * budget.left
    shares, out = _shared(needs, left, len(task.train))
    useful = [n for n in shares if n not in BASELINES[task.kind]]
    if not useful and set(needs) - set(BASELINES[task.kind]):
        cheapest = min(out, key=lambda n: out[n])
        least = math.ceil(budget.spent + out[cheapest] / FOR_MODELS)
        raise UsageError(
            f"a budget of {span(budget.limit)} is too small: {span(budget.spent)} went to reading "
            f"and making rows, and {cheapest}, the fastest model asked for, needs about "
            f"{span(out[cheapest])}. In this time only the baselines could be fitted "
            f"(--models {','.join(BASELINES[task.kind])}); give --budget {least}s or more."
        )
    for name in (n for n in names if plan.members(n)):
        members = plan.members(name)
        if lacking := [m for m in members if m not in shares]:
            out[name] = sum(out[m] for m in lacking)
            continue
        least_share = min(shares[m] for m in members)
        shares |= dict.fromkeys([*members, name], least_share)
    kept = {n: shares[n] for n in names if n in shares}
    taken = {n: needs[n] * shares[n] for n in needs if n in shares}
    # What tuning finds is fitted beside the usual parameters.
    again = sum(s for n, s in taken.items() if plan.declaration(n).search_space)
    spare = 0.7 * (left - sum(taken.values())) - again
    tuning = spare if options.tune and spare >= LEAST_BUDGET else 0.0
    told = ", ".join(f"{n} {span(needs[n] * shares[n])}" for n in needs if n in useful)
    told += f", tuning {span(tuning)}" if tuning else ""
    budget.tell(f"plan: {told}; then figures, drivers and refit")
    return {"shares": kept, "left_out": {n: out[n] for n in names if n in out}, "tuning": tuning}


def _shared(
    needs: Mapping[str, float], left: float, rows: int
) -> tuple[dict[str, float], dict[str, float]]:
    """Return the share of the rows that each model has time for, and what the others would need.

    The fastest first; what it does not use goes to the others.

    >>> _shared({"line": 2.0, "trees": 30.0, "deep": 900.0}, 60.0, 100_000)
    ({'line': 1.0, 'trees': 0.9666666666666667}, {'deep': 900.0})
    >>> _shared({"line": 2.0, "deep": 900.0}, 60.0, 100_000)
    ({'line': 1.0}, {'deep': 900.0})
    """
    shares: dict[str, float] = {}
    out: dict[str, float] = {}
    waiting = sorted(needs, key=lambda n: needs[n])
    for k, name in enumerate(waiting):
        fair = left / (len(waiting) - k)
        share = 1.0 if needs[name] <= fair else fair / needs[name]
        if share < 1 and share * rows < LEAST_ROWS:
            out[name] = needs[name]
            continue
        shares[name] = share
        left -= needs[name] * share
    return shares, out


def _seconds(name: str, task: Task, plan: Plan, clock: Callable[[], float]) -> float:
    """Return about how long a model takes with its folds, told from two small fits."""
    rows, declaration = task.train, plan.declaration(name)
    if declaration.family == "baseline":
        return 0.0
    sizes = [min(PROBES[0], len(rows) // 12), min(PROBES[1], len(rows) // 3)]
    if sizes[0] < 100:
        return 0.0
    times = []
    for size in sizes:
        # Evenly spaced, so that the rarer class is there in both.
        part = rows.take(np.linspace(0, len(rows) - 1, size).astype(np.intp))
        if plan.kind == "classifier" and np.bincount(part.label.astype(int), minlength=2).min() < 8:
            return 0.0
        if declaration.requires:
            import_module(declaration.requires)  # else the small fit alone would pay for it
        begin = clock()
        plan.recipe.fit(
            declaration, part.read(declaration), part.label, params=plan.params_of(name),
            sample_weight=part.weight, groups=part.groups,
        )  # fmt: skip
        times.append(max(clock() - begin, 1e-3))
    small, large = times
    # From two points: a line through both where time grows slower than the rows, else a power.
    power = math.log(large / small) / math.log(sizes[1] / sizes[0])
    slope = max(0.0, (large - small) / (sizes[1] - sizes[0]))
    # Only a kernel compares rows in pairs; a steeper power than n log n is a busy machine's noise.
    steepest = 2.0 if declaration.family == "kernel" else 1.2

    def needed(n: int) -> float:
        if power > 1.1:
            return float(large * (n / sizes[1]) ** min(power, steepest))
        return large + slope * (n - sizes[1])

    fits = [len(fit) for fit, _ in plan.folds(rows, declaration)]
    whole = sum(max(0.0, needed(n)) for n in [*fits, len(rows)])
    return 1.2 * whole * (1 + len(task.folds or ()))


def _tuned(
    names: Sequence[str],
    task: Task,
    options: Options,
    seconds: float,
    checkpoint: Checkpoint,
    budget: Budget,
) -> Tuning:
    """Return parameters for each model, judged forward in time where there is a time.

    An ensemble is tuned through its members.
    """
    plan = plan_of(task, options, {})
    train = task.train
    wanted = [m for n in names for m in plan.members(n) or (n,)]
    known = DECLARATIONS[task.kind]
    return tune(
        [n for n in dict.fromkeys(wanted) if n in known and known[n].reads == "features"],
        task.kind,
        train.X,
        train.label,
        sample_weight=train.weight,
        groups=train.groups if train.keys["visitor_id"].notna().any() else None,
        order=train.position if task.ordered else None,
        categorical=task.rows.categorical,
        budget=seconds,
        n_jobs=options.threads,
        folder=checkpoint.folder / "tuning",
        seed=options.seed,
        resample=options.resample,
        clock=budget.clock,
        progress=lambda what, share: budget.tell(what),
    )
