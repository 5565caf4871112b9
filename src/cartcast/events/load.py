"""`load`: sources in, a clean log out."""

from __future__ import annotations

import contextlib
import errno
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import duckdb

from cartcast.config import DEFAULTS
from cartcast.errors import DataError, StorageError, UsageError
from cartcast.events import report
from cartcast.events.clean import already_clean
from cartcast.events.contract import STAGE, create_stage, stage
from cartcast.events.csvfile import UnreadableTextError, rewritten
from cartcast.events.engine import connect, translate
from cartcast.events.guess import choose
from cartcast.events.layouts import Layout, find_layout
from cartcast.events.log import Log, TemporaryFolder, log_from
from cartcast.events.mapping import Resolved, resolve
from cartcast.events.orders import match_orders, resolve_orders, set_aside
from cartcast.events.privacy import Privacy, hide_staged
from cartcast.events.read import Source, expand, open_source
from cartcast.events.schema import COLUMNS
from cartcast.events.sessionize import (
    check_breaks,
    drop_seen_events,
    number_events,
    sessionize,
)
from cartcast.events.summary import Summary, mark_repeats, summarize
from cartcast.events.write import flags, write_events, write_rejects
from cartcast.findings import Finding, by_severity

__all__ = ["Progress", "RejectedError", "load"]

Progress = Callable[[str, float | None], None]


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
    session_gap: float = DEFAULTS.session_gap
    session_breaks: tuple[str, ...] = ()
    privacy: Privacy | None = None
    own_order: bool = False
    with_orders: bool = False

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
    out: Path | str | None = None,
    rejects_out: Path | str | None = None,
    report_only: bool = False,
    privacy: Privacy | None = None,
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
        out: the canonical log's own path, instead of `events.parquet` in `folder`.
        rejects_out: the rejects' own path (`.parquet` or `.csv`); written even when empty.
        report_only: count and report, but write no log (its path is not there).
        privacy: ids to be replaced by pseudonyms before anything is written (`privacy_from`).

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
    if layout is not None and not isinstance(layout, Layout):
        layout = find_layout(str(layout))
    keep = None
    if folder is None:
        keep = TemporaryFolder()
        folder = keep.path
    target = Path(folder)
    if len(found) == 1 and orders is None:
        # A log that has passed the contract before is not cleaned again.
        opened = already_clean(found[0], out, target, privacy, keep)
        if opened is not None:
            return opened
    places = _Places(
        Path(out) if out else target / "events.parquet",
        Path(rejects_out) if rejects_out else target / "rejects.parquet",
        always=rejects_out is not None,
        report_only=report_only,
    )
    with _work(target, memory, progress) as work:
        try:
            work.privacy = privacy
            _read(work, found, layout, orders)
            work.session_gap, work.session_breaks = session_gap, tuple(session_breaks)
            return _clean(work, places, keep, max_reject_share)
        except duckdb.Error as error:
            raise translate(error, work.shown if work.sources else "events") from error
        except RuntimeError as error:
            if "interrupted" not in str(error).lower():
                raise
            # The engine turns Ctrl-C into an error of its own.
            raise KeyboardInterrupt from error
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
            raise StorageError(
                f"{work.folder.parent}: the disk is full; nothing was written. Free space, or set "
                "TMPDIR to a larger place."
            ) from error


class _Places(NamedTuple):
    """Where the log and the rejects go; `always` writes rejects even when there are none.

    With `report_only` no log is written.
    """

    events: Path
    rejects: Path
    always: bool
    report_only: bool


def _quiet(what: str, share: float | None) -> None:
    """Show no progress."""


@contextlib.contextmanager
def _work(target: Path, memory: str | int | None, progress: Progress | None) -> Iterator[_Work]:
    target.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=".cartcast-work-", dir=target))
    con = connect(folder, memory)
    try:
        yield _Work(con, folder, progress or _quiet)
    finally:
        con.close()
        shutil.rmtree(folder, ignore_errors=True)


def _read(work: _Work, found: Sequence[Any], layout: Layout | None, orders: Any) -> None:
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
    if orders is not None:
        files = list(expand(orders))
        if len(files) != 1:
            raise UsageError(f"orders must be one table, got {len(files)} files in {orders}.")
        source = open_source(work.con, files[0], work.folder)
        work.sources.append(source)
        work.resolved.append(resolve_orders(source, work.clock))
        work.with_orders = True
    work.extras = create_stage(work.con, work.resolved)
    for number, (source, resolved) in enumerate(zip(work.sources, work.resolved, strict=True)):
        work.say(f"reading {Path(source.name).name}", number / len(work.sources))
        try:
            stage(work.con, source, resolved, work.extras, number)
        except UnreadableTextError as error:
            work.con.execute(f"DELETE FROM {STAGE} WHERE __file = {number}")
            again = rewritten(work.con, source, error.encoding, work.folder)
            work.sources[number] = again
            stage(work.con, again, resolved, work.extras, number)
    if work.privacy is not None:
        work.say("pseudonyms", None)
        hide_staged(work.con, work.privacy)


def _clean(
    work: _Work,
    places: _Places,
    keep: TemporaryFolder | None,
    max_reject_share: float,
) -> Log:
    con = work.con
    work.clock, found = report.settle(con, work.sources, work.resolved, work.clock)
    work.findings += found
    if work.with_orders:
        set_aside(con, len(work.sources) - 1)
    dropped = drop_seen_events(con) if "event_id" in work.extras else 0
    row = con.execute(f"SELECT count(*) FROM {STAGE}").fetchone()
    rows = int(row[0]) + dropped if row else 0
    if not rows:
        raise DataError(f"{work.shown}: a header but no rows; give a file with events.")
    work.say("sessions", None)
    made = sessionize(con, work.session_gap, work.session_breaks)
    unmatched = 0
    if work.with_orders:
        unmatched, found = match_orders(con, work.session_gap, work.sources[-1].short)
        work.findings += found
    work.own_order = number_events(con, work.clock)
    mark_repeats(con)
    work.say("counting", None)
    reasons = report.reject_reasons(con)
    swallowed = report.swallowed_lines(con) if reasons else 0
    figures = summarize(con, work.clock, work.session_gap, reasons)
    summary = Summary(
        **figures,
        currency=report.one_currency(con, work.shown),
        duplicate_rows=report.duplicate_rows(con),
        duplicate_events=dropped,
        swallowed_lines=swallowed,
        unmatched_orders=unmatched,
    )
    work.findings += report.findings(con, summary, work.resolved, made)
    metadata = {
        "clock": work.clock,
        "layout": work.resolved[0].layout.name,
        "currency": summary.currency,
        "order": "time" if work.clock == "time" else "session",
        "privacy": work.privacy.as_dict() if work.privacy else None,
        "rejects_beside": bool(summary.rejects),
        "columns": [*COLUMNS, *work.extras, *flags(work.with_orders)],
        "summary": summary.as_dict(),
        "findings": [f.as_dict() for f in by_severity(work.findings)],
    }
    work.say("writing", None)
    rejects = places.rejects if reasons or places.always else None
    if rejects is not None:
        write_rejects(con, [s.name for s in work.sources], rejects)
    bad = sum(reasons.values()) + swallowed
    if bad > max_reject_share * (rows + swallowed) or not summary.events:
        log = log_from(places.events, metadata, rejects, keep)
        message = report.refusal(con, work.sources, summary, max_reject_share)
        raise RejectedError(message, log)
    orders_file = len(work.sources) - 1 if work.with_orders else None
    if not places.report_only:
        write_events(con, places.events, metadata, work.own_order, orders_file)
    return log_from(places.events, metadata, rejects, keep)
