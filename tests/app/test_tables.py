"""Tables: written for people on the screen, as they are in the exported file."""

from __future__ import annotations

import pandas as pd

from cartcast.app import ui
from cartcast.charts import heads


def rows(n: int) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "session_id": [f"s{k}" for k in range(n)],
            "roc_auc": [0.79861] * n,
            "probability": [0.0461] * n,
            "revenue": [22646.55] * n,
            "n": [14841] * n,
            "feature": ["carts_decayed_2"] * n,
            "event": ["view_item"] * n,
            "low": [None] * n,
        }
    )


def test_a_table_is_written_for_people():
    table = rows(3)
    units = {c: heads.unit_of(c) for c in table.columns}
    shown, settings = ui.written(table, units, "EUR")
    text = shown.to_html()
    for cell in (
        "0.799",
        "4.6 %",
        "€22,647",
        "14,841",
        "carts, recent (2 clicks)",
        "product page",
        "–",
    ):
        assert f">{cell}<" in text, cell
    labels = [settings[c]["label"] for c in table.columns]
    assert labels == [
        "session",
        "ROC AUC",
        "probability",
        "revenue",
        "rows",
        "feature",
        "event",
        "interval from",
    ]
    pd.testing.assert_frame_equal(shown.data, rows(3))  # what sorts and is exported stays


def test_a_long_table_is_written_in_the_same_way():
    table = rows(ui.MOST_WRITTEN)
    shown, settings = ui.written(table, {c: heads.unit_of(c) for c in table.columns}, "EUR")
    formats = {
        c: s["type_config"]["format"]
        for c, s in settings.items()
        if s.get("type_config", {}).get("format")
    }
    assert formats == {"probability": "%.1f %%", "revenue": "€%.2f"}
    assert round(shown["probability"][0], 2) == 4.61
    assert table["probability"][0] == 0.0461
