"""Rates: the money of a log in several currencies, converted into one.

A row's money is multiplied by its currency's rate: the one rate, or the one of the row's day by the
shop's clock, which is the last that was stated on or before it. Rows with money and no currency are
taken as being in the target currency, and counted. A currency without a rate, or a day before its
first rate, is refused: money is never added up unconverted.
"""

from __future__ import annotations

import csv
import math
from bisect import bisect_right
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import duckdb

from cartcast.errors import DataError, NotFoundError, UsageError, did_you_mean
from cartcast.events.sql import literal
from cartcast.events.summed import grouped, in_a_part
from cartcast.events.words import CURRENCIES
from cartcast.events.zones import offset_sql
from cartcast.findings import Finding, declare, finding

__all__ = ["MONEY", "Rates", "convert", "rates_from"]

MONEY: Final = ("price", "line_value", "order_value", "tax", "shipping", "discount")
"""Columns that are converted; `revenue` is made of them afterwards."""

CONVERTED = declare(
    "EV151",
    "note",
    "Money was converted into one currency",
    "Prices and totals are those of the source times the rates that were given.",
    "Check that the rates are those by which the shop keeps its books.",
)
OLD_RATES = declare(
    "EV152",
    "warn",
    "The rates end before the log does",
    "Later events are converted by the last rate, which may be far from that day's.",
    "Add newer rates.",
)
UNSTATED = declare(
    "EV153",
    "warn",
    "Money without a currency in a log that is converted",
    "It is taken as being in the target currency already.",
    "State the currency in the export.",
)

_STALE = timedelta(days=7)
_FORM = (
    "rates must name the target and the worth of one unit: `into: EUR`, `USD: 0.92`, or by day "
    "`JPY: {2025-01-01: 0.0062}`; or a CSV with the columns currency, rate, into and, if by day, "
    "day"
)


@dataclass(frozen=True)
class Rates:
    """What one unit of each currency is worth in the target currency.

    Attributes:
        into: ISO 4217 code of the target.
        table: (currency, first day on which the rate holds or None for always, rate), sorted.

    >>> rates = Rates.of({"into": "EUR", "USD": 0.5, "JPY": {"2025-01-01": 0.006, "2025-02-01": 1}})
    >>> rates.rate("JPY", date(2025, 1, 31)), rates.rate("JPY", date(2024, 12, 31))
    (0.006, None)
    >>> rates.rate("USD", None), rates.rate("EUR", None), rates.rate("GBP", None)
    (0.5, 1.0, None)
    """

    into: str
    table: tuple[tuple[str, str | None, float], ...]

    @classmethod
    def of(cls, data: Mapping[Any, Any], where: str = "rates") -> Rates:
        """Return rates from plain data.

        Raises:
            UsageError: a currency, a day or a rate is none.
        """
        rows: list[tuple[Any, Any, Any]] = []
        for code, given in data.items():
            if str(code) == "into":
                continue
            by_day = given if isinstance(given, Mapping) else {None: given}
            rows += [(code, day, rate) for day, rate in by_day.items()]
        return _checked(data.get("into"), rows, where)

    def as_dict(self) -> dict[str, Any]:
        """Return plain data that `of` reads back."""
        out: dict[str, Any] = {"into": self.into}
        for code, day, rate in self.table:
            if day is None:
                out[code] = rate
            else:
                out.setdefault(code, {})[day] = rate
        return out

    def rate(self, currency: str, day: date | None) -> float | None:
        """Return what one unit of `currency` is worth on a day; None when nothing tells."""
        if currency == self.into:
            return 1.0
        days, rates = self._known.get(currency, ([], []))
        if days == [None]:
            return rates[0]
        if day is None:
            return None
        place = bisect_right([d for d in days if d is not None], day.isoformat())
        return rates[place - 1] if place else None

    @cached_property
    def _known(self) -> dict[str, tuple[list[str | None], list[float]]]:
        known: dict[str, tuple[list[str | None], list[float]]] = {}
        for code, day, rate in self.table:
            days, rates = known.setdefault(code, ([], []))
            days.append(day)
            rates.append(rate)
        return known

    @property
    def last(self) -> date | None:
        """The newest day of a rate; None for rates without days."""
        days = [date.fromisoformat(d) for _, d, _ in self.table if d is not None]
        return max(days, default=None)


