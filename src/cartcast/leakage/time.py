"""LK2xx: values from after the anchor, aggregates fitted on the future, time running backwards."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from cartcast.errors import UsageError, did_you_mean
from cartcast.findings import Finding, Severity, declare, finding
from cartcast.leakage.checks import check
from cartcast.leakage.columns import as_numbers
from cartcast.leakage.prepared import Floats, Part, Prepared, as_times, once

__all__: list[str] = []

LK201 = declare(
    "LK201",
    "block",
    "a feature became known after the anchor",
    "At the moment of the prediction the value did not exist yet.",
    "Use the value as known at the anchor; null when there was none.",
)
LK202 = declare(
    "LK202",
    "warn",
    "a time among the features lies after the anchor",
    "A date after the moment of the prediction is either planned (harmless) or from the future.",
    "Drop the column unless its value was fixed before the anchor.",
)
LK203 = declare(
    "LK203",
    "block",
    "an aggregate was fitted on rows after the training period",
    "An encoding, mean or popularity fitted on later rows carries their outcomes back.",
    "Fit it on training rows only, inside the fold.",
)
LK205 = declare(
    "LK205",
    "warn",
    "a feature was scaled over train and test together",
    "A scaler fitted before the split carries the test part's mean and spread into training.",
    "Put the scaler inside the pipeline, so that it is fitted on training rows only.",
)
LK206 = declare(
    "LK206",
    "block",
    "a feature counts the rows of a group, later ones included",
    "A count over all rows of a visitor or session knows how often the group will come back. It "
    "is a warning where the rows of a group may be of one moment, as the lines of an order are.",
    "Count only rows up to and with the anchor.",
)
LK207 = declare(
    "LK207",
    "warn",
    "clicks and time disagree",
    "Where a later click has an earlier time, `so far` means two different things.",
    "Sort by time and source order once, and number the clicks from that.",
)
LK208 = declare(
    "LK208",
    "note",
    "rows without an anchor time",
    "A row without a time belongs to no period, so nothing can be said about its future.",
    "Find out why the time is missing, or drop the rows.",
)


def _parts(prep: Prepared) -> list[Part]:
    return [prep.train] if prep.test is None else [prep.train, prep.test]


@check("time", "Did a feature become known after its anchor?", LK201, needs=("known", "clock"))
def known_after(prep: Prepared) -> Iterator[Finding]:
    """Compare the declared time of knowledge of each feature with the anchor's."""
    for name, column in prep.given.known.items():
        late, rows, most = 0, 0, pd.Timedelta(0)
        for part in _parts(prep):
            if column not in part.table.columns:
                hint = did_you_mean(column, [str(c) for c in part.table.columns])
                raise UsageError(f"no column {column!r} for when {name!r} became known.{hint}")
            gap = _later(as_times(part.table[column]), prep.times(part))
            if gap is not None:
                late += len(gap)
                most = max([most, *([gap.max()] if len(gap) else [])])
            rows += len(part)
        if late:
            text = (
                f"{name!r} became known after the anchor in {late:,}"
                f" of {rows:,} rows, by up to {most}."
            )
            yield finding(LK201, text, count=late, column=name, rows=rows, latest=str(most))


def _later(times: pd.Series | None, anchors: pd.Series | None) -> pd.Series | None:
    if times is None or anchors is None:
        return None
    gap = (times - anchors).dropna()
    return gap[gap > pd.Timedelta(0)]


@check("time", "Is a time among the features after the anchor?", LK202, needs=("clock", "features"))
def time_after(prep: Prepared) -> Iterator[Finding]:
    """Compare every date or time among the features with the anchor's time."""
    anchors = prep.times(prep.train)
    for name in prep.features:
        if name in prep.given.known:
            continue
        gap = _later(as_times(prep.train.table[name]), anchors)
        if gap is not None and len(gap):
            text = f"{name!r} lies after the anchor in {len(gap):,} of {len(prep.train):,} rows."
            yield finding(LK202, text, count=len(gap), column=name, latest=str(gap.max()))


@check("time", "Was an aggregate fitted on the future?", LK203, needs=("fitted_until", "clock"))
def fitted_on_future(prep: Prepared) -> Iterator[Finding]:
    """Compare the end of the rows an aggregate was fitted on with the end of training."""
    ends = {part.name: prep.times(part) for part in _parts(prep)}
    train, test = ends["train"], ends.get("test")
    assert train is not None
    last = train.max()
    for name, until in prep.given.fitted_until.items():
        stamp = _stamp(name, until)
        if stamp > last:
            inside = int((test <= stamp).sum()) if test is not None else 0
            text = f"{name!r} was fitted on rows until {stamp}, training ends {last}"
            text += f"; {inside:,} test rows lie in between." if inside else "."
            yield finding(
                LK203, text, count=max(inside, 1), column=name, until=str(stamp), end=str(last)
            )


