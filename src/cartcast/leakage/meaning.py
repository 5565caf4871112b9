"""LK5xx: what the label and the columns stand for, and whether there is enough of them."""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np
import pandas as pd

from cartcast.evaluate.auc import auc_error
from cartcast.findings import Finding, declare, finding
from cartcast.leakage.checks import check
from cartcast.leakage.prepared import Part, Prepared, as_times
from cartcast.leakage.statistics import counts

__all__ = ["ENOUGH"]

ENOUGH = 1000
"""Positives, and negatives, that GA4 asks for before it offers a purchase probability:
https://support.google.com/analytics/answer/9805833."""

FEW_POSITIVES = 100
"""Below this many, an AUC is uncertain by more than most models differ."""

LK501 = declare(
    "LK501",
    "warn",
    "the target is a proxy",
    "A rule stands in for an outcome that the data do not hold; a good score says how well the "
    "rule is foreseen, not who buys.",
    "Say so wherever the score is shown; replace it by an observed outcome when there is one.",
)
LK502 = declare(
    "LK502",
    "block",
    "the label has one class",
    "Nothing can be learnt or judged where every row has the same label.",
    "Check the target's definition, the join of the orders, and the period.",
)
LK503 = declare(
    "LK503",
    "note",
    "few positives for the claim",
    "With few positives every figure is wide: Google Analytics asks for 1,000 of each class before "
    "it offers a purchase probability.",
    "Report intervals, take a longer period, or a more frequent target such as add to cart.",
)
LK504 = declare(
    "LK504",
    "warn",
    "the label's horizon runs past the end of the data",
    "A row whose future is cut off looks like a no; the last days become worse than they were.",
    "Drop censored rows, and count them.",
)
LK507 = declare(
    "LK507",
    "block",
    "an id is used as a feature",
    "An id names a row or a visitor. A model that reads it learns by heart, or learns the order in "
    "which ids were given.",
    "Leave it out of the features; name it as the group instead.",
)
LK508 = declare(
    "LK508",
    "note",
    "no clock: the order of sessions stands for time",
    "The source has no time of day (or none at all); gaps, hours and exact horizons are unknown.",
    "Treat the split as approximately in time.",
)
LK509 = declare(
    "LK509",
    "warn",
    "labels are missing",
    "Rows without a label are left out; if they are missing for a reason, the rest is biased.",
    "Find out why; an outcome that did not happen is 0, not missing.",
)
LK510 = declare(
    "LK510",
    "note",
    "columns that say nothing",
    "A column with one value, or none, cannot inform a model; it often hides a broken join.",
    "Drop it, or repair its source.",
)

_ID_WORDS = re.compile(r"(^|[_\s.])(id|ids|uuid|guid|key|hash|cookie|email|index|rowid)($|[_\s.])")


def _parts(prep: Prepared) -> list[Part]:
    return [prep.train] if prep.test is None else [prep.train, prep.test]


@check("meaning", "Was the target observed?", LK501)
def proxy_target(prep: Prepared) -> Iterator[Finding]:
    """Say it when the target is declared as a proxy."""
    if prep.given.kind == "proxy":
        what = prep.given.describe or prep.given.target
        yield finding(LK501, f"the target is a proxy: {what}.", target=prep.given.target)


@check("meaning", "Are there enough of both classes?", LK502, LK503)
def enough(prep: Prepared) -> Iterator[Finding]:
    """Count classes in each part, in groups of equal weight: rows of one group are not news."""
    for part in _parts(prep):
        y = part.y[part.known]
        if len(np.unique(y)) < 2:
            value = f"{y[0]:g}" if len(y) else "none"
            text = f"every row of {part.name} has the same label ({value})."
            yield finding(LK502, text, count=len(y), part=part.name)
        elif prep.label == "two classes":
            at = np.flatnonzero(part.known)
            positives, negatives = (round(n) for n in counts(y, prep.groups(part, at)))
            least = min(positives, negatives)
            if least >= ENOUGH:
                continue
            half = 1.96 * auc_error(0.75, positives, negatives)
            text = (
                f"{part.name} has {positives:,} independent positives and {negatives:,} negatives: "
                f"an AUC of 0.75 would be known to +/- {half:.3f} at best."
            )
            few = least < FEW_POSITIVES
            yield finding(
                LK503,
                text,
                count=least,
                severity="warn" if few else "note",
                part=part.name,
                positives=positives,
                negatives=negatives,
                half_width=round(half, 4),
            )


