"""The charts of a report, each with the sentence that it shows and its table."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from cartcast.charts import by_click as click_chart
from cartcast.charts import effects as effects_chart
from cartcast.charts import importance as importance_chart
from cartcast.charts import lift as lift_chart
from cartcast.charts import reliability as reliability_chart
from cartcast.charts import revenue as revenue_chart
from cartcast.charts import scores as scores_chart
from cartcast.charts import segments as segments_chart
from cartcast.charts import slices as slices_chart
from cartcast.charts.theme import number
from cartcast.evaluate.scores import SCORES
from cartcast.report import answers
from cartcast.report.evidence import SHOWN, Evidence

__all__ = ["Block", "blocks"]


@dataclass(frozen=True)
class Block:
    """One chart: where it belongs, what it shows in words, the figure, and its table.

    Attributes:
        name: id in the page.
        section: `main`, `good`, `drivers`, `effects`, `revenue` or `segments`.
        words: what it shows, a sentence.
        figure: Plotly JSON, safe inside a script element.
        columns: heads of the table.
        rows: cells of the table, as words.
    """

    name: str
    section: str
    words: str
    figure: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]


def _made(
    name: str,
    section: str,
    words: str,
    figure: Any,
    table: pd.DataFrame,
    units: Mapping[str, str],
    currency: str | None = None,
) -> Block:
    """Return a block; `units` names the columns of its table, in order, with their units."""
    shown = [
        [_cell(row[column], unit, currency) for column, unit in units.items()]
        for row in table.to_dict("records")
    ]
    # "<" is written as an escape, so that no text of the data can end the script element.
    text = json.dumps(json.loads(figure.to_json()), ensure_ascii=True).replace("<", "\\u003c")
    heads = [c.replace("_", " ") for c in units]
    return Block(name, section, words, text, heads, shown)


def _cell(value: Any, unit: str, currency: str | None) -> str:
    if unit == "words":
        return "–" if value is None or value != value else str(value).replace("_", " ")
    return number(None if pd.isna(value) else value, unit, currency)


def blocks(e: Evidence) -> list[Block]:
    """Return every chart that the run has the evidence for, in the order of the report."""
    made: list[Block | None] = [_by_click(e)]
    if e.run.kind == "classifier":
        made.append(_reliability(e))
    made.append(_gain(e))
    made += [_models(e), _slices(e), _importance(e), *_effects(e)]
    if e.revenue_model is not None:
        made += [_deciles(e), _coverage(e)]
    made.append(_segments(e))
    return [block for block in made if block is not None]


def _metric_words(metric: str) -> str:
    score = SCORES.get(metric)
    return score.title if score else metric.replace("_", " ")


def _by_click(e: Evidence) -> Block | None:
    metric = SHOWN[e.run.kind]
    table = e.sliced("click", metric).dropna(subset=["value"])
    models = [m for m in (e.run.champion, *e.run.baselines) if m in set(table["model"])]
    table = table[table["model"].isin(models)]
    mine = table[table["model"] == e.run.champion].sort_values("click")
    if len(mine) < 2:
        return None
    first, last = mine.iloc[0], mine.iloc[-1]
    name = _metric_words(metric)
    words = (
        f"{name} is {number(first['value'], 'points')} after click {int(first['click'])} and "
        f"{number(last['value'], 'points')} after click {int(last['click'])}; the band is the "
        "90 % interval over visitors, grey lines are the baselines."
    )
    figure = click_chart.by_click(table, label=name, subject=e.run.champion)
    units = {
        "model": "words", "click": "count", "value": "points", "low": "points", "high": "points",
        "n": "count",
    }  # fmt: skip
    return _made("by-click", "main", words, figure, table, units)


def _models(e: Evidence) -> Block | None:
    metric = SHOWN[e.run.kind]
    table = e.models[e.models["metric"] == metric].dropna(subset=["value"])
    if len(table) < 2:
        return None
    words = f"{_metric_words(metric)} of every model on the same test rows, with 90 % intervals."
    figure = scores_chart.scores(table, label=_metric_words(metric), subject=e.run.champion)
    units = {"model": "words", "value": "points", "low": "points", "high": "points"}
    return _made("models", "good", words, figure, table, units)


def _reliability(e: Evidence) -> Block | None:
    table = e.reliability
    if len(table) < 2:
        return None
    units = {
        "predicted": "share", "observed": "share", "low": "share", "high": "share", "n": "count",
    }  # fmt: skip
    words = "Does it happen as often as it was said? " + answers.calibrated(e)
    figure = reliability_chart.reliability(table, of=_those(e))
    return _made("reliability", "good", words, figure, table, units)


def _gain(e: Evidence) -> Block | None:
    mine = e.gain[e.gain["model"] == e.run.champion]
    if mine["reached"].isna().all():
        return None
    half = mine.loc[mine["reached"] >= 0.5, "contacted"]
    words = f"Half of the {_those(e)} is found among the best {number(half.min(), 'share')} "
    words += (
        f"of the {answers.moments(e)}; the band is the 90 % interval of {_words(e.run.champion)}."
    )
    units = {
        "model": "words", "contacted": "share", "reached": "share", "lift": "factor",
        "precision": "share",
    }  # fmt: skip
    shown = mine[mine["contacted"].isin([0.01, 0.05, 0.1, 0.2, 0.3, 0.5])]
    figure = lift_chart.gain(e.gain, of=_those(e), subject=e.run.champion)
    return _made("gain", "good", words, figure, shown, units)


def _those(e: Evidence) -> str:
    """Return who or what is looked for, in a word that fits an axis."""
    if e.run.kind == "regressor":
        return "revenue"
    return "sessions that fulfil it" if e.run.proxy else answers.outcome(e)[1]


def _words(name: Any) -> str:
    return str(name).replace("_", " ")


def _slices(e: Evidence) -> Block | None:
    metric = SHOWN[e.run.kind]
    table = e.sliced(None, metric)
    table = table[table["model"] == e.run.champion].dropna(subset=["value"])
    if table.empty:
        return None
    overall = e.run.score(e.run.champion, metric)[0]
    away = [
        f"{_words(s)} {v}"
        for s, v, low, high in zip(
            table["slice_by"], table["slice"], table["low"], table["high"], strict=True
        )
        if overall is not None and low == low and not low <= overall <= high
    ]
    chance = 0.1 * len(table)
    words = f"{_metric_words(metric)} in each of {len(table)} slices. "
    words += (
        f"{len(away)} differ from the whole, where about {chance:.0f} would by chance: "
        f"{', '.join(away)}."
        if away
        else "None differs from the whole."
    )
    figure = slices_chart.slices(table, label=_metric_words(metric), unit="points", overall=overall)
    units = {
        "slice_by": "words", "slice": "words", "value": "points", "low": "points",
        "high": "points", "n": "count",
    }  # fmt: skip
    return _made("slices", "good", words, figure, table, units)


def _importance(e: Evidence) -> Block | None:
    table = e.importance.dropna(subset=["mean_drop"])
    if table.empty:
        return None
    what = "log loss added" if e.run.kind == "classifier" else "R² lost"
    label = f"{what} when shuffled"
    words = (
        f"{label[0].upper()}{label[1:]}, on test rows, with 90 % intervals; grey where it could "
        "be chance. Features that carry the same knowledge share it."
    )
    units = {
        "feature": "words", "mean_drop": "points", "low": "points", "high": "points",
        "direction": "words",
    }  # fmt: skip
    figure = importance_chart.importance(table, label=label)
    return _made("importance", "drivers", words, figure, table.head(25), units)


def _effects(e: Evidence) -> list[Block]:
    """Return a chart for each feature whose effect the run keeps."""
    units = e.run.data.get("features", {}).get("units", {})
    made = []
    for k, found in enumerate(e.run.data.get("effects", [])):
        table = pd.DataFrame(found["points"])
        if e.run.kind != "classifier" or len(table) < 2:
            continue
        unit = {"currency": "money", "s": "seconds"}.get(units.get(found["feature"], ""), "")
        numeric = pd.api.types.is_numeric_dtype(table["value"])
        name = _words(found["feature"])
        words = f"{name[0].upper()}{name[1:]}, all else as it was: the mean prediction"
        if numeric:
            first, last = table.iloc[0], table.iloc[-1]
            words += (
                f" goes from {number(first['prediction'], 'share')} at "
                f"{number(first['value'], unit, e.run.currency)} to "
                f"{number(last['prediction'], 'share')} at "
                f"{number(last['value'], unit, e.run.currency)}"
            )
        words += ". Grey: where the sessions are."
        figure = effects_chart.effect(table, label=name, unit=unit, currency=e.run.currency)
        shown = {"value": unit if numeric else "words", "prediction": "share", "share": "share"}
        made.append(_made(f"effect-{k}", "effects", words, figure, table, shown, e.run.currency))
    return made


def _deciles(e: Evidence) -> Block | None:
    table = e.revenue_deciles
    if len(table) < 2:
        return None
    units = {
        "decile": "count", "predicted": "money", "observed": "money", "low": "money",
        "high": "money", "share": "share",
    }  # fmt: skip
    words = "Expected and observed revenue per session, by tenth of the forecast."
    figure = revenue_chart.deciles(table, currency=e.run.currency)
    return _made("deciles", "revenue", words, figure, table, units, e.run.currency)


def _coverage(e: Evidence) -> Block | None:
    table = e.coverage
    if table is None or table["coverage"].isna().all():
        return None
    buyers = e.run.data.get("revenue", {}).get("given") == "purchase"
    parts = ["buyers", "buyers in the top decile"] if buyers else list(table["part"])
    nominal = float(table["nominal"].iloc[0])
    what = "given a purchase, so it is judged on buyers" if buyers else "of all sessions"
    words = f"Does the {number(nominal, 'share')} interval hold? It is an interval {what}."
    units = {
        "part": "words", "nominal": "share", "coverage": "share", "low": "share", "high": "share",
        "width": "money", "n": "count",
    }  # fmt: skip
    figure = revenue_chart.coverage(table[table["part"].isin(parts)])
    return _made("coverage", "revenue", words, figure, table, units, e.run.currency)


def _segments(e: Evidence) -> Block | None:
    table = e.segments
    if table.empty or table["share"].isna().all():
        return None
    if table["conversion"].isna().all():
        return None
    words = "How large each segment is, and how many of it buy."
    units = {
        "name": "words", "size": "count", "share": "share", "conversion": "share",
        "revenue_per_session": "money",
    }  # fmt: skip
    figure = segments_chart.sizes(table.astype({"share": float, "conversion": float}))
    return _made("segments", "segments", words, figure, table, units, e.run.currency)
