"""Features: each is written once, as a fold over events, and is correct after every click.

In bulk: `FeatureSet.replay`. Live, one event at a time: `FeatureSet.start / step / value`, pure
and convenient. A service that counts microseconds takes the low-level handle:

    handle = features.program(feature_set)            # compiled, shared by all sessions
    state = handle.start(history=None)                # mutable, a few hundred bytes
    row = handle.encode(event)                        # canonical columns -> words; reused buffer
    handle.step(row, state)                           # in place
    vector = handle.values(state)                     # float64, NaN = null; text as its code
    handle.decode(vector) -> dict                     # names -> float | str | None

Nothing here loads Numba before something is folded.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cartcast.features.algebra import Difference, Feature, Product, Ratio, Total
from cartcast.features.conditions import (
    Above,
    And,
    Below,
    Condition,
    Eq,
    In,
    Not,
    NotNull,
    Or,
    SameAsPrevious,
)
from cartcast.features.declared import Lineage
from cartcast.features.expressions import AboveAverage, Expression, Gap, Negated, Times
from cartcast.features.featureset import FeatureSet
from cartcast.features.library import SETS, default, load_set, usual
from cartcast.features.reductions import (
    Count,
    First,
    Last,
    Max,
    Mean,
    Min,
    Mode,
    NUnique,
    Reduction,
    Revisits,
    Share,
    Std,
    Sum,
)
from cartcast.features.timing import (
    CountWithin,
    DayOfWeek,
    DecayedCount,
    DecayedSum,
    Hour,
    Month,
    SecondsInSession,
    SecondsSince,
    SecondsSinceFirst,
)
from cartcast.features.visitor import (
    DaysSinceLastSession,
    EarlierEvents,
    EarlierPurchases,
    EarlierSessions,
)

if TYPE_CHECKING:
    from cartcast.features.live import Handle

__all__ = [
    "SETS",
    "Above",
    "AboveAverage",
    "And",
    "Below",
    "Condition",
    "Count",
    "CountWithin",
    "DayOfWeek",
    "DaysSinceLastSession",
    "DecayedCount",
    "DecayedSum",
    "Difference",
    "EarlierEvents",
    "EarlierPurchases",
    "EarlierSessions",
    "Eq",
    "Expression",
    "Feature",
    "FeatureSet",
    "First",
    "Gap",
    "Hour",
    "In",
    "Last",
    "Lineage",
    "Max",
    "Mean",
    "Min",
    "Mode",
    "Month",
    "NUnique",
    "Negated",
    "Not",
    "NotNull",
    "Or",
    "Product",
    "Ratio",
    "Reduction",
    "Revisits",
    "SameAsPrevious",
    "SecondsInSession",
    "SecondsSince",
    "SecondsSinceFirst",
    "Share",
    "Std",
    "Sum",
    "Times",
    "Total",
    "default",
    "load_set",
    "program",
    "usual",
]


def program(feature_set: FeatureSet) -> Handle:
    """Return the low-level live handle of a feature set (see the module's text)."""
    from cartcast.features.live import Handle

    return Handle(feature_set)


def __getattr__(name: str) -> Any:
    if name in ("History", "State"):
        from cartcast.features import live

        return getattr(live, name)
    raise AttributeError(f"module 'cartcast.features' has no attribute {name!r}")
