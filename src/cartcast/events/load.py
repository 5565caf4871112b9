"""`load`: sources in, a clean log out."""

from __future__ import annotations

import contextlib
import json
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb

from cartcast.atomic import atomic_path
from cartcast.config import DEFAULTS
from cartcast.errors import DataError, UsageError
from cartcast.events import report
from cartcast.events.contract import STAGE, create_stage, stage
from cartcast.events.engine import connect, translate
from cartcast.events.guess import choose
from cartcast.events.layouts import Layout, find_layout
from cartcast.events.log import CONTRACT, Log, log_from, read_metadata
from cartcast.events.mapping import Resolved, resolve
from cartcast.events.read import Source, expand, open_source
from cartcast.events.schema import COLUMNS, METADATA_KEY
from cartcast.events.sessionize import CLEAN, check_breaks, number_events, sessionize
from cartcast.events.sql import literal, names
from cartcast.events.summary import Summary, mark_repeats, summarize
from cartcast.findings import Finding, by_severity

__all__ = ["Progress", "RejectedError", "load"]

Progress = Callable[[str, float | None], None]
_ROW_GROUP = 122_880


class RejectedError(DataError):
    """More rows were rejected than allowed; `log` holds the report, and the rejects."""

    def __init__(self, message: str, log: Log) -> None:
        super().__init__(message)
        self.log = log


@dataclass
class _Work:
    """What one call of `load` carries from step to step."""

    con: duckdb.DuckDBPyConnection
    folder: Path
    say: Progress
    sources: list[Source] = field(default_factory=list)
    resolved: list[Resolved] = field(default_factory=list)
    extras: dict[str, str] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    clock: str = "time"

    @property
    def shown(self) -> str:
        """The sources, for messages."""
        first = self.sources[0].name
        return first if len(self.sources) == 1 else f"{first} and {len(self.sources) - 1} more"


def load(
    *sources: Any,
    layout: str | Path | Layout | None = None,
    orders: Any = None,
    session_gap: float = DEFAULTS.session_gap,
    session_breaks: Sequence[str] = (),
    max_reject_share: float = DEFAULTS.max_reject_share,
    folder: Path | str | None = None,
    progress: Progress | None = None,
    memory: str | int | None = None,
) -> Log:
    """Read sources by a layout, clean them by the contract, and return the canonical log.

    Args:
        sources: paths, folders, globs, URLs of tables, or pandas, Polars or Arrow tables.
        layout: name or YAML path of the layout; None means guess.
        orders: a table of outcomes that becomes purchase events.
        session_gap: seconds without an event after which a session ends (default 1800), for
            sources without session ids.
        session_breaks: further reasons for a new session: `midnight`, `campaign`.
        max_reject_share: share (0 to 1) of rejected rows above which the log is refused.
        folder: where `events.parquet` and `rejects.parquet` are written; None means a temporary
            folder that lives as long as the log.
        progress: called with what is being done and the share done.
        memory: limit of the engine, such as `2GB`; more is spilled to disk.

    Raises:
        NotFoundError: a source is not there.
        UsageError: the layout, a break or a share does not exist.
        DataError: a source is empty, has no usable columns or mixes currencies; or more rows
            than `max_reject_share` are rejected (`RejectedError`, with the report).
    """
    if not sources:
        raise UsageError("give at least one source: a file, folder, glob, table URL or table.")
    if not 0 <= max_reject_share <= 1:
        raise UsageError(
            f"max_reject_share must fulfil 0 <= max_reject_share <= 1, got {max_reject_share}."
        )
    check_breaks(session_breaks)
    found = [e for s in sources for e in expand(s)]
    if len(found) == 1 and orders is None and (opened := _already_clean(found[0])):
        return opened
    if layout is not None and not isinstance(layout, Layout):
        layout = find_layout(str(layout))
    keep = None
    if folder is None:
        keep = tempfile.TemporaryDirectory(prefix="cartcast-")
        folder = keep.name
    target = Path(folder)
    with _work(target, memory, progress) as work:
        try:
            _read(work, found, layout)
            return _clean(work, target, keep, orders, session_gap, session_breaks, max_reject_share)
        except duckdb.Error as error:
            raise translate(error, work.shown if work.sources else "events") from error


def _already_clean(source: Any) -> Log | None:
    if isinstance(source, Path) and source.suffix.lower() in (".parquet", ".pq"):
        metadata = read_metadata(source)
        if metadata is not None:
            return log_from(source, metadata)
    return None


@contextlib.contextmanager
def _work(target: Path, memory: str | int | None, progress: Progress | None) -> Iterator[_Work]:
    target.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=".cartcast-work-", dir=target))
    con = connect(folder, memory)
    try:
        yield _Work(con, folder, progress or (lambda what, share=None: None))
    finally:
        con.close()
        shutil.rmtree(folder, ignore_errors=True)


