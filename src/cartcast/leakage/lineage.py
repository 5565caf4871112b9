"""LK1xx: a feature reads what the target's rule reads, judged from their declarations alone."""

from __future__ import annotations

from collections.abc import Iterator

from cartcast.findings import Finding, declare, finding
from cartcast.leakage.checks import check
from cartcast.leakage.given import HasLineage
from cartcast.leakage.prepared import Prepared

__all__ = ["OVERLAPS", "shared"]

LK101 = declare(
    "LK101",
    "block",
    "a feature reads what the target's rule reads",
    "The target is a rule over columns of a stretch of the session; a feature that reads the same "
    "columns of the same stretch hands the rule its own answer.",
    "Drop the feature, or let the target read only what comes after the anchor.",
)
LK102 = declare(
    "LK102",
    "block",
    "a feature reads events after the anchor",
    "A feature of the whole session knows what the visitor did after the moment of the prediction.",
    "Declare the feature over the session so far and replay it at each click.",
)
LK103 = declare(
    "LK103",
    "block",
    "the label or its amount is among the features",
    "A label cannot be used to predict itself.",
    "Leave it out of the features.",
)
LK104 = declare(
    "LK104",
    "note",
    "features without a declared lineage",
    "What a feature reads can only be compared with the target where it is declared; for the "
    "others only the evidence checks speak.",
    "Declare them as features of Cartcast, or accept the evidence checks as the only guard.",
)

OVERLAPS: dict[str, frozenset[str]] = {
    "after the anchor": frozenset({"whole session"}),
    "whole session": frozenset({"whole session", "session so far"}),
}
"""For each window that a target reads: the windows of features that share events with it."""

_POSITION = frozenset({"event_order", "click", "session_id"})
_EVENTS = "(the events themselves)"


def shared(feature: HasLineage, target: HasLineage) -> frozenset[str]:
    """Return the columns that both read in a stretch that both see; empty when there is none.

    A lineage without columns counts events, and so reads the events themselves; so does one that
    reads their position.
    """
    if feature.window not in OVERLAPS.get(target.window, frozenset()):
        return frozenset()
    typed = feature.event_types is not None and target.event_types is not None
    if typed and not (feature.event_types or frozenset()) & (target.event_types or frozenset()):
        return frozenset()
    return _columns(feature) & _columns(target)


def _columns(lineage: HasLineage) -> frozenset[str]:
    rest = frozenset(lineage.columns) - _POSITION
    counts = not lineage.columns or bool(frozenset(lineage.columns) & _POSITION)
    return rest | {_EVENTS} if counts else rest


@check("lineage", "Does a feature read what the target's rule reads?", LK101, needs=("lineage",))
def reads_the_target(prep: Prepared) -> Iterator[Finding]:
    """Compare columns, event types and windows of each feature with the target's."""
    reads = prep.given.reads
    assert reads is not None
    for name in prep.features:
        lineage = prep.given.lineage.get(name)
        both = shared(lineage, reads) if lineage else frozenset()
        if lineage and both:
            columns = ", ".join(sorted(both))
            text = (
                f"feature {name!r} reads {columns} of the {lineage.window}; "
                f"so does the target's rule, of the {reads.window}."
            )
            yield finding(LK101, text, column=name, shared=sorted(both), window=lineage.window)


@check("lineage", "Does a feature read events after its anchor?", LK102, needs=("lineage",))
def reads_the_future(prep: Prepared) -> Iterator[Finding]:
    """Name features over the whole session whose target lies after the anchor."""
    reads = prep.given.reads
    assert reads is not None
    if reads.window != "after the anchor":
        return
    for name in prep.features:
        lineage = prep.given.lineage.get(name)
        if lineage and lineage.window == "whole session" and not shared(lineage, reads):
            text = (
                f"feature {name!r} reads the whole session, the events after the anchor included."
            )
            yield finding(LK102, text, column=name, window=lineage.window)


@check("lineage", "Is the label itself among the features?", LK103, needs=("features",))
def label_as_feature(prep: Prepared) -> Iterator[Finding]:
    """Compare names, then values: a copy of the label under another name is the label."""
    import numpy as np

    from cartcast.leakage.columns import as_numbers

    y = prep.train.y
    known = prep.train.known
    for name in prep.features:
        if name == prep.given.target:
            yield finding(LK103, f"the target {name!r} is among the features.", column=name)
            continue
        values = as_numbers(prep.train.table[name])
        if values is None or known.sum() < 20 or prep.label == "one class":
            continue
        if np.array_equal(values[known], y[known]):
            text = f"feature {name!r} equals the label in all {int(known.sum()):,} rows."
            yield finding(LK103, text, column=name, rows=int(known.sum()))


@check("lineage", "Which features do not say what they read?", LK104, needs=("lineage",))
def undeclared(prep: Prepared) -> Iterator[Finding]:
    """Count features without a lineage where others have one."""
    silent = [name for name in prep.features if name not in prep.given.lineage]
    if silent:
        text = (
            f"{len(silent)} of {len(prep.features)} features do not say what they read: "
            f"{', '.join(silent[:5])}."
        )
        yield finding(LK104, text, count=len(silent), columns=silent[:50])
