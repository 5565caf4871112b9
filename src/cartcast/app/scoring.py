"""Predictions for the app: one session click by click, one row of features, or a whole file."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from cartcast.app.state import Data
from cartcast.atomic import atomic_path, write_text
from cartcast.errors import DataError
from cartcast.evaluate import curves
from cartcast.features import FeatureSet
from cartcast.rows import read_table
from cartcast.runs.run import Run

__all__ = [
    "Change",
    "FeatureRange",
    "Items",
    "Reliability",
    "Said",
    "Why",
    "choose",
    "items",
    "ranges",
    "reliability_at",
    "score_clicks",
    "score_row",
    "score_session",
    "what_would_change",
    "why",
]

BACKGROUND = 200
"""Rows of real data that stand for the usual session, when a score is explained."""


class Said(NamedTuple):
    """What a run says of one session.

    Attributes:
        probability: of the outcome, 0 to 1; None for a run that says an amount.
        revenue: expected money; None when the run says none.
        low: lower end of the money given a purchase; None likewise.
        high: upper end.
        segment: name; None when there is none.
    """

    probability: float | None
    revenue: float | None
    low: float | None
    high: float | None
    segment: str | None


class FeatureRange(NamedTuple):
    """What a feature holds in real data: quantiles (5, 50, 95 %) or words, most frequent first."""

    name: str
    unit: str
    low: float | None
    middle: float | None
    high: float | None
    words: tuple[str, ...]


class Reliability(NamedTuple):
    """How scores like this one turned out on test: observed share with interval, and n rows."""

    left: float
    right: float
    observed: float
    low: float
    high: float
    n: int


class Why(NamedTuple):
    """Why a score is what it is: a sentence, the table behind it, and what it is held against.

    `table` has feature, text, contribution; strongest first. With those left out they sum from
    `usual`, what the model says of the usual session, to the score.
    """

    sentence: str
    table: pd.DataFrame
    usual: float


class Change(NamedTuple):
    """What the model would say if one feature were another value; not what would happen."""

    feature: str
    value: float | str | None
    other: float | str
    probability: float
    change: float


@dataclass(frozen=True)
class Items:
    """Items of the log with their usual category, brand and price, most viewed first."""

    rows: pd.DataFrame


def items(data: Data, most: int = 300) -> Items:
    """Return the most viewed items of a log."""
    with data.log.connect() as con:
        rows = con.execute(
            "SELECT item_id, any_value(category) AS category, any_value(brand) AS brand, "
            "any_value(color) AS color, median(price) AS price, count(*) AS n FROM events "
            "WHERE item_id IS NOT NULL GROUP BY item_id ORDER BY n DESC, item_id LIMIT ?",
            [most],
        ).df()
    return Items(rows)


def score_session(run: Run, events: Sequence[Mapping[str, Any]]) -> list[Said]:
    """Return what the run says after each event of a session (mappings of canonical columns)."""
    assert run.features is not None
    if not events:
        return []
    said = run.score(run.typed(pd.DataFrame(_folded(run, run.features, events))))
    names: Sequence[Any] = [None] * len(events)
    if run.behaviour is not None and run.holds("segments"):
        names = list(run.segment_names(pd.DataFrame(_folded(run, run.behaviour, events))))
    return [_said(said, k, names[k]) for k in range(len(events))]


def score_clicks(run: Run, data: Data, session: str) -> pd.DataFrame:
    """Return what the run says after each event of a session of a log: event_order, probability.

    The visitor's earlier sessions are known, as they were when the session was scored. After the
    outcome, and where the run reads another kind of log, there is nothing.
    """
    from cartcast.insights.listing import visitor_events

    empty = pd.DataFrame({"event_order": [], "probability": []})
    if run.features is None or run.kind != "classifier" or run.reading.clock != data.log.clock:
        return empty
    replayed = run.features.replay(visitor_events(data.log.path, session)).to_pandas()
    own = replayed[replayed["session_id"] == session].sort_values("event_order")
    said = pd.Series(run.score(run.typed(own))["probability"], index=own.index)
    return own[["event_order"]].assign(probability=said)


def feature_row(run: Run, events: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the features after the last event."""
    assert run.features is not None
    return _folded(run, run.features, events)[-1]


