"""Splits: train, then validation, then test in time; a visitor in one part only.

Sessions are put in order of their start and cut by shares. A label must be known before the next
part begins (a gap of one horizon), else the row is dropped. A visitor who was seen in several
parts is kept in one of them, chosen by a hash of the visitor; the rows kept weigh as many times
as there were parts, so that the mix of new and returning visitors stays the natural one
(inverse probability weighting, Horvitz and Thompson 1952, doi:10.1080/01621459.1952.10483446).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from cartcast.errors import DataError

__all__ = ["PARTS", "Split", "split_by_groups", "split_by_shares", "split_by_time"]

PARTS = ("train", "validation", "test")


@dataclass(frozen=True)
class Split:
    """Which row belongs to which part.

    Attributes:
        part: for each row `train`, `validation`, `test`, or None when dropped.
        weight: for each row the weight after the correction for dropped visitors.
        method: `time+visitor`, `order+visitor`, `visitor`, `stratified`; of a split that was given
            `splitter` or `test table`, with `+time` where later rows are judged.
        boundaries: where validation and test begin (times or session numbers).
        dropped: rows dropped, by reason: `gap`, `visitor_overlap`.
        words: what it is, of a split that was given.
    """

    part: pd.Series
    weight: pd.Series
    method: str
    boundaries: tuple[Any, Any]
    dropped: dict[str, int]
    words: str = ""

    def describe(self) -> str:
        """Return the split in one sentence."""
        if self.words:
            return self.words
        if self.method == "stratified":
            return "rows at random, stratified by the label (the table has no time and no visitor)"
        if self.method == "visitor":
            return "visitors at random (the table has no time)"
        by = "time" if self.method.startswith("time") else "order of sessions (no clock)"
        first, second = self.boundaries
        return (
            f"by {by} and visitor: folds judge rows from {first}, the test begins at {second}; a "
            "visitor is in one part only"
        )


def split_by_time(
    anchors: pd.DataFrame, shares: tuple[float, float, float], by_clock: bool
) -> Split:
    """Split anchors by time and visitor.

    Args:
        anchors: columns session_id, visitor_id, session_start, known_time, position, weight.
        shares: shares of the sessions for train, validation and test; they add up to 1.
        by_clock: False uses the order of sessions instead of their start.

    Raises:
        DataError: a part would be empty.
    """
    key = anchors["session_start"] if by_clock else anchors["position"]
    sessions = key.groupby(anchors["session_id"]).first().sort_values()
    n = len(sessions)
    if n < 3:
        raise DataError(f"a split needs at least 3 sessions with rows, got {n}; give more data.")
    first, second = _cut(sessions, shares)
    if first in (second, key.min()):
        # Nearly all are on the first list (order histories): each list counts its visitors.
        again = pd.DataFrame({"session": anchors["session_id"], "key": key}).duplicated()
        first, second = _cut(key[~again].sort_values(), shares)
    part = pd.Series("test", index=anchors.index, dtype=object)
    part[key < second] = "validation"
    part[key < first] = "train"
    gap = pd.Series(False, index=anchors.index)
    if by_clock:
        known = anchors["known_time"]
        gap = ((part == "train") & (known > first)) | ((part == "validation") & (known > second))
    visitor = anchors["visitor_id"].fillna("session:" + anchors["session_id"]).astype(str)
    keep, copies = _one_part(visitor[~gap], part[~gap])
    overlap = pd.Series(False, index=anchors.index)
    overlap.loc[keep.index] = ~keep
    weight = anchors["weight"].astype("float64").copy()
    weight.loc[copies.index] *= copies
    part[gap | overlap] = None
    _require_parts(part)
    return Split(
        part,
        weight,
        "time+visitor" if by_clock else "order+visitor",
        (first, second),
        {"gap": int(gap.sum()), "visitor_overlap": int(overlap.sum())},
    )


def _cut(sessions: pd.Series, shares: tuple[float, float, float]) -> tuple[Any, Any]:
    """Return where validation and test begin, of sorted keys."""
    n = len(sessions)
    cuts = [min(n - 1, max(1, round(n * shares[0]))), min(n - 1, round(n * (1 - shares[2])))]
    first, second = (sessions.iloc[c] for c in cuts)
    return first, second


def _one_part(visitor: pd.Series, part: pd.Series) -> tuple[pd.Series, pd.Series]:
    """Choose one part for each visitor by hash; return which rows stay, and their parts' number."""
    parts = pd.DataFrame({"visitor": visitor, "part": part}).drop_duplicates()
    parts = parts.sort_values(["visitor", "part"])
    count = parts.groupby("visitor")["part"].transform("size")
    rank = parts.groupby("visitor").cumcount()
    hashed = pd.util.hash_pandas_object(parts["visitor"], index=False).to_numpy()
    chosen = parts[rank.to_numpy() == hashed % count.to_numpy(dtype="uint64")]
    home = pd.Series(chosen["part"].to_numpy(), index=chosen["visitor"].to_numpy())
    copies = pd.Series(
        count.loc[chosen.index].to_numpy(dtype="float64"), index=chosen["visitor"].to_numpy()
    )
    keep = pd.Series(visitor.map(home).to_numpy() == part.to_numpy(), index=visitor.index)
    return keep, pd.Series(visitor.map(copies).to_numpy(), index=visitor.index)


def split_by_shares(label: pd.Series, shares: tuple[float, float, float], seed: int) -> Split:
    """Split rows at random, stratified by a 0/1 label; for tables without time and visitor.

    Raises:
        DataError: a part would be empty.
    """
    random = np.random.default_rng(seed)
    share = pd.Series(0.0, index=label.index)
    strata = label if label.nunique() <= 2 else pd.Series(0, index=label.index)
    for _, rows in strata.groupby(strata):
        place = (random.permutation(len(rows)) + 0.5) / len(rows)
        share.loc[rows.index] = place
    part = pd.Series("test", index=label.index, dtype=object)
    part[share < 1 - shares[2]] = "validation"
    part[share < shares[0]] = "train"
    _require_parts(part)
    ones = pd.Series(1.0, index=label.index)
    return Split(part, ones, "stratified", (None, None), {"gap": 0, "visitor_overlap": 0})


def split_by_groups(visitor: pd.Series, shares: tuple[float, float, float], seed: int) -> Split:
    """Split visitors at random; for tables without time. A row without visitor stands alone.

    Raises:
        DataError: a part would be empty.
    """
    alone = pd.Series([f"row:{i}" for i in range(len(visitor))], index=visitor.index)
    who, _ = pd.factorize(visitor.where(visitor.notna(), alone).astype(str))
    count = int(who.max()) + 1 if len(who) else 0
    place = np.random.default_rng(seed).permutation(count) / max(count, 1)
    share = pd.Series(place[who], index=visitor.index)
    part = pd.Series("test", index=visitor.index, dtype=object)
    part[share < 1 - shares[2]] = "validation"
    part[share < shares[0]] = "train"
    _require_parts(part)
    ones = pd.Series(1.0, index=visitor.index)
    return Split(part, ones, "visitor", (None, None), {"gap": 0, "visitor_overlap": 0})


def _require_parts(part: pd.Series) -> None:
    sizes = part.value_counts()
    for name in PARTS:
        if sizes.get(name, 0) == 0:
            raise DataError(
                f"the {name} part of the split is empty (sizes: {sizes.to_dict()}): too few "
                "rows or too short a time for this target; give more data or a shorter horizon."
            )
