"""Anchors: the moments (visitor, session, click) at which a training row is written.

An anchor's features use events up to and with its click, its label only what comes after. Rows at
or after the first outcome are dropped, and so are censored rows, whose horizon the log does not
show to its end; both are counted. The horizon is the same for all rows: dropping a row because
*its* session is still open would drop long sessions, which buy more than short ones. So would
keeping the rest of sessions that were open when the log began, which are long ones, as if new.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import duckdb
import numpy as np
import pandas as pd

from cartcast.errors import DataError, did_you_mean
from cartcast.events import Log
from cartcast.events.sql import read_parquet
from cartcast.findings import Finding, declare, finding
from cartcast.targets import Proxy, Target

__all__ = ["MD102", "PURCHASES", "SESSIONS_OVER", "Anchors", "after_outcome", "drawn",
           "find_anchors", "labelled", "outcomes_of", "require_outcome", "settled"]  # fmt: skip

PURCHASES = """
    SELECT session_id, visitor_id, event_order, event_time, revenue AS amount
    FROM events WHERE event_type = 'purchase' AND NOT repeat_purchase
"""
"""Purchases with the money that counts; a repeat of an order was marked by the contract."""


MD102 = declare(
    "MD102",
    "warn",
    "the log is too short for its sessions",
    "What is left of a session can be longer than what the log shows of it: the rows that remain "
    "are those of the log's beginning, and long sessions are cut where nobody sees it.",
    "Use a log several times as long as its sessions.",
)
SESSIONS_OVER = 0.995
"""Share of the sessions that must be over by the horizon of a label that ends with the session."""
_CUT_BY_CHANCE = 0.001


@dataclass(frozen=True)
class Anchors:
    """Anchors with their labels.

    Attributes:
        table: one row an anchor: session_id, visitor_id, event_order, click, anchor_time,
            known_time (when its label is known), session_start, position (order of the sessions),
            weight (1), label (0, 1 or money), amount (money after the anchor).
        dropped: rows dropped, by reason: `after_outcome`, `censored`, and `begun_before` where the
            log was cut out of a shop that was open.
        findings: that the log is too short for its sessions, if it is.
    """

    table: pd.DataFrame
    dropped: dict[str, int]
    findings: tuple[Finding, ...] = ()


def require_outcome(log: Log, target: Target | Proxy) -> None:
    """Refuse a target whose outcome the log never records, and say which proxies are possible.

    Raises:
        DataError: no event of the target's kind.
    """
    types = log.summary.event_types
    if isinstance(target, Proxy) or types.get(target.event_type, 0) > 0:
        return
    possible = [n for n in ("add_to_cart", "begin_checkout") if types.get(n, 0) > 0]
    names = {"add_to_cart": "add_to_cart", "begin_checkout": "checkout"}
    observed = "".join(f" --target {names[n]} (observed in this log);" for n in possible)
    if log.summary.events == log.summary.sessions and len(types) == 1:
        raise DataError(
            f"the log has no {target.event_type} event, and no session has more than one. A table "
            "with one row a session or visitor is no log: `cartcast train --rows FILE --target "
            "COLUMN` learns from it."
        )
    raise DataError(
        f"the log has no {target.event_type} event, so {target.name} cannot be "
        f"learned from it. Give the outcomes with --orders FILE, or choose:{observed} "
        "--target proxy:browsing (at least 5 more events) or "
        "--target proxy:reach:COLUMN=VALUE (a later event with that value); a proxy says so "
        "wherever it shows."
    )


def find_anchors(
    log: Log, target: Target | Proxy, clicks: tuple[int, ...], session_gap: float = 1800.0
) -> Anchors:
    """Return the anchors of a log with their labels.

    A row is written after each click number in `clicks` that a session reaches. Every row weighs
    1: a weight that shared a session's rows would depend on how long the session becomes, which
    is not known at the anchor, and would bend the probabilities (docs/decisions/0001).

    Raises:
        DataError: the log has no outcome of this kind, or no anchor is left.
    """
    require_outcome(log, target)
    tables = log.map_parts(partial(labelled, target=target, clicks=clicks))
    return settled(tables, log, target, session_gap)


def labelled(
    part: Log, target: Target | Proxy, clicks: Sequence[int], draw: str | None = None
) -> pd.DataFrame:
    """Return the anchors of a part of a log with what came after each; see `settled`.

    `draw` is a condition on `visitor` (see `drawn`): others have no anchors.
    """
    with part.connect() as con:
        con.execute("SET preserve_insertion_order = true")
        con.execute(
            "CREATE TEMP TABLE session AS SELECT session_id, any_value(visitor_id) AS visitor_id, "
            "min(event_time) AS session_start, max(event_time) AS session_end, "
            "count(*) AS events, min(file_row_number) AS first_row, "
            "coalesce(any_value(visitor_id), session_id) AS visitor "
            f"FROM {read_parquet(part.path, numbered=True)} GROUP BY session_id "
            f"HAVING {draw or 'true'}"
        )
        con.execute(
            "CREATE TEMP TABLE anchor AS SELECT e.session_id, "
            "s.visitor_id, e.event_order, e.event_order AS click, e.event_time AS anchor_time, "
            "s.session_start, s.session_end, s.first_row, s.events "
            "FROM events e JOIN session s USING (session_id) "
            "WHERE e.event_order IN (SELECT unnest(?))",
            [list(clicks)],
        )
        return outcomes_of(con, part, target).df()


def outcomes_of(
    con: duckdb.DuckDBPyConnection, part: Log, target: Target | Proxy
) -> duckdb.DuckDBPyRelation:
    """Add first_order, outcome and amount to the rows of the table `anchor`.

    It has at least session_id, visitor_id, event_order, anchor_time, and events (of the session).
    """
    return _proxy(con, part, target) if isinstance(target, Proxy) else _outcome(con, target)


def after_outcome(table: pd.DataFrame) -> pd.Series:
    """Return which rows lie at or after their session's first outcome."""
    found: pd.Series = table["event_order"] >= table["first_order"].astype("float64").fillna(np.inf)
    return found