def _stamp(name: str, until: Any) -> pd.Timestamp:
    try:
        stamp = pd.Timestamp(until)
    except (ValueError, TypeError) as error:
        raise UsageError(f"fitted_until of {name!r} must be a time, got {until!r}.") from error
    return stamp.tz_convert("UTC").tz_localize(None) if stamp.tz is not None else stamp


@once
def _pooled(prep: Prepared) -> dict[str, Floats]:
    """Return the numeric features of train and test, one below the other."""
    out: dict[str, Floats] = {}
    for name in prep.features:
        parts = [as_numbers(part.table[name]) for part in _parts(prep)]
        if all(p is not None for p in parts):
            out[name] = np.concatenate([p for p in parts if p is not None])
    return out


@check(
    "time", "Was a feature scaled over train and test together?", LK205, needs=("features", "test")
)
def scaled_before_split(prep: Prepared) -> Iterator[Finding]:
    """Look for columns whose mean is 0 and spread 1 over both parts, but not over train."""
    rows = len(prep.train)
    found: list[str] = []
    for name, values in _pooled(prep).items():
        if np.isnan(values).any() or len(values) < 50 or len(np.unique(values[:1000])) < 3:
            continue
        both, own = (values.mean(), values.std()), (values[:rows].mean(), values[:rows].std())
        exact = abs(both[0]) < 1e-8 and abs(both[1] - 1) < 1e-6
        if exact and (abs(own[0]) > 1e-6 or abs(own[1] - 1) > 1e-5):
            found.append(name)
    if found:
        text = (
            f"{len(found)} columns have mean 0 and spread 1 over train and test together, but not "
            f"over train: {', '.join(found[:5])}."
        )
        yield finding(LK205, text, count=len(found), columns=found[:50])


@check(
    "time", "Does a feature count later rows of its own group?", LK206, needs=("features", "group")
)
def counts_later_rows(prep: Prepared) -> Iterator[Finding]:
    """Look for a feature equal to the number of all rows of its visitor or session."""
    for key in filter(None, (prep.given.visitor, prep.given.session)):
        columns = pd.concat([p.table[key] for p in _parts(prep)], ignore_index=True)
        codes = pd.factorize(columns, use_na_sentinel=False)[0]
        sizes = np.bincount(codes)[codes]
        if (sizes > 1).mean() < 0.05 or len(np.unique(sizes)) < 3:
            continue
        for name, values in _pooled(prep).items():
            if np.array_equal(values, sizes):
                text = f"{name!r} is the number of all rows of {key!r}, later ones included."
                severity: Severity = "block" if _takes_time(prep, key) else "warn"
                count = int((sizes > 1).sum())
                yield finding(LK206, text, severity=severity, count=count, column=name, key=key)


def _takes_time(prep: Prepared, key: str) -> bool:
    """Whether rows of a group are of different moments; without a clock, a visitor's are."""
    times = prep.times(prep.train)
    if times is None:
        return key == prep.given.visitor
    spans = times.groupby(prep.train.table[key]).nunique()
    return bool((spans > 1).any())


@check("time", "Do clicks and time run the same way?", LK207, needs=("clock", "click", "session"))
def order_agrees(prep: Prepared) -> Iterator[Finding]:
    """Count rows of a session whose time is earlier than that of a lower click."""
    g = prep.given
    assert g.session is not None
    assert g.click is not None
    for part in _parts(prep):
        times = prep.times(part)
        frame = pd.DataFrame({"s": part.table[g.session], "c": part.table[g.click], "t": times})
        frame = frame.dropna().sort_values(["s", "c"], kind="stable")
        same = frame["s"].eq(frame["s"].shift())
        back = same & (frame["t"] < frame["t"].shift()) & (frame["c"] > frame["c"].shift())
        if back.any():
            text = (
                f"{int(back.sum()):,} rows of {part.name} have a later click but an earlier time."
            )
            yield finding(LK207, text, count=int(back.sum()), part=part.name, rows=len(part))


@check("time", "Has every row an anchor time?", LK208, needs=("time",))
def times_missing(prep: Prepared) -> Iterator[Finding]:
    """Count rows without a time."""
    name = prep.given.time
    for part in _parts(prep):
        missing = int(part.table[name].isna().sum())
        if missing:
            text = f"{missing:,} of {len(part):,} rows of {part.name} have no {name!r}."
            yield finding(LK208, text, count=missing, part=part.name, rows=len(part))
