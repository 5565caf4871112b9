"""A rate travels with what voids it: every insight carries the findings of the log's reading."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from typer.testing import CliRunner

from cartcast import events, insights
from cartcast.cli import app as cli

RATES = {
    "funnel": insights.funnel,
    "paths": insights.paths,
    "overview": insights.overview,
    "breakdown": lambda log: insights.breakdown(log, "device"),
    "cohorts": insights.cohorts,
    "heat_map": insights.heat_map,
}
ORDERED = {"funnel", "paths", "overview"}


def log(kind: str) -> pd.DataFrame:
    """A log of which no rate means anything: sampled by event, of one kind, or in no order."""
    rows: list[dict[str, Any]] = []
    for k in range(300):
        day = pd.Timestamp("2025-01-01") + pd.Timedelta(days=k % 28, hours=9 + k % 10)
        for click, word in enumerate(["view_item", "add_to_cart", "purchase"]):
            drawn = {"sampled": (click == 2) == (k % 5 == 0) and click != 1,
                     "one kind": click == 0, "ties": True, "whole": True}[kind]  # fmt: skip
            later = pd.Timedelta(minutes=0 if kind == "ties" else click)
            if drawn:
                rows.append(
                    {"visitor_id": f"v{k}", "session_id": f"s{k}", "event_time": day + later,
                     "event_type": word, "item_id": "i", "price": 1.0, "device": "web"}
                )  # fmt: skip
    out = pd.DataFrame(rows)
    if kind != "ties":
        return out
    return out.sample(frac=1, random_state=1)


@pytest.mark.parametrize("name", RATES)
@pytest.mark.parametrize(
    ("kind", "code"),
    [("sampled", "EV142"), ("one kind", "EV144"), ("ties", "EV131"), ("whole", "")],
)
def test_each_insight_carries_what_voids_it(kind: str, code: str, name: str) -> None:
    clean = events.load(log(kind), layout="cartcast")
    found = RATES[name](clean)
    concerns = code and (code != "EV131" or name in ORDERED)
    assert [f.code for f in found.findings] == ([code] if concerns else [])
    assert [f["code"] for f in found.as_dict()["findings"]] == [f.code for f in found.findings]


def test_in_any_order_no_order_is_missed() -> None:
    clean = events.load(log("ties"), layout="cartcast")
    assert insights.funnel(clean, order="any").findings == ()


@pytest.mark.parametrize("verb", ["funnel", "paths", "cohorts"])
def test_the_command_line_says_so_beside_the_figure(verb: str, tmp_path: Path) -> None:
    log("sampled").to_csv(tmp_path / "log.csv", index=False)
    said = CliRunner().invoke(cli, [verb, str(tmp_path / "log.csv")])
    assert said.exit_code == 0
    assert "EV142 warn" in said.output
    data = CliRunner().invoke(cli, [verb, str(tmp_path / "log.csv"), "--json"])
    assert [f["code"] for f in json.loads(data.output)["findings"]] == ["EV142"]
