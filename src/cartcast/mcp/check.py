"""`check_text`: are the numbers of a text those that were handed out, and of what they say?

A number is followed by its id: `3.2 % [n4]`, with its interval `3.2 % (2.9 % to 3.5 %) [n4]`, or
one end of it, `2.9 % [n4.low]`. Quotations in «» must be those of an answer. English only.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, Literal, NamedTuple

from cartcast.mcp.ledger import COARSEST, Figure, Ledger, folded
from cartcast.mcp.tokens import END, SECONDS, Token, blank, marked

__all__ = ["Problem", "check_text"]

Kind = Literal["no id", "unknown", "rounded", "unit", "proxy", "outcome", "quotation"]


class Problem(NamedTuple):
    """One thing that is wrong with a text: the number (or words) as written, its id, and why."""

    written: str
    id: str | None
    kind: Kind
    why: str


_SCORES: Final = ("F1", "R2")
"""Names of scores that look like numbers."""
_BOUGHT: Final = (
    r"(?:purchas\w*|buy(?:s|ers?|ing)?|bought|sales?|sold|sell(?:s|ing)?|order(?:s|ed|ing)?|"
    r"conver(?:t|ts|ted|ting|sions?)|customers?|transactions?|turnover|revenue|pay(?:s|ing)?|paid|spend(?:s|ing)?|spent)"
)
_SAYS_BOUGHT: Final = re.compile(rf"\b{_BOUGHT}\b", re.IGNORECASE)
_DENIED: Final = re.compile(
    r"\b(?:not|no|never|rather than|instead of)\s+(?:(?:an?|the|actual|observed|real)\s+)*"
    rf"{_BOUGHT}\b"
    r"|\bin order to\b|\bin (?:any|that|this) order\b",
    re.IGNORECASE,
)


def check_text(text: str, ledger: Ledger) -> list[Problem]:
    """Return what is wrong with a text, in its order; nothing when all may be said.

    >>> ledger = Ledger()
    >>> _ = ledger.hand(0.0316, "share", "sessions that buy", about="purchase")
    >>> check_text("Of all sessions, 3.2 % [n1] buy.", ledger)
    []
    >>> [(p.written, p.kind) for p in check_text("3.1 % [n1] buy, 7 % more than before.", ledger)]
    [('3.1 %', 'rounded'), ('7 %', 'no id')]
    """
    text = folded(text)
    made: list[tuple[int, Problem]] = []
    used: list[tuple[int, Figure]] = []
    for token in marked(text):
        if problem := _judge(text, token, ledger):
            made.append((token.start, problem))
        if token.mark and (figure := ledger.find(token.mark[0])):
            used.append((token.sentence, figure))
    made += _outcomes(text, used, ledger)
    return [problem for _, problem in sorted(made, key=lambda m: m[0])]


def _judge(text: str, token: Token, ledger: Ledger) -> Problem | None:
    if token.kind == "quote":
        if ledger.has_quoted(token.text.strip("«»")):
            return None
        return Problem(token.text, None, "quotation", "no answer of this server quoted this.")
    if token.kind == "code" and (token.text.upper() in _SCORES or ledger.has_quoted(token.text)):
        return None
    if token.kind == "word":
        why = "write numbers in digits, each with its id."
        return Problem(token.text, None, "no id", why)
    if token.mark is None:
        why = "no id follows this number; write it as `3.2 % [n4]`, with an id of an answer."
        return Problem(token.text, None, "no id", why)
    name, end = token.mark
    figure = ledger.find(name)
    if figure is None:
        return Problem(token.text, name, "unknown", f"no number {name} was handed out.")
    if end and figure.low is None:
        return Problem(token.text, name, "unknown", f"{name} has no interval; it is {figure.text}.")
    value = {"low": figure.low, "high": figure.high}.get(end or "", figure.value)
    assert value is not None
    found = _compare(token, figure, value)
    if found is None:
        return None
    name = f"{name}.{end}" if end else name
    of = f" of {figure.of}" if figure.of else ""
    right = f"{name} is {figure.written(value)}{of} ({figure.what})."
    return Problem(token.text, name, found, right)


def _compare(token: Token, figure: Figure, value: float | int | str) -> Kind | None:
    """Return how a number differs from what was handed out, or None."""
    if isinstance(value, str):
        return None if token.text == value else "unknown"
    factor = _factor(token.unit, figure.unit)
    if factor is None or (figure.of and token.of not in (None, figure.of)):
        return "unit"
    if token.read is None:
        return "unknown"
    off, step = abs(token.read * factor - value), token.step * factor
    coarsest = COARSEST * abs(value)
    if off <= min(0.5 * step, coarsest) * (1 + 1e-6) + 1e-11 * abs(value):
        return None
    return "rounded" if off <= max(2 * step, coarsest) else "unknown"


def _factor(said: str | None, unit: str) -> float | None:
    """Return what one of the units said is worth in the figure's own; None when they differ.

    >>> _factor("minutes", "seconds"), _factor("share", "share"), _factor(None, "sessions")
    (60.0, 0.01, 1.0)
    """
    if said == "share":
        return 0.01 if unit == "share" else None
    if said in SECONDS and unit in SECONDS:
        return SECONDS[said] / SECONDS[unit]
    if said is None or said == unit:
        return 1.0
    return None


def _outcomes(
    text: str, used: list[tuple[int, Figure]], ledger: Ledger
) -> Iterator[tuple[int, Problem]]:
    """Yield where a text calls something a purchase that is none."""
    proxies = {f.about for _, f in used if f.proxy}
    unsaid = not used and ledger.only_proxies()
    told_of = _DENIED.sub(lambda m: "_" * len(m[0]), blank(text))
    starts = [0, *(m.end() for m in END.finditer(told_of))]
    for k, (start, end) in enumerate(zip(starts, [*starts[1:], len(text)], strict=True)):
        said = _SAYS_BOUGHT.search(told_of, start, end)
        if said is None:
            continue
        here = [f for sentence, f in used if sentence == k]
        stand_in = next((f for f in here if f.proxy), None)
        if stand_in or (unsaid or (proxies and not here)):
            name = stand_in.about if stand_in else ", ".join(sorted(map(str, proxies)))
            why = f"this is about a proxy ({name or 'see the runs'}), which is no purchase."
            yield said.start(), Problem(said[0], stand_in.id if stand_in else None, "proxy", why)
            continue
        told = [f for f in here if f.about is not None]
        if told and all(f.about != "purchase" for f in told):
            why = f"{told[0].id} is about {told[0].about}, not about purchases."
            yield said.start(), Problem(said[0], told[0].id, "outcome", why)
