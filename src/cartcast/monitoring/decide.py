"""What becomes of a challenger: promoted, dropped, or compared for longer."""

from __future__ import annotations

from typing import Literal

from cartcast.monitoring import codes
from cartcast.monitoring.alarms import Alarm
from cartcast.monitoring.compare import Comparison
from cartcast.monitoring.plan import Plan

__all__ = ["DOUBTED", "Decision", "decide"]

Decision = Literal["promote", "drop", "wait"]

DOUBTED = frozenset(
    c.code
    for c in (
        codes.HOLE, codes.DOUBLED, codes.FEED_SHARE, codes.CLOCK, codes.MONEY_SCALE, codes.MACHINES,
    )
)  # fmt: skip
"""Tickets of the feed that make outcomes doubtful: while one is open, nobody is promoted."""


def decide(
    found: Comparison, pages: list[Alarm], doubts: list[Alarm], plan: Plan
) -> tuple[Decision, str]:
    """Return what is to be done with a challenger, and why.

    Args:
        found: the comparison so far.
        pages: pages of the champion's risk that are not resolved.
        doubts: open tickets of its feed.
        plan: how sure to be, and how patient.
    """
    if found.worse:
        return "drop", "proven worse"
    bad = pages[0] if pages else None
    enough = found.outcomes >= plan.least_expected
    if found.better or (bad and enough and found.ahead):
        if doubts:
            numbers = ", ".join(f"{a.number} ({a.code})" for a in doubts)
            return "wait", (
                f"the feed is in doubt: outcomes may be wrong while ticket {numbers} is open; "
                "acknowledge or resolve it"
            )
        if found.better:
            return "promote", "proven better"
        assert bad is not None
        return "promote", (
            f"the champion is proven bad (alarm {bad.number}, {bad.code}), and the challenger is "
            "ahead and not proven worse"
        )
    if found.days >= plan.patience:
        return "drop", f"undecided after {found.days} days"
    return "wait", "nothing is proven yet"
