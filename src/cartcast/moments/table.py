"""The labelled table of a log's moments, for any model of your own.

A row is a moment: a session after a number of clicks, or a visitor on a day. Its features are what
was known then, its label what came after. Rows of a visitor belong together: give `groups` to
`GroupKFold`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cartcast.arguments import answered
from cartcast.config import DEFAULTS
from cartcast.events import Log, load
from cartcast.features import Feature, FeatureSet, load_set
from cartcast.moments.anchors import require_outcome
from cartcast.moments.moment import Moment, with_horizon
from cartcast.moments.rows import from_log
from cartcast.rows import Rows
from cartcast.rows.rows import MOST_ROWS
from cartcast.targets import Proxy, Target, parse_target

__all__ = ["table"]


@answered
def table(
    log: Log | Path | str | Any,
    target: Target | Proxy | str = "purchase",
    features: FeatureSet | Mapping[str, Feature] | Path | str = "shop",
    clicks: Moment | Sequence[int] | int | str = DEFAULTS.anchors,
    *,
    session_gap: float = DEFAULTS.session_gap,
    most_rows: int = MOST_ROWS,
    seed: int = DEFAULTS.seed,
) -> Rows:
    """Return the moments of a log with their features and labels.

    Args:
        log: what `load` returned, or anything that it reads.
        target: such as `Purchase()`, `Revenue(horizon="7d")`, or its word: `revenue:7d`.
        features: a `FeatureSet`, the name of one (`shop`, `usual`), or a YAML file.
        clicks: after which a row is written, where a session reaches it; or another moment, as
            `Moment("day")` or its word.
        session_gap: seconds without an event after which a session ends.
        most_rows: beyond, whole visitors or sessions are drawn at random.
        seed: of the draw.

    Returns:
        `Rows`: `X` (rows, features; float64 with NaN, or text with None), `y` (0, 1 or money),
        `groups` (whose row it is) and `table` (the keys too: `session_id`, `anchor_time`,
        `known_time` when the label is known ...), in the order of time.

    Raises:
        UsageError: a click, target or feature set does not exist.
        DataError: the log breaks the contract, or has no outcome of this kind.

    >>> from cartcast.datasets import simulate
    >>> from cartcast.features import Count, Mean
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     shop = simulate(sessions=500, seed=1, out=f"{folder}/shop.parquet")
    ...     rows = table(shop.out, "purchase", {"n": Count(), "price": Mean("price")}, [1, 3])
    >>> list(rows.X), sorted(set(rows.y)), len(rows.groups) == len(rows)
    (['n', 'price'], [0.0, 1.0], True)
    """
    if not isinstance(log, Log):
        log = load(log)
    if not isinstance(target, Target | Proxy):
        target = parse_target(target)
    require_outcome(log, target)
    moment = Moment.of(clicks)
    return from_log(
        log,
        with_horizon(target, moment),
        load_set(features),
        moment,
        session_gap=session_gap,
        most_rows=most_rows,
        seed=seed,
    )
