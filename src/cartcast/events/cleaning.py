"""From typed rows to the clean log, step by step: each concern decides in its own file.

No row is changed after it was written: a step keeps what it decides in a narrow table of rows, and
the next view reads it. The order of the steps is the order in which one decision needs another.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import duckdb

from cartcast.errors import DataError
from cartcast.events import ids, money, order, statuses
from cartcast.events.clock import read_clock, resolve_doubled
from cartcast.events.completeness import completeness_findings
from cartcast.events.identity import LOGIN, WHO, find_who, orphans, spread_logins
from cartcast.events.items import PARTS, find_parts
from cartcast.events.log_findings import log_findings
from cartcast.events.orders import match_orders
from cartcast.events.privacy import Privacy
from cartcast.events.rates import Rates, convert
from cartcast.events.reading import Read
from cartcast.events.rejects import (
    REJECTED_ROWS,
    collect_rejects,
    reject_reasons,
    reject_where,
    rejects_findings,
    swallowed_lines,
)
from cartcast.events.repeats import DROPPED, find_repeats
from cartcast.events.schema import COLUMNS
from cartcast.events.sessionize import (
    MADE_SESSIONS,
    made_session_sql,
    make_sessions,
    sessions_finding,
)
from cartcast.events.sql import identifier, literal
from cartcast.events.staged import FILE_BITS, FROM_SOURCES, MADE, TYPED
from cartcast.events.summary import Summary, summarize
from cartcast.events.summed import counted, decided, grouped, in_a_part
from cartcast.events.unread import assumed_findings, unread_findings
from cartcast.events.write import canonical_sql, flags, write_events
from cartcast.findings import Finding, by_severity
from cartcast.progress import Progress
from cartcast.sessions import SessionRules

__all__ = ["Cleaned", "Cleaning", "Plan", "Settled"]


@dataclass(frozen=True)
class Plan:
    """How a log is cleaned: what ends a session, the shop's zone, pseudonyms, rates of money."""

    sessions: SessionRules
    zone: str | None
    privacy: Privacy | None
    rates: Rates | None = None


class Settled(NamedTuple):
    """What rows, files and columns decided: the clock, how each file lies in time, and findings.

    `doubled` tells whether times lie in an hour that the clock had twice.
    """

    clock: str
    directions: list[order.Direction]
    doubled: bool
    findings: list[Finding]


@dataclass(frozen=True)
class Cleaned:
    """A cleaned log that is not written yet: figures, rows that were there, and the metadata."""

    summary: Summary
    metadata: dict[str, Any]
    rows: int
    relation: str
    sequence: str
    in_order: bool


