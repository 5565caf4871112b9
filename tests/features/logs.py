"""Logs for tests: Hypothesis draws them, hand-made ones, and both as canonical Arrow tables."""

from __future__ import annotations

import datetime as dt
import json
import math
from typing import Any

import pyarrow as pa
from hypothesis import strategies as st

from cartcast import features as F
from cartcast.events.schema import CONTRACT, METADATA_KEY

BEGIN = dt.datetime(2026, 2, 27, 22, 30)
TYPES = ("view_item", "view_item", "view_item_list", "search", "add_to_cart", "remove_from_cart",
         "purchase")  # fmt: skip

SCHEMA = pa.schema(
    [
        ("visitor_id", pa.string()),
        ("session_id", pa.string()),
        ("event_time", pa.timestamp("us")),
        ("event_order", pa.int64()),
        ("event_type", pa.string()),
        ("item_id", pa.string()),
        ("category", pa.string()),
        ("price", pa.float64()),
        ("quantity", pa.float64()),
        ("session_seconds", pa.float64()),
        ("rank", pa.int64()),
        ("utc_offset", pa.int16()),
    ]
)

REMOVAL = F.Eq("event_type", "remove_from_cart")
VIEW, CART = F.Eq("event_type", "view_item"), F.Eq("event_type", "add_to_cart")

EVERYTHING = F.FeatureSet(
    n=F.Count(),
    priced=F.Count("price"),
    carts=F.Count(where=CART),
    spend=F.Sum("price"),
    low=F.Min("price"),
    high=F.Max("price", where=VIEW),
    mean=F.Mean("price"),
    spread=F.Std("price"),
    relative=F.Ratio(F.Std("price"), F.Mean("price")),
    first=F.First("category"),
    last=F.Last("category", where=VIEW),
    last_price=F.Last("price"),
    first_price=F.First("price"),
    items=F.NUnique("item_id"),
    prices=F.NUnique("price"),
    favourite=F.Mode("category"),
    favourite_price=F.Mode("price"),
    revisits=F.Revisits("item_id", where=VIEW),
    repeats=F.Count(where=F.SameAsPrevious("item_id")),
    earlier_a=F.EarlierWords("category", "a"),
    viewed_then_carted=F.Count(where=F.And(CART, F.Previous(VIEW))),
    share=F.Share(CART, of=F.Or(CART, VIEW)),
    cheap=F.Count(where=F.And(F.Below("price", 3.0), F.Not(CART), F.NotNull("category"))),
    dear=F.Count(where=F.Above("price", 3.0)),
    rank=F.Sum("rank"),
    cart=F.Sum(
        F.Negated(F.Times("price", "quantity", default=1.0), REMOVAL),
        where=F.In("event_type", ("add_to_cart", "remove_from_cart")),
    ),
    above=F.Mean(F.AboveAverage("price", by="category")),
    seconds=F.SecondsInSession(),
    since_cart=F.SecondsSince(CART),
    since_first_view=F.SecondsSinceFirst(VIEW),
    dwell=F.Mean(F.Gap()),
    longest=F.Max(F.Gap()),
    between_carts=F.Last(F.Gap(CART)),
    lately=F.CountWithin(45),
    views_lately=F.CountWithin(90, where=VIEW),
    fading=F.DecayedCount(60),
    fading_carts=F.DecayedCount(2, where=CART, by="clicks"),
    fading_spend=F.DecayedSum("price", 300),
    fading_clicks=F.DecayedSum("price", 3, by="clicks"),
    hour=F.Hour(),
    weekday=F.DayOfWeek(),
    month=F.Month(),
    sessions=F.EarlierSessions(),
    purchases=F.EarlierPurchases(),
    days=F.DaysSinceLastSession(),
    total=F.Total(F.Count(), F.Product(F.NUnique("item_id"), F.Count(where=VIEW))),
)  # fmt: skip
"""Every reduction, condition and expression at least once."""


@st.composite
def logs(draw: st.DrawFn, max_events: int = 40) -> list[dict[str, Any]]:
    """Draw a log in time order: ties, nulls, negatives, sessions of any length, few visitors."""
    n = draw(st.integers(1, max_events))
    sessions = draw(st.integers(1, 5))
    prices = st.one_of(
        st.none(),
        st.sampled_from([0.0, 1.0, 2.5, 3.0, 3.0, -4.25, 1e6]),
        st.floats(-1e6, 1e6, allow_nan=False).map(lambda x: round(x, 3)),
    )
    event = st.tuples(
        st.integers(0, sessions - 1),
        st.sampled_from([0, 0, 0, 1, 15, 45, 60, 3000]),
        st.sampled_from(TYPES),
        st.sampled_from([None, "a", "b", "c", "d", "e", "f", "g", "ż"]),
        st.sampled_from([None, "x", "y"]),
        prices,
        st.sampled_from([None, 1.0, 2.0]),
        st.sampled_from([None, 1, -7, 3]),
    )
    visitors = [draw(st.sampled_from([None, "u", "v"])) for _ in range(sessions)]
    time, rows, orders = BEGIN, [], {}
    for session, wait, kind, item, category, price, quantity, rank in draw(
        st.lists(event, min_size=n, max_size=n)
    ):
        time += dt.timedelta(seconds=wait, microseconds=wait * 7)
        orders[session] = orders.get(session, 0) + 1
        rows.append(
            {
                "visitor_id": visitors[session],
                "session_id": f"s{session}",
                "event_time": time,
                "event_order": orders[session],
                "event_type": kind,
                "item_id": item,
                "category": category,
                "price": price,
                "quantity": quantity,
                "session_seconds": None,
                "rank": rank,
            }
        )
    # The shop's clock, which may change within the log.
    before, after = draw(st.sampled_from([(None, None), (60, 120), (-420, -480), (345, None)]))
    change = draw(st.integers(0, n))
    for k, row in enumerate(rows):
        row["utc_offset"] = before if k < change else after
    return rows


def table(log: list[dict[str, Any]], clock: str = "time", order: str = "time") -> pa.Table:
    """Return a log as a canonical table with its metadata."""
    metadata = {METADATA_KEY: json.dumps({"contract": CONTRACT, "clock": clock, "order": order})}
    return pa.Table.from_pylist(log, SCHEMA.with_metadata(metadata))


def close(a: Any, b: Any, scale: float = 1.0) -> bool:
    """Whether two values are the same: nulls and texts exactly, numbers to 1e-9 of the scale."""
    if a is None or b is None or isinstance(a, str) or isinstance(b, str):
        return a == b
    return math.isclose(a, b, rel_tol=1e-9, abs_tol=1e-9 * scale)


def differences(
    found: list[dict[str, Any]], truth: list[dict[str, Any]], log: list[dict[str, Any]]
) -> list[tuple[int, str, Any, Any]]:
    """Return (row, feature, value found, true value) where they differ.

    Sums of large numbers that cancel are compared on the scale of what was added.
    """
    scale = 1.0 + sum(abs(e["price"] or 0.0) for e in log)
    return [
        (k, name, f[name], t[name])
        for k, (f, t) in enumerate(zip(found, truth, strict=True))
        for name in t
        if not close(f[name], t[name], scale)
    ]
