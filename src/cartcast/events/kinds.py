"""What shops call events: their words, and what each means.

A word counts by its letters alone: `Order Completed`, `order_completed` and `OrderCompleted` are
one.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator, Mapping

from cartcast.events.languages import EVENTS_ABROAD
from cartcast.events.layouts import Layout
from cartcast.events.schema import EVENT_TYPES
from cartcast.events.sql import literal

__all__ = ["EVENT_KINDS", "event_kind", "event_kind_sql", "phrases", "plain"]

_MARKS = " _-"
_DROP = str.maketrans("", "", _MARKS)
_CART = "(cart|basket|bag|trolley)"
_ITEM = "(product|item|article)"
_SHOWN = "(product|item|article|content)"
_SOLD = "(order|purchase|checkout|transaction)"
_PAID = "(payment|payment info|payment information|payment details|payment method)"

_SAID = {
    "page_view": (
        "$?(page|screen)(view|views|viewed|visit|visited|load|loaded|browsed)", "page", "pv",
        "[CLY]_view",
        "(view|viewed|visit|visited|load|loaded)(page|screen)",
    ),
    "view_item_list": (
        "list", "category", "(view|viewed)(product|item)? (category|collection|list|listing)",
        "(category|collection|list|product list|item list|listing)(view|viewed|page)",
    ),
    "view_item": (
        "view", "click", "clicks", "detail", f"{_ITEM} (detail|details|page)",
        f"(view|viewed|click|clicked|open|opened|see|saw) {_SHOWN}",
        f"{_SHOWN} (view|viewed|views|click|clicked|opened|seen)",
        f"{_ITEM}? (detail|details) (view|viewed)", f"(view|viewed) {_ITEM}? (detail|details)",
        f"{_ITEM} (detail|details)? page (view|viewed)", f"(view|viewed) {_ITEM} page",
    ),
    "search": (
        "(search|searches|searched)", "(view|viewed) search results",
        "(product|products|site) search",
        "search (performed|submitted|results|results viewed)", "(products|items) searched",
        "(search|searched) (products|items)", "(perform|performed|submit|submitted) search",
    ),
    "add_to_cart": (
        "cart", "carts", "basket", "add", f"(add|added|put) {_ITEM}? (to|in|into) {_CART}",
        f"{_ITEM} (add|added)", f"{_ITEM} added to {_CART}", f"(add|added) {_ITEM}",
        f"{_CART} (add|added|addition)",
    ),
    "remove_from_cart": (
        "remove", f"(remove|removed|delete|deleted) {_ITEM}? from {_CART}",
        f"{_ITEM} (remove|removed)", f"{_ITEM} (removed|deleted) from {_CART}",
        f"(remove|removed) {_ITEM}", f"{_CART} (remove|removed|removal)",
    ),
    "begin_checkout": (
        "checkout", "checkout (begin|begun|start|started|initiate|initiated|entered|view|viewed)",
        "(begin|began|start|started|initiate|initiated|enter|entered|view|viewed) checkout",
        "(proceed|proceeded|go) to checkout",
    ),
    "add_payment_info": (
        "payment", f"(add|added|enter|entered|submit|submitted) {_PAID}",
        f"{_PAID} (add|added|entered|submitted|selected)",
    ),
    "purchase": (
        "(order|orders|purchase|purchases|purchased|transaction|transactions|sale|sales|conversion)",
        "(buy|buys|bought|ordered|sold)", "ecommerce purchase",
        f"{_SOLD} (complete|completed|completion|confirmed|confirmation|finished|done|placed)",
        f"{_SOLD} (success|successful|succeeded|submitted|made|paid|created)",
        f"(complete|completed|finish|finished|confirm|confirmed|submit|submitted) {_SOLD}",
        "(place|placed|make|made|create|created|successful) (a|an)? (order|purchase|transaction)",
        f"{_ITEM} (purchase|purchased|bought|ordered|sold)",
        f"(buy|bought|purchased|ordered) {_ITEM}",
        "payment (success|successful|succeeded|complete|completed)", "(complete|completed) payment",
    ),
    "refund": (
        "(refund|refunds|refunded|return|returned)",
        "(order|purchase|item|product|payment) (refund|refunded|returned)",
        "(refund|return) (order|purchase|item|product|issued|created|completed)",
    ),
}  # fmt: skip
"""English, from GA4, Segment, Snowplow, the pixels of advertisers and shops' own words.

What failed, was cancelled or left behind is in none of them: it stays `other`."""


def phrases(pattern: str) -> Iterator[str]:
    """Give every phrase of a pattern: `(a|b)` is either, what bears a `?` may be left out.

    >>> list(phrases("(add|added) item? to cart"))
    ['add item to cart', 'add to cart', 'added item to cart', 'added to cart']
    """
    groups = (
        [*(either or word).split("|"), *([""] if may else [])]
        for either, word, may in re.findall(r"(?:\(([^)]*)\)|([^\s()?]+))(\??)", pattern)
    )
    for chosen in itertools.product(*groups):
        yield " ".join(filter(None, chosen))


def plain(word: str) -> str:
    """Return a word's letters: in lower case, without spaces, `_` and `-`.

    >>> plain("Order-Completed ")
    'ordercompleted'
    """
    return word.lower().translate(_DROP)


EVENT_KINDS: Mapping[str, str] = {
    **{plain(word): kind for word, kind in EVENTS_ABROAD.items()},
    **{plain(w): kind for kind, said in _SAID.items() for one in said for w in phrases(one)},
    **{plain(kind): kind for kind in EVENT_TYPES},
}
"""A word, plain, and the canonical event type."""


def kind_said(word: str) -> str | None:
    """Return what a known word means, whatever stands before it (`shop/add_to_cart`).

    >>> kind_said("shop:purchase"), kind_said("hello")
    ('purchase', None)
    """
    return EVENT_KINDS.get(plain(re.split(r"[.:/\]]", word)[-1]))


def event_kind(word: str, layout: Layout) -> str | None:
    """Return what a word means: by the layout's own words, then by the known ones.

    >>> event_kind("shop.checkout_completed", Layout("mine", event_prefixes=("shop.",)))
    'purchase'
    """
    low = word.lower()
    bare = next((low[len(p) :] for p in layout.event_prefixes if low.startswith(p)), low)
    return layout.events.get(low) or EVENT_KINDS.get(plain(bare))


def event_kind_sql(text: str, first: Iterable[str], layout: Layout) -> str:
    """Return SQL of `event_kind`, null for a word that means nothing.

    A join would put such words out of order. The words of the first rows are looked for first, so
    that a search ends soon.
    """
    own = {w: event_kind(w, layout) or "other" for w in first} | dict(layout.events)
    bare = low = f"lower({text})"
    if layout.event_prefixes:
        cuts = (
            f"WHEN starts_with({low}, {literal(p)}) THEN substr({low}, {len(p) + 1})"
            for p in layout.event_prefixes
        )
        bare = f"CASE {' '.join(cuts)} ELSE {low} END"
    letters = f"translate({bare}, {literal(_MARKS)}, '')"
    return f"coalesce({_found(low, own)}, {_found(letters, EVENT_KINDS)})"


def _found(text: str, words: Mapping[str, str]) -> str:
    if not words:
        return "NULL"
    listed, kinds = (", ".join(map(literal, found)) for found in (words, words.values()))
    return f"([{kinds}])[list_position([{listed}], {text})]"
