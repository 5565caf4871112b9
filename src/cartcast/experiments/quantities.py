"""Quantities: the columns of the table of units, declared over the log's own events."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from cartcast.config import parse_duration
from cartcast.errors import DefinitionError
from cartcast.events.sql import identifier, literal

__all__ = ["Quantity"]

MOST_DAYS = 36_500
Kind = Literal["any", "count", "sum", "distinct"]


@dataclass(frozen=True)
class Quantity:
    """What a unit did within a window after its exposure (or before, as a covariate).

    Attributes:
        kind: `any` (0 or 1: did it happen), `count` of events, `sum` of a column, `distinct`
            values of a column.
        event: event type of the canonical log that counts; None: every event.
        column: column of the log for `sum` and `distinct`; for `sum` also `order_value`, which
            counts an order once.
        after: start of the window after the exposure, such as `7d`; default at once.
        within: end of the window after the exposure; None: open. Units that were exposed too late
            to have the whole window are left out of the analysis, so that all are seen as long.
        before: a covariate: the window lies before the exposure, in place of after it.
        cap: amount at which a unit's value is capped, or None.
        cap_quantile: quantile among the units above zero at which it is capped, over all arms.
    """

    kind: Kind
    event: str | None = None
    column: str | None = None
    after: str | float | None = None
    within: str | float | None = None
    before: str | float | None = None
    cap: float | None = None
    cap_quantile: float | None = None

    def __post_init__(self) -> None:
        if self.kind not in ("any", "count", "sum", "distinct"):
            raise DefinitionError(f"kind must be any, count, sum or distinct, got {self.kind!r}.")
        if (self.kind in ("sum", "distinct")) != (self.column is not None):
            raise DefinitionError(
                f"{self.kind} takes {'a' if self.column is None else 'no'} column."
            )
        if self.before is not None and (self.after is not None or self.within is not None):
            raise DefinitionError("a quantity lies before the exposure or after it, not both.")
        if self.start >= self.end:
            raise DefinitionError(f"the window must end after its start, got {self.window}.")
        if self.cap is not None and self.cap_quantile is not None:
            raise DefinitionError("a quantity is capped at an amount or at a quantile, not both.")
        if any(MOST_DAYS * 86_400 < abs(t) < float("inf") for t in self.window):
            raise DefinitionError(f"a window may be {MOST_DAYS:,} days long, got {self.window}.")
        if self.cap is not None and not 0 < self.cap < float("inf"):
            raise DefinitionError(f"cap must be positive, got {self.cap}.")
        if self.cap_quantile is not None and not 0 < self.cap_quantile < 1:
            raise DefinitionError(f"cap_quantile must lie within 0 and 1, got {self.cap_quantile}.")

    @property
    def window(self) -> tuple[float, float]:
        """Start and end of the window in seconds from the exposure; the end may be inf."""
        return self.start, self.end

    @property
    def start(self) -> float:
        """Start of the window in seconds from the exposure."""
        if self.before is not None:
            return -parse_duration(self.before)
        return 0.0 if not self.after else parse_duration(self.after)

    @property
    def end(self) -> float:
        """End of the window in seconds from the exposure, exclusive."""
        if self.before is not None:
            return 0.0
        return float("inf") if self.within is None else parse_duration(self.within)

    def sql(self) -> str:
        """Return the aggregate over the events `e` of a unit, `since` seconds after exposure."""
        tests = [f"since >= {self.start}"]
        if self.end != float("inf"):
            tests.append(f"since < {self.end}")
        if self.event is not None:
            tests.append(f"event_type = {literal(self.event)}")
        where = " AND ".join(tests)
        if self.kind in ("any", "count"):
            count = f"count(*) FILTER ({where})"
            return f"({count} > 0)::DOUBLE" if self.kind == "any" else f"{count}::DOUBLE"
        column = identifier(self.column or "")
        if self.kind == "distinct":
            return f"count(DISTINCT {column}) FILTER ({where})::DOUBLE"
        return f"coalesce(sum({column}) FILTER ({where}), 0)::DOUBLE"
