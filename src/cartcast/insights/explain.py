"""Why a stored run says what it says: of all sessions, and of single ones, in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from cartcast.errors import UsageError, did_you_mean
from cartcast.evaluate.arrays import Task
from cartcast.events.rates import Rates
from cartcast.explain import contributions, describe, in_points
from cartcast.explain.phrases import sentence
from cartcast.explain.predict import says
from cartcast.progress import Progress
from cartcast.rows import read_as_trained
from cartcast.runs.run import Run
from cartcast.scratch import scratch

__all__ = ["Reasons", "explain_run", "explain_sessions"]

BACKGROUND = 200
"""Sessions from which the average one is drawn, for models that are not boosted trees."""


@dataclass(frozen=True)
class Reasons:
    """Why one session got its score.

    Attributes:
        session: its id, or the row number of a ready table.
        value: the probability of the outcome, or the expected amount.
        sentence: the strongest reasons in words.
        reasons: table of feature, text, contribution, words; strongest first.
        scale: what the contributions are measured in.
    """

    session: str
    value: float
    sentence: str
    reasons: pd.DataFrame
    scale: str

    def as_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return {
            "session": self.session,
            "value": self.value,
            "sentence": self.sentence,
            "scale": self.scale,
            "reasons": self.reasons.to_dict("records"),
        }


def explain_run(run: Path | str | Run) -> pd.DataFrame:
    """Return what drives a run: feature, mean_drop, low, high, direction; measured in training.

    Raises:
        NotFoundError, NotTrustedError: there is no such run, or it is damaged.
    """
    from cartcast.report.evidence import Evidence

    return Evidence(Run.open(run)).importance


def explain_sessions(
    sources: Sequence[Any] | Any,
    run: Path | str | Run,
    *,
    sessions: Sequence[str] = (),
    top: int = 6,
    count: int = 5,
    layout: str | None = None,
    rates: Rates | Mapping[str, Any] | Path | str | None = None,
    progress: Progress | None = None,
) -> list[Reasons]:
    """Return the reasons for sessions of a log, after their last event, or for rows of a table.

    `sessions` names them (row numbers from 1 for a table); without, the `count` highest scored.

    Raises:
        UsageError: `top` or `count` is below 1, a session is not in the log, or the champion
            reads events.
        NotFoundError, NotTrustedError, DataError: as `cartcast.score.predict`.
    """
    if top < 1 or count < 1:
        raise UsageError(f"top and count must be at least 1, got {top} and {count}.")
    if progress is not None:
        progress("loading the model", None)
    opened = Run.open(run).loaded()
    opened.require_features()
    if progress is not None:
        progress("reading", None)
    if opened.features is not None:
        opened.require_during("`cartcast explain`")
    X, ids = _features(sources, opened, layout, rates)
    task: Task = opened.kind
    said = pd.Series(says(opened.models["champion"], X, task), index=X.index)
    chosen = _chosen(ids, said, sessions, count)
    background = X.sample(min(BACKGROUND, len(X)), random_state=0)
    if progress is not None:
        progress("explaining", None)
    champion = opened.models["champion"]
    if task == "classifier":
        found = in_points(champion, X.loc[chosen], background)
    else:
        found = contributions(champion, X.loc[chosen], background, task=task)
    return [_reasons(k, X, ids, said, found, opened, top) for k in chosen]


def _reasons(
    k: Any, X: pd.DataFrame, ids: pd.Series, said: pd.Series, found: Any, run: Run, top: int
) -> Reasons:
    values = {str(c): None if pd.isna(v) else v for c, v in X.loc[k].items()}
    added = {str(c): float(v) for c, v in found.values.loc[k].items()}
    units = run.data["features"].get("units", {})
    table = describe(values, added, units, currency=run.currency, top=top)
    target = str(run.target).replace("_", " ")
    outcome = f"the chance of “{target}”" if run.kind == "classifier" else "the expected revenue"
    return Reasons(str(ids[k]), float(said[k]), sentence(table, outcome), table, found.scale)


def _chosen(ids: pd.Series, said: pd.Series, sessions: Sequence[str], count: int) -> list[Any]:
    if not sessions:
        return list(said.nlargest(count).index)
    where = {str(v): k for k, v in ids.items()}
    for session in sessions:
        if session not in where:
            near = did_you_mean(session, where) if len(where) < 5000 else ""
            raise UsageError(f"no session {session!r} among {len(where):,}.{near}")
    return [where[session] for session in sessions]


def _features(
    sources: Sequence[Any] | Any, run: Run, layout: str | None, rates: Any
) -> tuple[pd.DataFrame, pd.Series]:
    given = list(sources) if isinstance(sources, list | tuple) else [sources]
    if run.features is None:
        if len(given) != 1:
            raise UsageError(f"this run explains one ready table, got {len(given)} files.")
        X, _ = read_as_trained(given[0], run.data["features"])
        return X, pd.Series(range(1, len(X) + 1))
    with scratch() as work:
        log = run.read(*given, folder=work, layout=layout, rates=rates)
        replayed = run.features.replay(log, at="end").to_pandas()
    X = run.typed(replayed).reset_index(drop=True)
    return X, replayed["session_id"].reset_index(drop=True)
