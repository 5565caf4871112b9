"""What the status of an order says: that it is a sale, or that it is none.

Shops export orders that were cancelled, or never paid, among the others, and tell them by a status.
A word that is not known to speak against the sale leaves it one: shops and plugins add words of
their own (`shipped`, `on hold`).
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

import duckdb

from cartcast.events.byvalues import said
from cartcast.events.layouts import Layout, Value
from cartcast.events.read import Source
from cartcast.events.sql import literal, snake_case
from cartcast.events.summed import keyed
from cartcast.findings import Finding, declare, finding

if TYPE_CHECKING:
    from cartcast.events.reading import Read

__all__ = ["status_of", "take_back", "unsold_findings", "with_status"]

_ANYWHERE = (
    "cancel", "void", "fail", "declin", "reject", "refused", "denied", "expired", "abandon",
    "unpaid", "not paid", "not_paid", "awaiting payment", "awaiting_payment", "waiting for payment",
    "payment pending", "payment_pending", "draft", "trash", "deleted", "error", "incomplete",
    "chargeback", "storn", "fehler", "wartet auf zahlung", "abgebrochen", "fehlgeschlagen",
    "abgelehnt", "unbezahlt", "annul", "échou", "echou", "refusé", "erreur",
    "en attente de paiement", "impay", "anul", "fallid", "rechazad", "impagad", "fallit", "errore",
    "rifiutat", "geannuleerd", "geweigerd", "mislukt", "falhou", "recusad", "odrzucon",
    "nieopłacon",
)  # fmt: skip
"""How words begin that make an order no sale, wherever they stand in a status."""
_WHOLE = ("pending", "refunded", "returned", "remboursé", "erstattet", "reembolsado", "rimborsato",
          "terugbetaald")  # fmt: skip
"""Whole statuses: `partially refunded` and `pending shipment` are sales."""
_SALES = (
    "paid", "complet", "succe", "ship", "deliver", "fulfil", "process", "closed", "clos", "confirm",
    "accept", "approv", "captur", "settled", "authori", "dispatch", "sent", "new", "open", "placed",
    "on hold", "on-hold", "on_hold", "partial", "active", "done", "ok", "received", "ready",
    "abgeschlossen", "bezahlt", "versandt", "versendet", "geliefert", "offen", "neu", "in bearb",
    "bestätigt", "pay", "livr", "expédi", "terminé", "validé", "en cours", "pagad", "entregad",
    "enviad", "completad", "pagat", "consegnat", "spedit", "evas", "betaald", "verzonden",
    "afgerond", "geleverd", "voltooid", "opłacon", "zrealizowan", "wysłan", "zakończ",
)  # fmt: skip
_SPACE = r"[\s_.:/()-]"
_PATTERNS = (
    rf"(?i)(?:wc-|fully{_SPACE})?({'|'.join(_WHOLE)})(?:{_SPACE}payment)?",
    rf"(?i)(?:.*{_SPACE})?({'|'.join(_ANYWHERE)}).*",
)
_SALE = re.compile(rf"(?i)(?:.*{_SPACE})?(?:{'|'.join(_SALES)}).*").fullmatch
_NAME = re.compile(
    r"(.*_)?(order|payment|financial|transaction|bestell|auftrags?|zahlungs?|rechnungs?)?"
    r"(status|state|statut|etat|état|estado|situação|situacao|stato|stan)(_.*)?"
)

NO_SALE = declare(
    "EV154",
    "note",
    "Orders that are not sales",
    "Their status says that they were not paid, or taken back: they are no purchases, and their "
    "money is in no figure.",
    "Nothing to do, unless the shop counts them as sold: then map `event_type` in a layout.",
)

_UNSOLD = dict.fromkeys((*_WHOLE, *_ANYWHERE), "other")


def with_status(layout: Layout) -> Layout:
    """Return the layout with its statuses asked for the kind of an event, before its words.

    Words of the layout itself come first, each a whole status.

    >>> told = with_status(Layout("mine", status=("state",), every_event="purchase"))
    >>> told.columns["event_type"].references, told.events["cancel"]
    (('state', 'state'), 'other')
    """
    value = layout.columns.get("event_type")
    own = "|".join(map(re.escape, layout.events))
    patterns = ([f"(?i)({own})"] if own else []) + list(_PATTERNS)
    for column in reversed(layout.status):
        for pattern in reversed(patterns):
            value = Value(columns=(column,), pattern=pattern, otherwise=value)
    if value is None or not layout.status:
        return layout
    columns = {**layout.columns, "event_type": value}
    return replace(layout, columns=columns, events={**_UNSOLD, **layout.events})


def status_of(source: Source) -> tuple[str, ...]:
    """Return the columns that hold statuses of orders.

    They are called so, and nearly all of their words are known to speak for or against a sale.
    """
    return tuple(c for c in source.columns if _NAME.fullmatch(snake_case(c)) and _told(source, c))


def _told(source: Source, column: str) -> bool:
    words = {v.strip() for v in said(source, column)}
    return 0.8 * len(words) <= sum(bool(_SALE(w)) or _speaks_against(w) for w in words) > 0


def _speaks_against(word: str) -> bool:
    return any(re.fullmatch(p, word) for p in _PATTERNS)


def take_back(con: duckdb.DuckDBPyConnection, read: Read) -> None:
    """Let what the first row of an order says of it hold for its other rows.

    Some exports state an order's status once, on the first of its lines.
    """
    files = _files(read)
    if not files:
        return
    no_sale = f"SELECT order_id FROM stated WHERE event_type = 'other' AND __file IN ({files})"
    con.execute("ALTER VIEW settled RENAME TO stated")
    con.execute(
        "CREATE VIEW settled AS SELECT * REPLACE (CASE WHEN event_type IN ('purchase', 'refund') "
        f"AND __file IN ({files}) AND order_id IN ({no_sale} AND order_id IS NOT NULL) "
        "THEN 'other' ELSE event_type END AS event_type) FROM stated"
    )


def _files(read: Read) -> str:
    """Return the numbers of the files of orders that have a status, as SQL."""
    return ", ".join(
        str(number)
        for number, one in enumerate(read.resolved, read.first)
        if one.layout.status and "event_type" in one.mapped
    )


def unsold_findings(con: duckdb.DuckDBPyConnection, read: Read) -> list[Finding]:
    """Count the orders that their status makes no sales, where a table is one of orders."""
    files = _files(read)
    if not files:
        return []
    words = {w for r in read.resolved for w, k in r.layout.events.items() if k == "other"}
    counts = ", ".join(f"count(DISTINCT key) FILTER (status = {literal(w)})" for w in sorted(words))
    (row,) = keyed(
        con,
        "unsold orders",
        "SELECT coalesce(order_id, __seq::VARCHAR) AS key, lower(source_event) AS status "
        f"FROM settled WHERE event_type = 'other' AND __file IN ({files})",
        f"SELECT {counts} FROM {{rows}}",
    )
    told = {word: n for word, n in zip(sorted(words), row, strict=True) if n}
    if not told:
        return []
    listed = ", ".join(
        f"{n:,} {word}{'...' if word in _ANYWHERE else ''}" for word, n in told.items()
    )
    return [
        finding(NO_SALE, f"{listed}: these orders are not sales.", count=sum(told.values()), **told)
    ]
