"""A log that has passed the contract: where it is, what it holds, what was found."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import duckdb

from cartcast.arguments import answered
from cartcast.atomic import write_text
from cartcast.errors import DataError, NotFoundError
from cartcast.events.engine import connect, translate
from cartcast.events.schema import COLUMNS, CONTRACT, METADATA_KEY, Clock, metadata_text
from cartcast.events.sql import file_literal, identifier, literal, read_parquet
from cartcast.events.summary import Summary
from cartcast.findings import Finding, by_severity
from cartcast.scratch import ScratchFolder
from cartcast.sessions import SessionRules

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["Log", "log_from", "open_log", "read_metadata",
           "write_metadata"]  # fmt: skip

T = TypeVar("T")


@dataclass(frozen=True)
class Log:
    """A clean event log.

    Attributes:
        path: canonical Parquet file, or a folder of them.
        rejects: Parquet file of the rejected rows, or None when there are none.
        clock: what the source's clock can tell: `time`, `day`, `session` or `order`.
        layout: name of the layout it was read with.
        currency: ISO 4217 code of all prices, or None when unknown.
        order: `time` (rows in time order) or `session` (grouped by session).
        summary: counts, range and money.
        findings: what a reader must know.
        columns: names of all columns.
        zone: the shop's zone; None is UTC.
        rates: by which money was converted into `currency`; None when it was not.
        sessions_made: `gap` (seconds) and `breaks` by which sessions were made; None when all are
            the source's own, or the log is older than this note.
        privacy: pseudonymised columns and the fingerprint of the key; None when ids are as sent.
        engine: where its parts are asked: `duckdb` (this machine) or `spark`.
    """

    path: Path
    rejects: Path | None
    clock: Clock
    layout: str
    currency: str | None
    order: str
    summary: Summary
    findings: tuple[Finding, ...] = ()
    columns: tuple[str, ...] = ()
    privacy: Mapping[str, Any] | None = None
    zone: str | None = None
    rates: Mapping[str, Any] | None = None
    sessions_made: Mapping[str, Any] | None = None
    engine: str = field(default="duckdb", compare=False)
    # Keeps a temporary folder alive for as long as the log is used.
    keep: ScratchFolder | None = field(default=None, repr=False, compare=False)

    def __repr__(self) -> str:
        return f"<Log {self.path.name}: {', '.join(f'{k} {v}' for k, v in self._told())}>"

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><th>{escape(k)}</th><td>{escape(v)}</td></tr>" for k, v in self._told()
        )
        found = "".join(f._repr_html_() for f in by_severity(self.findings))
        return f"<table><caption>{escape(self.path.name)}</caption>{rows}</table>{found}"

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        """Let `polars.DataFrame(log)`, `pyarrow.table(log)` and others read the events.

        https://arrow.apache.org/docs/format/CDataInterface/PyCapsuleInterface.html
        """
        import pyarrow.dataset

        events = pyarrow.dataset.dataset([p.absolute() for p in self.files], format="parquet")
        reader: Any = events.scanner().to_reader()
        return reader.__arrow_c_stream__(requested_schema)

    def _told(self) -> list[tuple[str, str]]:
        """Return what is shown of the log: (what, how many or which)."""
        s = self.summary
        counts = {"events": s.events, "sessions": s.sessions, "visitors": s.visitors,
                  "purchases": s.purchases, "rejects": s.rejects}  # fmt: skip
        told = [(k, f"{v:,}") for k, v in counts.items() if v is not None]
        if s.start and s.end:
            told.append(("days", f"{s.start[:10]} to {s.end[:10]}"))
        if s.revenue is not None:
            told.append((f"revenue ({self.currency or 'no currency'})", f"{s.revenue:,.2f}"))
        return told

    @property
    def files(self) -> list[Path]:
        """The Parquet files of the log: its own, or those of its folder in order."""
        return sorted(self.path.glob("*.parquet")) if self.path.is_dir() else [self.path]

    def connect(self, memory: str | int | None = None) -> duckdb.DuckDBPyConnection:
        """Return a new engine connection with the events as the view `events`."""
        con = connect(memory=memory)
        con.execute(f"CREATE VIEW events AS SELECT * FROM {read_parquet(*self.files)}")
        return con

    @property
    def parts(self) -> tuple[Log, ...]:
        """The log itself, or each file of its folder as a log: a visitor is in one part only."""
        return tuple(
            replace(self, path=f, engine="duckdb", rejects=None, findings=(), keep=None)
            for f in self.files
        )

    def map_parts(self, ask: Callable[[Log], T]) -> list[T]:
        """Return what `ask` says of each part: on Spark where the log is read there, else here.

        On Spark, `ask` and what it returns travel: they must pickle.
        """
        if self.engine == "spark":
            from cartcast.events.spark.parts import ask_parts

            return ask_parts(self.parts, ask)
        return [ask(part) for part in (self.parts if self.path.is_dir() else (self,))]

    def filled(self) -> list[str]:
        """Return the columns that have any value, in order."""
        found = set().union(*self.map_parts(_filled))
        return [c for c in self.columns if c in found]

    def table(self, columns: Sequence[str] | None = None) -> pa.Table:
        """Return the events, or some of their columns, as an Arrow table."""
        import pyarrow.parquet as pq

        # Readers of Parquet take `~` for a home folder.
        path = self.path.absolute()
        return pq.read_table(path, columns=list(columns) if columns is not None else None)


def _filled(part: Log) -> set[str]:
    with part.connect() as con:
        columns = [str(r[0]) for r in con.execute("DESCRIBE events").fetchall()]
        counts = ", ".join(f"count({identifier(c)})" for c in columns)
        row = con.execute(f"SELECT {counts} FROM events").fetchone() or ()
    return {c for c, n in zip(columns, row, strict=True) if n}


_METADATA_FILE = "_cartcast.json"
"""What a log in a folder of Parquet files says of itself; readers of the folder skip its name."""


def write_metadata(folder: Path, metadata: Mapping[str, Any]) -> None:
    """Let a folder of Parquet files say of itself what a canonical log does."""
    write_text(folder / _METADATA_FILE, metadata_text(metadata))


def read_metadata(path: Path) -> dict[str, Any] | None:
    """Return the metadata of a canonical log, or None for any other Parquet file or folder.

    Raises:
        DataError: the file is damaged.
    """
    if path.is_dir():
        beside = path / _METADATA_FILE
        return _known(beside.read_text(encoding="utf-8"), path) if beside.is_file() else None
    try:
        with duckdb.connect() as con:
            row = con.execute(
                f"SELECT value FROM parquet_kv_metadata({file_literal(path)}) "
                f"WHERE decode(key) = {literal(METADATA_KEY)}"
            ).fetchone()
    except duckdb.Error as error:
        raise translate(error, str(path)) from error
    if row is None:
        return None
    return _known(bytes(row[0]), path)


def _known(text: str | bytes, path: Path) -> dict[str, Any] | None:
    """Return metadata of this version of the contract."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: its {METADATA_KEY} metadata are not JSON ({error}).") from error
    return found if isinstance(found, dict) and found.get("contract") == CONTRACT else None


