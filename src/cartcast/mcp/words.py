"""Words of a log, fit to be shown to an agent: short, plain, quoted, and of no single person."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from typing import Any, Final
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.compute as pc

from cartcast.events import Log
from cartcast.events.sql import identifier

__all__ = ["FEWEST", "PEOPLE", "Words", "cleaned"]

PEOPLE: Final = ("visitor_id", "user_id", "session_id", "order_id")
"""Columns whose values are never shown, counted by or asked for."""
FEWEST: Final = 5
"""Visitors that must share a word of the log before it is shown."""
_LONGEST: Final = 80
_SHORT: Final = 4
"""Ids of fewer characters stand in other text by chance: only a text that is the id counts."""
_MADE_OF: Final = {"first_event": "event_type", "last_event": "event_type", "last_page": "page"}


def cleaned(text: str, most: int = _LONGEST) -> str:
    r"""Return a text as one short line without control characters or the signs of a quotation.

    >>> cleaned("buy\n\x1b[2J»now« \u202eplease")
    'buy [2J›now‹ please'
    >>> len(cleaned("x" * 500))
    80
    """
    out = []
    for char in unicodedata.normalize("NFC", text[: 20 * most]):
        kind = unicodedata.category(char)
        if char.isspace() or kind[0] == "Z":
            out.append(" ")
        elif kind[0] != "C":
            out.append({"«": "‹", "»": "›"}.get(char, char))
    line = " ".join("".join(out).split())
    return line if len(line) <= most else line[: most - 1] + "…"


class Words:
    """Tells which texts point at a person of one log.

    Args:
        log: the log; None knows nobody.
    """

    def __init__(self, log: Log | None) -> None:
        self._log = log
        self._ids: Any = pa.array([], pa.string())
        held = [c for c in PEOPLE[:2] if log is not None and c in log.columns]
        if log is not None and held:
            each = " UNION ".join(f"SELECT lower({c}::VARCHAR) AS id FROM events" for c in held)
            with log.connect() as con:
                found = con.execute(f"SELECT id FROM ({each}) WHERE id <> ''").to_arrow_table()
            self._ids = found["id"].combine_chunks()
        lengths: Any = pc.unique(pc.utf8_length(self._ids))
        self._lengths = sorted(n for n in lengths.to_pylist() if n >= _SHORT)

    def naming(self, texts: Iterable[str]) -> set[str]:
        """Return the texts that hold the id of a visitor or login, whatever case it is in."""
        forms = {t: {f.lower() for f in (t, unquote(t), cleaned(t, 300))} for t in texts}
        parts = {f for many in forms.values() for f in many}
        parts |= {
            form[k : k + n]
            for form in tuple(parts)
            for n in self._lengths
            for k in range(len(form) - n + 1)
        }
        asked: Any = pa.array(sorted(parts), pa.string())
        told = asked.filter(pc.is_in(asked, value_set=self._ids)).to_pylist()
        return {t for t, many in forms.items() if any(_holds(f, i) for f in many for i in told)}

    def rare(self, column: str, texts: Sequence[str]) -> set[str]:
        """Return the values of a column that fewer than `FEWEST` visitors have."""
        column = _MADE_OF.get(column, column)
        if self._log is None or column not in self._log.columns or not texts:
            return set()
        known = "visitor_id" in self._log.columns
        visitor = "coalesce(visitor_id::VARCHAR, session_id)" if known else "session_id"
        name = f"{identifier(column)}::VARCHAR"
        with self._log.connect() as con:
            rows: list[Any] = con.execute(
                f"SELECT {name} FROM events WHERE {name} IN (SELECT unnest(?)) GROUP BY 1 "
                f"HAVING count(DISTINCT {visitor}) < {FEWEST}",
                [list(texts)],
            ).fetchall()
        return {r[0] for r in rows}


def _holds(text: str, name: str) -> bool:
    if name not in text or (len(name) < _SHORT and text != name):
        return False
    # A plain number stands in longer ones by chance.
    return not name.isdigit() or bool(re.search(rf"(?<!\d){name}(?!\d)", text))
