"""One form of a shop, written where a person asked for it."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Iterable
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import NamedTuple

from cartcast.atomic import atomic_path
from cartcast.datasets.disguises.build import make_log
from cartcast.datasets.disguises.forms import FORMS
from cartcast.datasets.disguises.sheet import Sheet, write_sheet
from cartcast.datasets.disguises.truth import Truth, truth_of
from cartcast.errors import UsageError, did_you_mean

__all__ = ["Disguised", "write_form"]


class Disguised(NamedTuple):
    """Files written, and the figures that a right reader gives."""

    files: tuple[Path, ...]
    truth: Truth


def write_form(
    name: str,
    out: Path | str,
    sessions: int = 100,
    seed: int = 0,
    start: date = date(2025, 3, 3),
    days: int = 14,
) -> Disguised:
    """Write a small simulated shop in the form `name`.

    Args:
        name: one of FORMS.
        out: the file, with the form's own suffix; a folder when the form has several files, or
            when `out` is one already.
        sessions: sessions simulated; those of one visitor within a few hours count once.
        seed: the same seed gives the same files.
        start: first day.
        days: length of the log.

    Raises:
        UsageError: no form has that name, or `out` has another suffix than the form's file.
        StorageError: a file cannot be written.

    >>> with tempfile.TemporaryDirectory() as folder:
    ...     [path.name for path in write_form("yoochoose", folder, sessions=20).files]
    ['yoochoose-clicks.dat', 'yoochoose-buys.dat']
    """
    if name not in FORMS:
        raise UsageError(f"unknown form {name!r}.{did_you_mean(name, FORMS)}")
    form, target = FORMS[name], Path(out)
    log = form.see(make_log(seed, sessions, start, days))
    sheets = form.write(log)
    folder = target
    if len(sheets) == 1 and not target.is_dir():
        suffix = Path(form.files[0]).suffix
        if target.suffix != suffix:
            raise UsageError(f"{target}: a file of {name} must end in {suffix}, or give a folder.")
        folder, sheets = target.parent, (replace(sheets[0], name=target.name),)
    return Disguised(_placed(sheets, folder), truth_of(log, form.tells))


def _placed(sheets: Iterable[Sheet], folder: Path) -> tuple[Path, ...]:
    """Write the sheets into `folder`, all of them or none."""
    with tempfile.TemporaryDirectory() as temporary, contextlib.ExitStack() as stack:
        placed = []
        for sheet in sheets:
            written = write_sheet(sheet, Path(temporary))
            placed.append(folder / written.name)
            shutil.copyfile(written, stack.enter_context(atomic_path(placed[-1])))
    return tuple(placed)
