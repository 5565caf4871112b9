"""What the cases of `interval_coverage.py` are made of: samples of the visitors of a large log."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from cartcast import events
from cartcast.datasets import Missions, simulate

__all__ = ["Case", "Draw", "Ends", "Visitors", "ends", "simulated"]

Ends = tuple[float | None, float | None, float | None]
"""Value and ends of an interval."""
Draw = Callable[[np.random.Generator], dict[str, Ends]]


class Case(NamedTuple):
    """Intervals of one sample, drawn again and again.

    Attributes:
        part: heading of the table that it belongs to.
        shop: the shop.
        sample: how large a sample is.
        nominal: what the intervals promise.
        make: returns the true value by interval, and what draws a sample's intervals.
    """

    part: str
    shop: str
    sample: str
    nominal: float
    make: Callable[[], tuple[dict[str, float], Draw]]


def ends(found: Any) -> Ends:
    return found.value, found.low, found.high


class Visitors:
    """Draws whole visitors of a table, with new names for them and for their sessions."""

    def __init__(self, table: pd.DataFrame) -> None:
        self.table = table
        codes = pd.factorize(table["visitor_id"])[0]
        order = np.argsort(codes, kind="stable")
        self.parts = np.split(order, np.cumsum(np.bincount(codes))[:-1])

    def __call__(self, rng: np.random.Generator, count: int) -> pd.DataFrame:
        chosen = rng.integers(0, len(self.parts), count)
        rows = np.concatenate([self.parts[c] for c in chosen])
        name = pd.Series(np.repeat(np.arange(count), [len(self.parts[c]) for c in chosen]))
        drawn = self.table.iloc[rows].reset_index(drop=True)
        drawn["visitor_id"] = "v" + name.astype(str)
        drawn["session_id"] = drawn["visitor_id"] + "." + drawn["session_id"].astype(str)
        return drawn


def simulated(sessions: int, seed: int, shop: Missions | None, use: Callable[[Any], Any]) -> Any:
    """Return what `use` makes of a simulated log."""
    with tempfile.TemporaryDirectory() as work:
        simulate(sessions, seed=seed, out=Path(work) / "shop.parquet", shop=shop)
        return use(events.load(Path(work) / "shop.parquet", folder=Path(work) / "log"))
