"""Features proposed from the log itself, and which of them earn their place.

Only the part of the log that training will see is looked at: sessions that began in it, of a sample
of its visitors. The features of the `shop` set that the log can fill are the base; others must
show on later rows that they are worth more.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from cartcast.errors import DataError
from cartcast.events import COLUMNS, Log
from cartcast.events.sql import file_literal, read_parquet
from cartcast.features import FeatureSet, load_set
from cartcast.features.candidates import Candidates, propose
from cartcast.features.profile import NOT_FEATURES
from cartcast.models.folds import Fold, forward_folds
from cartcast.models.screen import screen
from cartcast.moments import Moment, from_log
from cartcast.moments.anchors import drawn, require_outcome
from cartcast.moments.moment import SO_FAR
from cartcast.scratch import scratch
from cartcast.targets import Proxy, Target
from cartcast.train.task import Part, part_of

__all__ = ["Proposed", "propose_features"]

SESSIONS = 10_000
"""Sessions that the screen looks at."""
MARGIN = 0.95
"""Share of training's sessions that it may look at: the others lie too near to its end."""
FOLDS = 3
LEAST = 30
"""Rows with the outcome below which nothing is screened."""
_USUAL = "a measure that is usual for shops"


@dataclass(frozen=True)
class Proposed:
    """The features of a run, with why each is there.

    Attributes:
        features: the chosen set.
        reasons: what each feature was proposed for.
        left_out: columns of the log that no feature reads, and why.
        facts: figures of the screen, as plain data.
    """

    features: FeatureSet
    reasons: Mapping[str, str]
    left_out: Mapping[str, str]
    facts: Mapping[str, Any]

    def as_dict(self) -> dict[str, Any]:
        """Return what a run keeps of it."""
        return {**self.facts, "reasons": dict(self.reasons), "left_out": dict(self.left_out)}


def propose_features(
    log: Log,
    target: Target | Proxy,
    moment: Moment,
    *,
    train: float,
    session_gap: float,
    seed: int,
    drop: Sequence[str] = (),
) -> Proposed:
    """Return the features to train with.

    A log of a shop's usual words and columns has those of `shop`: what else its columns hold was
    measured to bring nothing there. `train` is the share of the sessions, from the first on, that
    training will see; `drop` names features and columns to leave out.

    Raises:
        DataError: the log has no outcome of this kind.
    """
    if _usual_shop(log):
        known = load_set("shop").without(drop)
        because = "the log has the words and columns of a usual shop, and no other"
        facts = {"proposed": 0, "screened": False, "why": because}
        return Proposed(known, dict.fromkeys(known.names, _USUAL), {}, facts)
    if set(log.summary.event_types) <= {"purchase", "refund"} and Moment.of(moment).dated:
        known = _base(log).without(drop)
        facts = {"proposed": 0, "screened": False, "why": "the log is a history of orders"}
        return Proposed(known, dict.fromkeys(known.names, _USUAL), {}, facts)
    with scratch() as folder:
        past = _past(log, train * MARGIN, seed, folder)
        base, offered = _base(past), propose(past)
        whole, why = _joined(base, offered)
        whole = whole.without(drop)
        base = whole.only([n for n in base.names if n in whole.features] or whole.names)
        try:
            require_outcome(past, target)
            rows = from_log(past, target, whole, moment, session_gap=session_gap, seed=seed)
            part = part_of(rows, pd.Series(True, index=rows.table.index))
            folds = _folds(part)
        except DataError as error:
            facts = {"proposed": len(offered.features), "screened": False, "why": str(error)}
            return Proposed(base, _reasons(base, why), offered.left_out, facts)
    # Those of the shop come first: of two that say the same, theirs stays.
    telling = _telling(rows.X)
    whole = whole.only([n for n in telling if n in whole.features])
    found = screen(
        rows.X[telling],
        part.label > 0,
        folds,
        base=[n for n in telling if n in base.features or n in SO_FAR],
        tells=_tells(whole, offered),
        categorical=[c for c in rows.categorical if c in whole.features],
        groups=part.groups,
        seed=seed,
    )
    kept = whole.only([n for n in found.names if n in whole.features])
    facts = {
        "proposed": len(offered.features),
        "screened": True,
        "rows": len(rows.table),
        "kept": len(kept),
        "log_loss": found.loss,
        "log_loss_of_shop_features": found.loss_of_base,
    }
    return Proposed(kept, _reasons(kept, why), offered.left_out, facts)


