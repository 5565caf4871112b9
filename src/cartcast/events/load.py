"""`load`: sources in, a clean log out."""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import duckdb

from cartcast.arguments import answered
from cartcast.atomic import make_folder
from cartcast.config import DEFAULTS, check_zone
from cartcast.errors import DataError, StorageError, UsageError
from cartcast.events.clean import already_clean, clean_folder
from cartcast.events.cleaning import Cleaned, Cleaning, Plan
from cartcast.events.engine import connect, too_deep, translate
from cartcast.events.layouts import Layout, find_layout
from cartcast.events.log import Log, log_from, write_metadata
from cartcast.events.packed import allowed
from cartcast.events.privacy import Privacy
from cartcast.events.rates import Rates, rates_from
from cartcast.events.read import expand
from cartcast.events.reading import read_sources
from cartcast.events.rejects import refusal, write_rejects
from cartcast.events.room import within
from cartcast.progress import Progress, quiet
from cartcast.scratch import ScratchFolder, scratch
from cartcast.sessions import USUAL, SessionRules

__all__ = ["Progress", "RejectedError", "load"]


class RejectedError(DataError):
    """More rows were rejected than allowed; `log` holds the report, and the rejects."""

    def __init__(self, message: str, log: Log) -> None:
        super().__init__(message)
        self.log = log


@answered
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
    zone: str | None = None,
    rates: Rates | Mapping[str, Any] | Path | str | None = None,
    engine: str = "duckdb",
) -> Log:
    """Read sources by a layout, clean them by the contract, and return the canonical log.

    Args:
        sources: paths, folders, globs, URLs of tables, pandas, Polars or Arrow tables, or a `Log`.
        layout: name or YAML path of the layout; None means guess.
        orders: a table of outcomes that becomes purchase events.
        session_gap: seconds without an event after which a session ends (default 1800), for
            sources without session ids.
        session_breaks: further reasons for a new session: `midnight`, `campaign`, `purchase`.
        max_reject_share: share (0 to 1) of rejected rows above which the log is refused.
        folder: where `events.parquet` and `rejects.parquet` are written; None means a temporary
            folder that lives as long as the log.
        progress: called with what is being done and the share done.
        memory: limit of the engine, such as `2GB`; more is spilled to disk.
        out: the canonical log's own path, instead of `events.parquet` in `folder`.
        rejects_out: the rejects' own path (`.parquet` or `.csv`); written even when empty.
        report_only: count and report, but write no log (its path is not there).
        privacy: ids to be replaced by pseudonyms before anything is written (`privacy_from`).
        zone: the shop's clock (such as Europe/Berlin), for midnights, hours and days; None means
            the layout's, else UTC.
        rates: what each currency is worth in one of them (a mapping, or a YAML or CSV file);
            without it a log in several currencies is refused.
        engine: `duckdb` (this machine), or `spark`: then the log is a folder of Parquet files.

    Raises:
        NotFoundError: a source is not there.
        UsageError: the layout, a break, a share or a rate does not exist.
        DefinitionError: the zone does not exist.
        DataError: a source is empty, has no usable columns, mixes currencies without their rates,
            or was cleaned by another clock, other session rules or in another currency; or more
            rows than `max_reject_share` are rejected (`RejectedError`, with the report).
    """
    if not sources:
        raise UsageError("give at least one source: a file, folder, glob, table URL or table.")
    if not 0 <= max_reject_share <= 1:
        raise UsageError(
            f"max_reject_share must fulfil 0 <= max_reject_share <= 1, got {max_reject_share}."
        )
    if engine not in ("duckdb", "spark"):
        raise UsageError(f"unknown engine {engine!r}; there are duckdb and spark.")
    rules = SessionRules(session_gap, tuple(session_breaks))
    check_zone(zone, "zone")
    rates = rates_from(rates)
    given = [s for s in sources if isinstance(s, Log)]
    if given and (len(sources) > 1 or orders is not None or out is not None or privacy is not None):
        # What else is asked for is done to its file.
        sources = tuple(s.path if isinstance(s, Log) else s for s in sources)
    elif given:
        _require_same(given[0], rules, zone, rates, given[0].path.name)
        return given[0]
    found = [e for s in sources for e in expand(s)]
    if layout is not None and not isinstance(layout, Layout):
        layout = find_layout(str(layout))
    keep = ScratchFolder() if folder is None else None
    # A log that has passed the contract before is not cleaned again.
    opened = None
    if len(sources) == 1 and orders is None and out is None and engine == "spark":
        opened = clean_folder(sources[0], privacy)
    if opened is None and len(found) == 1 and orders is None:
        opened = already_clean(found[0], out, folder, privacy, keep)
    if opened is not None:
        _require_same(opened, rules, zone, rates, str(sources[0]))
        return replace(opened, engine=engine)
    target = keep.path if keep is not None else Path(str(folder))
    places = _Places(
        Path(out) if out else target / "events.parquet",
        Path(rejects_out) if rejects_out else target / "rejects.parquet",
        always=rejects_out is not None,
        report_only=report_only,
    )
    say = progress or quiet
    plan = Plan(rules, zone, privacy, rates)
    with (
        _work(target, memory) as (con, work),
        _translated(work, found),
        within(con, work, _room([*found, *([] if orders is None else [orders])]), str(found[0])),
    ):
        if engine == "spark":
            from cartcast.events.spark.reading import SparkReading, new_folder, require_files

            files = require_files(found, orders)
            reading = SparkReading(con, work, files, layout, plan, memory, say)
            with new_folder(None if report_only else places.events) as parts:
                cleaned = reading.run(parts)
                log = _finished(
                    reading.cleaning, cleaned, places, keep, max_reject_share,
                    lambda _: write_metadata(parts or places.events, cleaned.metadata),
                )  # fmt: skip
            return replace(log, engine=engine)
        read = read_sources(con, found, layout, orders, work, say, privacy)
        own = next((r.layout.zone for r in read.resolved if r.layout.zone), None)
        plan = replace(plan, zone=zone or own)
        cleaning = Cleaning(con, read, plan, say)
        cleaned = cleaning.run()
        return _finished(
            cleaning, cleaned, places, keep, max_reject_share,
            lambda path: cleaning.write(path, cleaned),
        )  # fmt: skip


