"""The feature sets that come with Cartcast: `usual` and `shop`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from cartcast.errors import UsageError, did_you_mean
from cartcast.features.algebra import Feature, Ratio
from cartcast.features.conditions import And, Condition, Eq, In, Not, SameAsPrevious
from cartcast.features.expressions import AboveAverage, Gap, Negated, Times
from cartcast.features.featureset import FeatureSet
from cartcast.features.reductions import (
    Count,
    First,
    Last,
    Max,
    Mean,
    Min,
    NUnique,
    Revisits,
    Std,
    Sum,
)
from cartcast.features.timing import (
    CountWithin,
    DayOfWeek,
    DecayedCount,
    Hour,
    Month,
    SecondsInSession,
    SecondsSince,
)
from cartcast.features.visitor import (
    DaysSinceLastSession,
    EarlierEvents,
    EarlierPurchases,
    EarlierSessions,
)

__all__ = ["SETS", "default", "load_set", "shop", "usual"]


def _is(event_type: str) -> Condition:
    return Eq("event_type", event_type)


_VIEW, _LIST, _PAGE = _is("view_item"), _is("view_item_list"), _is("page_view")
_SEARCH, _CART, _REMOVAL = _is("search"), _is("add_to_cart"), _is("remove_from_cart")
_CHECKOUT, _PAYMENT = _is("begin_checkout"), _is("add_payment_info")

# The outcome of the session itself never feeds the features that predict it.
_BROWSING = Not(In("event_type", ("purchase", "refund")))
_SEEN = Not(In("event_type", ("add_to_cart", "remove_from_cart", "purchase", "refund")))

_KINDS = {
    "views": _VIEW,
    "lists": _LIST,
    "searches": _SEARCH,
    "carts": _CART,
    "checkouts": _CHECKOUT,
}


def _usual() -> FeatureSet:
    length = Count()
    spend, mean = Sum("price"), Mean("price")
    return FeatureSet(
        session_length=length,
        total_spend=spend,
        avg_price=mean,
        price_std=Std("price"),
        category_diversity=NUnique("category"),
        product_diversity=NUnique("item_id"),
        color_diversity=NUnique("color"),
        location_diversity=NUnique("location"),
        photo_diversity=NUnique("photo"),
        page_diversity=NUnique("page"),
        country=First("country"),
        month=Month(),
        day_of_week=DayOfWeek(),
        avg_price_per_click=Ratio(spend, length),
        category_engagement=Ratio(NUnique("category"), length),
        product_engagement=Ratio(NUnique("item_id"), length),
        price_sensitivity=Ratio(Std("price"), mean),
        min_price=Min("price"),
        max_price=Max("price"),
    )


def _shop() -> FeatureSet:
    features: dict[str, Feature] = {
        "clicks": Count(where=_BROWSING),
        "seconds_in_session": SecondsInSession(),
        "seconds_since_click": Last(Gap()),
        "dwell_mean": Mean(Gap()),
        "dwell_max": Max(Gap()),
        "hour": Hour(),
        "day_of_week": DayOfWeek(),
        "item_views": Count(where=_VIEW),
        "list_views": Count(where=_LIST),
        "page_views": Count(where=_PAGE),
        "searches": Count(where=_SEARCH),
        "carts": Count(where=_CART),
        "cart_removals": Count(where=_REMOVAL),
        "checkouts": Count(where=_CHECKOUT),
        "payment_infos": Count(where=_PAYMENT),
        "seconds_since_cart": SecondsSince(_CART),
        "seconds_since_checkout": SecondsSince(_CHECKOUT),
        "cart_value": Sum(
            Negated(Times("price", "quantity", default=1.0), where=_REMOVAL),
            where=In("event_type", ("add_to_cart", "remove_from_cart")),
        ),
        "items": NUnique("item_id", where=_BROWSING),
        "categories": NUnique("category", where=_BROWSING),
        "brands": NUnique("brand", where=_BROWSING),
        "item_revisits": Revisits("item_id", where=_SEEN),
        "item_repeats": Count(where=And(_SEEN, SameAsPrevious("item_id"))),
        "category_repeats": Count(where=And(_SEEN, SameAsPrevious("category"))),
        "price_last": Last("price", where=_SEEN),
        "price_mean": Mean("price", where=_SEEN),
        "price_min": Min("price", where=_SEEN),
        "price_max": Max("price", where=_SEEN),
        "price_std": Std("price", where=_SEEN),
        "share_above_average": Mean(AboveAverage("price", by="category", where=_SEEN)),
        "last_category": Last("category", where=_BROWSING),
        "last_event_type": Last("event_type", where=_BROWSING),
        "device": First("device"),
        "channel": First("channel"),
        "country": First("country"),
        "clicks_last_minute": CountWithin(60, where=_BROWSING),
        "clicks_decayed_60s": DecayedCount(60, where=_BROWSING),
        "clicks_decayed_300s": DecayedCount(300, where=_BROWSING),
    }
    # What was done lately, by kind, tells a hidden intent that drifts while the visit goes on.
    for kind, where in _KINDS.items():
        features[f"{kind}_decayed_2"] = DecayedCount(2, where=where, by="clicks")
    features["views_decayed_6"] = DecayedCount(6, where=_VIEW, by="clicks")
    features["lists_decayed_6"] = DecayedCount(6, where=_LIST, by="clicks")
    features |= {
        "earlier_sessions": EarlierSessions(),
        "earlier_purchases": EarlierPurchases(),
        "earlier_carts": EarlierEvents("add_to_cart"),
        "days_since_last_session": DaysSinceLastSession(),
    }
    return FeatureSet(**features)


usual: FeatureSet = _usual()
"""What notebooks on the e-shop log usually compute, one row per session, nulls where undefined."""

shop: FeatureSet = _shop()
"""What a conversion model may know at a click: no purchase of the session itself is read."""

default: FeatureSet = shop
"""The name of `shop` in versions before features were proposed from the log."""

SETS: dict[str, FeatureSet] = {"usual": usual, "shop": shop}
"""The built-in sets by name."""
_RENAMED = {"default": "shop"}


def load_set(name: str | Path | FeatureSet | Mapping[str, Feature]) -> FeatureSet:
    """Return `usual`, `shop` (`default` of old), the set of a YAML file, or the set that was given.

    Raises:
        UsageError: no set has this name and it is no YAML file.
        NotFoundError: the YAML file is not there.
        DefinitionError: the YAML file declares something wrong.

    >>> len(load_set("usual"))
    19
    """
    if isinstance(name, FeatureSet | Mapping):
        return name if isinstance(name, FeatureSet) else FeatureSet(name)
    if not isinstance(name, str | Path):
        raise UsageError(
            f"features must be the name of a set, a YAML file or a FeatureSet, got {name!r}."
        )
    called = _RENAMED.get(str(name), str(name))
    if called in SETS:
        return SETS[called]
    if Path(name).suffix.lower() in (".yaml", ".yml"):
        return FeatureSet.from_yaml(name)
    raise UsageError(
        f"unknown feature set {str(name)!r} (or give a .yaml file).{did_you_mean(str(name), SETS)}"
    )