def drawn(share: float, seed: int) -> str:
    """Return SQL that is true for about a share of the values of `visitor`, always the same."""
    return f"hash(visitor, {seed}) <= {int(share * (2**64 - 1))}::UBIGINT"


_AFTER_FIRST = """
    SELECT a.*, f.first_order FROM anchor a LEFT JOIN (
        SELECT session_id, min(event_order) AS first_order FROM events
        WHERE event_type = $kind GROUP BY session_id) f USING (session_id)
"""


def _outcome(con: duckdb.DuckDBPyConnection, target: Target) -> duckdb.DuckDBPyRelation:
    """Label by the first event of a kind after the anchor, in the session or within a time."""
    amounts = (
        PURCHASES
        if target.event_type == "purchase"
        else (
            "SELECT session_id, visitor_id, event_order, event_time, NULL::DOUBLE AS amount "
            "FROM events WHERE event_type = $kind"
        )
    )
    if target.seconds is None:
        join = "o.session_id = a.session_id AND o.event_order > a.event_order"
    else:
        # The visitor's later sessions count; within the session the order decides, not the clock.
        join = (
            "coalesce(o.visitor_id, o.session_id) = coalesce(a.visitor_id, a.session_id) AND "
            "o.event_time <= a.anchor_time + to_microseconds($horizon) AND "
            "CASE WHEN o.session_id = a.session_id THEN o.event_order > a.event_order "
            "ELSE o.event_time > a.anchor_time END"
        )
    values: dict[str, object] = {"kind": target.event_type}
    if target.seconds is not None:
        values["horizon"] = int(target.seconds * 1e6)
    sql = (
        f"WITH a AS ({_AFTER_FIRST}), o AS ({amounts}) "
        "SELECT a.*, count(o.session_id) > 0 AS outcome, sum(o.amount) AS amount "
        f"FROM a LEFT JOIN o ON {join} GROUP BY ALL"
    )
    return con.sql(sql, params=values)