def _require_same(
    opened: Log, rules: SessionRules, zone: str | None, rates: Rates | None, shown: str
) -> None:
    """Refuse a clean log that was read by another clock, sessions or currency than asked for."""
    made = opened.sessions_made and SessionRules.from_dict(opened.sessions_made)
    # The usual rules are those of who asks for none: a clean log keeps its own.
    if made and not rules.same_as(USUAL) and not rules.same_as(made):
        raise DataError(
            f"{shown}: its sessions were made by {made}, not by {rules}; give the log as it was "
            "before cleaning."
        )
    if zone is not None and zone != (opened.zone or "UTC"):
        raise DataError(
            f"{shown}: cleaned by the clock of {opened.zone or 'UTC'}, not of {zone}; give the "
            "log as it was before cleaning."
        )
    if rates is not None and opened.currency not in (None, rates.into):
        raise DataError(
            f"{shown}: cleaned in {opened.currency}, not in {rates.into}; give the log as it was "
            "before cleaning, so that its money can be converted."
        )


class _Places(NamedTuple):
    """Where the log and the rejects go; `always` writes rejects even when there are none.

    With `report_only` no log is written.
    """

    events: Path
    rejects: Path
    always: bool
    report_only: bool


@contextlib.contextmanager
def _work(
    target: Path, memory: str | int | None
) -> Iterator[tuple[duckdb.DuckDBPyConnection, Path]]:
    make_folder(target)
    with scratch(target) as folder, connect(folder, memory) as con:
        yield con, folder


def _room(sources: Sequence[Any]) -> int | None:
    """Return the most bytes that reading files may take on disk; None where not all are files."""
    paths = [Path(s) for s in sources if isinstance(s, str | Path)]
    whole = len(paths) == len(sources) and all(p.is_file() for p in paths)
    return allowed(sum(p.stat().st_size for p in paths)) if whole else None


@contextlib.contextmanager
def _translated(work: Path, found: Sequence[Any]) -> Iterator[None]:
    """Give errors of the engine and of the machine as Cartcast's own."""
    try:
        yield
    except duckdb.Error as error:
        first = str(found[0]) if isinstance(found[0], str | Path) else "events"
        shown = first if len(found) == 1 else f"{first} and {len(found) - 1} more"
        raise translate(error, shown) from error
    except RecursionError as error:
        raise too_deep(str(found[0])[:200]) from error
    except RuntimeError as error:
        if "interrupted" not in str(error).lower():
            raise
        # The engine turns Ctrl-C into an error of its own.
        raise KeyboardInterrupt from error
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        raise StorageError(
            f"{work.parent}: the disk is full; nothing was written. Free space, or set "
            "TMPDIR to a larger place."
        ) from error


def _finished(
    cleaning: Cleaning,
    cleaned: Cleaned,
    places: _Places,
    keep: ScratchFolder | None,
    max_reject_share: float,
    write: Callable[[Path], None],
) -> Log:
    """Write the rejects and the log, unless too many rows are rejected."""
    con, sources = cleaning.con, cleaning.read.sources
    rejects = places.rejects if cleaned.summary.rejects or places.always else None
    if rejects is not None:
        write_rejects(con, [s.name for s in sources], rejects)
    swallowed = cleaned.summary.swallowed_lines
    bad = cleaned.summary.rejects + swallowed
    rows = cleaned.rows + swallowed
    if bad > max_reject_share * rows or not cleaned.summary.events:
        log = log_from(places.events, cleaned.metadata, rejects, keep)
        raise RejectedError(refusal(con, sources, rows, bad, max_reject_share), log)
    if not places.report_only:
        write(places.events)
    return log_from(places.events, cleaned.metadata, rejects, keep)