@dataclass
class Cleaning:
    """The steps from typed rows to a clean log, on one engine connection."""

    con: duckdb.DuckDBPyConnection
    read: Read
    plan: Plan
    say: Progress

    def run(self) -> Cleaned:
        """Return the clean log's figures and relation.

        Raises:
            DataError: there are no rows, or several currencies.
        """
        return self.people(self.rules())

    def rules(self) -> Settled:
        """Make the view `settled` of the good rows: what is decided by rows, files and columns."""
        con, read = self.con, self.read
        facts = read_clock(con, read.sources, read.clock, read.first)
        findings = [*read.findings, *facts.findings]
        if facts.clock == "day" and not any(r.layout.zone for r in read.resolved):
            # A date is a date: no clock moves it to another day.
            self.plan = replace(self.plan, zone=None)
        collect_rejects(con, read.sources, facts.ambiguous, read.first)
        good = reject_where(facts.ambiguous, con)
        directions = order.directions(con, good, facts.clock)
        doubled = facts.doubled > 0
        if doubled:
            findings += resolve_doubled(con, good, directions)
        findings += self.settle(good, directions, doubled)
        return Settled(facts.clock, directions, doubled, findings)

    def people(self, settled: Settled) -> Cleaned:
        """Return the figures and relation of the rows in `settled`: what is decided by visitors.

        Raises:
            DataError: there are no rows, or several currencies.
        """
        con, read = self.con, self.read
        clock, directions, doubled, findings = settled
        findings = list(findings)
        statuses.spread_status(con, read)
        clicks = "settled" if read.orders_file is None else self._clicks()
        repeats = find_repeats(
            con, clicks, self._columns(), event_ids=read.stage.event_ids,
            files=len(read.sources) - (read.orders_file is not None),
            timed=clock == "time" or order.own_order_known(read.resolved),
        )  # fmt: skip
        findings += repeats.findings
        reasons = reject_reasons(con)
        rows = self._count(clicks) + sum(reasons.values())
        if not rows and not in_a_part():
            raise DataError(f"{read.shown}: a header but no rows; give a file with events.")
        kept = self._kept(clicks, repeats.events + repeats.rows)
        if find_parts(con, kept, read.resolved):
            con.execute(
                f"CREATE OR REPLACE VIEW whole AS SELECT * FROM {kept} "
                f"WHERE __seq NOT IN (SELECT seq FROM {PARTS})"
            )
            kept = "whole"
        relation, made, unmatched, more = self._sessions(kept, clock)
        findings += more
        own = order.own_order(con, relation)
        ties = max((len(r.ties[:3]) for r in read.resolved), default=0)
        sequence = order.sequence_sql(clock, own, ties)
        findings += order.order_findings(con, relation, directions, clock, own, ties)
        self.say("counting", None)
        relation, more = convert(con, relation, self.plan.rates, self.plan.zone, read.shown)
        findings += more
        currency = one_currency(con, relation, read.shown)
        relation, more = self._amounts(relation)
        findings += more
        sold = money.settle_money(
            con, relation, currency, read.stage.extras, any(r.items for r in read.resolved)
        )
        findings += sold.findings + statuses.unsold_findings(con, read)
        if made:
            findings.append(sessions_finding(made))
            findings += orphans(con, relation, money.SOLD) if self._has_sessions() else []
        swallowed = swallowed_lines(con)
        summary = Summary(
            **summarize(con, relation, clock, self.plan.sessions),
            **sold.figures,
            rejects=sum(reasons.values()),
            reject_reasons=reasons,
            currency=currency,
            duplicate_rows=repeats.kept,
            duplicate_events=repeats.events,
            repeated_rows=repeats.rows,
            swallowed_lines=swallowed,
            unmatched_orders=unmatched,
        )
        findings += rejects_findings(con, reasons, swallowed)
        findings += log_findings(con, relation, summary, read)
        findings += completeness_findings(con, relation, summary)
        findings += unread_findings(read.sources, read.resolved, read.orders_file)
        findings += assumed_findings(read.resolved, read.orders_file)
        # Files whose rows never fall back, and no join that could move them.
        joined = relation != "visits" or made or kept != "settled" or doubled
        whole = order.in_time_order(directions, len(read.sources)) and read.stage.in_one_scan
        in_order = whole and not (own or ties or joined or in_a_part())
        return Cleaned(
            summary,
            self._metadata(summary, findings, clock, made),
            rows,
            relation,
            "__place" if in_order else sequence,
            in_order,
        )

    def write(self, path: Path, cleaned: Cleaned) -> None:
        """Write the clean log to `path`."""
        self.say("writing", None)
        write_events(self.con, path, cleaned.metadata, self.canonical(cleaned))

    def canonical(self, cleaned: Cleaned) -> str:
        """Return SQL of the clean log's rows."""
        order.number_events(self.con, cleaned.relation, cleaned.sequence)
        # Rows that lie elsewhere tell nothing of their columns here.
        here = all(s.path for s in self.read.stage.sources)
        return canonical_sql(
            self.con, cleaned.metadata, cleaned.relation, sequence=cleaned.sequence,
            in_order=cleaned.in_order, orders_file=self.read.orders_file, zone=self.plan.zone,
            empty=[c for c in FROM_SOURCES if here and c not in self._present()],
        )  # fmt: skip

    def _present(self) -> set[str]:
        return {c for s in self.read.stage.sources for c in s.present}

    def _count(self, rows: str) -> int:
        return int(counted(self.con, "rows", f"SELECT count(*) FROM {rows}")[0])

    def _has_sessions(self) -> bool:
        return any("session_id" in r.mapped for r in self.read.resolved)

    def _columns(self) -> list[str]:
        """Columns that make a row what it is: canonical ones, and own ones that all files have."""
        files = [
            s.present for i, s in enumerate(self.read.stage.sources) if i != self.read.orders_file
        ]
        present = {c for p in files for c in p}
        canonical = [c for c in COLUMNS if c in present and c not in MADE and c != "known_time"]
        own = [identifier(n) for n in self.read.stage.extras]
        return [*canonical, *(c for c in own if all(c in p for p in files))]

    def settle(self, good: str, directions: list[order.Direction], doubled: bool) -> list[Finding]:
        """Make the view `settled`: the good rows, with what only the whole log could decide."""
        con, first = self.con, self.read.first
        newest = ", ".join(str(d.file) for d in directions if d.newest_first)
        place = "__seq"
        if newest:
            turned = f"((__file::BIGINT + 1) << {FILE_BITS}) - 1 - __at"
            place = f"CASE WHEN __file IN ({newest}) THEN {turned} ELSE __seq END"
        present = self._present()
        columns = [c for c in ids.ID_COLUMNS if c in present]
        con.execute(f"CREATE OR REPLACE VIEW good AS SELECT * FROM {TYPED} WHERE {good}")
        defaults = ids.settle_ids(con, "good", [c for c in columns if c != "item_id"])
        replaced = [
            f"CASE WHEN {c} IN ({', '.join(map(literal, values))}) THEN NULL ELSE {c} END AS {c}"
            for c, values in defaults.null.items()
        ]
        money_columns = ("price", "quantity", "line_value", "order_value")
        replaced += [f"abs({name}) AS {name}" for name in money_columns if name in present]
        joined = ""
        if doubled:
            joined = "LEFT JOIN second_hour h ON h.seq = good.__seq"
            hour = "CASE WHEN h.seq IS NOT NULL THEN INTERVAL 1 HOUR ELSE INTERVAL 0 HOUR END"
            replaced.append(f"good.event_time + {hour} AS event_time")
            same = "good.known_time = good.event_time"
            known = f"CASE WHEN {same} THEN good.known_time + {hour} ELSE good.known_time END"
            replaced.append(f"{known} AS known_time")
        several = f" REPLACE ({', '.join(replaced)})" if replaced else ""
        lists = [i for i, r in enumerate(self.read.resolved, first) if r.items is None]
        flat = ", ".join(map(str, lists)) or "-1"
        rows = (
            f"SELECT good.*{several}, {place} AS __place, __file IN ({flat}) AS __flat "
            f"FROM good {joined}"
        )
        who = [c for c in ids.PERSON_COLUMNS if c in present]
        if defaults.null and who:
            # A row needs a visitor, a login or a session still, after defaults became null.
            known = f"coalesce({', '.join(who)}) IS NOT NULL"
            con.execute(
                f"INSERT INTO {REJECTED_ROWS} SELECT __seq, __file, coalesce(__record, __at) + 1, "
                f"'no_visitor_or_session', NULL, NULL, 0 FROM ({rows}) WHERE NOT ({known})"
            )
            rows = f"SELECT * FROM ({rows}) WHERE {known}"
        con.execute(f"CREATE OR REPLACE VIEW settled AS {rows}")
        found = [*defaults.findings, *ids.rounded_ids(con, "good", columns)]
        words = grouped(
            con,
            "words for nothing",
            "SELECT __nothing, count(*) FROM good WHERE __nothing IS NOT NULL GROUP BY 1 "
            "ORDER BY 2 DESC, 1",
            most_first=True,
        )
        if words:
            listed = ", ".join(f"{word!r} ({n:,})" for word, n in words[:5])
            count = sum(n for _, n in words)
            found.append(ids.words_finding(listed, count, dict(words[:20])))
        return found

    def _clicks(self) -> str:
        """Make the view of all rows but the orders table's."""
        self.con.execute(
            f"CREATE OR REPLACE VIEW clicks AS SELECT * FROM settled "
            f"WHERE __file <> {self.read.orders_file}"
        )
        return "clicks"

    def _kept(self, rows: str, dropped: int) -> str:
        if not dropped:
            return rows
        self.con.execute(
            f"CREATE OR REPLACE VIEW kept AS SELECT r.* FROM {rows} r "
            f"ANTI JOIN {DROPPED} d ON d.seq = r.__seq"
        )
        return "kept"

    def _sessions(self, rows: str, clock: str) -> tuple[str, int, int, list[Finding]]:
        """Give every row its visitor, session and login; return the relation, and counts."""
        con, plan = self.con, self.plan
        self.say("sessions", None)
        known, findings = find_who(con, rows, plan.sessions, clock)
        if known:
            con.execute(
                f"CREATE OR REPLACE VIEW known AS SELECT r.* REPLACE ("
                "coalesce(r.visitor_id, w.visitor_id) AS visitor_id, "
                "coalesce(r.session_id, w.session_id) AS session_id) "
                f"FROM {rows} r LEFT JOIN {WHO} w ON w.seq = r.__seq"
            )
            rows = "known"
        sequence = order.sequence_sql(clock, False, 0)
        if clock == "order":
            sequence = "event_order, __place"
        made = make_sessions(con, rows, plan.sessions, plan.zone, sequence)
        if made:
            con.execute(
                f"CREATE OR REPLACE VIEW visits AS SELECT r.* REPLACE ("
                f"{made_session_sql()} AS session_id), r.session_id IS NULL AS __made "
                f"FROM {rows} r LEFT JOIN {MADE_SESSIONS} m ON m.seq = r.__seq"
            )
        else:
            con.execute(f"CREATE OR REPLACE VIEW visits AS SELECT *, false AS __made FROM {rows}")
        rows, unmatched = "visits", 0
        if self.read.orders_file is not None:
            unmatched, more = match_orders(
                con, rows, self.read.orders_file, plan.sessions, self.read.sources[-1].short
            )
            findings += more
            rows = "with_orders"
        if spread_logins(con, rows):
            con.execute(
                f"CREATE OR REPLACE VIEW people AS SELECT r.* REPLACE ("
                "coalesce(r.user_id, l.user_id) AS user_id) "
                f"FROM {rows} r LEFT JOIN {LOGIN} l ON l.seq = r.__seq"
            )
            rows = "people"
        return rows, made, unmatched, findings

    def _amounts(self, rows: str) -> tuple[str, list[Finding]]:
        """Decide what a guessed column of money is, where its name leaves it open."""
        named = next((r.layout.amount for r in self.read.resolved if r.layout.amount), None)
        if named is None:
            return rows, []
        amount = money.settle_amounts(self.con, rows, named)
        meaning = decided("amount", amount.meaning)
        column = next(r.mapped["price"].column for r in self.read.resolved if "price" in r.mapped)
        findings = money.amount_findings(amount, column, named)
        if meaning == "price":
            return rows, findings
        self.con.execute(
            f"CREATE OR REPLACE VIEW amounts AS SELECT * REPLACE (CAST(NULL AS DOUBLE) AS price, "
            f"coalesce({meaning}, price) AS {meaning}) FROM {rows}"
        )
        return "amounts", findings

    def _metadata(
        self, summary: Summary, findings: list[Finding], clock: str, made: int
    ) -> dict[str, Any]:
        read = self.read
        extras = (["event_id"] if read.stage.event_ids else []) + list(read.stage.extras)
        return {
            "clock": clock,
            "layout": read.resolved[0].layout.name,
            "currency": summary.currency,
            "order": "time" if clock == "time" else "session",
            "zone": self.plan.zone,
            "privacy": self.plan.privacy.as_dict() if self.plan.privacy else None,
            "rates": self.plan.rates.as_dict() if self.plan.rates else None,
            "sessions_made": self.plan.sessions.as_dict() if made else None,
            "rejects_beside": bool(summary.rejects),
            "columns": [*COLUMNS, *extras, *flags(read.orders_file is not None)],
            "summary": summary.as_dict(),
            "findings": [f.as_dict() for f in by_severity(findings)],
        }


def one_currency(con: duckdb.DuckDBPyConnection, relation: str, shown: str) -> str | None:
    """Return the currency of all prices, or None.

    Raises:
        DataError: there is more than one.
    """
    rows = grouped(
        con,
        "currencies",
        f"SELECT currency, count(*) FROM {relation} WHERE currency IS NOT NULL GROUP BY 1 "
        "ORDER BY 2 DESC, 1",
        most_first=True,
    )
    if len(rows) > 1 and not in_a_part():
        listed = ", ".join(f"{code} ({count} events)" for code, count in rows[:5])
        raise DataError(
            f"{shown}: one currency per log is needed, got {listed}; give the rates between them "
            f"(`--rates FILE` with `into: {rows[0][0]}` and `{rows[1][0]}: 1.23`), or read each "
            "currency apart."
        )
    return rows[0][0] if rows else None
