"""What one backup holds: names, hashes and modes of files, the catalogue, spans of live states."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import PurePosixPath
from typing import Any

from cartcast.errors import NotTrustedError

__all__ = ["FORMAT", "FileEntry", "LiveEntry", "Manifest", "is_portable"]

FORMAT = 1
"""Form of stores and manifests; a later one is refused."""

_HEX = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class FileEntry:
    """One file.

    Attributes:
        name: path in the project, with slashes.
        size: in bytes.
        modified: nanoseconds since 1970; the app knows a source again by it.
        sha256: of the whole file.
        chunks: names of its chunks in the store, in order.
        sealed: the chunks are encrypted although the store is not.
    """

    name: str
    size: int
    modified: int
    sha256: str
    chunks: tuple[str, ...]
    sealed: bool = False


@dataclass(frozen=True)
class LiveEntry:
    """One live state: a snapshot and the log after it.

    Attributes:
        name: path of its folder in the project.
        first: microseconds since 1970 from which on any moment can be restored: arrival of the
            first event in the log, or when the snapshot was written; 0 without a snapshot.
        last: arrival of its last event; None when the log is empty.
        records: events in the log after the snapshot.
        fingerprint: of the feature set that its states belong to.
    """

    name: str
    first: int
    last: int | None
    records: int
    fingerprint: str


@dataclass(frozen=True)
class Manifest:
    """One backup.

    Attributes:
        id: name of the backup: the time it began, and a random end.
        created: ISO 8601 UTC, microseconds.
        cartcast: version that wrote it.
        project: folder it was taken of.
        files: every file.
        catalogue: rows by table, as `Registry.copy` returns them.
        live: the live states.
        answers: what the champions say of rows made up by a fixed rule, by run id.
        versions: of the libraries that said so.
        notes: what was left out, and why.
    """

    id: str
    created: str
    cartcast: str
    project: str
    files: tuple[FileEntry, ...]
    catalogue: Mapping[str, list[dict[str, Any]]]
    live: tuple[LiveEntry, ...] = ()
    answers: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(f.size for f in self.files)

    @property
    def chunks(self) -> set[tuple[str, bool]]:
        """Names of all chunks, and whether each is sealed although the store is not."""
        return {(chunk, f.sealed) for f in self.files for chunk in f.chunks}

    def as_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Manifest:
        """Read back what `as_dict` returned.

        Raises:
            NotTrustedError: it is not of this form, or a name leads out of the project.
        """
        try:
            files = [FileEntry(**{**f, "chunks": tuple(f["chunks"])}) for f in data["files"]]
            live = tuple(LiveEntry(**entry) for entry in data["live"])
            rest = {**data, "files": tuple(files), "live": live, "notes": tuple(data["notes"])}
            manifest = cls(**rest)
        except (KeyError, TypeError, AttributeError) as error:
            raise NotTrustedError(f"the manifest is not of the known form ({error}).") from error
        for name in [*(f.name for f in files), *(entry.name for entry in live)]:
            if not is_portable(name):
                raise NotTrustedError(
                    f"the manifest names {name!r}, which is not a path in a project."
                )
        for file in files:
            if not all(_HEX.fullmatch(chunk) for chunk in (*file.chunks, file.sha256)):
                raise NotTrustedError(f"the manifest names no hash for {file.name!r}.")
        return manifest


def is_portable(name: str) -> bool:
    """Return whether a name is a plain path inside a project."""
    path = PurePosixPath(name)
    usual = bool(name) and "\0" not in name and "\\" not in name
    return usual and not path.is_absolute() and ".." not in path.parts and name == str(path)
