"""Features: each is written once, as a fold over events, and is correct after every click.

In bulk: `FeatureSet.replay`. Live, one event at a time: `FeatureSet.start / step / value`, pure
and convenient. A service that counts microseconds takes the low-level handle:

    handle = features.program(feature_set)    # compiled; one for all sessions of a thread
    state = handle.start(history)             # mutable, about a kilobyte; History, or None: unknown
    row = handle.encode(event)                # columns -> words, in the handle's own buffer
    vector = handle.step(row, state)          # in place; float64 by feature, NaN = null or text
    handle.texts(state)                       # the text features by name
    handle.values(state)                      # the vector again, without an event
    handle.decode(state)                      # all features by name: float, str or None
    history = history.after(event_type, microseconds, new_session)    # the visitor's, next time

States go to bytes and back with `FeatureSet.dump` and `load`.

Nothing here loads Numba before something is folded.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cartcast.events.schema import Clock
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
    Previous,
    SameAsPrevious,
)
from cartcast.features.declared import Lineage
from cartcast.features.expressions import AboveAverage, Expression, Gap, Negated, Times
from cartcast.features.featureset import FeatureSet
from cartcast.features.library import SETS, default, load_set, shop, usual
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
    EarlierWords,
)

if TYPE_CHECKING:
    from cartcast.features.live import Handle
    from cartcast.features.registers import microseconds as microseconds
    from cartcast.features.state import History as History
    from cartcast.features.state import State as State

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
    "EarlierWords",
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
    "Previous",
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
    "shop",
    "usual",
]


def program(feature_set: FeatureSet, clock: Clock = "time") -> Handle:
    """Return a new low-level live handle of a feature set (see the module's text)."""
    from cartcast.features.live import Handle

    return Handle(feature_set, clock)


def _get(name: str) -> Any:
    if name in ("History", "State", "microseconds"):
        from cartcast.features import registers, state

        return getattr(registers if name == "microseconds" else state, name)
    if name.startswith("__"):
        raise AttributeError(f"module 'cartcast.features' has no attribute {name!r}")
    from cartcast.errors import did_you_mean

    raise AttributeError(
        f"module 'cartcast.features' has no attribute {name!r}.{did_you_mean(name, __all__)}"
    )


if not TYPE_CHECKING:
    __getattr__ = _get
