"""Segments of a run: kinds of sessions, by what was done and seen in them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import pandas as pd

from cartcast.errors import DataError
from cartcast.events import Log
from cartcast.features import Count, Eq, FeatureSet, Mean, NUnique, Ratio
from cartcast.features.words import in_words
from cartcast.findings import Finding, declare, finding
from cartcast.models.segments import Segments, fit_segments
from cartcast.moments.rows import within
from cartcast.segments import Segment, at_start
from cartcast.train.options import FAMILIES, Options
from cartcast.train.task import Task

__all__ = ["SegmentPart", "segment", "session_features"]

MOST_SESSIONS = 100_000
LEAST_SESSIONS = 200
MOST_CATEGORIES = 8
MOST_NOISE = 0.2
"""A family that leaves more of the sessions in no segment is taken only when it is named."""
STABLE = 0.8
"""Adjusted Rand index from which more stability counts no more than separation."""

TOO_FEW = declare(
    "SG104",
    "note",
    "Too few sessions for segments",
    "Segments of a few sessions describe chance.",
    "Give a longer log.",
)

# Checkouts are left out: almost only buyers reach them, so they would make a segment of buyers,
# whose conversion says nothing that its definition did not.
_COUNTED = {"searches": "search", "lists": "view_item_list", "carts": "add_to_cart"}


@dataclass(frozen=True)
class SegmentPart:
    """What a run keeps of its segments: profiles, how they were found, the fitted model."""

    profiles: list[dict[str, Any]] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)
    models: dict[str, Any] = field(default_factory=dict)
    findings: tuple[Finding, ...] = ()


def session_features(log: Log) -> FeatureSet:
    """Return the declaration of what sessions are compared by, for the events that a log has."""
    types = log.summary.event_types
    counted: Counter[str] = Counter()
    for found in log.map_parts(_categories):
        counted.update(found)
    frequent = sorted(counted, key=lambda c: (-counted[c], c))[:MOST_CATEGORIES]
    parts: dict[str, Any] = {
        "clicks": Count(),
        "items": NUnique("item_id"),
        "price_mean": Mean("price"),
    }
    parts |= {name: Count(where=Eq("event_type", t)) for name, t in _COUNTED.items() if t in types}
    if len(frequent) > 1:
        for category in frequent:
            word = "".join(c if c.isalnum() else "_" for c in str(category)).strip("_").lower()
            name = f"share_of_{word or 'category'}"
            while name in parts:
                name += "_"
            parts[name] = Ratio(Count(where=Eq("category", category)), Count())
    return FeatureSet(**parts)


def _categories(part: Log) -> dict[str, int]:
    with part.connect() as con:
        return dict(
            con.execute(
                "SELECT category, count(*) FROM events WHERE category IS NOT NULL GROUP BY 1"
            ).fetchall()
        )


def segment(task: Task, options: Options) -> SegmentPart:
    """Find segments: of the finished sessions of a log, or of the rows of a ready table."""
    if task.log is None:
        label = task.rows.table["label"]
        money = task.kind == "regressor"
        outcome, amount = (None, label) if money else (label, None)
        visitors = task.rows.table["visitor_id"]
        return _told(task.rows.X, outcome, amount, visitors, None, options, None, None)
    features = session_features(task.log)
    table = _sessions(task.log, features, options.seed, task.segment)
    if len(table) > MOST_SESSIONS:
        table = table.sample(MOST_SESSIONS, random_state=options.seed)
    bought = task.log.summary.purchases > 0
    return _told(
        table[list(features.names)],
        table["bought"] if bought else None,
        table["amount"].fillna(0.0) if bought else None,
        table["visitor"],
        table["position"],
        options,
        task.log.currency,
        features.to_yaml(),
    )


def _sessions(
    log: Log, features: FeatureSet, seed: int, segment: Segment | None = None
) -> pd.DataFrame:
    """Return finished sessions in the log's order: features, outcome, and position in time.

    Of a log in several parts, whole visitors are drawn there when there are too many sessions.
    """
    from cartcast.moments.anchors import drawn

    sessions = log.summary.sessions
    if segment is not None:
        sessions = sum(log.map_parts(partial(_count, segment=segment)))
    share = MOST_SESSIONS / max(sessions, 1) if len(log.parts) > 1 else 1.0
    draw = drawn(share, seed) if share < 1 else "true"
    tables = log.map_parts(partial(_part_sessions, features=features, draw=draw, segment=segment))
    table = pd.concat(tables, ignore_index=True)
    if len(tables) > 1:
        # As a log in one part gives them: as they end, or grouped by session as they begin.
        moment = "ended" if log.order == "time" else "began"
        table = table.sort_values([moment, "session_id"], ignore_index=True)
    order = table[["began", "session_id"]].sort_values(["began", "session_id"]).index
    table["position"] = pd.Series(range(1, len(table) + 1), index=order)
    return table


def _count(part: Log, segment: Segment) -> int:
    return len(at_start(part, segment))


def _part_sessions(
    part: Log, features: FeatureSet, draw: str, segment: Segment | None
) -> pd.DataFrame:
    """Return the finished sessions of a part: features, whether it bought, and for how much."""
    from cartcast.moments.anchors import PURCHASES

    with part.connect() as con:
        known = con.execute(
            f"WITH p AS ({PURCHASES}) SELECT s.session_id, s.visitor, s.began, s.ended, "
            "(p.session_id IS NOT NULL)::DOUBLE AS bought, p.amount FROM "
            "(SELECT session_id, coalesce(any_value(visitor_id), session_id) AS visitor, "
            "min(event_time) AS began, max(event_time) AS ended FROM events "
            f"GROUP BY session_id HAVING {draw}) s LEFT JOIN "
            "(SELECT session_id, sum(amount) AS amount FROM p GROUP BY session_id) p "
            "ON p.session_id = s.session_id"
        ).df()
    table = features.replay(part, at="end").to_pandas()
    known = within(known, part, segment)
    return table.merge(known, on="session_id", how="inner", validate="one_to_one")


def _told(
    table: pd.DataFrame,
    outcome: Any,
    amount: Any,
    groups: Any,
    order: Any,
    options: Options,
    currency: str | None,
    yaml: str | None,
) -> SegmentPart:
    if len(table) < LEAST_SESSIONS:
        note = finding(TOO_FEW, f"{len(table)} sessions, {LEAST_SESSIONS} are needed.")
        return SegmentPart(findings=(note,))
    # A share of clicks on dresses is told as dresses.
    words = {"price_mean": "prices"}
    for name in table.columns:
        if (category := name.removeprefix("share_of_")) != name:
            words[name] = ("" if category[:1].isalpha() else "category ") + in_words(category)
    every: dict[str, Segments] = {}
    for family in FAMILIES if options.segments_by == "all" else (options.segments_by,):
        try:
            every[family] = fit_segments(
                table, FAMILIES[family], options.segments, order=order, outcome=outcome,
                amount=amount, groups=groups, words=words, currency=currency, seed=options.seed,
                rounds=5,
            )  # fmt: skip
        except DataError:
            # A family that finds nothing here is left out of the comparison; alone it is refused.
            if options.segments_by != "all":
                raise
    if not every:
        raise DataError("no family of segments finds any here; take other features.")
    found = max(every.values(), key=_worth)
    facts = found.as_dict()
    facts.pop("findings")
    told = facts.pop("profiles")
    side = [_shown(name, s, s is found) for name, s in every.items()]
    facts |= {"columns": list(table.columns), "yaml": yaml, "families": side}
    return SegmentPart(told, facts, {"segments": found.model}, found.findings)


def _worth(found: Segments) -> tuple[bool, float, float]:
    """Rank families: those that tell most sessions and are stable, then by separation."""
    stable = found.stability if found.stability is not None else 0.0
    return found.noise <= MOST_NOISE, min(stable, STABLE), found.silhouette or -1.0


def _shown(family: str, found: Segments, taken: bool) -> dict[str, Any]:
    """Return one line of the comparison of families."""
    return {
        "family": family,
        "taken": taken,
        "segments": found.k,
        "silhouette": found.silhouette,
        "davies_bouldin": found.davies_bouldin,
        "noise": found.noise,
        "stability": found.stability,
        "sizes": [p.size for p in found.profiles],
        "names": [p.name for p in found.profiles],
    }
