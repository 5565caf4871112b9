"""What is watched, how closely, and how many false alarms it may cost."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from cartcast.errors import UsageError, did_you_mean

__all__ = ["Plan", "plan_from"]


@dataclass(frozen=True)
class Plan:
    """Settings of the watch; section `monitoring` of `cartcast.yaml`.

    Attributes:
        budget: false pages a year that may be expected, over all processes together.
        tickets: false alarms a year of the feed and of single clicks, segments and features;
            nobody is called for those.
        purchases_down: share by which purchases may lie below those expected; tight, since it
            loses money.
        purchases_up: the same above them; wide, so that Christmas is silent.
        revenue_down: as `purchases_down`, for revenue.
        revenue_up: as `purchases_up`, for revenue.
        loss: log loss and Brier score beyond the level, the day's rate granted, that is accepted,
            as a share of the loss expected.
        least_expected: expected purchases that make a block; smaller days are put together.
        hours: events of the same hour of weekdays past from which on an hour is judged.
        promotion: probability with which a challenger that is no better is ever promoted.
        patience: days of matured moments after which an undecided challenger makes room.
        webhook: `url`, `secret` (or `$NAME` of a variable), `allow_private`.
        email: `host`, `port`, `sender`, `to`, `user`, `password`, `tls`.
    """

    budget: float = 1.0
    tickets: float = 12.0
    purchases_down: float = 0.08
    purchases_up: float = 0.45
    revenue_down: float = 0.12
    revenue_up: float = 0.65
    loss: float = 0.03
    least_expected: float = 20.0
    hours: float = 20.0
    promotion: float = 0.05
    patience: float = 28.0
    webhook: Mapping[str, Any] = field(default_factory=dict)
    email: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for f in dataclasses.fields(self):
            value = getattr(self, f.name)
            if f.name in ("webhook", "email"):
                if not isinstance(value, Mapping):
                    raise UsageError(f"monitoring: {f.name} must hold `name: value` lines.")
            elif isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
                raise UsageError(f"monitoring: {f.name} must be a positive number, got {value!r}.")
        if self.promotion < 1e-9:
            raise UsageError(
                f"monitoring: promotion must be at least 1e-9, got {self.promotion}: no evidence "
                "proves more."
            )
        for name in ("purchases_down", "revenue_down", "promotion"):
            if getattr(self, name) >= 1:
                raise UsageError(f"monitoring: {name} must be below 1, got {getattr(self, name)}.")


def plan_from(data: Mapping[str, Any]) -> Plan:
    """Return the plan of plain data.

    Raises:
        UsageError: a name is unknown or a value breaks its rule.

    >>> plan_from({"budget": 2}).budget
    2
    """
    known = {f.name for f in dataclasses.fields(Plan)}
    for name in data:
        if name not in known:
            raise UsageError(f"monitoring: unknown setting {name!r}.{did_you_mean(name, known)}")
    return Plan(**data)