@check("meaning", "Is every label's horizon observed?", LK504)
def censoring(prep: Prepared) -> Iterator[Finding]:
    """Compare the horizon with the end of the data, and report what was dropped already."""
    g = prep.given
    dropped = int(g.dropped.get("censored", 0))
    if dropped:
        rows = "row was" if dropped == 1 else "rows were"
        text = f"{dropped:,} {rows} dropped because the horizon was not fully observed."
        yield finding(LK504, text, count=dropped, severity="note", dropped=dropped)
    if g.horizon is None or g.data_end is None:
        return
    end = pd.Timestamp(g.data_end)
    end = end.tz_convert("UTC").tz_localize(None) if end.tz is not None else end
    for part in _parts(prep):
        times = prep.times(part)
        if times is None:
            continue
        late = int((times + pd.Timedelta(seconds=g.horizon) > end).sum())
        if late:
            text = (
                f"{late:,} of {len(part):,} rows of {part.name} look {g.horizon:g} s ahead, past "
                f"the end of the data ({end})."
            )
            yield finding(LK504, text, count=late, part=part.name, rows=len(part))


@check("meaning", "Is an id used as a feature?", LK507, needs=("features",))
def ids(prep: Prepared) -> Iterator[Finding]:
    """Look for words or whole numbers that name a row, and for the group's own column or a copy."""
    rows = len(prep.train)
    owners = {"session": prep.given.session, "visitor": prep.given.visitor}
    for name in prep.features:
        column = prep.train.table[name].dropna()
        owner = next((o for o, c in owners.items() if c and _stands_for(prep, name, c)), None)
        if owner is not None:
            text = f"{name!r} names the {owner}."
            yield finding(LK507, text, column=name, distinct=int(column.nunique()))
            continue
        if rows < 50 or len(column) < 0.5 * rows or pd.api.types.is_bool_dtype(column):
            continue
        distinct = int(column.nunique())
        why = _names_rows(name, column, distinct)
        if why:
            text = f"{name!r} has {distinct:,} values in {len(column):,} rows: {why}."
            yield finding(LK507, text, column=name, distinct=distinct, rows=len(column))


def _stands_for(prep: Prepared, name: str, owner: str) -> bool:
    """Return whether a feature is the owner's column, or has one value for each of its values."""
    if name == owner:
        return True
    both = prep.train.table[[name, owner]]
    # One value for each holds of some rows, too; few features get past these.
    some = both.head(1000).dropna()
    if not some[name].nunique() == some[owner].nunique() == len(some.drop_duplicates()):
        return False
    both = both.dropna()
    if len(both) < max(50, 0.5 * len(prep.train)):
        return False
    column = both[name]
    if pd.api.types.is_float_dtype(column) and bool((np.floor(column) != column).any()):
        return False
    count = int(column.nunique())
    # Where each row has its own owner, many honest numbers have a value for each.
    if count < 20 or count > 0.9 * len(both) or count != both[owner].nunique():
        return False
    return len(both.drop_duplicates()) == count


def _names_rows(name: str, column: pd.Series, distinct: int) -> str | None:
    """Return why a column is an id, or None when it is not."""
    near_unique = distinct >= 0.95 * len(column)
    if as_times(column) is not None:
        return None
    if not pd.api.types.is_numeric_dtype(column):
        return "nearly every row has its own word" if near_unique else None
    values = column.to_numpy(dtype=float)
    if not (np.isfinite(values).all() and (np.floor(values) == values).all()):
        return None
    if near_unique and _ID_WORDS.search(re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()):
        return "an id by its name, and nearly unique"
    steps = np.diff(np.sort(values))
    if distinct == len(values) and bool((steps == 1).mean() > 0.99):
        return "a running number"
    return None


@check("meaning", "Is there a clock?", LK508)
def clock(prep: Prepared) -> Iterator[Finding]:
    """Say it when only a date, or an order, is known."""
    word = prep.given.clock
    if word in ("day", "session", "order"):
        has = {
            "day": "a date only",
            "session": "seconds since the session began",
            "order": "an order only",
        }
        text = f"the source has {has[word]}."
        yield finding(LK508, text, clock=word)


@check("meaning", "Is every label there?", LK509)
def labels_missing(prep: Prepared) -> Iterator[Finding]:
    """Count rows without a label."""
    for part in _parts(prep):
        missing = int((~part.known).sum())
        if missing:
            text = (
                f"{missing:,} of {len(part):,} rows of {part.name} have no label and were left out."
            )
            yield finding(LK509, text, count=missing, part=part.name, rows=len(part))


@check("meaning", "Do all columns vary?", LK510, needs=("features",))
def constant_columns(prep: Prepared) -> Iterator[Finding]:
    """Name columns with one value, or none."""
    table = prep.train.table
    flat = [name for name in prep.features if table[name].nunique(dropna=False) <= 1]
    if flat and len(prep.train) > 1:
        has = "column has" if len(flat) == 1 else "columns have"
        text = f"{len(flat)} {has} one value only: {', '.join(flat[:8])}."
        yield finding(LK510, text, count=len(flat), columns=flat[:50])