def rates_from(given: Rates | Mapping[Any, Any] | Path | str | None) -> Rates | None:
    """Return rates from what was given: a mapping, or a YAML or CSV file; None for none.

    Raises:
        NotFoundError: there is no such file.
        UsageError: it holds no rates.
    """
    if given is None or isinstance(given, Rates):
        return given
    if isinstance(given, Mapping):
        return Rates.of(given) if given else None
    path = Path(given)
    if not path.is_file():
        raise NotFoundError(f"{path}: no such file of rates; check the path.")
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError(f"{path}: not UTF-8 text; {_FORM}.") from error
    if path.suffix.lower() in (".csv", ".tsv"):
        return _from_csv(text, path)
    import yaml

    try:
        data = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise UsageError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from error
    if isinstance(data, Mapping) and isinstance(data.get("rates"), Mapping):
        data = data["rates"]
    if not isinstance(data, Mapping):
        raise UsageError(f"{path}: {_FORM}.")
    return Rates.of(data, str(path))


def _from_csv(text: str, path: Path) -> Rates:
    mark = "\t" if path.suffix.lower() == ".tsv" else max(",;\t", key=text.split("\n")[0].count)
    lines = list(csv.DictReader(text.splitlines(), delimiter=mark))
    names = {str(n).strip().lower(): n for n in (lines[0] if lines else {})}
    day = names.get("day") or names.get("date")
    if not {"currency", "rate", "into"} <= names.keys():
        raise UsageError(f"{path}: {_FORM}.")
    targets = {(line[names["into"]] or "").strip() for line in lines}
    if len(targets) > 1:
        raise UsageError(f"{path}: one target currency is needed, got {', '.join(sorted(targets))}")
    rows = [
        (line[names["currency"]], (line[day] or None) if day else None, line[names["rate"]])
        for line in lines
    ]
    return _checked(targets.pop(), rows, str(path))


def _checked(into: Any, rows: Iterable[tuple[Any, Any, Any]], where: str) -> Rates:
    if into is None:
        raise UsageError(f"{where}: no target currency; {_FORM}.")
    target = _code(into, where)
    table: dict[tuple[str, str | None], float] = {}
    for code, day, given in rows:
        name, since = _code(code, where), _day(day, where)
        try:
            rate = float(given)
        except (TypeError, ValueError):
            rate = math.nan
        if not (math.isfinite(rate) and rate > 0):
            raise UsageError(f"{where}: the rate of {name} must be a number > 0, got {given!r}.")
        if name == target and rate != 1:
            raise UsageError(f"{where}: {name} is the target, its rate is 1, got {rate:g}.")
        if table.setdefault((name, since), rate) != rate:
            on = f" on {since}" if since else ""
            raise UsageError(f"{where}: {name} has two rates{on}: {table[name, since]}, {rate}.")
        table[name, since] = rate
    found = sorted(((c, d, r) for (c, d), r in table.items()), key=lambda t: (t[0], t[1] or ""))
    for code in {c for c, _, _ in found}:
        if len({d is None for c, d, _ in found if c == code}) > 1:
            raise UsageError(f"{where}: {code} has a rate without a day beside rates by day.")
    return Rates(target, tuple(found))


def _code(code: Any, where: str) -> str:
    name = str(code).strip().upper()
    if name not in CURRENCIES:
        # YAML reads some codes as words of its own: `NO` is false.
        raise UsageError(
            f"{where}: {code!r} is not an ISO 4217 code.{did_you_mean(name, sorted(CURRENCIES))}"
        )
    return name


def _day(day: Any, where: str) -> str | None:
    if day is None:
        return None
    if isinstance(day, datetime | date):
        return (day.date() if isinstance(day, datetime) else day).isoformat()
    try:
        return date.fromisoformat(str(day).strip()).isoformat()
    except ValueError as error:
        raise UsageError(f"{where}: a day must look like 2025-01-31, got {day!r}.") from error


