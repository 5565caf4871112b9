"""Names for people: features, models and events in words, the same on every page and in every text.

>>> in_words("carts_decayed_2"), in_words("price_std"), in_words("my_own_share")
('carts, recent (2 clicks)', 'spread of prices seen', 'my own share')
>>> counted("items", 1.0), counted("searches", 0.0), counted("carts_decayed_2", 0.891)
('1 item seen', 'no searches', '0.89 recent carts (2 clicks)')
"""

from __future__ import annotations

import re

__all__ = ["COUNTED", "counted", "event_words", "in_words", "plural", "singular", "titled"]

COUNTED = frozenset(
    {"event", "session", "item_id", "category", "brand", "color", "location", "photo", "page"}
)
"""Units of features that count things: the name says of what."""

_WORDS = {
    # the default set
    "seconds_in_session": "time in the session",
    "seconds_since_click": "last pause",
    "dwell_mean": "average pause",
    "dwell_max": "longest pause",
    "hour": "hour of the day",
    "day_of_week": "weekday",
    "payment_infos": "payment details given",
    "seconds_since_cart": "time since the last cart",
    "seconds_since_checkout": "time since the last checkout",
    "items": "items seen",
    "categories": "categories seen",
    "brands": "brands seen",
    "item_revisits": "returns to an item",
    "item_repeats": "repeat clicks on an item",
    "category_repeats": "repeat clicks in a category",
    "price_last": "last price seen",
    "price_mean": "average price seen",
    "price_min": "lowest price seen",
    "price_max": "highest price seen",
    "price_std": "spread of prices seen",
    "share_above_average": "share of items above average price",
    "last_event_type": "last event",
    "clicks_last_minute": "clicks in the last minute",
    "days_since_last_session": "days since the last session",
    # the usual set
    "session_length": "clicks in the session",
    "total_spend": "sum of prices seen",
    "avg_price": "average price seen",
    "category_diversity": "categories seen",
    "product_diversity": "items seen",
    "color_diversity": "colours seen",
    "location_diversity": "photo positions seen",
    "photo_diversity": "kinds of photo seen",
    "page_diversity": "pages seen",
    "avg_price_per_click": "average price per click",
    "category_engagement": "categories per click",
    "product_engagement": "items per click",
    "price_sensitivity": "price spread over average price",
    "min_price": "lowest price seen",
    "max_price": "highest price seen",
    # what sessions are compared by
    "lists": "list views",
    # models
    "catboost": "CatBoost",
    "lightgbm": "LightGBM",
    "xgboost": "XGBoost",
}
_EVENTS = {
    "view_item": "product page",
    "view_item_list": "list page",
    "page_view": "page",
    "add_to_cart": "cart",
    "remove_from_cart": "removal from cart",
    "begin_checkout": "checkout",
    "add_payment_info": "payment",
}
_RECENT = re.compile(r"(?P<what>.+)_decayed_(?P<n>\d+)(?P<seconds>s?)")
_KINDS = {"views": "item views", "lists": "list views"}
_REST = re.compile(r" (?:seen|given|in|on|to|of|per|since)\b.*| \(.*")


def in_words(name: object) -> str:
    """Return the name of a feature or model; one that Cartcast did not give loses its underscores.

    >>> in_words("clicks_decayed_300s"), in_words("dwell_max"), in_words("lists_decayed_6")
    ('clicks, recent (5 min)', 'longest pause', 'list views, recent (6 clicks)')
    """
    if (recent := _recent(name)) is not None:
        return f"{recent[0]}, recent ({recent[1]})"
    return _WORDS.get(str(name), str(name).replace("_", " ").strip())


def counted(name: str, n: float) -> str:
    """Return a number of what a feature counts."""
    recent = _recent(name)
    words = in_words(name) if recent is None else f"recent {recent[0]} ({recent[1]})"
    if n == 0:
        return f"no {words}"
    if n == 1:
        return f"1 {singular(words)}"
    return f"{n:,.0f} {words}" if n == int(n) else f"{n:,.2g} {words}"


def titled(name: object, unit: str = "", currency: str | None = None) -> str:
    """Return a feature's name as a label, with the unit where the words do not tell it.

    >>> titled("dwell_max", "s"), titled("price_max", "currency", "EUR"), titled("carts", "event")
    ('Longest pause (s)', 'Highest price seen (EUR)', 'Carts')
    """
    words = in_words(name)
    if unit == "hour":
        shown = "0 to 23"
    elif unit.startswith("day, Monday"):
        shown = "0 is Monday"
    elif unit == "month":
        shown = "1 to 12"
    elif unit in COUNTED or unit in ("day", "") or (" per " in words and "/" in unit):
        shown = ""
    else:
        shown = unit.replace("currency", currency or "money").replace("item_id", "item")
    label = words[:1].upper() + words[1:]
    return f"{label} ({shown})" if shown else label


def event_words(event_type: object) -> str:
    """Return an event type as a shop's people call it.

    >>> event_words("view_item"), event_words("my_event")
    ('product page', 'my event')
    """
    name = str(event_type)
    return _EVENTS.get(name, name.replace("_", " "))


def plural(words: str) -> bool:
    """Return whether words name several things: their first noun ends in s.

    >>> plural("clicks in the session"), plural("spread of prices seen"), plural("bonus")
    (True, False, False)
    """
    return re.search(r"[^siu]s$", _REST.sub("", words)) is not None


def singular(words: str) -> str:
    """Return the words for several things as those for one.

    >>> singular("repeat clicks in a category"), singular("searches"), singular("categories seen")
    ('repeat click in a category', 'search', 'category seen')
    """
    rest = _REST.search(words)
    head, tail = (words[: rest.start()], rest.group()) if rest else (words, "")
    for end, short in (("ies", "y"), ("ches", "ch"), ("sses", "ss"), ("s", "")):
        if head.endswith(end):
            return head.removesuffix(end) + short + tail
    return words


def _recent(name: object) -> tuple[str, str] | None:
    """Return what a decayed count counts, and its half-life, in words."""
    found = _RECENT.fullmatch(str(name))
    if found is None:
        return None
    n, what = int(found["n"]), found["what"]
    words = _KINDS.get(what) or in_words(what)
    if not found["seconds"]:
        return words, f"{n} click" if n == 1 else f"{n} clicks"
    return words, f"{n // 60} min" if n >= 60 and n % 60 == 0 else f"{n} s"
