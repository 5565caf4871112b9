"""Rates: converted money equals a slow conversion in Python, row by row, before any sum."""

from __future__ import annotations

import datetime as dt
import random
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pandas as pd
import pytest

from cartcast import events
from cartcast.errors import CartcastError, DataError, UsageError
from cartcast.events.rates import Rates, rates_from

TABLE: dict[str, Any] = {
    "into": "EUR",
    "USD": 0.9,
    "JPY": {"2025-03-01": 0.0061, "2025-03-04": 0.0064, "2025-03-09": 0.005},
    "GBP": {dt.date(2025, 3, 1): 1.2},
}
MONEY = ("price", "order_value", "tax", "shipping", "discount")


def rows(seed: int, codes: tuple[str, ...] = ("EUR", "USD", "JPY", "GBP")) -> list[dict[str, Any]]:
    """Sessions in several currencies, one each, that view and buy."""
    random_ = random.Random(seed)
    out: list[dict[str, Any]] = []
    for k in range(120):
        code = random_.choice(codes)
        start = dt.datetime(2025, 3, 2) + dt.timedelta(seconds=random_.randrange(10 * 86_400))
        for click in range(3):
            bought = click == 2
            row: dict[str, Any] = {
                "visitor_id": f"v{k % 50}", "session_id": f"s{k}",
                "event_time": start + dt.timedelta(seconds=click * random_.randrange(1, 3000)),
                "event_type": "purchase" if bought else "view_item", "item_id": f"i{click}",
                "currency": code, "order_id": f"o{k}" if bought else None,
            }  # fmt: skip
            row |= {m: round(random_.uniform(1, 9000), 2) for m in MONEY[: 5 if bought else 1]}
            out.append(row)
    return sorted(out, key=lambda r: r["event_time"])


def slowly(row: dict[str, Any], zone: str | None) -> float:
    """What one unit of a row's currency is worth: looked up day by day, backwards."""
    by_day = TABLE[row["currency"]] if row["currency"] != "EUR" else 1.0
    if not isinstance(by_day, dict):
        return float(by_day)
    days = {str(day): rate for day, rate in by_day.items()}
    moment = row["event_time"].replace(tzinfo=dt.UTC).astimezone(ZoneInfo(zone or "UTC"))
    day = moment.date()
    while str(day) not in days:
        day -= dt.timedelta(days=1)
    return float(days[str(day)])


@pytest.mark.parametrize("zone", [None, "Asia/Tokyo", "America/Los_Angeles"])
def test_every_amount_equals_a_slow_conversion(zone: str | None) -> None:
    given = rows(1)
    log = events.load(pd.DataFrame(given), rates=TABLE, zone=zone, layout="cartcast")
    got = {(r["session_id"], r["event_order"]): r for r in log.table().to_pylist()}
    clicks: dict[str, int] = {}
    revenue = 0.0
    for row in given:
        place = clicks[row["session_id"]] = clicks.get(row["session_id"], 0) + 1
        found, rate = got[row["session_id"], place], slowly(row, zone)
        for name in MONEY:
            wanted = None if row.get(name) is None else row[name] * rate
            assert found[name] == (None if wanted is None else pytest.approx(wanted, rel=1e-12))
        assert found["currency"] == "EUR"
        revenue += row.get("order_value", 0.0) * rate
    assert log.summary.revenue == pytest.approx(revenue, abs=0.001)
    assert (log.currency, Rates.of(log.rates or {})) == ("EUR", Rates.of(TABLE))
    told = next(f for f in log.findings if f.code == "EV151")
    assert told.count == sum(r["currency"] != "EUR" for r in given)


def test_money_without_a_currency_is_told_and_late_rates_too() -> None:
    given = rows(2, ("EUR", "JPY"))
    for row in given[:20]:
        row["currency"] = None
    table = {"into": "EUR", "JPY": {"2025-01-01": 0.006}}
    log = events.load(pd.DataFrame(given), rates=table, layout="cartcast")
    told = {f.code: f.count for f in log.findings}
    assert told["EV153"] == 20
    assert told["EV152"] == sum(r["currency"] == "JPY" for r in given)


def test_without_a_rate_the_log_is_refused_by_name_and_count(tmp_path: Path) -> None:
    given = rows(3)
    frame = pd.DataFrame(given)
    with pytest.raises(DataError, match=r"one currency.*--rates FILE"):
        events.load(frame, layout="cartcast")
    count = sum(r["currency"] == "GBP" for r in given)
    table = {k: v for k, v in TABLE.items() if k != "GBP"}
    with pytest.raises(DataError, match=rf"GBP has no rate \({count} rows\)"):
        events.load(frame, rates=table, layout="cartcast")
    early = sum(r["currency"] == "GBP" and r["event_time"] < dt.datetime(2025, 3, 5) for r in given)
    assert early
    with pytest.raises(DataError, match=rf"GBP has none before 2025-03-05 \({early} rows"):
        events.load(frame, rates={**table, "GBP": {"2025-03-05": 1}}, layout="cartcast")
    clean = tmp_path / "clean.parquet"
    events.load(frame[frame["currency"] == "JPY"], layout="cartcast", out=clean)
    with pytest.raises(DataError, match="cleaned in JPY, not in EUR"):
        events.load(clean, rates=TABLE)


def test_files_say_the_same_as_mappings(tmp_path: Path) -> None:
    lines = ["day;currency;rate;into"]
    lines += [f"{d or ''};{c};{r};EUR" for c, d, r in Rates.of(TABLE).table]
    (tmp_path / "r.csv").write_text("\n".join(lines))
    (tmp_path / "r.yaml").write_text(
        "rates:\n  into: EUR\n  USD: 0.9\n  GBP: {2025-03-01: 1.2}\n"
        "  JPY: {2025-03-01: 0.0061, 2025-03-04: 0.0064, 2025-03-09: 0.005}\n"
    )
    assert rates_from(tmp_path / "r.csv") == rates_from(tmp_path / "r.yaml") == Rates.of(TABLE)


@pytest.mark.parametrize(
    "data",
    [{"USD": 1.1}, {"into": "EUR", "USD": 0}, {"into": "EUR", "USD": "x"}, {"into": "EURO"},
     {"into": "EUR", "EUR": 2}, {"into": "EUR", "USD": {"May": 1}}, {"into": "EUR", "XXQ": 1}],
)  # fmt: skip
def test_what_is_no_rate_is_refused(data: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        Rates.of(data)
    (tmp_path / "r.csv").write_text("a,b\n1,2\n")
    for wrong in (tmp_path / "r.csv", tmp_path / "none.yaml"):
        with pytest.raises(CartcastError):
            rates_from(wrong)