def convert(
    con: duckdb.DuckDBPyConnection, rows: str, rates: Rates | None, zone: str | None, shown: str
) -> tuple[str, list[Finding]]:
    """Return a relation of the rows with their money in one currency, and what must be said.

    Raises:
        DataError: a currency has no rate, or no rate yet on some day.
    """
    if rates is None:
        return rows, []
    day = f"CAST(r.event_time + to_minutes({offset_sql('r.event_time', zone)}) AS DATE)"
    _declare(con, rates)
    fixed = "".join(f" WHEN {literal(c)} THEN {r!r}" for c, d, r in rates.table if d is None)
    last = f"DATE '{rates.last or date.max}'"
    con.execute(
        f"CREATE OR REPLACE VIEW rated AS SELECT r.*, {day} AS __day, CASE "
        f"coalesce(r.currency, {literal(rates.into)}) WHEN {literal(rates.into)} THEN 1.0{fixed} "
        f"ELSE d.rate END AS __rate FROM {rows} r LEFT JOIN rate_of_day d "
        f"ON d.currency = r.currency AND d.day = least({day}, {last})"
    )
    known = " OR ".join(f"{c} IS NOT NULL" for c in MONEY)
    found = _told(con, rates, known, shown)
    # Rounded far below any coin: one price is one number, in whichever currency it was sent.
    products = ", ".join(f"round({c} * __rate, 9) AS {c}" for c in MONEY)
    code = f"CASE WHEN currency IS NOT NULL THEN {literal(rates.into)} END AS currency"
    con.execute(
        "CREATE OR REPLACE VIEW converted AS SELECT * EXCLUDE (__rate, __day) REPLACE "
        f"({products}, {code}) FROM rated"
    )
    return "converted", found


def _declare(con: duckdb.DuckDBPyConnection, rates: Rates) -> None:
    """Make the table of dated rates, a row for each day up to the newest."""
    dated = [(c, date.fromisoformat(d), r) for c, d, r in rates.table if d is not None]
    end = (rates.last or date.min) + timedelta(days=1)
    spans = []
    for place, (code, since, rate) in enumerate(dated):
        following = dated[place + 1] if place + 1 < len(dated) else None
        until = following[1] if following is not None and following[0] == code else end
        spans.append(f"({literal(code)}, DATE '{since}', DATE '{until}', {rate!r})")
    nothing = "(NULL, DATE '2000-01-01', DATE '2000-01-01', 1.0)"
    con.execute(
        "CREATE OR REPLACE TEMP TABLE rate_of_day AS SELECT currency, "
        "CAST(unnest(range(since, until, INTERVAL 1 DAY)) AS DATE) AS day, CAST(rate AS DOUBLE) "
        f"AS rate FROM (VALUES {', '.join(spans) or nothing}) AS v(currency, since, until, rate)"
    )


def _told(con: duckdb.DuckDBPyConnection, rates: Rates, known: str, shown: str) -> list[Finding]:
    """Return the findings on what is converted; refuse what no rate is known for."""
    stale = (rates.last or date.max - _STALE) + _STALE
    told = grouped(
        con,
        "converted money",
        "SELECT coalesce(currency, ''), count(*) FILTER (__rate IS NULL), "
        f"count(*) FILTER (__day > DATE '{stale}'), count(*) FROM rated WHERE {known} "
        "GROUP BY 1 ORDER BY 1",
    )
    without = [(code, missing) for code, missing, _, _ in told if missing]
    if without and not in_a_part():
        listed = ", ".join(_missing(code, n, rates) for code, n in without)
        raise DataError(f"{shown}: cannot be converted into {rates.into}: {listed}; add the rates.")
    found = []
    foreign = {code: n for code, _, _, n in told if code not in ("", rates.into)}
    if foreign:
        listed = ", ".join(f"{n:,} rows in {code}" for code, n in foreign.items())
        found.append(
            finding(CONVERTED, f"{listed} were converted into {rates.into}.",
                    count=sum(foreign.values()), rows=foreign, into=rates.into)
        )  # fmt: skip
    dated = {c for c, d, _ in rates.table if d is not None}
    late = sum(n for code, _, n, _ in told if code in dated)
    if late:
        found.append(
            finding(OLD_RATES, f"{late:,} rows are more than {_STALE.days} days younger than the "
                    f"last rate ({rates.last}).", count=late)
        )  # fmt: skip
    unstated = sum(n for code, _, _, n in told if not code)
    if unstated:
        found.append(
            finding(UNSTATED, f"{unstated:,} rows with money state no currency; they are taken as "
                    f"{rates.into}.", count=unstated)
        )  # fmt: skip
    return found


def _missing(code: str, count: int, rates: Rates) -> str:
    days = [d for c, d, _ in rates.table if c == code and d is not None]
    if not days:
        return f"{code} has no rate ({count:,} rows)"
    return f"{code} has none before {days[0]} ({count:,} rows on earlier days, or without a day)"