def _folded(
    run: Run, features: FeatureSet, events: Sequence[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """Return the features after each event, by the clock of the run's logs."""
    assert run.reading.clock is not None
    state, rows = features.start(clock=run.reading.clock), []
    for event in events:
        state = features.step(state, event)
        rows.append(features.value(state))
    return rows


def score_row(run: Run, row: Mapping[str, Any]) -> Said:
    """Return what the run says of one row of features; features left out are unknown."""
    names = run.data["features"]["names"]
    X = run.typed(pd.DataFrame([{n: row.get(n) for n in names}]))
    return _said(run.score(X), 0, None)


def what_would_change(
    run: Run, row: Mapping[str, Any], known: Sequence[FeatureRange], most: int = 5
) -> list[Change]:
    """Return the single changes, within the range of real data, that move the score most."""
    names = run.data["features"]["names"]
    base = {n: row.get(n) for n in names}
    trials: list[tuple[str, Any]] = []
    for feature in known:
        others: list[Any] = [*feature.words[:3], feature.low, feature.high]
        trials += [
            (feature.name, v) for v in others if v is not None and v != base.get(feature.name)
        ]
    if not trials or run.kind != "classifier":
        return []
    table = pd.DataFrame([base, *({**base, name: value} for name, value in trials)])
    said = np.asarray(run.score(run.typed(table))["probability"], dtype=float)
    changes = [
        Change(name, base.get(name), value, float(p), float(p - said[0]))
        for (name, value), p in zip(trials, said[1:], strict=True)
    ]
    best: dict[str, Change] = {}
    for change in sorted(changes, key=lambda c: -abs(c.change)):
        best.setdefault(change.feature, change)
    return [c for c in best.values() if c.change != 0][:most]


def ranges(run: Run, data: Data | None, folder: Path) -> list[FeatureRange]:
    """Return what each feature of a run holds in real data; counted once and kept in `folder`.

    Sessions are taken after three clicks, where there are as many; ready tables as they are.
    Empty when neither the log nor the table is there, or the log is none that the run can score.
    """
    key = data.key if data is not None else "table"
    kept = folder / f"ranges-{run.id}-{key}.json"
    if kept.is_file():
        told = json.loads(kept.read_text(encoding="utf-8"))
        return [FeatureRange(n, u, a, b, c, tuple(words)) for n, u, a, b, c, words in told]
    facts = run.data["features"]
    if run.features is not None:
        if data is None:
            return []
        try:
            log = run.read(data.log)
        except DataError:
            # Another kind of log than the run's: what it holds says nothing of the features.
            return []
        replayed = run.features.replay(log, at=[3])
        assert not isinstance(replayed, Path)
        table = replayed.to_pandas()
    else:
        files = [Path(f) for f in run.data["source"]["files"]]
        if not files or not files[0].is_file():
            return []
        table = read_table(files[0])
    found = [_range(table, n, facts["units"].get(n) or "") for n in facts["names"] if n in table]
    some = run.typed(table.sample(min(BACKGROUND, len(table)), random_state=0))
    with atomic_path(_background_path(kept)) as temporary:
        some.to_parquet(temporary, index=False)
    write_text(kept, json.dumps(found))
    return found


def _background_path(kept: Path) -> Path:
    return kept.with_name(kept.stem.replace("ranges-", "background-") + ".parquet")


def why(run: Run, data: Data | None, folder: Path, row: Mapping[str, Any]) -> Why | None:
    """Return why the champion says what it says of one row; None without data to compare with."""
    from cartcast.explain import contributions, describe, in_points
    from cartcast.explain.phrases import sentence

    run.require_features()
    ranges(run, data, folder)
    key = data.key if data is not None else "table"
    path = _background_path(folder / f"ranges-{run.id}-{key}.json")
    if not path.is_file():
        return None
    X = run.typed(pd.DataFrame([{n: row.get(n) for n in run.data["features"]["names"]}]))
    background = run.typed(pd.read_parquet(path))
    if run.kind == "classifier":
        found = in_points(run.models["champion"], X, background)
    else:
        found = contributions(run.models["champion"], X, background, task=run.kind)
    values = {str(c): None if pd.isna(v) else v for c, v in X.iloc[0].items()}
    added = {str(c): float(v) for c, v in found.values.iloc[0].items()}
    table = describe(
        values, added, run.data["features"].get("units", {}),
        currency=run.currency, top=6,
    )  # fmt: skip
    outcome = "the probability" if run.kind == "classifier" else "the expected revenue"
    return Why(sentence(table, outcome), table, float(found.base[0]))


def _range(table: pd.DataFrame, name: str, unit: str) -> FeatureRange:
    column = table[name].dropna()
    if pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column):
        if column.empty:
            return FeatureRange(name, unit, None, None, None, ())
        low, middle, high = (float(q) for q in column.quantile([0.05, 0.5, 0.95]))
        return FeatureRange(name, unit, low, middle, high, ())
    words = tuple(str(w) for w in column.value_counts().index[:30])
    return FeatureRange(name, unit, None, None, None, words)


def reliability_at(run: Run, probability: float) -> Reliability | None:
    """Return how scores like `probability` turned out on the run's test part; None if unknown."""
    table = run.predictions
    column = f"p__{run.champion}"
    if column not in table:
        return None
    test = table[(table["part"] == "test") & table[column].notna() & table["label"].notna()]
    if test.empty:
        return None
    groups = test["visitor_id"].fillna(test["session_id"])
    found = curves.reliability(test["label"], test[column], test["weight"], groups)
    if found.empty:
        return None
    inside = found[(found["left"] <= probability) & (probability <= found["right"])]
    if inside.empty:
        middle = (found["predicted"] - probability).abs().idxmin()
        inside = found.loc[[middle]]
    row = inside.iloc[0]
    return Reliability(
        float(row["left"]),
        float(row["right"]),
        float(row["observed"]),
        float(row["low"]),
        float(row["high"]),
        int(row["n"]),
    )


def choose(
    table: pd.DataFrame,
    column: str = "probability",
    *,
    capacity: int | None = None,
    cost: float | None = None,
    value: float | None = None,
) -> pd.DataFrame:
    """Return the rows worth acting on, best by `column` first; rows without a score are left out.

    With `capacity` the highest scores; with `cost` and `value` (money per contact and per buyer)
    those that could pay if every buyer on the list bought because of the contact: whose
    `gain_at_most`, probability x value - cost, is above 0.
    """
    ranked = table[table[column].notna()].sort_values(column, ascending=False, kind="stable")
    if cost is not None and value is not None:
        gain = ranked[column] * value - cost
        ranked = ranked.assign(gain_at_most=gain)[gain > 0]
    return ranked.head(capacity) if capacity is not None else ranked


def _said(said: Mapping[str, Any], k: int, segment: str | None) -> Said:
    def at(name: str) -> float | None:
        if name not in said:
            return None
        value = float(said[name][k])
        return value if np.isfinite(value) else None

    return Said(
        at("probability"),
        at("expected_revenue"),
        at("revenue_if_purchase_low"),
        at("revenue_if_purchase_high"),
        segment,
    )
