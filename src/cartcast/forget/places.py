"""Where a project keeps what people did: every file of its state, by how it is cleaned."""

from __future__ import annotations

import re
import shutil
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

from cartcast.atomic import atomic_path
from cartcast.config import STATE_FOLDER
from cartcast.forget.databases import is_database
from cartcast.forget.live import is_live
from cartcast.forget.person import Person
from cartcast.forget.texts import drop_records, is_text

__all__ = ["archives", "clean_archive", "databases", "every_file", "live_states", "tables", "texts"]

_PASSING = re.compile(r"\.(?!cartcast).*|lock|.*\.lock")


def every_file(project: Path) -> Iterator[Path]:
    """Yield every file of the project's state, states put aside by a restore among them."""
    for state in sorted(project.glob(f"{STATE_FOLDER}*")):
        if state.is_dir():
            for path in sorted(state.rglob("*")):
                inner = path.relative_to(project).parts
                if path.is_file() and not any(_PASSING.fullmatch(part) for part in inner):
                    yield path


def tables(project: Path) -> list[Path]:
    """Return the Parquet files."""
    return [p for p in every_file(project) if p.suffix.lower() == ".parquet"]


def texts(project: Path) -> list[Path]:
    """Return the tables in text."""
    return [p for p in every_file(project) if is_text(p)]


def archives(project: Path) -> list[Path]:
    """Return the archives of tables."""
    return [p for p in every_file(project) if p.suffix.lower() == ".zip"]


def databases(project: Path) -> list[Path]:
    """Return the databases, but for the catalogue, which knows no visitors."""
    found = [p for p in every_file(project) if p.suffix == ".db" and p.name != "catalogue.db"]
    return [p for p in found if is_database(p)]


def live_states(project: Path) -> list[Path]:
    """Return the folders of live states."""
    return sorted(
        {p.parent for p in every_file(project) if p.suffix == ".bin" and is_live(p.parent)}
    )


def clean_archive(path: Path, person: Person) -> int:
    """Rewrite an archive without the person's records; return how many went."""
    with tempfile.TemporaryDirectory(prefix="cartcast-") as work, zipfile.ZipFile(path) as archive:
        gone = 0
        members = []
        for number, info in enumerate(archive.infolist()):
            # Never by the name in the archive: it may lead out of the folder.
            file = Path(work) / f"{number}-{Path(info.filename).name}"
            if info.is_dir():
                continue
            with archive.open(info) as stream, file.open("wb") as out:
                shutil.copyfileobj(stream, out)
            if is_text(file):
                gone += drop_records(file, person)[0]
            members.append((info, file))
        if gone:
            with atomic_path(path) as temporary, zipfile.ZipFile(temporary, "w") as out_archive:
                for info, file in members:
                    out_archive.write(file, info.filename, zipfile.ZIP_DEFLATED)
    return gone
