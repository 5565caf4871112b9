"""Numbers of a text: their value and unit as written, and the id that follows each."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

from cartcast.numbers import SYMBOLS

__all__ = ["END", "SECONDS", "Token", "blank", "marked", "numbers_in"]


class Token(NamedTuple):
    """A number, date, number word, quotation, finding code or id, where it stands in a text."""

    kind: str
    start: int
    end: int
    text: str
    unit: str | None
    """For numbers: the unit that stands beside them."""
    sentence: int
    """How many sentences end before it."""
    read: float | None = None
    """The number as written, without its unit; None where it cannot be read."""
    step: float = 0.0
    """What its last place is worth."""
    mark: tuple[str, str | None] | None = None
    of: str | None = None
    """For shares: what the text calls them a share of."""


_SCALES: Final = {"thousand": 1e3, "k": 1e3, "million": 1e6, "m": 1e6, "billion": 1e9, "bn": 1e9}
SECONDS: Final = {"seconds": 1.0, "minutes": 60.0, "hours": 3600.0, "days": 86400.0,
                   "weeks": 604800.0}  # fmt: skip
_CODES: Final = (*SYMBOLS, "AUD", "BRL", "CAD", "CHF", "CNY", "CZK", "DKK", "HUF", "NOK", "NZD",
                 "SEK", "TRY")  # fmt: skip
_NAMED: Final = {"EUR": ["euros?"], "USD": ["dollars?"], "GBP": ["pounds?"], "JPY": ["yen"]}
_UNITS: Final = {
    "share": "%|percent|per cent|pct",
    "percentage points": "percentage points?|pp",
    "sessions": "sessions?|visits?",
    "visitors": "visitors?|users?|people|persons?|shoppers?",
    "buyers": "buyers?|customers?",
    "orders": "orders?|purchases?|sales?",
    "events": "events?",
    "clicks": "clicks?",
    "items": "items?|products?",
    "rows": "rows?|moments?",
    "units": "units?",
    "runs": "runs?",
    "alarms": "alarms?",
    "weeks": "weeks?",
    "days": "days?",
    "hours": "hours?|h",
    "minutes": "minutes?|mins?",
    "seconds": "seconds?|secs?|s",
    **{code: "|".join([f"(?-i:{code})", *_NAMED.get(code, ()), re.escape(SYMBOLS.get(code, code))])
       for code in _CODES},
}  # fmt: skip
_ANY_UNIT: Final = re.compile(
    "|".join(f"(?P<u{k}>(?:{words})(?![a-z]))" for k, words in enumerate(_UNITS.values())),
    re.IGNORECASE,
)
_MONEY: Final = rf"(?-i:(?<![\w])(?:{'|'.join(_CODES)}))|" + "|".join(
    map(re.escape, SYMBOLS.values())
)
_NUMBER_WORDS: Final = (
    "two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|thirteen|fourteen|fifteen|sixteen|"
    "seventeen|eighteen|nineteen|twenty|thirty|forty|fifty|sixty|seventy|eighty|ninety|hundreds?|"
    "thousands?|millions?|billions?|dozens?|half|halves|halved|thirds?|quarters?|fifths?|tenths?|"
    r"twice|thrice|doubled?|doubles|tripled?|triples|one in|one out of|(?:two|three|four|ten)-?fold"
)
_TOKENS: Final = re.compile(
    rf"""
    (?P<quote>«[^«»]*»)
    | \[(?P<mark>n\d+(?:\.(?:low|high))?)\]
    | (?P<date>(?<![\w])\d{{4}}-\d\d-\d\d(?:[ T]\d\d:\d\d)?(?![\w]))
    | (?P<code>(?<![\w])(?:[A-Z]{{2}}\d{{3}}|F1|R2)(?![\w]))
    | (?P<number>(?P<sign>(?<![\w).%\]])[+-])?(?:(?P<money>{_MONEY})\s?(?P<minus>-)?)?
        (?P<digits>\d(?:[\d,.'/:]*\d)?(?:e[+-]?\d+)?)
        (?:\s?(?P<scale>thousand|million|billion|bn|k|m)(?![\w]))?)
    | (?P<word>(?<![\w])(?:{_NUMBER_WORDS})(?![\w]|-(?:part|check)))
    """,
    re.VERBOSE | re.IGNORECASE,
)
END: Final = re.compile(r"[.!?;](?=\s|$)|\n")
"""Where a sentence or a line ends."""
_PLAIN: Final = re.compile(
    r"(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.(?P<places>\d+))?(?:e(?P<ten>[+-]?\d+))?", re.IGNORECASE
)
_OF: Final = re.compile(
    r"\s*(?:\([^()\n]*\)\s*)?(?:\[[^\]\n]*\]\s*)?of\s+(?:(?:all|the|those|these|our)\s+)*",
    re.IGNORECASE,
)
_FARTHEST: Final = 60
"""Characters that may stand between a number and its id."""


def numbers_in(text: str) -> Iterator[tuple[int, str, str, list[float | str]]]:
    """Yield the numbers of a sentence of ours: end, kind, unit, and [value] or [value, low, high].

    >>> list(numbers_in("7 groups hold 3.2 % (2.9 % to 3.5 %)"))
    [(1, 'number', '', [7.0]), (36, 'number', 'share', [0.032, 0.029, 0.035])]
    """
    text = text.replace("−", "-")
    tokens = [t for t in _tokens(text) if t.kind in ("number", "date", "code")]
    while tokens:
        parts = [tokens.pop(0)]
        while (
            tokens
            and len(parts) < 3
            and parts[0].kind == "number"
            and _joined(text, parts, tokens[0])
        ):
            parts.append(tokens.pop(0))
        end = max(p.start + len(p.text) for p in parts) + (len(parts) == 3)
        values = [_exact(p) for p in parts if p.kind != "code"]
        yield end, parts[0].kind, parts[0].unit or "", values


def _exact(token: Token) -> float | str:
    if token.read is None:
        return token.text
    return round(token.read / 100, 12) if token.unit == "share" else token.read


def _tokens(text: str) -> Iterator[Token]:
    ends = [m.start() for m in END.finditer(blank(text))]
    for match in _TOKENS.finditer(text):
        kind = match.lastgroup
        assert kind is not None
        sentence = sum(end < match.start() for end in ends)
        token = Token(kind, match.start(), match.end(), match[0].strip(), None, sentence)
        yield token if kind != "number" else _read(text, token, match)


def blank(text: str) -> str:
    """Return a text of the same length without what its quotations say."""
    return re.sub("«[^«»]*»", lambda m: "_" * len(m[0]), text)


def _read(text: str, token: Token, match: re.Match[str]) -> Token:
    """Return the token of a number with its value, and the unit right before or behind it."""
    found = _ANY_UNIT.match(text, match.end() + text[match.end() :].startswith(" "))
    money = next((c for c in _CODES if match["money"] in (c, SYMBOLS.get(c, c))), None)
    unit = money or (_unit_of(found) if found else None)
    if unit and found:
        token = token._replace(text=text[token.start : found.end()].strip())
    plain = _PLAIN.fullmatch(match["digits"])
    if plain is None:
        return token._replace(unit=unit)
    factor = _SCALES[match["scale"].lower()] if match["scale"] else 1.0
    value = float(plain[0].replace(",", "")) * factor
    step = 10.0 ** (int(plain["ten"] or 0) - len(plain["places"] or "")) * factor
    negative = match["sign"] == "-" or match["minus"] is not None
    return token._replace(unit=unit, read=-value if negative else value, step=step)


def _unit_of(found: re.Match[str]) -> str:
    assert found.lastgroup is not None
    return list(_UNITS)[int(found.lastgroup[1:])]


def marked(text: str) -> Iterator[Token]:
    """Yield numbers (each with the id that follows it), number words, quotations and codes."""
    tokens, k = list(_tokens(text)), 0
    while k < len(tokens):
        token = tokens[k]
        k += 1
        if token.kind == "mark":
            continue
        if token.kind in ("code", "quote", "word"):
            yield token
            continue
        parts, ends = [token], {3: (None, "low", "high"), 2: ("low", "high"), 1: (None,)}
        while k < len(tokens) and len(parts) < 3 and _joined(text, parts, tokens[k]):
            parts.append(tokens[k])
            k += 1
        mark = tokens[k] if k < len(tokens) and tokens[k].kind == "mark" else None
        gap = text[parts[-1].end : mark.start] if mark else ""
        if mark is None or END.search(gap) or len(gap) > _FARTHEST:
            yield from parts
            continue
        name, _, end = mark.text.strip("[]").lower().partition(".")
        for part, own in zip(parts, ends[len(parts)], strict=True):
            unit = part.unit or _after(text, part, mark)
            yield part._replace(mark=(name, end or own), unit=unit, of=_said_of(text, part))


def _joined(text: str, parts: list[Token], then: Token) -> bool:
    """Tell whether a number and the next belong together: `x (low to high)`, or `low to high`."""
    gap = text[parts[-1].end : then.start]
    if then.kind not in ("number", "date") or len(gap) > _FARTHEST:
        return False
    opens = len(parts) == 1 and re.fullmatch(r"[^.;\n()]*\(", gap)
    spans = re.fullmatch(r"[^.;\n()]{0,20}(?:\b(?:to|and)\b|-|–)\s*[€$£¥₹]?", gap)
    return bool(opens or spans)


def _after(text: str, part: Token, mark: Token) -> str | None:
    """Return the unit that stands between a number and its id, or right behind the id."""
    for found in _ANY_UNIT.finditer(text, part.end, mark.start):
        whole = not text[found.start() - 1].isalnum()
        if whole and not re.search(r"\bof (?:the |all )?$", text[part.end : found.start()]):
            return _unit_of(found)
    later = _ANY_UNIT.match(text, mark.end + text[mark.end :].startswith(" "))
    return _unit_of(later) if later else None


def _said_of(text: str, part: Token) -> str | None:
    """Return what a share is of by the text: `3.2 % of the sessions [n4]`, or behind the id."""
    of = _OF.match(text, part.start + len(part.text))
    unit = _ANY_UNIT.match(text, of.end()) if of else None
    return _unit_of(unit) if unit else None
