"""The pipeline of a training: candidates, champion, figures, drivers, refit, evidence written."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cartcast import __version__
from cartcast.findings import require_unblocked, waive
from cartcast.models.calibrate import Calibrated
from cartcast.models.checks import check_table
from cartcast.report import write_card, write_report
from cartcast.rows import Rows
from cartcast.runs.run import Run
from cartcast.runs.write import versions, write_run
from cartcast.train.backtest import MOST_CUTS, MOST_ROWS, backtest
from cartcast.train.budget import Budget
from cartcast.train.candidates import fit_candidates, sampled
from cartcast.train.champion import choose_champion
from cartcast.train.checkpoint import Checkpoint
from cartcast.train.drivers import DRIVERS, OutOfFold, drivers
from cartcast.train.figures import measured, summary, thresholds_of, too_good_to_be_true
from cartcast.train.fit import BASELINES, Fitted, Plan, fit_one, says
from cartcast.train.labels import check_labels
from cartcast.train.lists import lists_of
from cartcast.train.options import Options
from cartcast.train.revenue import Revenue, fit_revenue
from cartcast.train.scorer import told
from cartcast.train.segments import segment
from cartcast.train.task import Part, Task

__all__ = ["carry_out"]

Floats = NDArray[np.float64]
Said = dict[str, Floats]


def carry_out(
    task: Task, options: Options, names: Sequence[str], run_dir: Path, budget: Budget
) -> Run:
    """Fit the models, measure them on test, refit the champion, and write the run folder.

    Raises:
        DataError: too few rows, one class, or no usable feature.
        BlockedError: a figure is too good to be true and the finding was not waived.
        UsageError: the budget is too small for any model.
        StorageError: the run folder cannot be written.
    """
    key = options.fingerprint(_data_key(task.rows), task.fingerprint)
    budget.checkpoint = checkpoint = Checkpoint(run_dir, key, options.own)
    found = [*task.findings, *_checked(task, options), *check_labels(task.rows)]
    models, plan = fit_candidates(task, options, names, budget, checkpoint)
    champion, chosen = choose_champion(models, task, options)
    with budget("figures"):
        said, apart = _test_predictions(task, models, champion, plan)
        thresholds = {}
        if task.kind == "classifier":
            thresholds = {m.name: thresholds_of(m, task.train, options) for m in models}
        at = {name: t["f1"]["threshold"] for name, t in thresholds.items()}
        table = measured(task.kind, task.test, said, at)
        own = told(options.scorer, task, said, options.choose_by == "scorer")
    with budget("revenue"):
        revenue = fit_revenue(task.train, champion, plan)
        predictions, sold = _predictions(task, models, champion, said, revenue)
    with budget("drivers"):
        driving = _drivers(task, champion, apart, options, budget)
    with budget("segments"):
        segments = segment(task, options)
    found += [*too_good_to_be_true(task.test, champion, models, said)]
    with budget("refit"):
        final, kept, refit = _refitted(task, champion, models, revenue, plan, options, budget)
    with budget("backtest"):
        aged = _backtest(task, champion, models, plan, options, budget)
    with budget("lists"):
        lists, promised = lists_of(task, champion, options.asked_at)
    found = [*found, *promised, *revenue.findings, *segments.findings, *budget.findings]
    found = waive(found, options.waivers)
    require_unblocked(found)
    metrics, intervals, clicks = summary(table)
    with budget("report"):
        data = {
            **_facts(task, options, key),
            "models": {m.name: m.facts for m in models},
            "champion": champion.name,
            "choice": {
                "reason": chosen.reason,
                "candidates": [c._asdict() for c in chosen.candidates],
            },
            "baselines": [m.name for m in models if m.name in BASELINES[task.kind]],
            "metrics": metrics,
            "intervals": intervals,
            "by_click": clicks,
            "scorer": own,
            "thresholds": thresholds.get(champion.name, {}),
            **driving,
            "refit": refit,
            "backtest": aged,
            "lists": lists,
            "revenue": revenue.facts,
            "segments": segments.profiles,
            "segmentation": segments.facts,
            "budget": options.budget if math.isfinite(options.budget) else None,
            "seconds": budget.finish(),
        }
        saved = {"champion": final.model, **kept.models, **segments.models}
        figures = pd.concat([t for t in (table, sold) if len(t)], ignore_index=True)
        pages = (write_report, write_card)
        run = write_run(run_dir, data, found, figures, predictions, saved, pages)
    checkpoint.done()
    return run


def _checked(task: Task, options: Options) -> Sequence[Any]:
    rows = task.train
    return check_table(
        rows.X,
        rows.label,
        task.kind,
        folds=len(task.folds) if task.folds else None,
        categorical=task.rows.categorical,
    )


def _test_predictions(
    task: Task, models: Sequence[Fitted], champion: Fitted, plan: Plan
) -> tuple[Said, OutOfFold | None]:
    """Return what each model says of the test rows, and the champion's models of the folds.

    With folds each row of the test is judged by the model of the fold that holds it out.
    """
    if task.folds is None:
        return {m.name: says(m.model, m.declaration, task.test) for m in models}, None
    rows = task.train
    said = {m.name: np.empty(len(rows)) for m in models}
    fold = np.empty(len(rows), dtype=np.int64)
    apart = []
    for k, (fit, held) in enumerate(task.folds):
        others: dict[str, Fitted] = {}
        part = rows.take(held)
        for m in models:
            others[m.name] = fit_one(m.name, rows.take(fit), plan, others)
            said[m.name][held] = says(others[m.name].model, m.declaration, part)
        apart.append(others[champion.name].model)
        fold[held] = k
    judged = task.test.index
    return {n: p[judged] for n, p in said.items()}, OutOfFold(apart, fold[judged])


def _drivers(
    task: Task, champion: Fitted, apart: OutOfFold | None, options: Options, budget: Budget
) -> dict[str, Any]:
    begin = budget.clock()
    sample = task.test.take(np.arange(min(len(task.test), 2000)))
    if champion.declaration.family != "baseline":
        says(champion.model, champion.declaration, sample)
    # Three shuffles of each feature of 5,000 rows, the same by click for a few, and the effects.
    each = (budget.clock() - begin) * 2.5
    needed = each * (
        4 * len(task.rows.features) + 6 * 3 * max(1, task.rows.table["click"].nunique()) + 80
    )
    if not budget.allows("drivers", needed):
        return {name: [] for name in DRIVERS}
    return {**drivers(champion, task.test, task.units, options.seed, apart)}


def _refitted(
    task: Task, champion: Fitted, models: Sequence[Fitted], revenue: Revenue, plan: Plan,
    options: Options, budget: Budget,
) -> tuple[Fitted, Revenue, dict[str, Any]]:  # fmt: skip
    """Return the champion and the revenue fitted to all rows with a label, and what to say."""
    judged = len(task.train)
    nothing = {"rows": judged, "judged_rows": judged, "refitted": False}
    whole = task.folds is not None or len(task.everything) == judged
    if whole or not options.refit:
        return champion, revenue, nothing
    rows = sampled(task.everything, champion.facts.get("share", 1.0))[0]
    # One of the fits that judging took, of the largest number of rows.
    seconds = 0.5 * (_cost(champion, models, plan) + budget.seconds["revenue"])
    if not budget.allows("refit", 1.2 * seconds * len(rows) / judged, keep=0.05 * budget.left):
        return champion, revenue, nothing
    assert budget.checkpoint is not None
    said, given = _unseen(task, champion, models, revenue, plan)
    known = {name: values[rows.index] for name, values in said.items()}
    final = budget.checkpoint.model(
        "refit", lambda: fit_one(champion.name, rows, plan, unseen=known)
    )
    kept = fit_revenue(rows, final, plan, None if given is None else given[rows.index])
    if set(kept.models) != set(revenue.models):
        kept = revenue
    return final, kept, {
        "rows": len(rows), "judged_rows": judged, "refitted": True,
        "calibration": final.facts["calibration"],
    }  # fmt: skip


def _unseen(
    task: Task, champion: Fitted, models: Sequence[Fitted], revenue: Revenue, plan: Plan
) -> tuple[Said, Floats | None]:
    """Return, for each row of the table, what models said that had not seen it; NaN elsewhere.

    Before calibration, of the champion and its members; and the amount given purchase. Folds
    judged rows of train, the models of all train rows those of test.
    """

    def joined(train: Floats, test: Floats) -> Floats:
        out = np.full(len(task.rows.table), np.nan)
        out[task.train.index], out[task.test.index] = train, test
        return out

    said, wanted = {}, plan.members(champion.name) or (champion.name,)
    for m in (m for m in models if m.name in wanted):
        model = m.model.estimator if isinstance(m.model, Calibrated) else m.model
        said[m.name] = joined(m.raw, says(model, m.declaration, task.test))
    if "amount" not in revenue.models:
        return said, None
    amount = revenue.models["amount"].predict_given_purchase(task.test.X)
    return said, joined(revenue.given, amount)


def _backtest(
    task: Task, champion: Fitted, models: Sequence[Fitted], plan: Plan, options: Options,
    budget: Budget,
) -> dict[str, Any]:  # fmt: skip
    if champion.declaration.family == "baseline" or not options.backtest or task.folds:
        return {}
    rows = min(MOST_ROWS, len(task.train))
    needed = _cost(champion, models, plan) * MOST_CUTS * rows / len(task.train)
    if not budget.allows("backtest", needed, keep=0.02 * budget.left):
        return {}
    share = min(1.0, 2 * MOST_ROWS / len(task.rows.table))
    return backtest(task, champion.name, plan, share)


def _cost(champion: Fitted, models: Sequence[Fitted], plan: Plan) -> float:
    """Return the seconds of a fit, with the members of an ensemble."""
    parts = {champion.name, *plan.members(champion.name)}
    return sum(float(m.facts["seconds"]) for m in models if m.name in parts)


def _data_key(rows: Rows) -> str:
    hashes = [pd.util.hash_pandas_object(t, index=False) for t in (rows.table, rows.values)]
    return str(int((hashes[0] * np.uint64(31) + hashes[1]).sum()))


def _facts(task: Task, options: Options, key: str) -> dict[str, Any]:
    """What was asked, of which data, with which features: the first half of `run.json`."""
    dated = options.asked_at.dated
    parts = {"train": task.train, "test": task.test}
    return {
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "cartcast": __version__,
        "seed": options.seed,
        "options": options.as_dict(),
        "source": {**task.source, "fingerprint": key},
        "reading": task.reading and task.reading.as_dict(),
        "data": task.data,
        "target": task.target,
        "moment": options.asked_at.as_dict() if task.log is not None else None,
        "segment": options.segment,
        "anchors": list(options.anchors) if task.log is not None and not dated else [],
        "split": {
            "method": task.split.method,
            "describe": task.split.describe(),
            "parts": {name: _described(part) for name, part in parts.items()},
        },
        "dropped": {**task.rows.dropped, **task.split.dropped},
        "features": {
            "set": _called(options) if task.features is not None else "the table's columns",
            "fingerprint": task.fingerprint,
            "names": list(task.rows.features),
            "categorical": list(task.rows.categorical),
            "meanings": {name: m.as_dict() for name, m in task.rows.meanings.items()},
            "units": task.units,
            "ranges": _ranges(task.rows) if task.log is not None else {},
            "proposed": task.proposed,
            "yaml": task.features.to_yaml() if task.features is not None else None,
        },
        "versions": versions(),
    }


def _ranges(rows: Rows) -> dict[str, list[float]]:
    """Return the least and the greatest finite value of each feature that is a number."""
    found = {}
    for name in set(rows.features) - set(rows.categorical):
        values = rows.values[name].to_numpy(dtype=np.float64)
        values = values[np.isfinite(values)]
        if len(values):
            found[name] = [float(values.min()), float(values.max())]
    return dict(sorted(found.items()))


def _called(options: Options) -> str:
    return options.features if isinstance(options.features, str) else "a set of one's own"


def _described(part: Part) -> dict[str, object]:
    """Return size and period of a part, for `run.json`."""
    time = part.keys["anchor_time"]
    known = time.notna().any()
    bought = part.keys.loc[part.label > 0, "session_id"]
    return {
        "rows": len(part),
        "sessions": int(part.keys["session_id"].nunique()),
        "visitors": len(pd.unique(part.groups)),
        "positives": int((part.label > 0).sum()),
        "positive_sessions": int(bought.nunique()),
        "start": time.min().isoformat() if known else None,
        "end": time.max().isoformat() if known else None,
    }


_KEYS = (
    "session_id", "visitor_id", "event_order", "click", "anchor_time", "weight", "label", "amount",
)  # fmt: skip


def _predictions(
    task: Task, models: Sequence[Fitted], champion: Fitted, said: Mapping[str, Floats],
    revenue: Revenue,
) -> tuple[pd.DataFrame, pd.DataFrame]:  # fmt: skip
    """Return what each model said of rows it had not seen, and the figures of revenue on test.

    The rows of `validation` are those of train that folds judged.
    """
    letter = "p" if task.kind == "classifier" else "r"
    judged = np.flatnonzero(np.isfinite(champion.held))
    given = revenue.given[judged] if len(revenue.given) else None
    validation = task.train.take(judged)
    told = {
        "validation": (validation, {m.name: m.held[judged] for m in models}, given),
        "test": (task.test, dict(said), None),
    }
    tables, sold = [], pd.DataFrame()
    for name, (part, by_model, known) in told.items():
        columns: dict[str, Any] = {f"{letter}__{m}": p for m, p in by_model.items()}
        money = revenue.says(champion, part, by_model[champion.name], known)
        if name == "test":
            sold = revenue.figures(part, money)
        keys = part.keys[list(_KEYS)]
        table = pd.concat([keys, pd.DataFrame({**columns, **money}, index=keys.index)], axis=1)
        table.insert(0, "part", name)
        tables.append(table)
    return pd.concat(tables, ignore_index=True), sold