@answered
def open_log(path: Path | str) -> Log:
    """Open a canonical Parquet file that `load` or `cartcast validate --out` wrote.

    Raises:
        NotFoundError: there is no such file.
        DataError: it has not passed the contract.
    """
    path = Path(path)
    if not path.exists():
        raise NotFoundError(f"{path}: no such file; check the path.")
    found = read_metadata(path)
    if found is None:
        raise DataError(
            f"{path}: not a canonical log (no {METADATA_KEY} metadata, contract {CONTRACT}); make "
            "one with `cartcast validate FILE --out events.parquet`."
        )
    return log_from(path, found)


def log_from(
    path: Path,
    metadata: Mapping[str, Any],
    rejects: Path | None = None,
    keep: ScratchFolder | None = None,
) -> Log:
    """Return the log whose metadata are these.

    Raises:
        DataError: they are not what this version writes.
    """
    try:
        return _made(path, metadata, rejects, keep)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise DataError(
            f"{path}: its {METADATA_KEY} metadata are not whole ({error!r}); make it again with "
            "`cartcast validate FILE --out events.parquet`."
        ) from error


def _made(
    path: Path, metadata: Mapping[str, Any], rejects: Path | None, keep: ScratchFolder | None
) -> Log:
    made = metadata.get("sessions_made")
    if made:
        SessionRules.from_dict(made)
    beside = path.with_name("rejects.parquet") if metadata.get("rejects_beside") else None
    if rejects is None and beside is not None and beside.is_file():
        rejects = beside
    return Log(
        path=path,
        rejects=rejects,
        clock=metadata["clock"],
        layout=metadata["layout"],
        currency=metadata.get("currency"),
        order=metadata.get("order", "time"),
        summary=Summary.from_dict(metadata["summary"]),
        findings=tuple(Finding.from_dict(f) for f in metadata.get("findings", ())),
        columns=tuple(metadata.get("columns", COLUMNS)),
        privacy=metadata.get("privacy"),
        zone=metadata.get("zone"),
        rates=metadata.get("rates"),
        sessions_made=made,
        keep=keep,
    )
