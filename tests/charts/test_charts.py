"""Every chart: the language (units, zero, intervals, no title) over small tables, both themes."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from cartcast.charts import (
    bars,
    by_click,
    cohorts,
    distribution,
    effects,
    funnel,
    heatmap,
    importance,
    learning,
    lift,
    paths,
    reliability,
    revenue,
    roc,
    scores,
    segments,
    slices,
    theme,
    trend,
)
from cartcast.evaluate import curves

RNG = np.random.default_rng(0)
P = RNG.beta(1, 9, 800)
Y = (RNG.uniform(size=800) < P) * 1.0
EVIL = '<img src=x onerror="alert(1)">'


def interval(values, width=0.1):
    values = np.asarray(values, float)
    return {"low": values - width, "high": values + width}


DAYS = pd.date_range("2026-01-01", periods=5)
TABLES = {
    "trend": (
        trend.trend,
        pd.DataFrame({"time": DAYS, "value": [3.0, 4, 5, 4, 6], **interval([3, 4, 5, 4, 6])}),
        {"label": "sessions", "markers": [(DAYS[2], EVIL)]},
    ),
    "funnel": (
        funnel.funnel,
        pd.DataFrame(
            {"step": ["view_item", "add_to_cart", EVIL], "count": [100, 20, 5],
             "share": [1.0, 0.2, 0.05], "low": [1.0, 0.18, 0.03], "high": [1.0, 0.22, 0.07]}
        ),
        {},
    ),
    "bars": (
        bars.bars,
        pd.DataFrame({"name": ["a", EVIL], "value": [0.1, 0.2], **interval([0.1, 0.2], 0.02),
                      "n": [10, 20]}),
        {"label": "share that buys", "overall": 0.15},
    ),
    "slices": (
        slices.slices,
        pd.DataFrame({"slice_by": ["device", "device"], "slice": ["phone", EVIL],
                      "value": [0.7, 0.8], **interval([0.7, 0.8], 0.02), "n": [100, 200]}),
        {"label": "ROC AUC", "unit": "points", "overall": 0.75},
    ),
    "distribution": (
        distribution.distribution,
        pd.DataFrame({"left": [0, 1], "right": [1, 2], "count": [5, 3]}),
        {"label": "price", "unit": "money"},
    ),
    "reliability": (reliability.reliability, curves.reliability(Y, P), {}),
    "by_click": (
        by_click.by_click,
        pd.DataFrame({"click": [1, 2, 1, 2], "value": [0.6, 0.7, 0.5, 0.55],
                      **interval([0.6, 0.7, 0.5, 0.55]), "model": ["a", "a", EVIL, EVIL]}),
        {"label": "ROC AUC", "subject": "a"},
    ),
    "scores": (
        scores.scores,
        pd.DataFrame({"model": ["a", EVIL], "value": [0.6, 0.5], **interval([0.6, 0.5])}),
        {"label": "ROC AUC", "subject": "a"},
    ),
    "gain": (lift.gain, curves.gain(Y, P, draws=50), {}),
    "lift": (lift.lift, curves.gain(Y, P, draws=50), {}),
    "profit": (
        lift.profit,
        curves.profit(Y, P, cost=1.0, value=8.0, draws=50),
        {"currency": "EUR"},
    ),
    "roc": (roc.roc, curves.roc(Y, P), {}),
    "precision_recall": (
        roc.precision_recall, curves.precision_recall(Y, P), {"prevalence": float(Y.mean())},
    ),
    "importance": (
        importance.importance,
        pd.DataFrame({"feature": ["carts", EVIL], "mean_drop": [0.02, 0.001],
                      **interval([0.02, 0.001], 0.005), "direction": ["raises", "mixed"]}),
        {"label": "log loss added"},
    ),
    "contributions": (
        importance.contributions,
        pd.DataFrame({"feature": ["carts", "x"], "text": ["6 carts", EVIL],
                      "contribution": [0.9, -0.2]}),
        {},
    ),
    "effect": (
        effects.effect,
        pd.DataFrame({"value": [1.0, 2.0], "prediction": [0.1, 0.2],
                      **interval([0.1, 0.2], 0.02), "share": [0.4, 0.6]}),
        {"label": "carts", "unit": "count"},
    ),
    "effect of a category": (
        effects.effect,
        pd.DataFrame({"value": ["phone", EVIL], "prediction": [0.1, 0.2]}),
        {"label": "device"},
    ),
    "deciles": (
        revenue.deciles,
        pd.DataFrame({"decile": [1, 2], "predicted": [1.0, 5], "observed": [1.2, 4],
                      **interval([1.2, 4]), "n": [50, 50]}),
        {"currency": "EUR"},
    ),
    "coverage": (
        revenue.coverage,
        pd.DataFrame({"part": ["all", "buyers"], "nominal": 0.9, "coverage": [0.97, 0.4],
                      **interval([0.97, 0.4], 0.02), "n": [500, 20]}),
        {},
    ),
    "sizes": (
        segments.sizes,
        pd.DataFrame({"name": ["early leavers", EVIL], "share": [0.7, 0.3],
                      "conversion": [0.01, 0.2]}),
        {},
    ),
    "map": (
        segments.scatter,
        pd.DataFrame({"x": [0, 1, 2], "y": [0, 1, 2], "segment": ["a", "a", EVIL]}),
        {},
    ),
    "sankey": (
        paths.sankey,
        pd.DataFrame({"source": ["view_item", EVIL], "target": ["add_to_cart", "purchase"],
                      "count": [10, 2], "step": [0, 1]}),
        {},
    ),
    "split": (
        funnel.split,
        pd.DataFrame({"segment": ["a", "a", EVIL, EVIL], "step": ["view_item", EVIL] * 2,
                      "value": [1.0, 0.2, 1.0, None], "n": [10, 10, 12, 12]}),
        {"label": "share of sessions"},
    ),
    "cohorts": (
        cohorts.heatmap,
        pd.DataFrame({"cohort": ["2026-W01", "2026-W01", EVIL], "age": [0, 1, 0],
                      "value": [1.0, 0.2, 1.0], "n": [10, 10, 12]}),
        {"label": "share that returns"},
    ),
    "hours": (
        heatmap.hour_weekday,
        pd.DataFrame({"weekday": [0, 6], "hour": [0, 23], "value": [0.1, 0.2], "n": [5, 6]}),
        {"label": "share that buys"},
    ),
    "correlation": (
        heatmap.correlation,
        pd.DataFrame([[1.0, 0.3], [0.3, 1.0]], index=["a", EVIL], columns=["a", EVIL]),
        {},
    ),
    "learning": (
        learning.learning,
        pd.DataFrame({"rows": [100, 1000], "value": [0.5, 0.4], **interval([0.5, 0.4]),
                      "model": ["a", "a"]}),
        {"label": "log loss"},
    ),
}  # fmt: skip
EVERY = pytest.mark.parametrize("name", TABLES)


def drawn(name, **more):
    make, table, options = TABLES[name]
    return make(table.copy(), **{**options, **more})


@EVERY
@pytest.mark.parametrize("colours", ["light", "dark"])
def test_a_chart_is_drawn_without_a_title_in_system_fonts(name, colours):
    made = drawn(name, theme=colours)
    assert len(made.data)
    assert made.layout.title.text is None
    assert made.layout.font.family == theme.FONT
    json.loads(made.to_json())


@EVERY
def test_the_table_is_not_changed(name):
    make, table, options = TABLES[name]
    before = table.copy()
    make(table, **options)
    pd.testing.assert_frame_equal(table, before)


@EVERY
def test_no_markup_of_the_data_reaches_the_page(name):
    assert "<img" not in drawn(name).to_json().replace("\\u003c", "<")


@EVERY
def test_the_dark_theme_uses_no_light_colour(name):
    shown = drawn(name, theme="dark").to_json()
    light = theme.PALETTES["light"]
    for colour in (light.ink, light.accent, light.grid, light.paper):
        assert colour not in shown


@pytest.mark.parametrize("name", ["funnel", "bars", "distribution", "deciles", "importance"])
def test_bars_start_at_zero(name):
    made = drawn(name)
    axis = made.layout.xaxis if name in ("funnel", "bars", "importance") else made.layout.yaxis
    assert axis.rangemode == "tozero" or axis.range is None or axis.range[0] <= 0


@pytest.mark.parametrize(
    "name", ["trend", "bars", "slices", "reliability", "by_click", "scores", "gain", "coverage"]
)
def test_intervals_are_drawn(name):
    made = drawn(name)
    kinds = [getattr(t, "fill", None) == "toself" for t in made.data]
    whiskers = [
        bool(getattr(t, side, None) and getattr(t, side).array is not None)
        for t in made.data
        for side in ("error_x", "error_y")
        if side in t
    ]
    assert any(kinds) or any(whiskers)


def test_rows_and_steps_that_read_alike_are_drawn_apart():
    campaigns = [f"utm_campaign_2026_spring_sale_newsletter_{end}" for end in "AB"]
    steps = ["view_item", "add_to_cart", "view_item"]
    table = pd.DataFrame(
        {"segment": np.repeat(campaigns, 3), "step": steps * 2, "n": 10,
         "value": [0.9, 0.5, 0.2, 0.8, None, 0.1]}
    )  # fmt: skip
    made = funnel.split(table, label="share")
    np.testing.assert_array_equal(made.data[0].z, [[0.9, 0.5, 0.2], [0.8, np.nan, 0.1]])
    assert list(zip(made.data[1].y, made.data[1].x, made.data[1].text, strict=True)) == [
        (0, 0, "90 %"), (0, 1, "50 %"), (0, 2, "20 %"), (1, 0, "80 %"), (1, 2, "10 %")
    ]  # fmt: skip
    assert len({*made.layout.yaxis.ticktext}) == 1
    assert len({*made.layout.xaxis.ticktext}) == 2
    bars = funnel.funnel(table[:3].assign(count=[9, 5, 2], share=table["value"]))
    assert list(bars.data[0].y) == [a.y for a in bars.layout.annotations] == [0, 1, 2]
    assert len(bars.layout.yaxis.ticktext) == 3


def test_a_cohort_in_money_is_written_whole():
    table = pd.DataFrame({"cohort": ["a", "a"], "age": [0, 1], "value": [12.5, 1240.0]})
    made = cohorts.heatmap(table, label="revenue", unit="money", currency="EUR")
    assert made.data[1].text == ("€12.50", "€1,240")
    made = cohorts.heatmap(table.assign(value=[0.163, 0.004]), label="share that returns")
    assert made.data[1].text == ("16%", "&lt;1%")


@EVERY
def test_an_empty_table_gives_an_empty_figure_and_no_error(name):
    make, table, options = TABLES[name]
    empty = table.iloc[:0, :0] if name == "correlation" else table.iloc[:0]
    figure = make(empty.copy(), **options)
    shown = [
        y for trace in figure.data if (y := getattr(trace, "error_y", None)) and y.array is not None
    ]
    assert all(len(y.array) == 0 for y in shown)


def contrast(a, b):
    def luminance(colour):
        parts = [int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5)]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    high, low = sorted((luminance(a), luminance(b)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("colours", ["light", "dark"])
def test_colours_can_be_seen(colours):
    p = theme.PALETTES[colours]
    for words in (p.ink, p.muted, p.accent, p.block, p.warn):
        assert contrast(words, p.paper) >= 4.5, words
    for line in (*p.series, p.grey):
        assert contrast(line, p.paper) >= 2.9, line


@pytest.mark.parametrize(
    ("arguments", "shown"),
    [
        ((0.0316, "share"), "3.2 %"),
        ((0.5, "share"), "50 %"),
        ((0.0004, "share"), "0.04 %"),
        ((1.0, "share"), "100 %"),
        ((59443.2, "money", "EUR"), "€59,443"),
        ((12.5, "money", "CHF"), "12.50 CHF"),
        ((-3.25, "money", "USD"), "−$3.25"),
        ((float("nan"), "share"), "–"),
        ((None,), "–"),
        ((0.0123, "points"), "0.0123"),
        ((1234567,), "1,234,567"),
    ],
)
def test_numbers_are_written_for_people(arguments, shown):
    assert theme.number(*arguments) == shown
