"""Who: the device, the login, and the session in which a purchase from the server falls.

1. A row that knows the login but no device takes the device on which that login was seen last (else
   next). A login that links implausibly many devices (a shared account, a default) links none.
2. A row without a session joins the session of its visitor in which it falls: begun, and its last
   event no longer ago than the gap. What joins nowhere makes sessions of its own.
3. A login that becomes known inside a session belongs to the whole session.
4. Without a device the login stands for the visitor, without both the session does.
"""

from __future__ import annotations

import duckdb

from cartcast.events.sql import literal
from cartcast.events.summed import counted, grouped
from cartcast.findings import Finding, declare, finding
from cartcast.sessions import SessionRules

__all__ = ["LOGIN", "WHO", "find_who", "orphans", "spread_logins"]

WHO = "who"
"""Table of the rows (seq) whose visitor or session is another than the row says."""

LOGIN = "login"
"""Table of the rows (seq) whose login is known from their session only."""

MOST_DEVICES = 20
"""Devices of one login above which it is no person's."""

SHARED_LOGIN = declare(
    "EV136",
    "warn",
    "A login is used on implausibly many devices",
    "It is a default or a shared account, so it joins no devices and no orders.",
    "Fix where the login is set; leave it empty instead of writing a word such as guest.",
)
ORPHANS = declare(
    "EV137",
    "warn",
    "Purchases that stand alone in their session",
    "They came without a session (from the shop's server, say) and fall into none, so a session "
    "that bought may look as if it did not, and these convert without a click.",
    "Send the visitor's id or session with the order.",
)


def find_who(
    con: duckdb.DuckDBPyConnection, rows: str, rules: SessionRules, clock: str
) -> tuple[bool, list[Finding]]:
    """Keep in the table `who` the rows that belong to another visitor or session than they say.

    Returns whether there are any, and what must be said.
    """
    lonely, known, events = counted(
        con,
        "who",
        f"SELECT count(*) FILTER (visitor_id IS NULL AND user_id IS NOT NULL), "
        f"count(session_id), count(*) FROM {rows}",
    )
    sessionless = 0 < known < events
    if not lonely and not sessionless:
        return False, []
    found: list[Finding] = []
    con.execute(
        f"CREATE OR REPLACE TEMP TABLE person AS SELECT __seq AS seq, visitor_id AS v, "
        f"user_id AS u, session_id AS s, event_time AS t FROM {rows} "
        "WHERE user_id IS NOT NULL OR session_id IS NULL"
    )
    if lonely:
        _devices(con, found)
    if sessionless and clock == "time":
        _sessions(con, rows, rules)
    con.execute(
        f"CREATE OR REPLACE TEMP TABLE {WHO} AS "
        "SELECT seq, coalesce(v, u) AS visitor_id, s AS session_id FROM person"
    )
    con.execute("DROP TABLE person")
    return True, found


def _devices(con: duckdb.DuckDBPyConnection, found: list[Finding]) -> None:
    """Give a login's rows without a device the device of that login."""
    shared = grouped(
        con,
        "shared logins",
        f"SELECT u, count(DISTINCT v) FROM person WHERE u IS NOT NULL AND v IS NOT NULL "
        f"GROUP BY u HAVING count(DISTINCT v) > {MOST_DEVICES} ORDER BY 1",
    )
    logins = ", ".join(literal(u) for u, _ in shared) or "NULL"
    con.execute(
        "CREATE OR REPLACE TEMP TABLE link AS SELECT u, v, t FROM person "
        f"WHERE u IS NOT NULL AND v IS NOT NULL AND coalesce(u NOT IN ({logins}), true)"
    )
    if shared:
        found.append(
            finding(SHARED_LOGIN, f"{len(shared)} login(s) have more than {MOST_DEVICES} devices.",
                    count=len(shared))
        )  # fmt: skip
    con.execute(
        """
        CREATE OR REPLACE TEMP TABLE device AS
        WITH lone AS (SELECT seq, u, t FROM person WHERE v IS NULL AND u IS NOT NULL),
        seen AS (SELECT lone.seq, link.v FROM lone ASOF JOIN link
                 ON lone.u = link.u AND lone.t >= link.t),
        later AS (SELECT lone.seq, arg_min(link.v, link.t) AS v FROM lone JOIN link USING (u)
                  WHERE lone.seq NOT IN (SELECT seq FROM seen) GROUP BY lone.seq)
        SELECT * FROM seen UNION ALL SELECT * FROM later
        """
    )
    con.execute("UPDATE person SET v = device.v FROM device WHERE device.seq = person.seq")
    con.execute("DROP TABLE device; DROP TABLE link")


def _sessions(con: duckdb.DuckDBPyConnection, rows: str, rules: SessionRules) -> None:
    """Give rows without a session the session of their visitor in which they fall."""
    gap = f"to_microseconds({rules.microseconds})"
    con.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE joined AS
        WITH lone AS (SELECT seq, coalesce(v, u) AS v, t FROM person WHERE s IS NULL),
        visit AS (SELECT session_id AS s, coalesce(min(visitor_id), min(user_id)) AS v,
                         min(event_time) AS start, max(event_time) AS last
                  FROM {rows} WHERE session_id IS NOT NULL GROUP BY 1)
        SELECT lone.seq, visit.s FROM lone ASOF JOIN visit
          ON lone.v = visit.v AND lone.t >= visit.start WHERE lone.t <= visit.last + {gap}
        """
    )
    con.execute("UPDATE person SET s = joined.s FROM joined WHERE joined.seq = person.seq")
    con.execute("DROP TABLE joined")


def spread_logins(con: duckdb.DuckDBPyConnection, rows: str) -> bool:
    """Keep in the table `login` the rows whose login is known from others of their session.

    It is the last one before the row, else the next. Returns whether any row knows a login.
    """
    (known,) = counted(con, "logins", f"SELECT count(user_id) FROM {rows}")
    if not known:
        return False
    con.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE {LOGIN} AS
        WITH held AS (
            SELECT __seq AS seq, hash(session_id) AS s, user_id AS u, event_time AS t FROM {rows}
            WHERE hash(session_id) IN (
                SELECT hash(session_id) FROM {rows} WHERE user_id IS NOT NULL)),
        filled AS (
            SELECT seq, u AS own, coalesce(last_value(u IGNORE NULLS) OVER so_far,
                                           first_value(u IGNORE NULLS) OVER to_come) AS u
            FROM held
            WINDOW so_far AS (PARTITION BY s ORDER BY t, seq
                              ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW),
                   to_come AS (PARTITION BY s ORDER BY t, seq
                               ROWS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING))
        SELECT seq, u AS user_id FROM filled WHERE own IS NULL
        """
    )
    return True


def orphans(con: duckdb.DuckDBPyConnection, rows: str, sold: str) -> list[Finding]:
    """Return the finding of purchases that stand alone because they came without a session."""
    row = counted(
        con,
        "orphans",
        f"""
        SELECT count(*), sum(revenue) FROM {sold} WHERE made AND event_type = 'purchase' AND s IN (
            SELECT hash(session_id) FROM {rows} GROUP BY 1
            HAVING bool_and(event_type = 'purchase'))
        """,
    )
    if not row[0]:
        return []
    money = f" worth {row[1]:,.2f}" if row[1] is not None else ""
    return [
        finding(
            ORPHANS,
            f"{row[0]:,} purchases{money} came without a session and join none.",
            count=row[0],
            money=row[1],
        )
    ]
