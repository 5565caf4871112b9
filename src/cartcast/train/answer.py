"""The answer to a question: models fitted, figures measured, evidence written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd

from cartcast import __version__
from cartcast.findings import Finding, require_unblocked, waive
from cartcast.models.checks import check_table
from cartcast.train.audits import audit_fitted
from cartcast.train.choose import choose_champion
from cartcast.train.drivers import drivers, drivers_by_click, effects_of
from cartcast.train.fit import BASELINES, Fitted, fit_classifier, fit_regressor, in_time
from cartcast.train.folds import out_of_fold
from cartcast.train.measure import classifier_tables, regressor_tables, summary, thresholds_of
from cartcast.train.options import Options
from cartcast.train.parts import describe_parts
from cartcast.train.question import Question
from cartcast.train.result import Run, new_run_id, versions, write_run
from cartcast.train.revenue import RevenuePart, fit_revenue
from cartcast.train.segment import segment
from cartcast.train.stages import Stages
from cartcast.train.steps import Steps
from cartcast.train.tune import params_of, tuned

__all__ = ["answer"]


def answer(
    q: Question,
    options: Options,
    names: Sequence[str],
    found: Sequence[Finding],
    run_dir: Path,
    steps: Steps,
) -> Run:
    """Fit the models, measure them on test, and write the run folder.

    Raises:
        DataError: a part has too few rows, one class, or no usable feature.
        BlockedError: a figure is too good to be true and the finding was not waived.
        StorageError: the run folder cannot be written.
    """
    key = options.fingerprint(_data_key(q.rows.table), q.fingerprint)
    stages = Stages(run_dir, key)
    train = q.parts["train"]
    found = [
        *found,
        *check_table(
            train.X, train.label, q.kind, folds=options.folds, categorical=q.rows.categorical
        ),
    ]
    models = _fit(q, options, names, stages, steps)
    champion, chosen = choose_champion(models, q.parts["validation"], q.kind)
    with steps("figures"):
        thresholds = _thresholds(q, models, options)
        tables = _tables(q, models, thresholds)
    with steps("drivers"):
        important = drivers(champion, q.parts["test"], q.units, options)
        late = drivers_by_click(champion, q.parts["test"], important, options)
        effects = effects_of(champion, q.parts["test"], important, options)
    with steps("revenue"):
        revenue = fit_revenue(q, champion, options)
    with steps("segments"):
        segments = segment(q, options)
    found = [*found, *audit_fitted(q.parts["test"], champion, models)]
    found = waive([*found, *revenue.findings, *segments.findings], options.waivers)
    require_unblocked(found)
    metrics, intervals, clicks = summary(tables)
    with steps("report"):
        data = {
            **_facts(q, options, key),
            "models": {m.name: m.facts for m in models},
            "champion": champion.name,
            "choice": {
                "reason": chosen.reason,
                "candidates": [c._asdict() for c in chosen.candidates],
            },
            "baselines": [m.name for m in models if m.name in BASELINES[q.kind]],
            "metrics": metrics,
            "intervals": intervals,
            "by_click": clicks,
            "thresholds": thresholds.get(champion.name, {}),
            "importance": important,
            "importance_by_click": late,
            "effects": effects,
            "revenue": revenue.facts,
            "segments": segments.profiles,
            "segmentation": segments.facts,
            "seconds": steps.finish(),
        }
        saved = {"champion": champion.model, **revenue.models, **segments.models}
        everything = pd.concat([t for t in (tables, revenue.table) if len(t)], ignore_index=True)
        predictions = _predictions(q, models, revenue)
        run = write_run(run_dir, data, found, everything, predictions, saved)
    stages.done()
    return run


def _fit(
    q: Question, options: Options, names: Sequence[str], stages: Stages, steps: Steps
) -> list[Fitted]:
    fit = fit_classifier if q.kind == "classifier" else fit_regressor
    params: Mapping[str, Mapping[str, Any]] = {}
    facts: dict[str, Any] = {}
    if options.budget is not None:
        with steps("tuning"):
            tuning = tuned(names, q, options, stages, steps.progress)
        params = tuning
        facts = tuning.as_dict()
    ordered = in_time(q.split.method)
    models = []
    for name in names:
        with steps(f"model {name}"):
            found = params_of(name, q.kind, params)
            model = fit(name, q.parts, q.rows.categorical, options, stages, found, ordered)
            if options.folds is not None:
                model = out_of_fold(model, q, options)
            if name in facts:
                model.facts["tuning"] = facts[name]
            models.append(model)
    return models


def _thresholds(
    q: Question, models: Sequence[Fitted], options: Options
) -> dict[str, dict[str, Any]]:
    if q.kind == "regressor":
        return {}
    return {m.name: thresholds_of(m, q.parts["validation"], options) for m in models}


def _tables(
    q: Question, models: Sequence[Fitted], thresholds: Mapping[str, Mapping[str, Any]]
) -> pd.DataFrame:
    if q.kind == "regressor":
        return regressor_tables(models, q.parts)
    at = {name: chosen["f1"]["threshold"] for name, chosen in thresholds.items()}
    return classifier_tables(models, q.parts, at)


def _data_key(table: pd.DataFrame) -> str:
    return str(int(pd.util.hash_pandas_object(table, index=False).sum()))


def _facts(q: Question, options: Options, key: str) -> dict[str, Any]:
    """What was asked, of which data, with which features: the first half of `run.json`."""
    return {
        "schema": 1,
        "run_id": new_run_id(str(q.target["name"])),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "cartcast": __version__,
        "seed": options.seed,
        "source": {**q.source, "fingerprint": key},
        "data": q.data,
        "target": q.target,
        "anchors": list(options.anchors) if q.log is not None else [],
        "split": {
            "method": q.split.method,
            "describe": q.split.describe(),
            "parts": describe_parts(q.parts),
        },
        "dropped": {**q.rows.dropped, **q.split.dropped},
        "features": {
            "set": _called(options) if q.features is not None else "the table's columns",
            "fingerprint": q.fingerprint,
            "names": list(q.rows.features),
            "categorical": list(q.rows.categorical),
            "meanings": {name: m.as_dict() for name, m in q.rows.meanings.items()},
            "units": q.units,
            "yaml": q.features.to_yaml() if q.features is not None else None,
        },
        "versions": versions(),
    }


def _called(options: Options) -> str:
    return options.features if isinstance(options.features, str) else "a set of one's own"


_KEYS = (
    "session_id", "visitor_id", "event_order", "click", "anchor_time", "weight", "label", "amount",
)  # fmt: skip


def _predictions(q: Question, models: Sequence[Fitted], revenue: RevenuePart) -> pd.DataFrame:
    """One row for each row of validation and test, with what each model said of it."""
    letter = "p" if q.kind == "classifier" else "r"
    tables = []
    for name in ("validation", "test"):
        keys = q.parts[name].table[list(_KEYS)]
        said = {f"{letter}__{m.name}": m.predictions[name] for m in models}
        said |= revenue.predictions.get(name, {})
        table = pd.concat([keys, pd.DataFrame(said, index=keys.index)], axis=1)
        table.insert(0, "part", name)
        tables.append(table)
    return pd.concat(tables, ignore_index=True)
