"""Rejects: rows that break the contract, each kept with its place, reason and value."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import duckdb

from cartcast.atomic import atomic_path
from cartcast.events.csvfile import UnreadableTextError, open_quote
from cartcast.events.read import Source
from cartcast.events.rules import REASONS
from cartcast.events.sql import literal, place_literal
from cartcast.events.staged import NO_ROWS, TYPED
from cartcast.events.summed import counted
from cartcast.findings import Finding, declare, finding
from cartcast.spreadsheet import write_csv

__all__ = [
    "REJECTED_ROWS",
    "collect_rejects",
    "declare_rejects",
    "declare_unsplit",
    "read_unsplit",
    "refusal",
    "reject_reasons",
    "reject_where",
    "rejects_findings",
    "swallowed_lines",
    "write_rejects",
]

REJECTED_ROWS = "rejected"
"""Table of the rejects: seq, file, row (from 1, no header), reason, column, value, lines."""

REJECTED = declare(
    "EV103",
    "warn",
    "Rows were rejected",
    "They break the contract and are in no figure; each is kept with its reason.",
    "Look at the rejects file, and correct the source or the layout.",
)
SWALLOWED = declare(
    "EV108",
    "warn",
    "A quote that does not close took in lines",
    "All lines up to the next quote became one cell of one rejected row.",
    "Correct the quote in the row named.",
)
TOTAL_LINE = declare(
    "EV127",
    "note",
    "Lines that sum up others were left out",
    "Spreadsheets and reports end with a total; it is not an event.",
    "Export without totals; nothing to do here.",
)


def declare_unsplit(con: duckdb.DuckDBPyConnection) -> None:
    """Make the table of what could not be split into cells, if it is not there."""
    con.execute(
        "CREATE TABLE IF NOT EXISTS unsplit (file INTEGER, row BIGINT, reason VARCHAR, "
        "value VARCHAR, lines BIGINT)"
    )


def declare_rejects(con: duckdb.DuckDBPyConnection) -> None:
    """Make the table of rejects, without a row."""
    declare_unsplit(con)
    con.execute(
        f"CREATE OR REPLACE TABLE {REJECTED_ROWS} (seq BIGINT, file INTEGER, row BIGINT, "
        'reason VARCHAR, "column" VARCHAR, value VARCHAR, lines BIGINT)'
    )


def read_unsplit(con: duckdb.DuckDBPyConnection, source: Source, file: int) -> None:
    """Keep what of a text file could not be split into cells, by place, in the table `unsplit`.

    Raises:
        UnreadableTextError: the text is in another encoding and must be rewritten first.
    """
    declare_unsplit(con)
    if source.rejects_table is None:
        return
    first = (1 if source.header_line else 0) + source.skipped
    table = source.rejects_table
    # Rows number one higher for each unsplit record before them.
    found = con.execute(
        f"SELECT line - {first} AS row, min(error_type::VARCHAR) AS kind, "
        f"min(substr(csv_line, 1, 200)) AS value, "
        f"max(length(csv_line) - length(replace(csv_line, chr(10), ''))) AS lines "
        f"FROM {table} GROUP BY 1 ORDER BY 1"
    ).fetchall()
    con.execute(f"DROP TABLE {table}; DROP TABLE {table}_scan")
    if source.encoding is None and any("ENCODING" in str(kind).upper() for _, kind, _, _ in found):
        raise UnreadableTextError("cp1252")
    for row, kind, value, lines in found:
        reason = "ragged_row" if "COLUMNS" in str(kind).upper() else "unreadable_row"
        says = _takes_in(lines) if lines else value
        con.execute("INSERT INTO unsplit VALUES (?, ?, ?, ?, ?)", [file, row, reason, says, lines])


def _takes_in(lines: int) -> str:
    return f"a quote opened here takes in {lines} more lines"


def collect_rejects(
    con: duckdb.DuckDBPyConnection, sources: Sequence[Source], ambiguous: Sequence[int],
    first: int = 0,
) -> None:  # fmt: skip
    """Make the table of rejects; times without an offset in the files `ambiguous` are among them.

    Rows are numbered as in the file: those after a record that could not be split count it.
    `first` is the number of the first source.
    """
    none = ", ".join(literal(r) for r in NO_ROWS)
    files = ", ".join(map(str, ambiguous)) or "-1"
    declare_rejects(con)
    con.execute(
        f"""
        INSERT INTO {REJECTED_ROWS}
        SELECT __seq AS seq, __file AS file, coalesce(__record, __at) + 1 AS row,
               coalesce(__reason, 'ambiguous_time') AS reason, __column AS "column",
               coalesce(__value, CASE WHEN __reason IS NULL THEN event_time::VARCHAR END) AS value,
               coalesce(TRY_CAST(regexp_extract(
                   CASE WHEN __reason = 'ragged_row' THEN __value END,
                   'takes in (\\d+) more lines', 1) AS BIGINT), 0) AS lines
        FROM {TYPED}
        WHERE (__rule IS NOT NULL AND __reason NOT IN ({none}))
           OR (__rule IS NULL AND __file IN ({files}) AND __zone = 0)
        """
    )
    con.execute(
        f"""
        UPDATE {REJECTED_ROWS} SET row = row + (
            SELECT count(*) FROM (
                SELECT file, row - row_number() OVER (PARTITION BY file ORDER BY row) + 1 AS before
                FROM unsplit) u
            WHERE u.file = {REJECTED_ROWS}.file AND u.before <= {REJECTED_ROWS}.row)
        WHERE file IN (SELECT file FROM unsplit)
        """
    )
    con.execute(
        f"INSERT INTO {REJECTED_ROWS} "
        "SELECT NULL, file, row, reason, NULL, value, coalesce(lines, 0) FROM unsplit"
    )
    for file, source in enumerate(sources, first):
        _mark_open_quote(con, source, file)


def _mark_open_quote(con: duckdb.DuckDBPyConnection, source: Source, file: int) -> None:
    """Reject the row of a quote that is never closed, with the number of lines that it took in.

    The engine reads such a quote to the end of the file without a message: in the first cell it
    drops the row, in the last one it takes the row for whole, between them the row is too short.
    """
    quote = (
        open_quote(source.path, source.separator or ",")
        if source.kind == "csv" and source.path
        else None
    )
    if quote is None:
        return
    says = _takes_in(quote.lines) if quote.lines else "a quote opened here is not closed"
    told = con.execute(
        f"SELECT max(row) FROM {REJECTED_ROWS} WHERE file = ? AND seq IS NULL AND row > "
        f"(SELECT coalesce(max(__at), -1) + 1 FROM {TYPED} WHERE __file = {file})",
        [file],
    ).fetchone()
    if told and told[0] is not None:
        # Read by several threads, the record was given up by the engine itself.
        con.execute(
            f"UPDATE {REJECTED_ROWS} SET value = ?, lines = ? WHERE file = ? AND row = ?",
            [says, quote.lines, file, told[0]],
        )
        return
    last = con.execute(
        f"SELECT max(__seq), max(__at) + 1 FROM {TYPED} WHERE __file = {file}"
    ).fetchone()
    seq, row = last or (None, None)
    if quote.cells > 1:
        con.execute(f"DELETE FROM {REJECTED_ROWS} WHERE seq = ?", [seq])
    else:
        seq, row = None, (row or 0) + 1
    con.execute(
        f"INSERT INTO {REJECTED_ROWS} VALUES (?, ?, ?, 'unreadable_row', NULL, ?, ?)",
        [seq, file, row, says, quote.lines],
    )


def reject_reasons(con: duckdb.DuckDBPyConnection) -> dict[str, int]:
    """Return reason code -> rejected rows, the most frequent first."""
    return dict(
        con.execute(
            f"SELECT reason, count(*) FROM {REJECTED_ROWS} GROUP BY 1 ORDER BY 2 DESC, 1"
        ).fetchall()
    )


def swallowed_lines(con: duckdb.DuckDBPyConnection) -> int:
    """Return how many lines were taken in by quotes that do not close."""
    row = con.execute(f"SELECT sum(lines) FROM {REJECTED_ROWS}").fetchone()
    return int(row[0]) if row and row[0] else 0


def reject_where(ambiguous: Sequence[int], con: duckdb.DuckDBPyConnection) -> str:
    """Return SQL of the condition that a row of the stage is a good one."""
    files = ", ".join(map(str, ambiguous))
    zone = f" AND NOT (__file IN ({files}) AND coalesce(__zone, 1) = 0)" if files else ""
    # A row that only an open quote makes bad was found after it was typed.
    late = con.execute(
        f"SELECT seq FROM {REJECTED_ROWS} WHERE seq IS NOT NULL AND reason = 'unreadable_row'"
    ).fetchall()
    seqs = ", ".join(str(s) for (s,) in late)
    return f"__rule IS NULL{zone}" + (f" AND __seq NOT IN ({seqs})" if seqs else "")


def rejects_findings(
    con: duckdb.DuckDBPyConnection, reasons: dict[str, int], swallowed: int
) -> list[Finding]:
    """Return what must be said of rejects, of lines taken in by quotes, and of total lines."""
    found: list[Finding] = []
    if reasons:
        count = sum(reasons.values())
        listed = ", ".join(f"{n} {reason}" for reason, n in list(reasons.items())[:4])
        found.append(
            finding(
                REJECTED, f"{count} row(s) rejected: {listed}.", count=count, reasons=dict(reasons)
            )
        )
    if swallowed:
        found.append(
            finding(
                SWALLOWED,
                f"{swallowed} lines were taken in by quotes that do not close.",
                count=swallowed,
            )
        )
    row = counted(
        con,
        "total lines",
        f"SELECT count(*), min(__value) FROM {TYPED} WHERE __reason = 'total_line'",
    )
    if row[0]:
        found.append(
            finding(TOTAL_LINE, f"{row[0]} line(s) such as {row[1]!r} were left out.", count=row[0])
        )
    return found


def refusal(
    con: duckdb.DuckDBPyConnection, sources: Sequence[Source], rows: int, bad: int, share: float
) -> str:
    """Return the one line that says why a log is refused."""
    file, number, reason, column, value = con.execute(
        f'SELECT file, row, reason, "column", value FROM {REJECTED_ROWS} WHERE reason = '
        f"(SELECT reason FROM {REJECTED_ROWS} GROUP BY 1 ORDER BY count(*) DESC, 1 LIMIT 1) "
        "ORDER BY file, row LIMIT 1"
    ).fetchone() or (0, 0, "", "", "")
    where = f" in {column!r}" if column else ""
    got = "" if value is None else f", got {value!r}"
    return (
        f"{sources[file].name}: {bad:,} of {rows:,} rows ({bad / max(rows, 1):.1%}) are rejected, "
        f"more than the {share:.1%} allowed; most often {reason}{where}: "
        f"{REASONS.get(reason, 'no event is left')} "
        f"(row {number}{got}). Correct the source or the layout, or allow more with "
        "--max-reject-share."
    )


def write_rejects(con: duckdb.DuckDBPyConnection, sources: Sequence[str], path: Path) -> None:
    """Write the rejected rows: source, row, reason, column, value; CSV when the name says so."""
    files = ", ".join(f"({i}, {literal(name)})" for i, name in enumerate(sources))
    with atomic_path(path) as temporary:
        rows = (
            f'SELECT name AS source, row, reason, "column", value '
            f"FROM {REJECTED_ROWS} r JOIN (VALUES {files}) AS files(number, name) "
            f"ON r.file = files.number ORDER BY r.file, row, seq"
        )
        if path.suffix.lower() == ".csv":
            write_csv(con.execute(rows).to_arrow_reader(), temporary)
        else:
            place = place_literal(temporary)
            con.execute(f"COPY ({rows}) TO {place} (FORMAT parquet, USE_TMP_FILE false)")
