"""Accidents: what happens to a log between the shop and its reader."""

from __future__ import annotations

from cartcast.datasets.disguises.accidents import clock, columns, ids, money, rows, text
from cartcast.datasets.disguises.accidents.accident import Accident

__all__ = ["ACCIDENTS", "Accident"]

ACCIDENTS: dict[str, Accident] = {
    accident.name: accident
    for group in (
        clock.ACCIDENTS,
        money.ACCIDENTS,
        columns.ACCIDENTS,
        ids.ACCIDENTS,
        rows.ACCIDENTS,
        text.ACCIDENTS,
    )
    for accident in group
}
"""Every accident by name, in the order in which several happen to one log."""
