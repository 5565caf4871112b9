"""LK407, LK505, LK506: what changes its meaning from one period to the next."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cartcast.evaluate.arrays import Vectors
from cartcast.evaluate.auc import auc, auc_error, auc_seen_error, carriers
from cartcast.evaluate.share import Clusters, effective_count
from cartcast.findings import Finding, declare, finding
from cartcast.leakage.checks import check
from cartcast.leakage.evidence import single
from cartcast.leakage.prepared import Floats, Ints, Part, Prepared, as_times
from cartcast.leakage.statistics import difference, share, z_for

__all__ = ["Periods", "periods"]

LK407 = declare(
    "LK407",
    "warn",
    "a column's power jumps between periods",
    "A column that tells far more, or far less, in one period than in all others was filled in "
    "differently then: its meaning changed, or the outcome was written into it.",
    "Find out how the column was made in that period; drop it, or train after the change.",
)
LK505 = declare(
    "LK505",
    "warn",
    "the prevalence shifts between train and test",
    "Probabilities learnt at one prevalence are wrong at another, however well rows are ranked.",
    "Recalibrate on recent rows, and report calibration by period.",
)
LK506 = declare(
    "LK506",
    "block",
    "the label is known for part of the time only",
    "Where outcomes were not recorded yet, or not any more, every row looks like a no: a model "
    "learns the calendar.",
    "Keep only the period in which the outcome was recorded.",
)


class Periods(NamedTuple):
    """A part cut into periods in order of time.

    Attributes:
        at: number of the period of each row, -1 where the time is missing.
        names: name of each period.
    """

    at: NDArray[np.int64]
    names: list[str]


def periods(prep: Prepared, part: Part, most: int = 36) -> Periods | None:
    """Return calendar months (weeks or days where few), or the values of the period column."""
    name = prep.given.time
    if name is None:
        return None
    times = as_times(part.table[name])
    if times is None:
        codes, values = pd.factorize(part.table[name])
        return (
            Periods(codes.astype(np.int64), [str(v) for v in values])
            if 3 <= len(values) <= most
            else None
        )
    for unit in ("M", "W", "D"):
        cut = times.dt.to_period(unit)
        spans = sorted(cut.dropna().unique())
        if 3 <= len(spans) <= most:
            at = pd.Categorical(cut, categories=spans).codes.astype(np.int64)
            return Periods(at, [str(v) for v in spans])
    return None


@check(
    "evidence",
    "Does a column's power jump between periods?",
    LK407,
    needs=("time", "features", "two classes"),
)
def power_jumps(prep: Prepared) -> Iterator[Finding]:
    """Compare each column's AUC in one period with its AUC in all others."""
    rows = prep.train_at
    found = periods(prep, prep.train)
    if found is None:
        return
    at, y, groups = found.at[rows], prep.train.y[rows], prep.sample_groups
    z = z_for(len(prep.features) * len(found.names))
    for name, p in single(prep).items():
        if name == prep.given.time:
            continue
        worst: tuple[float, str, float, float] | None = None
        each: dict[str, float] = {}
        known = ~np.isnan(p.y_pred)
        if not known.any():
            continue
        # Were the power the same in all periods, it would be this one in each.
        same = auc(y[known], p.y_pred[known])
        for k, period in enumerate(found.names):
            inside, outside = at == k, (at != k) & (at >= 0)
            a, b = (_power(y, p.y_pred, use & known, groups) for use in (inside, outside))
            if a is None or b is None:
                continue
            each[period] = round(a[0], 3)
            error = [max(auc_error(same, *carriers(v)), auc_seen_error(v)) for _, v in (a, b)]
            certain = abs(a[0] - b[0]) - z * math.hypot(*error)
            if certain > 0.05 and (worst is None or certain > worst[0]):
                worst = (certain, period, a[0], b[0])
        if worst is not None:
            yield _jump(prep, name, worst, each)


