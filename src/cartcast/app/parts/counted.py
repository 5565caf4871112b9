"""What a reading counted: its figures, and the rows that it refused."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import streamlit as st

from cartcast.app import ui
from cartcast.charts.theme import number
from cartcast.events import Summary

__all__ = ["count_tiles", "offer_rejects"]


def count_tiles(facts: Summary, currency: str | None) -> None:
    """Draw what was counted."""
    ui.figures(
        [
            ("Events", number(facts.events), None),
            ("Sessions", number(facts.sessions), None),
            ("Visitors", number(facts.visitors), None),
            ("Items", number(facts.items), None),
            ("Purchases", number(facts.purchases), None),
            ("Revenue", number(facts.revenue, "money", currency), None),
            ("Rejected", number(facts.rejects), None),
        ],
        width=128,
    )


def offer_rejects(view: ui.View, path: Path | None, name: str) -> None:
    """Offer the rejected rows, each with its reason."""
    if path is None or not path.is_file():
        return
    rows = pd.read_parquet(path)
    with st.expander(f"{len(rows):,} rejected rows, each with its reason"):
        ui.table(rows.head(100_000), view, name)
