"""Times in words: months of several languages, `a. m.`, zones by name, made a usual form first."""

from __future__ import annotations

import re
import unicodedata
from types import MappingProxyType

from cartcast.events.sql import literal

__all__ = ["IN_WORDS", "plain", "plain_sql"]

IN_WORDS = "words "
"""What stands before the form of a time whose words are made usual first."""

_MONTHS = {
    "Jan": "jan januar januari january janvier janv enero ene gennaio gen janeiro stycznia sty",
    "Feb": "feb februar februari february fevrier fevr fev febrero febbraio fevereiro lutego lut",
    "Mar": "mar march marz mrz mars maart mrt marzo marco marca",
    "Apr": "apr april avril avr abril abr aprile kwietnia kwi",
    "May": "may mai mei maj mayo maggio mag maio maja",
    "Jun": "jun june juni juin junio giugno giu junho czerwca cze",
    "Jul": "jul july juli juillet juil julio luglio lug julho lipca lip",
    "Aug": "aug august augusti augustus aout agosto ago sierpnia sie",
    "Sep": "sep sept september septembre septiembre settembre set setembro wrzesnia wrz",
    "Oct": "oct okt october oktober octobre octubre ottobre ott outubro out pazdziernika paz",
    "Nov": "nov november novembre noviembre novembro listopada lis",
    "Dec": "dec dez dic december dezember decembre diciembre dicembre dezembro grudnia gru",
}
_ZONES = {
    "+00:00": "utc gmt wet", "+01:00": "cet mez west", "+02:00": "cest mesz eet",
    "+03:00": "eest msk", "+09:00": "jst kst", "+10:00": "aest", "+11:00": "aedt",
    "-04:00": "edt", "-05:00": "est cdt", "-06:00": "cst mdt", "-07:00": "mst pdt",
    "-08:00": "pst",
}  # fmt: skip
"""Names of zones that mean one thing on the web (those of America as in RFC 822)."""
_WORDS = MappingProxyType(
    {word: told for table in (_MONTHS, _ZONES, {"AM": "am", "PM": "pm"})
     for told, words in table.items() for word in words.split()}
)  # fmt: skip

_NOON = "(?i)\\b([ap])\\.[ \u00a0\u202f]?m\\b\\.?"
_ZONED = r"([+-]\d\d:?\d\d|Z)\[[^\[\]]+\]$"
_BLANKS = "[ \t\u00a0\u202f]+"
_ORDINAL = r"(?i)^(\d{1,2})(?:st|nd|rd|th|er|\.)$"
_EPOCH = r"^(\d{9,19}),(\d+)$"


def plain(text: str) -> str:
    """Return a time with English months and offsets, without the words around it.

    >>> plain("lundi 3 févr. 2025 à 10:05"), plain("2025-02-03 10:05:00 CET")
    ('3 Feb 2025 10:05', '2025-02-03 10:05:00 +01:00')
    >>> plain("04/02/2025 07:43:00 p. m."), plain("2025-02-03T10:05:00+01:00[Europe/Berlin]")
    ('04/02/2025 07:43:00 PM', '2025-02-03T10:05:00+01:00')
    """
    whole = re.sub(_ZONED, r"\1", re.sub(_NOON, r"\1m", text))
    return " ".join(filter(None, map(_told, re.split(_BLANKS, whole))))


def _told(token: str) -> str:
    token = token.rstrip(",")
    if any("0" <= c <= "9" for c in token):
        return re.sub(_EPOCH, r"\1.\2", re.sub(_ORDINAL, r"\1", token))
    marks = unicodedata.normalize("NFD", token)
    bare = "".join(c for c in marks if not unicodedata.combining(c)).lower().rstrip(".")
    return _WORDS.get(bare, "")


def plain_sql(text: str) -> str:
    """Return SQL of `plain` over a text."""
    # A CASE is 20 times as fast as a MAP here, and looks at its operand once a word.
    known = " ".join(f"WHEN {literal(word)} THEN {literal(told)}" for word, told in _WORDS.items())
    whole = (
        f"regexp_replace(regexp_replace({text}, {literal(_NOON)}, '\\1m', 'g'), "
        f"{literal(_ZONED)}, '\\1')"
    )
    digits = (
        f"regexp_replace(regexp_replace(w, {literal(_ORDINAL)}, '\\1'), "
        f"{literal(_EPOCH)}, '\\1.\\2')"
    )
    tokens = (
        f"list_transform(string_split_regex({whole}, {literal(_BLANKS)}), lambda v: rtrim(v, ','))"
    )
    bare = (
        f"list_transform({tokens}, lambda w: CASE WHEN regexp_matches(w, '[0-9]') THEN {digits} "
        f"ELSE lower(rtrim(strip_accents(w), '.')) END)"
    )
    told = (
        f"list_transform({bare}, lambda w: CASE WHEN regexp_matches(w, '[0-9]') THEN w "
        f"ELSE CASE w {known} ELSE '' END END)"
    )
    return f"array_to_string(list_filter({told}, lambda t: t <> ''), ' ')"
