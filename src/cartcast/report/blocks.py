"""The charts of a report, each with the sentence that it shows and its table."""

from __future__ import annotations

import pandas as pd

from cartcast.charts import by_click as click_chart
from cartcast.charts import lift as lift_chart
from cartcast.charts import reliability as reliability_chart
from cartcast.charts import scores as scores_chart
from cartcast.charts import segments as segments_chart
from cartcast.charts import slices as slices_chart
from cartcast.charts import trend
from cartcast.charts.theme import number
from cartcast.evaluate.intervals import sayable
from cartcast.evaluate.scores import SCORES
from cartcast.features.words import in_words
from cartcast.report import answers, drivers, revenue
from cartcast.report.block import Block, made
from cartcast.report.evidence import SHOWN, Evidence

__all__ = ["Block", "blocks"]


def blocks(e: Evidence) -> list[Block]:
    """Return every chart that the run has the evidence for, in the order of the report."""
    drawn: list[Block | None] = [_by_click(e)]
    if e.run.kind == "classifier":
        drawn.append(_reliability(e))
    drawn += [_gain(e), _models(e), _slices(e), _backtest(e)]
    drawn += [drivers.importance(e), drivers.importance_by_click(e), *drivers.effects(e)]
    if e.revenue_model is not None:
        drawn += [revenue.gain(e), revenue.deciles(e), revenue.coverage(e)]
    drawn.append(_segments(e))
    return [block for block in drawn if block is not None]


def _metric_words(metric: str) -> str:
    score = SCORES.get(metric)
    return score.title if score else in_words(metric)


def _by_click(e: Evidence) -> Block | None:
    metric = SHOWN[e.run.kind]
    table = sayable(e.sliced("click", metric), metric)
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
    return made("by-click", "main", words, figure, table, units)


def _backtest(e: Evidence) -> Block | None:
    """What a model loses that is never fitted again, week by week."""
    found = e.run.data.get("backtest") or {}
    if not found:
        return None
    table = pd.DataFrame(found["weeks"])[1:]
    table = table.rename(columns={"start": "time", "gap": "value", "rows": "n"})
    words = (
        "Loss that a model of the first week adds to that of one fitted afresh each week, on new "
        f"visitors, with 95 % intervals. {found['words']}"
    )
    figure = trend.trend(table, label="loss added by age", unit="points")
    units = {
        "time": "words", "value": "points", "low": "points", "high": "points", "stale": "points",
        "fresh": "points", "n": "count",
    }  # fmt: skip
    return made("backtest", "good", words, figure, table, units)


def _models(e: Evidence) -> Block | None:
    metric = SHOWN[e.run.kind]
    table = sayable(e.models[e.models["metric"] == metric], metric)
    if len(table) < 2:
        return None
    words = f"{_metric_words(metric)} of every model on the same test rows, with 90 % intervals."
    figure = scores_chart.scores(table, label=_metric_words(metric), subject=e.run.champion)
    units = {"model": "words", "value": "points", "low": "points", "high": "points"}
    return made("models", "good", words, figure, table, units)


def _reliability(e: Evidence) -> Block | None:
    table = e.reliability
    if len(table) < 2:
        return None
    units = {
        "predicted": "share", "observed": "share", "low": "share", "high": "share", "n": "count",
    }  # fmt: skip
    words = "Does it happen as often as predicted? " + answers.calibrated(e)
    figure = reliability_chart.reliability(table, of=_those(e))
    return made("reliability", "good", words, figure, table, units)


def _gain(e: Evidence) -> Block | None:
    mine = e.gain[e.gain["model"] == e.run.champion]
    if mine["reached"].isna().all():
        return None
    half = mine.loc[mine["reached"] >= 0.5, "contacted"]
    words = f"Half of the {_those(e)} is found among the best {number(half.min(), 'share')} "
    champion = in_words(e.run.champion)
    words += f"of the {answers.decisions(e)}; the band is the 90 % interval of {champion}."
    units = {
        "model": "words", "contacted": "share", "reached": "share", "lift": "factor",
        "precision": "share",
    }  # fmt: skip
    shown = mine[mine["contacted"].isin([0.01, 0.05, 0.1, 0.2, 0.3, 0.5])]
    figure = lift_chart.gain(e.gain, of=_those(e), subject=e.run.champion)
    return made("gain", "good", words, figure, shown, units)


def _those(e: Evidence) -> str:
    """Return who or what is looked for, in a word that fits an axis."""
    if e.run.kind == "regressor":
        return "revenue"
    return "sessions that fulfil it" if e.run.proxy else answers.outcome(e)[1]


def _slices(e: Evidence) -> Block | None:
    metric = SHOWN[e.run.kind]
    table = e.sliced(None, metric)
    table = sayable(table[table["model"] == e.run.champion], metric)
    if table.empty:
        return None
    overall = e.run.figure(e.run.champion, metric)[0]
    away = [
        f"{in_words(s)} {v}"
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
    return made("slices", "good", words, figure, table, units)


def _segments(e: Evidence) -> Block | None:
    table = e.segments
    if table.empty or table["share"].isna().all():
        return None
    if table["conversion"].isna().all():
        return None
    words = "How large each segment is, and how many of it buy."
    units = {
        "name": "words", "size": "count", "share": "share", "conversion": "share",
        "low": "share", "high": "share", "revenue_per_session": "money",
    }  # fmt: skip
    figure = segments_chart.sizes(table.astype({"share": float, "conversion": float}))
    return made("segments", "segments", words, figure, table, units, e.run.currency)
