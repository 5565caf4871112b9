"""A project as the app sees it: its settings, its clean logs, its runs."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from cartcast import events
from cartcast.app.access import Access
from cartcast.atomic import atomic_path, make_folder, write_text
from cartcast.config import DEFAULTS, PROJECT_FILE, STATE_FOLDER, Settings, read_settings
from cartcast.errors import NotFoundError
from cartcast.insights import write_sessions
from cartcast.progress import Progress
from cartcast.runs.reading import Reading
from cartcast.runs.registry import Entry, Registry
from cartcast.runs.run import Run

__all__ = ["Data", "Progress", "Project", "shown"]


@dataclass(frozen=True)
class Data:
    """A clean log kept by the app, ready to be looked at.

    Attributes:
        key: what it was made from: a hash of sources and settings.
        name: its sources, for people.
        sources: paths it was read from.
        created: ISO 8601 UTC.
        folder: where it is kept.
    """

    key: str
    name: str
    sources: tuple[str, ...]
    created: str
    folder: Path

    @cached_property
    def log(self) -> events.Log:
        """The clean log."""
        return events.open_log(self.folder / "events.parquet")

    @property
    def sessions(self) -> Path:
        """The session table that most insights are counted from."""
        return self.folder / "sessions.parquet"


@dataclass(frozen=True)
class Project:
    """A project folder; without `cartcast.yaml` all settings are the defaults."""

    folder: Path
    settings: Settings = DEFAULTS

    @classmethod
    def open(cls, folder: Path) -> Project:
        """Open the project in `folder`.

        Raises:
            NotFoundError: there is no such folder.
            UsageError: `cartcast.yaml` is wrong.
        """
        if not folder.is_dir():
            raise NotFoundError(f"{folder}: no such folder; make a project with `cartcast init`.")
        known = (folder / PROJECT_FILE).is_file()
        return cls(folder.resolve(), read_settings(folder) if known else DEFAULTS)

    @property
    def state(self) -> Path:
        """Where the app keeps what it makes."""
        return self.folder / STATE_FOLDER

    @property
    def access(self) -> Access:
        """Roles and audit log."""
        return Access(self.folder, self.settings.auth)

    @property
    def registry(self) -> Registry:
        """The catalogue of runs."""
        return Registry(self.folder, self.settings.catalogue, self.settings.store)

    def data(self) -> list[Data]:
        """Return the clean logs, the one that was read last first."""
        found: list[tuple[str, Data]] = []
        for path in self.state.glob("app/logs/*/log.json"):
            if not (path.parent / "events.parquet").is_file():
                continue
            told = json.loads(path.read_text(encoding="utf-8"))
            if told.get("batch"):
                continue
            data = Data(
                path.parent.name, told["name"], tuple(told["sources"]), told["created"], path.parent
            )
            found.append((told.get("read", told["created"]), data))
        return [d for _, d in sorted(found, key=lambda f: f[0], reverse=True)]

    def get_data(self, key: str | None) -> Data | None:
        """Return the clean log `key`, or the newest; None when there is none."""
        every = self.data()
        return next((d for d in every if d.key == key), every[0] if every else None)

    def source_paths(self) -> list[str]:
        """Return the sources named in `cartcast.yaml`, as absolute paths where they are files."""
        return [
            s if "://" in s else str((self.folder / s) if not Path(s).is_absolute() else Path(s))
            for s in self.settings.sources
        ]

    def orders_path(self) -> str | None:
        """Return the orders file named in `cartcast.yaml`."""
        return str(self.folder / self.settings.orders) if self.settings.orders else None

    def read(
        self,
        sources: Sequence[str],
        *,
        layout: str | None = None,
        orders: str | None = None,
        max_reject_share: float | None = None,
        progress: Progress | None = None,
        run: Run | None = None,
        state: Path | None = None,
    ) -> Data:
        """Clean `sources` once and keep the log; the same sources are not read again.

        A log that `run` is to score is read as the run's own was, and is not among those to be
        looked at; nor is one that is kept under another `state` folder.

        Raises:
            DataError: the data break the contract.
            NotFoundError: a source is not there.
            UsageError: the layout does not exist.
        """
        asked = events.privacy_from(self.settings.privacy)
        reading = Reading.from_settings(self.settings, max_reject_share=max_reject_share)
        if run is not None:
            reading = run.reading
        privacy = reading.privacy(asked)
        how: dict[str, Any] = {"layout": layout, "orders": orders}
        key = _key(sources, how, repr(reading), privacy and privacy.as_dict())
        folder = (state or self.state) / "app" / "logs" / key
        if not (folder / "log.json").is_file():
            shutil.rmtree(folder, ignore_errors=True)
            make_folder(folder)
            log = reading.load(*sources, folder=folder, progress=progress, privacy=privacy, **how)
            if log.path.parent != folder:
                # A clean log is used as it is; a copy keeps it whole if the source goes.
                with atomic_path(folder / "events.parquet") as temporary:
                    shutil.copyfile(log.path, temporary)
            told: dict[str, Any] = {
                "name": ", ".join(map(shown, sources))[:120],
                # A URL may hold a password.
                "sources": [shown(s) if "://" in s else s for s in sources],
                "created": datetime.now(UTC).isoformat(timespec="seconds"),
            }
        else:
            told = json.loads((folder / "log.json").read_text(encoding="utf-8"))
        if run is None:
            if not (folder / "sessions.parquet").is_file():
                if progress:
                    progress("counting sessions", None)
                write_sessions(folder / "events.parquet", folder / "sessions.parquet")
            told["batch"] = False
            told["read"] = datetime.now(UTC).isoformat()
        else:
            told.setdefault("batch", True)
        write_text(folder / "log.json", json.dumps(told, indent=1))
        return Data(key, told["name"], tuple(told["sources"]), told["created"], folder)

    def runs(self) -> list[Entry]:
        """Return the registered runs that are here or in the team's store, newest first."""
        registry = self.registry
        team = registry.copies.url is not None
        return [
            e for e in registry.runs() if (team and e.stored) or (e.path / "run.json").is_file()
        ]

    def run(self, run_id: str | None = None) -> Run | None:
        """Return a run: `run_id`, else the champion, else the newest; None when there is none.

        Raises:
            NotTrustedError: it is damaged.
        """
        found = self.entry(run_id)
        return None if found is None else Run.open(self.registry.fetch(found))

    def entry(self, run_id: str | None = None) -> Entry | None:
        """Return what the registry knows of `run(run_id)`, without opening it."""
        runs = {e.run_id: e for e in self.runs()}
        champions = [r for (_, a), r in self.registry.aliases().items() if a == "champion"]
        return next((runs[r] for r in (run_id, *champions, *runs) if r in runs), None)


def shown(source: str) -> str:
    """Return what to call a source: no folders, no user, no password.

    >>> shown("data/clicks.csv"), shown("postgresql://me:secret@db/shop?table=web.clicks")
    ('clicks.csv', 'db/shop web.clicks')
    """
    if "://" not in source:
        return Path(source).name
    parts = urlsplit(source)
    table = " ".join(parse_qs(parts.query).get("table", []))
    return f"{parts.hostname or ''}{parts.path} {table}".strip()


def _key(sources: Sequence[str], how: Mapping[str, Any], *settings: Any) -> str:
    """Hash what decides a clean log: the files as they are now, and the settings.

    A server does not tell whether a table has changed: it is read again each time.
    """
    told: list[Any] = [how, list(settings)]
    for source in [*sources, *filter(None, how.values())]:
        path = Path(source.partition("::")[0])
        if "://" in source:
            told.append([shown(source), datetime.now(UTC).isoformat()])
        elif path.is_file():
            stat = path.stat()
            told.append([source, stat.st_size, stat.st_mtime_ns])
        else:
            told.append(source)
    return hashlib.sha256(json.dumps(told, default=str).encode()).hexdigest()[:16]