def _proxy(con: duckdb.DuckDBPyConnection, log: Log, target: Proxy) -> duckdb.DuckDBPyRelation:
    """Label by the declared rule, on later events or on the finished session."""
    if target.rule is not None:
        from cartcast.features import load_set
        from cartcast.rules import to_sql

        con.register("finished", load_set("usual").replay(log, at="end"))
        return con.sql(
            "SELECT a.*, NULL::BIGINT AS first_order, NULL::DOUBLE AS amount, "
            f"coalesce({to_sql(target.rule)}, false) AS outcome "
            "FROM anchor a JOIN finished USING (session_id)"
        )
    if target.column is None:
        return con.sql(
            "SELECT *, NULL::BIGINT AS first_order, NULL::DOUBLE AS amount, "
            "events - event_order >= $n AS outcome FROM anchor",
            params={"n": target.at_least},
        )
    columns = {str(row[0]) for row in con.execute("DESCRIBE events").fetchall()}
    if target.column not in columns:
        raise DataError(
            f"proxy {target.name}: the log has no column {target.column!r}."
            f"{did_you_mean(target.column, columns)}"
        )
    column = '"' + target.column.replace('"', '""') + '"'
    return con.sql(
        "SELECT a.*, f.first_order, NULL::DOUBLE AS amount, "
        "count(e.session_id) >= $n AS outcome FROM anchor a "
        f"LEFT JOIN (SELECT session_id, event_order FROM events WHERE {column}::VARCHAR = $value)"
        " e ON e.session_id = a.session_id AND e.event_order > a.event_order "
        "LEFT JOIN (SELECT session_id, min(event_order) AS first_order FROM events "
        f"WHERE {column}::VARCHAR = $value AND $n = 1 GROUP BY session_id) f "
        "ON f.session_id = a.session_id GROUP BY ALL",
        params={"n": target.at_least, "value": target.value},
    )


_NO_ORDER = (
    "the log has no times: only the order of its rows tells which session came first, and Spark "
    "does not keep it; train on one machine (without --engine spark)."
)


def settled(
    tables: Sequence[pd.DataFrame], log: Log, target: Target | Proxy, session_gap: float
) -> Anchors:
    """Return the anchors of a log from those of its parts, with what only the whole log tells.

    These are the order of the sessions, and which rows the end of the log censors. Sessions of
    several parts that begin at one moment lie by their row in their part.

    Raises:
        DataError: no anchor is left; or several parts have no times.
    """
    timed = log.clock in ("time", "day")
    if len(tables) > 1 and not timed:
        raise DataError(_NO_ORDER)
    filled = [t for t in tables if len(t)] or list(tables[:1])
    table = pd.concat(filled, ignore_index=True)
    begins = ["session_start"] if timed else []
    alike = ["session_id"] if len(tables) > 1 else []
    order = table.drop_duplicates("session_id").sort_values([*begins, "first_row", *alike])
    position = pd.Series(range(1, len(order) + 1), index=order["session_id"].to_numpy())
    table["position"] = table["session_id"].map(position)
    table = table.sort_values(["position", "event_order"], ignore_index=True)
    return _clean(table, target, log, session_gap)