def _read(work: _Work, found: Sequence[Any], layout: Layout | None) -> None:
    for file in found:
        header = [v.header for v in (layout, *layout.variants)] if layout else []
        source = open_source(
            work.con,
            file,
            work.folder,
            separator=layout.separator if layout else None,
            header=[h for h in header if h],
        )
        source, chosen, findings = choose(source, layout)
        work.sources.append(source)
        work.resolved.append(resolve(chosen, source))
        work.findings += findings
    clocks = {r.layout.clock for r in work.resolved}
    if len(clocks) > 1:
        raise DataError(
            f"{work.shown}: the sources have different clocks ({', '.join(sorted(clocks))}); read "
            "them apart."
        )
    work.clock = clocks.pop()
    work.extras = create_stage(work.con, work.resolved)
    for number, (source, resolved) in enumerate(zip(work.sources, work.resolved, strict=True)):
        work.say(f"reading {Path(source.name).name}", number / len(work.sources))
        stage(work.con, source, resolved, work.extras, number)


def _clean(
    work: _Work,
    target: Path,
    keep: tempfile.TemporaryDirectory[str] | None,
    orders: Any,
    session_gap: float,
    session_breaks: Sequence[str],
    max_reject_share: float,
) -> Log:
    con = work.con
    work.clock, found = report.settle(con, work.sources, work.resolved, work.clock)
    work.findings += found
    reasons = dict(
        con.execute(
            f"SELECT __reason, count(*) FROM {STAGE} WHERE __reason IS NOT NULL GROUP BY 1 "
            "ORDER BY 2 DESC, 1"
        ).fetchall()
    )
    row = con.execute(f"SELECT count(*) FROM {STAGE}").fetchone()
    rows = row[0] if row else 0
    if not rows:
        raise DataError(f"{work.shown}: a header but no rows; give a file with events.")
    work.say("sessions", None)
    made = sessionize(con, session_gap, session_breaks)
    own_order = number_events(con, work.clock)
    mark_repeats(con)
    figures = summarize(con, work.clock, session_gap, reasons)
    duplicates = report.duplicate_rows(con)
    currency = report.one_currency(con, work.shown)
    summary = Summary(**figures, currency=currency, duplicate_rows=duplicates)
    work.findings += report.findings(con, summary, work.resolved, made)
    metadata = _metadata(work, summary, currency, bool(reasons))
    work.say("writing", None)
    rejects = _write_rejects(con, work, target) if reasons else None
    if not reasons:
        (target / "rejects.parquet").unlink(missing_ok=True)
    refused = sum(reasons.values()) > max_reject_share * rows
    path = target / "events.parquet"
    if not refused:
        _write_events(con, work, path, metadata, own_order)
    log = log_from(path, metadata, rejects, keep)
    if refused:
        raise RejectedError(report.refusal(con, work.sources, summary, max_reject_share), log)
    return log


def _metadata(work: _Work, summary: Summary, currency: str | None, rejects: bool) -> dict[str, Any]:
    return {
        "contract": CONTRACT,
        "clock": work.clock,
        "layout": work.resolved[0].layout.name,
        "currency": currency,
        "order": "time" if work.clock == "time" else "session",
        "rejects_beside": rejects,
        "columns": [*COLUMNS, *work.extras, "repeat_purchase"],
        "summary": summary.as_dict(),
        "findings": [f.as_dict() for f in by_severity(work.findings)],
    }


def _write_events(
    con: duckdb.DuckDBPyConnection,
    work: _Work,
    path: Path,
    metadata: dict[str, Any],
    own_order: bool,
) -> None:
    order = "event_time, __seq"
    if own_order:
        order = "event_time, event_order, __seq"
    if work.clock != "time":
        # Sessions stay together, in the order in which they begin.
        order = "__begins, session_id, event_order"
    selected = names(metadata["columns"])
    start = (
        "min(event_time) OVER s AS __day, min(__seq) OVER s AS __begins"
        if work.clock == "day"
        else "min(__seq) OVER s AS __begins"
    )
    order = f"__day, {order}" if work.clock == "day" else order
    source = (
        CLEAN
        if work.clock == "time"
        else f"(SELECT *, {start} FROM {CLEAN} WINDOW s AS (PARTITION BY session_id))"
    )
    text = json.dumps(metadata, ensure_ascii=False, sort_keys=True)
    with atomic_path(path) as temporary:
        con.execute(
            f"COPY (SELECT {selected} FROM {source} ORDER BY {order}) TO "
            f"{literal(str(temporary))} (FORMAT parquet, COMPRESSION zstd, "
            f"ROW_GROUP_SIZE {_ROW_GROUP}, "
            f"KV_METADATA {{{METADATA_KEY}: {literal(text)}}})"
        )


def _write_rejects(con: duckdb.DuckDBPyConnection, work: _Work, target: Path) -> Path:
    path = target / "rejects.parquet"
    files = ", ".join(f"({i}, {literal(s.name)})" for i, s in enumerate(work.sources))
    with atomic_path(path) as temporary:
        con.execute(
            f"COPY (SELECT name AS source, __row AS row, __reason AS reason, "
            f'__column AS "column", __value AS value FROM {STAGE} JOIN (VALUES {files}) '
            f"AS files(file, name) ON __file = file WHERE __reason IS NOT NULL "
            f"ORDER BY __file, __row, __reason) TO {literal(str(temporary))} (FORMAT parquet)"
        )
    return path
