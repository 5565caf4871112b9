"""Every verb that reads a log reads it as the project says."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from typer.testing import CliRunner

from cartcast.cli import app

GAP = 600


def visits() -> pd.DataFrame:
    """One visitor an evening from 23:40 to 00:20, a click every 4 minutes, then one after 15."""
    rows = []
    for visitor in range(30):
        start = dt.datetime(2025, 1, 6 + visitor % 5, 23, 40)
        steps = [4 * k for k in range(11)] + [55]
        for click, minutes in enumerate(steps):
            kind = {3: "add_to_cart", 7: "purchase"}.get(click, "view_item")
            rows.append((f"v{visitor}", start + dt.timedelta(minutes=minutes), kind, f"o{visitor}"))
    table = pd.DataFrame(rows, columns=["visitor_id", "event_time", "event_type", "order_id"])
    return table.assign(order_id=table["order_id"].where(table["event_type"] == "purchase"))


def sessions_of(table: pd.DataFrame, gap: float, breaks: tuple[str, ...]) -> int:
    found = 0
    for _, mine in table.groupby("visitor_id"):
        last: Any = None
        for row in mine.sort_values("event_time").itertuples():
            new = last is None or (row.event_time - last.event_time).total_seconds() > gap
            if last is not None and "midnight" in breaks:
                new = new or row.event_time.date() != last.event_time.date()
            if last is not None and "purchase" in breaks:
                new = new or last.event_type == "purchase"
            found += new
            last = row
    return found


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    visits().to_csv("log.csv", index=False)
    Path("cartcast.yaml").write_text("session_gap: 10m\nsession_breaks: [midnight, purchase]\n")
    return tmp_path


def asked(*words: str) -> Any:
    done = CliRunner().invoke(app, [*words, "--json"])
    assert done.exit_code == 0, (words, done.output, done.exception)
    return json.loads(done.output)


def counted(verb: str) -> int:
    """Return the sessions that a verb has seen."""
    match verb:
        case "validate":
            return int(asked("validate", "log.csv")["sessions"])
        case "features":
            return int(asked("features", "log.csv", "--set", "usual", "--out", "t.parquet")["rows"])
        case "paths":
            # Every session has a view: it begins with one, or with what follows a purchase.
            return int(asked("paths", "log.csv", "--from", "view_item")["sessions"])
    raise AssertionError(verb)


VERBS = ["validate", "features", "paths"]


@pytest.mark.parametrize("verb", VERBS)
def test_the_gap_and_the_breaks_are_the_projects(project: Path, verb: str) -> None:
    rules = sessions_of(visits(), GAP, ("midnight", "purchase"))
    assert rules != sessions_of(visits(), 1800, ())
    assert counted(verb) == rules
    Path("cartcast.yaml").unlink()
    assert counted(verb) == sessions_of(visits(), 1800, ())


def test_a_funnel_is_of_the_projects_sessions(project: Path) -> None:
    steps = ["--steps", "view_item,add_to_cart,purchase"]
    first = asked("funnel", "log.csv", *steps)["steps"][0]["reached"]
    assert first == sessions_of(visits(), GAP, ("midnight", "purchase"))
    given = asked("funnel", "log.csv", *steps, "--session-gap", "2h", "--session-break", "campaign")
    assert given["steps"][0]["reached"] == sessions_of(visits(), 7200, ())


def test_cohorts_are_by_the_projects_clock(project: Path) -> None:
    Path("cartcast.yaml").write_text("zone: Asia/Tokyo\nlayout: shop.yaml\n")
    columns = {c: c for c in visits().columns}
    Path("shop.yaml").write_text(json.dumps({"columns": columns}))
    # Friday, 23:40 UTC, is Saturday in Tokyo; Sunday evening would be Monday of the next week.
    moved = visits()
    moved["event_time"] += pd.Timedelta(days=6)
    moved.to_csv("log.csv", index=False)
    weeks = [c["week"] for c in asked("cohorts", "log.csv")["cohorts"] if c["visitors"]]
    local = (moved.groupby("visitor_id")["event_time"].min() + pd.Timedelta(hours=9)).dt
    assert weeks == sorted(
        {str(d.date()) for d in local.normalize() - pd.to_timedelta(local.day_of_week, "D")}
    )


def test_a_clean_log_of_other_sessions_is_refused_where_rules_are_asked_for(project: Path) -> None:
    asked("validate", "log.csv", "--out", "clean.parquet")
    other = CliRunner().invoke(app, ["funnel", "clean.parquet", "--session-gap", "20m"])
    assert "its sessions were made by a pause of 600 s and midnight, purchase" in str(
        other.exception
    )
    assert asked("funnel", "clean.parquet")["steps"]
    Path("cartcast.yaml").unlink()
    # Who asks for nothing gets what the log is.
    assert asked("funnel", "clean.parquet")["steps"]
