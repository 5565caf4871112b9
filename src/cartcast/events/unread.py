"""Nothing unread in silence: columns that look as if they mattered, and what was assumed."""

from __future__ import annotations

import re
from collections.abc import Sequence

from cartcast.events.mapping import Resolved
from cartcast.events.read import Source
from cartcast.findings import Finding, declare, finding

__all__ = ["assumed_findings", "unread_findings"]

UNREAD = declare(
    "EV145",
    "note",
    "Columns that may matter were kept, but not read",
    "Their names speak of money, ids or times, yet no canonical column comes from them.",
    "If one is the order's total, the login or similar, name it in a layout (`cartcast layout`).",
)
UNREAD_LISTS = declare(
    "EV146",
    "warn",
    "Lists of records were not read",
    "A cell holds several records, such as the hits of a visit or the items of an order, and none "
    "of them is an event or a line here.",
    "Name the list under `records:` or `items:` in a layout.",
)
UNREADABLE = declare(
    "EV147",
    "warn",
    "Cells look like records, and cannot be read",
    "They begin like JSON or a Python literal, but hold none, so all that is in them is lost.",
    "Export the column as JSON.",
)
ASSUMED = declare(
    "EV148",
    "warn",
    "Every row is taken as the same kind of event",
    "No column holds words for events, so views and purchases cannot be told apart.",
    "Name the column under `event_type:` in a layout, or state `every_event:`. A table "
    "with one row a session or visitor is no log: `cartcast train --rows FILE --target COLUMN`.",
)

_MATTERS = {
    "money": r"price|amount|revenue|total|turnover|tax|shipping|discount|refund|sales?_?value",
    "ids": r"(order|transaction|user|customer|visitor|client|session|item|product)_?"
    r"(id|number|no|key)$",
    "times": r"timestamp|_time$|_at$|_ts$|^time$|datetime",
}


def unread_findings(
    sources: Sequence[Source], resolved: Sequence[Resolved], orders_file: int | None
) -> list[Finding]:
    """Return what was not read although it looks as if it mattered."""
    columns: dict[str, str] = {}
    lists: dict[str, None] = {}
    broken: dict[str, None] = {}
    for number, (source, one) in enumerate(zip(sources, resolved, strict=True)):
        if number == orders_file:
            continue
        for name, cell in source.cells.items():
            if name in one.used:
                continue
            if cell.type is not None:
                if "STRUCT" in str(cell.type).upper() or _kind_of(name):
                    lists[name] = None
                continue
            if cell.kind == "VARCHAR" and _looks_like_record(source.values(name)):
                broken[name] = None
            if (kind := _kind_of(name)) and source.values(name):
                columns[name] = kind
    found: list[Finding] = []
    if columns:
        listed = ", ".join(f"{n} ({k})" for n, k in list(columns.items())[:8])
        more = f" and {len(columns) - 8} more" if len(columns) > 8 else ""
        found.append(
            finding(UNREAD, f"kept under their own names: {listed}{more}.", count=len(columns),
                    columns=columns)
        )  # fmt: skip
    for code, names in ((UNREAD_LISTS, lists), (UNREADABLE, broken)):
        if names:
            found.append(
                finding(code, f"not read: {', '.join(list(names)[:8])}.", count=len(names),
                        columns=list(names))
            )  # fmt: skip
    return found


def _kind_of(name: str) -> str | None:
    """Return what a column of this name may hold that matters, or None."""
    last = name.rsplit(".", 1)[-1].lower()
    return next((k for k, p in _MATTERS.items() if re.search(p, last)), None)


def _looks_like_record(values: Sequence[str]) -> bool:
    texts = [t for v in values[:50] if (t := v.strip())]
    return bool(texts) and sum(t[0] in "{[" and t[-1] in "}]" for t in texts) > 0.8 * len(texts)


def assumed_findings(resolved: Sequence[Resolved], orders_file: int | None) -> list[Finding]:
    """Return what a guessed layout assumed of all rows."""
    kinds = {
        r.layout.every_event
        for i, r in enumerate(resolved)
        if i != orders_file
        and r.layout.name == "guessed"
        # A status says of orders alone which are no sales.
        and ("event_type" not in r.mapped or r.layout.every_event == "purchase")
    }
    return [finding(ASSUMED, f"each row is a {k}.") for k in sorted(filter(None, kinds))]
