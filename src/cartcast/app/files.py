"""Files in and out: uploads kept whole and small enough, exports that no spreadsheet runs."""

from __future__ import annotations

import hashlib
import io
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from cartcast.atomic import atomic_path
from cartcast.config import PROJECT_FILE, STATE_FOLDER
from cartcast.errors import DataError, NotFoundError, UsageError
from cartcast.events import packed
from cartcast.events.read import UPLOADS, kind_of_name

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "parquet_bytes",
    "project_files",
    "require_known",
    "resolve_inside",
    "safe_name",
    "save_upload",
    "uploads",
]

_KINDS = ("csv", "json", "parquet", "workbook", "zip")
"""Kinds of files that can be a log or a ready table."""
_UNPACKED = 20
"""How many times the upload limit a packed file may unpack to."""


def parquet_bytes(table: pd.DataFrame) -> bytes:
    """Return a table as Parquet."""
    into = io.BytesIO()
    table.to_parquet(into, index=False)
    return into.getvalue()


def safe_name(name: str) -> str:
    """Return a file name without folders or odd characters; its ending is kept.

    >>> safe_name("../../etc/pass wd<script>.csv")
    'pass_wd_script_.csv'
    """
    last = re.split(r"[\\/]", name)[-1]
    cleaned = re.sub(r"[^A-Za-z0-9._-]+", "_", last).lstrip(".")
    return cleaned[-80:] or "upload"


def require_known(name: str) -> None:
    """Raise UsageError where a file's name says that nothing here reads it."""
    if kind_of_name(name) not in _KINDS:
        raise UsageError(f"{safe_name(name)}: unknown kind of file; use {', '.join(UPLOADS)}.")


def uploads(folder: Path) -> Path:
    """Return where the uploads of a project are kept."""
    return folder / STATE_FOLDER / "uploads"


def save_upload(folder: Path, name: str, content: BinaryIO, limit_megabytes: int) -> Path:
    """Store an upload below the project's state and return its path; equal files are kept once.

    Raises:
        UsageError: unknown kind of file.
        DataError: empty, larger than the limit, or an archive that unpacks to far more.
        StorageError: the disk is full.
    """
    require_known(name)
    limit = limit_megabytes * 1_000_000
    shown = safe_name(name)
    content.seek(0, io.SEEK_END)
    size = content.tell()
    content.seek(0)
    if size == 0:
        raise DataError(f"{shown}: the file is empty; export it again.")
    if size > limit:
        raise DataError(
            f"{shown}: {size / 1e6:,.0f} MB is more than the {limit_megabytes:,} MB allowed; "
            "raise upload_megabytes in cartcast.yaml, or put the file into the project folder."
        )
    form = packed.form_of(content.read(512))
    content.seek(0)
    if form is None and shown.lower().endswith(".zip"):
        raise DataError(f"{shown}: not a whole zip file; export it again.")
    if form is not None and kind_of_name(shown) != "workbook":
        packed.measure(content, shown, shown, limit * _UNPACKED)
    content.seek(0)
    digest = hashlib.sha256()
    while chunk := content.read(1 << 20):
        digest.update(chunk)
    content.seek(0)
    path = uploads(folder) / digest.hexdigest()[:16] / shown
    if not path.is_file():
        with atomic_path(path) as temporary, temporary.open("wb") as out:
            shutil.copyfileobj(content, out, 1 << 20)
    return path


def project_files(folder: Path, most: int = 200) -> list[str]:
    """Return the data files of a project, as paths relative to it; its state is left out."""
    found = []
    for path in sorted(folder.rglob("*")):
        parts = path.relative_to(folder).parts
        if any(p.startswith(".") for p in parts) or not path.is_file():
            continue
        # Texts and JSON documents are rather notes and settings.
        told = not path.name.lower().endswith((".txt", ".json")) and kind_of_name(path.name)
        if path.name != PROJECT_FILE and told in _KINDS:
            found.append(str(path.relative_to(folder)))
        if len(found) >= most:
            break
    return found


def resolve_inside(folder: Path, name: str) -> Path:
    """Return the path of a project file by its relative name.

    Raises:
        NotFoundError: it is not there, or leads out of the project.
    """
    path = (folder / name).resolve()
    if not path.is_relative_to(folder.resolve()) or not path.is_file():
        raise NotFoundError(f"{safe_name(name)}: no such file in this project.")
    return path
