"""What drives the champion: importance, importance by click, and the effects of single features."""

from __future__ import annotations

from typing import Any

import pandas as pd

from cartcast.charts import by_click as click_chart
from cartcast.charts import effects as effects_chart
from cartcast.charts import importance as importance_chart
from cartcast.charts.theme import number
from cartcast.features.words import in_words
from cartcast.report.block import Block, made
from cartcast.report.evidence import Evidence

__all__ = ["effects", "importance", "importance_by_click"]


def importance(e: Evidence) -> Block | None:
    """Return the chart of what shuffling each feature costs; None where nothing was measured."""
    table = e.importance.dropna(subset=["mean_drop"])
    if table.empty:
        return None
    label = _shuffled(e)
    words = (
        f"{label[0].upper()}{label[1:]}, on test rows, with 90 % intervals; grey where it could "
        "be chance. Features that carry the same knowledge share it."
    )
    units = {
        "feature": "words", "mean_drop": "points", "low": "points", "high": "points",
        "direction": "words",
    }  # fmt: skip
    figure = importance_chart.importance(table, label=label)
    return made("importance", "drivers", words, figure, table.head(25), units)


def importance_by_click(e: Evidence) -> Block | None:
    """Return the chart of how importance changes with the click; None with fewer than two."""
    table = e.importance_by_click.dropna(subset=["mean_drop"])
    if table["click"].nunique() < 2:
        return None
    clicks = sorted(table["click"].unique())
    first, last = (in_words(_strongest(table, click)) for click in (clicks[0], clicks[-1]))
    when = f"after click {int(clicks[0])}", f"after click {int(clicks[-1])}"
    words = (
        f"The same feature, “{first}”, counts most {when[0]} and {when[1]}."
        if first == last
        else f"What counts changes: “{first}” most {when[0]}, “{last}” {when[1]}."
    )
    label = _shuffled(e)
    drawn = table.rename(columns={"mean_drop": "value", "feature": "model"})
    subject = _strongest(table, clicks[-1])
    figure = click_chart.by_click(drawn, label=label, subject=subject)
    units = {
        "feature": "words", "click": "count", "mean_drop": "points", "low": "points",
        "high": "points",
    }  # fmt: skip
    return made("importance-by-click", "drivers", words, figure, table, units)


def effects(e: Evidence) -> list[Block]:
    """Return a chart for each feature whose effect the run keeps."""
    units = e.run.data.get("features", {}).get("units", {})
    money = e.run.kind == "regressor"
    said, currency = ("money" if money else "share"), e.run.currency
    predicted = "predicted revenue" if money else "predicted share"
    drawn = []
    for k, found in enumerate(e.run.data.get("effects", [])):
        table = pd.DataFrame(found["points"])
        if len(table) < 2:
            continue
        unit = {"currency": "money", "s": "seconds"}.get(units.get(found["feature"], ""), "")
        numeric = pd.api.types.is_numeric_dtype(table["value"])
        name = in_words(found["feature"])
        words = f"{name[0].upper()}{name[1:]}, all else as it was: the mean prediction"
        if numeric:
            first, last = table.iloc[0], table.iloc[-1]
            words += (
                f" goes from {number(first['prediction'], said, currency)} at "
                f"{number(first['value'], unit, currency)} to "
                f"{number(last['prediction'], said, currency)} at "
                f"{number(last['value'], unit, currency)}"
            )
        words += ". Grey: where the sessions are."
        figure = effects_chart.effect(
            table, label=name, unit=unit, currency=currency, predicted=predicted,
            predicted_unit=said,
        )  # fmt: skip
        shown = {"value": unit if numeric else "words", "prediction": said, "share": "share"}
        drawn.append(made(f"effect-{k}", "effects", words, figure, table, shown, currency))
    return drawn


def _shuffled(e: Evidence) -> str:
    what = "log loss added" if e.run.kind == "classifier" else "R² lost"
    return f"{what} when shuffled"


def _strongest(table: pd.DataFrame, click: Any) -> Any:
    part = table[table["click"] == click]
    return part["feature"].iloc[int(part["mean_drop"].argmax())]
