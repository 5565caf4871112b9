"""Who is not to be contacted: ids that are left out of lists, as visitors or as logins."""

from __future__ import annotations

import csv
import re
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from cartcast.errors import DataError, NotFoundError
from cartcast.events import Log, Privacy
from cartcast.events.ids import text_reader
from cartcast.findings import Finding, declare, finding

__all__ = ["Without"]

LEFT_OUT = declare(
    "TL104", "note", "Visitors were left out of the list as asked",
    "Ids that the log does not hold cannot be left out: they may be written otherwise.",
    "Compare the ids of the file with those of the log where fewer were found than expected.",
)  # fmt: skip


_PLAIN = text_reader("visitor_id")
_SEPARATOR = re.compile("[;\t]")


@dataclass(frozen=True)
class Without:
    """Ids that are left out.

    Attributes:
        ids: each as it was given and as a log has it, and, where ids of the log were replaced,
            its pseudonym.
        count: how many were given.
    """

    ids: frozenset[str]
    count: int

    @classmethod
    def of(cls, given: Collection[str] | Path | str, privacy: Privacy | None) -> Without:
        """Return them of a file, an id a line (or the first column of a CSV file), or as they are.

        Raises:
            NotFoundError, DataError: the file is not there, or no text.
        """
        names = set(_read(Path(given)) if isinstance(given, str | Path) else map(str, given))
        # Who may be meant is left out: a file may have any separator (an id may hold one as well),
        # and a spreadsheet's 1001.0 is the visitor 1001.
        pieces = {_SEPARATOR.split(name, maxsplit=1)[0].strip(" \"'") for name in names}
        forms = {plain for name in names | pieces if (plain := _PLAIN(name)) is not None}
        hidden = (
            {str(privacy.name(name)) for name in names | forms} if privacy is not None else set()
        )
        return cls(frozenset(names | forms | hidden), len(names))

    def visitors(self, part: Log) -> set[str]:
        """Return the visitors of a part of a log who bear one of the ids, or whose login does."""
        with part.connect() as con:
            told = con.execute(
                "SELECT DISTINCT visitor_id FROM events, (SELECT unnest(?) AS id) "
                "WHERE visitor_id = id OR user_id = id",
                [sorted(self.ids)],
            ).fetchall()
        return {str(row[0]) for row in told if row[0] is not None}

    def told(self, visitors: int) -> Finding:
        """Return what to say where `visitors` of the log bear one of these ids."""
        text = f"{self.count:,} ids are left out; {visitors:,} visitors of the log bear one."
        return finding(LEFT_OUT, text, severity="note" if visitors else "warn")


def _read(path: Path) -> list[str]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as lines:
            return [row[0].strip() for row in csv.reader(lines) if row and row[0].strip()]
    except FileNotFoundError:
        raise NotFoundError(f"{path}: there is no such file of ids to leave out.") from None
    except (UnicodeDecodeError, csv.Error, OSError) as error:
        raise DataError(f"{path}: not a text file of ids, one a line ({error}).") from error
