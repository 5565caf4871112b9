"""The desk of one project: its log, read once and again when it changes, its runs, its ledger."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from cartcast.config import PROJECT_FILE, STATE_FOLDER, Settings, read_settings
from cartcast.errors import CartcastError, NotFoundError, UsageError, did_you_mean
from cartcast.events import Log, privacy_from
from cartcast.events.read import expand
from cartcast.insights import write_sessions
from cartcast.insights.breakdown import CALENDAR
from cartcast.insights.sessions import MEASURES
from cartcast.mcp.ledger import Ledger
from cartcast.mcp.words import PEOPLE, Words, cleaned
from cartcast.runs.reading import Reading
from cartcast.runs.registry import Registry
from cartcast.runs.run import Run
from cartcast.scratch import ScratchFolder

__all__ = ["Desk"]

_TECHNICAL: Final = ("event_time", "event_order", "known_time", "utc_offset", "session_seconds")
SESSIONS: Final = "sessions.parquet"
MOST_SHOWN: Final = 50_000
_NAMING: Final = "(withheld: it holds an id of a person)"
_RARE: Final = "(withheld: few visitors have it)"


class Desk:
    """What the tools ask; one question at a time.

    Args:
        folder: the project folder.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ledger = Ledger()
        self._stamp: Any = None
        self._looked: CartcastError | bool = False
        self._log: Log | None = None
        self._keep = ScratchFolder()
        self._words = Words(None)
        self._shown: dict[tuple[str | None, str], str] = {}

    @property
    def settings(self) -> Settings:
        """The settings as they are now."""
        return read_settings(self.folder)

    def begin(self) -> None:
        """Begin a question: the files of the log are looked at once for each."""
        self._looked = False

    def log(self) -> Log:
        """Return the clean log of the project's sources, read again if a file has changed.

        Raises:
            NotFoundError: the project names no source, or one is not there.
            DataError, UsageError: as `events.load`.
        """
        if not self._looked:
            try:
                self._log, self._looked = self._read(), True
            except CartcastError as error:
                self._looked = error
        if isinstance(self._looked, CartcastError):
            raise self._looked
        assert self._log is not None
        return self._log

    def _read(self) -> Log:
        settings = self.settings
        if not settings.sources:
            raise NotFoundError(f"{PROJECT_FILE} names no log; add its files under `sources:`.")
        sources = [s if "://" in s else str(self.folder / s) for s in settings.sources]
        orders = str(self.folder / settings.orders) if settings.orders else None
        files = [f for s in (*sources, *([orders] if orders else [])) for f in expand(s)]
        stamp = (repr(settings), [_stamp(f) for f in files])
        if self._log is None or stamp != self._stamp:
            log = Reading.from_settings(settings).load(
                *sources, orders=orders, privacy=privacy_from(settings.privacy)
            )
            keep = ScratchFolder()
            write_sessions(log, keep.path / SESSIONS)
            self._words, self._shown = Words(log), {}
            self._keep, self._stamp = keep, stamp
            return log
        return self._log

    @property
    def sessions(self) -> Path:
        """The session table of the log, from which most insights are counted."""
        return self._keep.path / SESSIONS

    def columns(self, *, of_sessions: bool = False) -> list[str]:
        """Return the columns that may be asked for; `of_sessions`: those of breakdowns."""
        log = self.log()
        hidden = {*PEOPLE, *_TECHNICAL}
        for found in log.findings:
            hidden |= set(found.evidence.get("columns", ())) if found.code == "EV160" else set()
        every = log.filled()
        if of_sessions:
            every += CALENDAR if log.clock in ("time", "day") else ()
            every += [*MEASURES, "first_event", "last_event"]
            every += ["last_page"] if "page" in every else []
        return [c for c in dict.fromkeys(every) if c not in hidden and not c.startswith("__")]

    def require_column(self, name: str, *, of_sessions: bool = False) -> str:
        """Return a column that may be asked for.

        Raises:
            UsageError: it identifies people, or the log has no such column; naming those it has.
        """
        known = self.columns(of_sessions=of_sessions)
        if name in known:
            return name
        if name in self.log().columns and name not in _TECHNICAL:
            raise UsageError(
                f"the column {name!r} identifies people, or is empty; it cannot be asked for."
            )
        near = did_you_mean(name, known)
        listed = "" if near.startswith(" Known") else f" Known: {', '.join(known[:30])}."
        raise UsageError(f"no column {name!r} to ask for.{near}{listed}")

    def registry(self) -> Registry:
        """Return the catalogue of runs.

        Raises:
            NotFoundError: nothing was trained here yet.
        """
        url = self.settings.catalogue
        if url is None and not (self.folder / STATE_FOLDER / "catalogue.db").is_file():
            raise NotFoundError("no run here yet; train one with `cartcast train`.")
        return Registry.of(self.folder)

    def run(self, name: str) -> Run:
        """Return a run of the catalogue by its id or alias; never by a path.

        Raises:
            NotFoundError: there is none; naming those there are.
        """
        return self.registry().run(name)

    def inside(self, name: str) -> Path:
        """Return a file of the project.

        Raises:
            UsageError: it lies outside, or among what Cartcast keeps.
            NotFoundError: there is no such file.
        """
        root = self.folder.resolve()
        path = (root / name).resolve()
        if not path.is_relative_to(root) or STATE_FOLDER in path.relative_to(root).parts:
            raise UsageError(f"{name}: only files of the project may be read.")
        if not path.is_file():
            raise NotFoundError(f"{name}: no such file in the project.")
        return path

    def learn(self, column: str | None, texts: Iterable[Any], most: int = 80) -> None:
        """Decide at once how texts are shown; `column` is where in the log they stand."""
        new = [t for t in {str(t) for t in texts} if (column, t) not in self._shown]
        if len(self._shown) > MOST_SHOWN:
            self._shown.clear()
        rare = self._words.rare(column, new) if column else set()
        naming = self._words.naming(new)
        for text in new:
            shown = _NAMING if text in naming else _RARE if text in rare else cleaned(text, most)
            self._shown[column, text] = shown

    def quote(self, text: Any, column: str | None = None, most: int = 80) -> str:
        """Return a text as data: «...», short, without control characters or ids of people."""
        if text is None:
            return "(unknown)"
        with contextlib.suppress(CartcastError):  # What cannot be read names nobody.
            self.log()
        self.learn(column, [text], most)
        return self.ledger.quoted(self._shown[column, str(text)])


def _stamp(file: Any) -> Any:
    if not isinstance(file, Path):
        return str(file)
    told = file.stat()
    return str(file), told.st_size, told.st_mtime_ns