def _clean(table: pd.DataFrame, target: Target | Proxy, log: Log, session_gap: float) -> Anchors:
    """Drop rows at or after the first outcome and censored rows; add label, weight, known time."""
    late = after_outcome(table)
    known, censored, findings = _known(table, target, log, session_gap)
    begun = _begun_before(table, log, session_gap) & ~late & ~censored
    table = table.assign(known_time=known)
    dropped = {"after_outcome": int(late.sum()), "censored": int((censored & ~late).sum())}
    if begun.any():
        dropped["begun_before"] = int(begun.sum())
    table = table[~late & ~censored & ~begun].reset_index(drop=True)
    if table.empty:
        shorter = "" if target.seconds is None else f", a horizon shorter than {target.horizon}"
        raise DataError(
            f"no training row is left ({dropped['after_outcome']} after the outcome, "
            f"{dropped['censored']} whose label is not known by the end of the log); give a longer "
            f"log{shorter} or earlier clicks."
        )
    outcome = table["outcome"].astype("float64")
    table["amount"] = table["amount"].astype("float64").fillna(0.0).where(outcome > 0, 0.0)
    table["label"] = table["amount"] if target.money else outcome
    table["weight"] = 1.0
    columns = [
        "session_id", "visitor_id", "event_order", "click", "anchor_time", "known_time",
        "session_start", "position", "weight", "label", "amount",
    ]  # fmt: skip
    return Anchors(table[columns], dropped, findings)


def _begun_before(table: pd.DataFrame, log: Log, session_gap: float) -> pd.Series:
    """Return which rows are of sessions that may have begun before the log did.

    By the session gap, a session that was open then shows itself in the log's first gap. Where no
    more sessions begin there than in each of the three gaps after it (binomial, an error of one in
    a thousand), the log was not cut out of an open shop, and nothing is dropped.
    """
    from scipy.stats import binom

    nothing = pd.Series(False, index=table.index)
    if log.clock != "time":
        return nothing
    since = (table["session_start"] - table["session_start"].min()).dt.total_seconds() / session_gap
    starts = since[~table["session_id"].duplicated()]
    first, next_three = int((starts < 1).sum()), int(((starts >= 1) & (starts < 4)).sum())
    if starts.max() < 4 or 2 * first > len(starts):
        return nothing
    chance = binom.sf(first - 1, first + next_three, 0.25)
    return since < 1 if chance < _CUT_BY_CHANCE else nothing


def _known(
    table: pd.DataFrame, target: Target | Proxy, log: Log, session_gap: float
) -> tuple[pd.Series, pd.Series, tuple[Finding, ...]]:
    """Return when each label is known, which rows the end of the log censors, and what to say."""
    nothing = pd.Series(False, index=table.index)
    findings: tuple[Finding, ...] = ()
    end = pd.Timestamp(log.summary.end).tz_localize(None) if log.summary.end else None
    if target.seconds is not None:
        horizon = pd.Timedelta(seconds=target.seconds)
    elif log.clock == "time":
        horizon, findings = _session_horizon(table, end, pd.Timedelta(seconds=session_gap))
    else:
        # A date or an order cannot tell how long a session stays open.
        return table["session_end"], nothing, findings
    known = table["anchor_time"] + horizon
    if end is None:
        return known, nothing, findings
    return known, known > end, findings


def _session_horizon(
    table: pd.DataFrame, last: pd.Timestamp | None, gap: pd.Timedelta
) -> tuple[pd.Timedelta, tuple[Finding, ...]]:
    """Return how long after an anchor nearly every session is over, and whether the log shows it.

    Anchors of the log's first half had the other half to run on in; what is left of their sessions
    is not cut short by the end unless it is longer than that.
    """
    first = table["anchor_time"].min()
    left = table["session_end"] - table["anchor_time"]
    half = (last - first) / 2
    early = left[table["anchor_time"] <= first + half]
    horizon = pd.Timedelta(early.quantile(SESSIONS_OVER, interpolation="higher")) + gap
    if horizon <= half:
        return horizon, ()
    hours, needed = (t.total_seconds() / 3600 for t in (last - first, horizon))
    text = (
        f"the log is {hours:.1f} hours long, and it takes {needed:.1f} hours after a click until "
        f"{SESSIONS_OVER:.1%} of the sessions are over."
    )
    return horizon, (finding(MD102, text, hours=round(hours, 2), needed=round(needed, 2)),)