def _jump(
    prep: Prepared, name: str, worst: tuple[float, str, float, float], each: dict[str, float]
) -> Finding:
    _, period, here, there = worst
    row = ", ".join(f"{k} {v:.2f}" for k, v in list(each.items())[:14])
    text = (
        f"{name!r} alone has ROC AUC {here:.3f} in {period} and {there:.3f} in all other periods "
        f"of {prep.given.time!r} ({row})."
    )
    numbers: dict[str, Any] = {
        "here": round(here, 4),
        "elsewhere": round(there, 4),
        "by_period": each,
    }
    return finding(LK407, text, column=name, period=period, **numbers)


def _power(
    y: Floats, y_pred: Floats, use: NDArray[np.bool_], groups: Ints
) -> tuple[float, Vectors] | None:
    """Return the AUC of some rows, and the rows; None with fewer than 20 groups of a class."""
    v = Vectors(
        y[use], y_pred[use], np.ones(int(use.sum())), np.unique(groups[use], return_inverse=True)[1]
    )
    return (auc(v.y_obs, v.y_pred), v) if min(carriers(v)) >= 20 else None


@check(
    "meaning", "Is the prevalence the same in train and test?", LK505, needs=("test", "two classes")
)
def prevalence_shift(prep: Prepared) -> Iterator[Finding]:
    """Compare the shares of positives with intervals for the number of groups, not rows."""
    assert prep.test is not None
    shares = []
    for part in (prep.train, prep.test):
        at = np.flatnonzero(part.known)
        found = Clusters.of(part.y[at], np.ones(len(at)), prep.groups(part, at))
        of = found.size
        shares.append(share(found.x / max(found.n, 1) * of, of, z_for(1), found.freedom))
    gap = difference(shares[1], shares[0])
    certain = max(gap.low, -gap.high, 0.0)
    if certain > 0.1 * max(shares[0].value, 1e-9) and certain > 0.002:
        was, now = shares[0].value, shares[1].value
        text = f"the label's share is {was:.2%} in train and {now:.2%} in test."
        yield finding(LK505, text, train=round(shares[0].value, 5), test=round(shares[1].value, 5))


@check("meaning", "Is the label known for the whole time?", LK506, needs=("time",))
def label_over_time(prep: Prepared) -> Iterator[Finding]:
    """Look for periods at an end of the data without a single outcome, or without any label."""
    for part in (p for p in (prep.train, prep.test) if p is not None):
        found = periods(prep, part)
        if found is None:
            continue
        clock = prep.times(part) is not None
        yield from _dark(prep, part, found, clock)


def _dark(prep: Prepared, part: Part, found: Periods, clock: bool) -> Iterator[Finding]:
    size = len(found.names)
    inside = found.at >= 0
    rows = np.bincount(found.at[inside], minlength=size).astype(float)
    known = np.bincount(found.at[inside & part.known], minlength=size).astype(float)
    unlabelled = (rows >= 30) & (known < 0.05 * rows) if known.sum() >= 30 else np.zeros(size, bool)
    hits = np.bincount(
        found.at[inside & part.known], np.nan_to_num(part.y[inside & part.known] > 0), size
    )
    silent = np.zeros(size, bool)
    if prep.label != "one class":
        rate = hits[hits > 0].sum() / max(known[hits > 0].sum(), 1)
        seen = np.flatnonzero(inside & part.known)
        groups, period = prep.groups(part, seen), found.at[seen]
        ones = np.ones(len(seen))
        due = rate * np.array(
            [effective_count(ones[period == k], groups[period == k]) for k in range(size)]
        )
        silent = (hits == 0) & (due >= -np.log(0.001 / size) + 10)
    for what, dark in (("no label at all", unlabelled), ("not one outcome", silent)):
        if not dark.any():
            continue
        names = [found.names[k] for k in np.flatnonzero(dark)]
        part_of = float(rows[dark].sum() / rows.sum())
        shown = ", ".join(names[:4]) + (" ..." if len(names) > 4 else "")
        text = f"{what} in {shown}: {part_of:.0%} of {part.name}."
        large = part_of >= 0.2 and clock
        yield finding(
            LK506,
            text,
            count=int(rows[dark].sum()),
            severity="block" if large else "warn",
            periods=names,
            share=round(part_of, 4),
            part=part.name,
        )