def _usual_shop(log: Log) -> bool:
    """Return whether a log has views and carts, no word of its own, and no column of its own."""
    words = log.summary.event_types
    told = {"view_item", "add_to_cart"} <= words.keys() and "other" not in words
    return told and {*log.filled()} - NOT_FEATURES <= {*COLUMNS, "event_id"}


def _past(log: Log, share: float, seed: int, folder: Path) -> Log:
    """Return the first sessions of a log, of a sample of its visitors, as a log of its own."""
    path = folder / "past.parquet"
    rows = f"(SELECT * FROM {read_parquet(*log.files, numbered=True)})"
    timed = log.clock in ("time", "day")
    order = "event_time, file_row_number" if timed else "file_row_number"
    with log.connect() as con:
        con.execute(
            "CREATE TEMP TABLE began AS SELECT session_id, "
            "any_value(coalesce(visitor_id, session_id)) AS visitor, "
            f"min({'event_time' if timed else 'file_row_number'}) AS began_at "
            f"FROM {rows} GROUP BY session_id"
        )
        con.execute(
            "CREATE TEMP TABLE early AS SELECT * FROM began QUALIFY "
            f"percent_rank() OVER (ORDER BY began_at) <= {share}"
        )
        count = con.execute("SELECT count(*) FROM early").fetchone()
        part = min(1.0, SESSIONS / max(int(count[0]) if count else 0, 1))
        drawn_by = drawn(part, seed) if part < 1 else "true"
        con.execute(
            f"COPY (SELECT * EXCLUDE (file_row_number) FROM {rows} WHERE session_id IN "
            f"(SELECT session_id FROM early WHERE {drawn_by}) ORDER BY {order}) "
            f"TO {file_literal(path)} (FORMAT parquet)"
        )
        seen = con.execute(
            "SELECT strftime(max(event_time), '%Y-%m-%dT%H:%M:%S.%fZ') "
            f"FROM read_parquet({file_literal(path)})"
        ).fetchone()
    end = seen[0] if seen and log.summary.end else log.summary.end
    return replace(
        log, path=path, summary=replace(log.summary, end=end), rejects=None, engine="duckdb"
    )


def _base(log: Log) -> FeatureSet:
    """Return the features of the `shop` set whose columns have a value in the log."""
    shop = load_set("shop")
    filled = {*log.filled(), "session_seconds"}
    kept = [n for n, f in shop.features.items() if f.lineage.columns <= filled]
    return shop.only(kept)


def _joined(base: FeatureSet, offered: Candidates) -> tuple[FeatureSet, dict[str, str]]:
    """Return the base and what it does not hold already, with reasons."""
    known = {repr(f) for f in base.features.values()}
    pairs = dict(base.features)
    why = dict.fromkeys(base.names, _USUAL)
    for name, feature in offered.features.features.items():
        if repr(feature) in known:
            continue
        own = name if name not in pairs else f"{name}_proposed"
        pairs[own] = feature
        why[own] = offered.reasons[name]
    return FeatureSet.of(pairs.items()), why


def _telling(X: pd.DataFrame) -> list[str]:
    """Return the columns that vary, each kind of values once; all where none varies."""
    found: dict[int, str] = {}
    for name in map(str, X):
        if X[name].nunique(dropna=False) > 1:
            found.setdefault(hash(pd.util.hash_array(X[name].to_numpy()).tobytes()), name)
    return list(found.values()) or [str(c) for c in X]


def _tells(whole: FeatureSet, offered: Candidates) -> dict[str, str]:
    """Return which kind of event a proposed feature tells of."""
    by_form = {repr(offered.features[n]): word for n, word in offered.words.items()}
    return {n: by_form[repr(f)] for n, f in whole.features.items() if repr(f) in by_form}


def _reasons(features: FeatureSet, why: Mapping[str, str]) -> dict[str, str]:
    return {name: why[name] for name in features.names}


def _folds(rows: Part) -> list[Fold]:
    bought = rows.label > 0
    found = forward_folds(rows.position, FOLDS, rows.groups)
    usable = [(f, h) for f, h in found if 0 < bought[f].sum() < len(f) and bought[h].any()]
    if not usable or bought.sum() < LEAST:
        raise DataError(f"{int(bought.sum())} rows with the outcome are too few to choose by")
    return usable
