"""What the words of events tell of one another: where they stand, and what is before them."""

from __future__ import annotations

import re
from dataclasses import replace

from cartcast.events.byvalues import kinds_told, known_words, said
from cartcast.events.kinds import EVENT_KINDS, kind_said, plain
from cartcast.events.layouts import Value
from cartcast.events.naming import within
from cartcast.events.read import Source
from cartcast.events.sql import snake_case
from cartcast.events.words import COLUMN_WORDS

__all__ = ["changes_of_cart", "clicks_on_cart", "other_words", "prefixes"]

_CART = re.compile(r"(.*[.:/])?(cart|basket)[ _-]?(updated?|changed?)")
_CLICK = re.compile(
    r"(click|clicked|tap|tapped)[ _-]?add[ _-]?to[ _-]?(cart|basket|bag|trolley)|"
    r"add[ _-]?to[ _-]?(cart|basket|bag|trolley)[ _-]?(button|click|clicked)"
)


def other_words(
    source: Source, columns: dict[str, Value], reasons: dict[str, str], taken: set[str]
) -> None:
    """Ask a second column for words of events where the first has none: sales apart, say.

    Rows with a page are views of it, whatever else they say.
    """
    value = columns.get("event_type")
    if value is None or "page" in columns:
        return
    place = source.columns.index(value.columns[-1])
    silent = [row for row in source.sample if len(row) <= place or not row[place]]
    rest = replace(source, sample=tuple(silent))
    called = [
        c for c in source.columns
        if c not in taken and snake_case(within(c)) in COLUMN_WORDS["event_type"]
        and _known(rest, c)
    ]  # fmt: skip
    if best := max(called, key=lambda c: kinds_told(rest, c), default=None):
        columns["event_type"] = Value(columns=(*value.columns, best))
        reasons["event_type"] += f"; where it is empty, {best!r} tells"
        taken.add(best)


def _known(source: Source, column: str) -> bool:
    return known_words(source, column) >= 0.5


def changes_of_cart(source: Source, by_name: dict[str, str], columns: dict[str, Value]) -> None:
    """Let a column of actions say which way a cart was changed, where one word stands for both."""
    value, action = columns.get("event_type"), by_name.get("action")
    if value is None or action is None or action in value.columns:
        return
    words = {w for w in source.values(value.columns[0]) if _CART.fullmatch(w.strip().lower())}
    if words and set(map(plain, said(source, action))) <= EVENT_KINDS.keys():
        columns["event_type"] = Value(
            columns=value.columns, nulls=tuple(sorted(words)), otherwise=Value(columns=(action,))
        )


def prefixes(source: Source, columns: dict[str, Value]) -> tuple[str, ...]:
    """Return what stands before words for events: the spaces of names that they are in.

    A mere word before others (`Ecommerce order`) must stand before most of them: one of a few means
    something else (`abandoned cart`).
    """
    if "event_type" not in columns:
        return ()
    columns_of = [{w.lower() for w in said(source, c)} for c in columns["event_type"].columns]
    words = set().union(*columns_of)
    spaces = {space for told in columns_of for space in _spaces(told)}
    if spaces:
        return tuple(sorted(spaces, key=lambda s: (-len(s), s)))
    told = {}
    for prefix in {w[: m.end()] for w in words for m in re.finditer(r"[\]_ -]+", w)}:
        inside = [w for w in words if w.startswith(prefix)]
        kinds = {EVENT_KINDS.get(plain(w.removeprefix(prefix))) for w in inside} - {None}
        alone = sum(plain(w) in EVENT_KINDS for w in inside)
        if len(inside) >= 0.75 * len(words) and len(kinds) > 1 and alone < len(kinds):
            told[prefix] = len(kinds)
    return (max(told, key=lambda p: (told[p], len(p))),) if told else ()


def _spaces(words: set[str]) -> set[str]:
    """Return the spaces of names before known words, where most of the words are in one."""
    bare = {w: re.split(r"[.:/]", w)[-1] for w in words}
    within_one = [w for w in words if bare[w] != w]
    if len(within_one) < 0.75 * len(words):
        return set()
    return {w[: -len(bare[w])] for w in within_one if EVENT_KINDS.get(plain(bare[w]))}


def clicks_on_cart(source: Source, columns: dict[str, Value]) -> dict[str, str]:
    """Return words for a click on the button that adds to the cart, where no other word adds."""
    if "event_type" not in columns:
        return {}
    words = {w.lower() for c in columns["event_type"].columns for w in said(source, c)}
    if "add_to_cart" in map(kind_said, words):
        return {}
    return {w: "add_to_cart" for w in words if _CLICK.fullmatch(w)}
