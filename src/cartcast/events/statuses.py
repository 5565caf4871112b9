"""What the status of an order says: that it is a sale, or that it is none.

Shops export orders that were cancelled, or never paid, among the others, and tell them by a status.
A word that is not known to speak against the sale leaves it one: shops and plugins add words of
their own (`shipped`, `on hold`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import duckdb

from cartcast.events.byvalues import said, yes_or_no
from cartcast.events.kinds import kind_said
from cartcast.events.languages import spellings
from cartcast.events.layouts import Layout, Value
from cartcast.events.naming import within
from cartcast.events.read import Source
from cartcast.events.sql import literal, snake_case
from cartcast.events.summed import keyed
from cartcast.findings import Finding, declare, finding

if TYPE_CHECKING:
    from cartcast.events.reading import Read

__all__ = ["of_orders", "speaks_against", "spread_status", "status_of", "unsold_findings",
           "with_status"]  # fmt: skip

_ANYWHERE = (
    "cancel", "void", "fail", "declin", "reject", "refused", "denied", "expired", "abandon",
    "unpaid", "not paid", "awaiting payment", "waiting for payment", "payment pending", "draft",
    "trash", "deleted", "error", "incomplete", "chargeback",
    "storn", "abgebrochen", "fehlgeschlagen", "fehler", "abgelehnt", "unbezahlt", "nicht bezahlt",
    "wartet auf zahlung", "annul", "échou", "refusé", "erreur", "impay", "non payé",
    "en attente de paiement", "anul", "fallid", "rechazad", "impagad", "no pagado",
    "pendiente de pago", "fallit", "rifiutat", "non pagato", "in attesa di pagamento",
    "geannuleerd", "geweigerd", "mislukt", "niet betaald", "falhou", "recusad", "não pago",
    "aguardando pagamento", "odrzucon", "nieopłacon", "oczekuje na płatność", "cancellat",
    "missing order", "キャンセル", "取消", "未払い",
)  # fmt: skip
"""How words begin that make an order no sale, wherever they stand in a status."""
_WHOLE = (
    "pending", "refunded", "returned", "ausstehend", "erstattet", "rückerstattet", "remboursé",
    "remboursée", "en attente", "reembolsado", "pendiente", "rimborsato", "in attesa",
    "terugbetaald", "pendente", "zwrócone", "oczekujące",
)  # fmt: skip
"""Whole statuses: `pending shipment` is a sale."""
_IN_PART = (
    "partial", "partly", "teilweise", "partiel", "parcial", "parzial", "gedeeltelijk", "częściow",
    "no error",
)  # fmt: skip
"""What takes back a part of an order, or nothing: these are sales."""
_BESIDES = ("refund", "return", "cancellation", "cancelation", "label")
"""What may itself be refused or taken back: the sale stands (`refund rejected`)."""
_SALES = (
    "paid", "complet", "succe", "ship", "deliver", "fulfil", "process", "clos", "confirm",
    "accept", "approv", "captur", "settled", "authori", "dispatch", "sent", "new", "open", "placed",
    "on hold", "partial", "active", "done", "ok", "received", "ready",
    "abgeschlossen", "bezahlt", "versandt", "versendet", "geliefert", "offen", "neu", "in bearb",
    "bestätigt", "payé", "livr", "expédi", "terminé", "validé", "en cours", "pagad", "entregad",
    "enviad", "pagat", "consegnat", "spedit", "evas", "betaald", "verzonden", "afgerond",
    "geleverd", "voltooid", "opłacon", "zrealizowan", "wysłan", "zakończ",
)  # fmt: skip
_OF_ORDERS = (
    "paid", "ship", "deliver", "fulfil", "captur", "dispatch", "placed", "refund", "cancel",
    "void", "bezahlt", "versandt", "versendet", "geliefert", "storn", "payé", "livr", "expédi",
    "pagad", "entregad", "pagat", "consegnat", "spedit", "betaald", "verzonden", "geannuleerd",
    "opłacon", "wysłan", "anulowan", "発送", "出荷", "キャンセル",
)  # fmt: skip
"""Words that only orders have: a page may be `active` or in `error`."""
_SPACE = r"[\s_.:/()-]"


def _spelled(words: Iterable[str]) -> tuple[str, ...]:
    """Return words as they are written without accents, and with `_` or `-` for a space."""
    return tuple(dict.fromkeys(
        form.replace(" ", mark) for w in words for form in spellings(w) for mark in " _-"
    ))  # fmt: skip


_UNSOLD = dict.fromkeys((*_spelled(_WHOLE), *_spelled(_ANYWHERE)), "other")
_STEMS = frozenset(_spelled(_ANYWHERE))
_SOLD = "sold"
_BEGIN = rf"(?i)(?:.*{_SPACE})?"
_FIRST = rf"(?i)(?:wc-|auto-|checkout-|fully{_SPACE})?"
_IN_WHOLE = rf"{_FIRST}({'|'.join(_spelled(_WHOLE))})(?:{_SPACE}payment)?"
_STEM = "|".join(_spelled(_ANYWHERE))
_PARTLY = (
    rf"{_BEGIN}(?:(?:{'|'.join(_spelled(_IN_PART))}).*|"
    rf"(?:{'|'.join(_BESIDES)})\w*{_SPACE}(?:.*{_SPACE})?(?:{_STEM}|request).*)"
)
_AGAINST = rf"{_BEGIN}({_STEM}).*"
_SALE = re.compile(rf"{_BEGIN}(?:{'|'.join(_spelled(_SALES))}).*").fullmatch
_ORDERED = re.compile(rf"{_BEGIN}(?:{'|'.join(_spelled(_OF_ORDERS))}).*").fullmatch
_NAME = re.compile(
    r"((post|sales|shop)_)?"
    r"((order|payment|financial|transactions?|item|sale|bestell|auftrags?|zahlungs?|rechnungs?|betaal|betalings|bestel)_?)?"
    r"(status|state|statut|etat|état|estado|situação|situacao|stato|stan|ステータス|状態)"
    r"(_(de|del|de_la|du|do|da|des|dell?|della|van|der))?"
    r"(_(order|payment|transaction|commande|paiement|pedido|pago|compra|ordine|pagamento|"
    r"zamówienia|zamowienia|płatności|platnosci|bestelling|betaling|bestellung|zahlung|name))?"
)
_OF_OTHERS = re.compile(
    r"ship|deliver|fulfil|dispatch|track|mail|subscri|product|stock|inventory|customer|user|"
    r"account|refund|return|consent|campaign|session|http|response|page|device|sync|port|member|"
    r"loyal|label|address|billing|country|previous|old|last|invoice|region|home"
)
"""What else may have a status."""
_FLAG = re.compile(
    r"(is_|was_|order_)*(cancelled|canceled|voided|storniert|annulé|annulée|anulado|cancelado|"
    r"annullato|geannuleerd|anulowane)(_?(at|on|date|time))?"
)
"""Columns that say by being filled that an order was taken back."""
_WHEN = r"(?:19[89]|20)\d\d"
_TRUE = rf"(?i)(?:1|1\.0|true|yes|y|t|ja|oui|sí|si|sim|tak|.*{_WHEN}.*)"
"""How they say it: yes, or when; day 0 is no day."""


NO_SALE = declare(
    "EV154",
    "note",
    "Orders that are not sales",
    "Their status says that they were not paid, or taken back: they are no purchases, and their "
    "money is in no figure.",
    "Nothing to do, unless the shop counts them as sold: then map `event_type` in a layout.",
)


def with_status(layout: Layout) -> Layout:
    """Return the layout with its statuses asked for the kind of an event, before its words.

    Words of the layout itself come first, each a whole status. One that does not speak against the
    sale is a sale; a row without a status says nothing.

    >>> told = with_status(Layout("mine", status=("state",), every_event="purchase"))
    >>> told.columns["event_type"].references[0], told.events["cancel"]
    ('state', 'other')
    """
    if not layout.status:
        return layout
    own = "|".join(map(re.escape, layout.events))
    value = layout.columns.get("event_type")
    if value is None:
        value = Value(columns=layout.status, says=_SOLD)
    for column in reversed(layout.status):
        if _FLAG.fullmatch(snake_case(within(column))):
            value = Value(columns=(column,), pattern=_TRUE, says="cancel", otherwise=value)
            continue
        links = [
            *([Value(columns=(column,), pattern=f"(?i)({own})")] if own else []),
            Value(columns=(column,), pattern=_IN_WHOLE),
            Value(columns=(column,), pattern=_PARTLY, says=_SOLD),
            Value(columns=(column,), pattern=_AGAINST),
        ]
        for link in reversed(links):
            value = replace(link, otherwise=value)
    columns = {**layout.columns, "event_type": value}
    every = layout.every_event if "event_type" not in layout.columns else None
    sold = {_SOLD: every or "purchase"}
    return replace(layout, columns=columns, events={**_UNSOLD, **sold, **layout.events})


def status_of(source: Source, columns: Mapping[str, Value] | None = None) -> tuple[str, ...]:
    """Return the columns that hold statuses of orders.

    They are called so, and nearly all of their words are known to speak for or against a sale.
    One that is called a status of something unheard of must have words that only orders have.
    Beside words for events, only sales have one: `columns` says where the words are.
    """
    found = (
        c for c in source.columns
        if (_named_so(source, name := snake_case(within(c)), c) and _told(source, c))
        or (_FLAG.fullmatch(name) and _flagged(source, c))
    )  # fmt: skip
    words = columns["event_type"].columns if columns and "event_type" in columns else ()
    return tuple(
        c for c in found
        if not words
        or (c not in words and _of_sales(source, words, c) and _some_sold(source, c))
    )  # fmt: skip


def _named_so(source: Source, name: str, column: str) -> bool:
    if _NAME.fullmatch(name):
        return True
    called = re.search(r"(^|_)(status|state)(_|$)", name) and not _OF_OTHERS.search(name)
    return bool(called) and of_orders(source, column)


def _flagged(source: Source, column: str) -> bool:
    """Return whether a column says yes or no, or when, and does not take back every row."""
    values = said(source, column)
    told = yes_or_no(source, column) or all(re.search(r"\d{4}", v) for v in values)
    return told and sum(bool(re.fullmatch(_TRUE, v.strip())) for v in values) < len(source.sample)


def _some_sold(source: Source, column: str) -> bool:
    """Return whether a status leaves any sale: one that takes back all was of that moment."""
    return not all(speaks_against(v.strip()) for v in said(source, column))


def _of_sales(source: Source, words: Sequence[str], column: str) -> bool:
    """Return whether the rows that have a status are purchases by their words."""
    cells = [row for row in source.rows_of(column, *words) if row[0]]
    kinds = (kind_said(next(filter(None, told), "")) for _, *told in cells)
    return bool(cells) and all(kind == "purchase" for kind in kinds)


def _told(source: Source, column: str) -> bool:
    words = {v.strip() for v in said(source, column)}
    return 0.8 * len(words) <= sum(bool(_SALE(w)) or speaks_against(w) for w in words) > 0


def of_orders(source: Source, column: str) -> bool:
    """Return whether a status has a word that only orders have, or says that one was cancelled."""
    flag = _FLAG.fullmatch(snake_case(within(column)))
    return bool(flag) or any(_ORDERED(v.strip()) for v in said(source, column))


def speaks_against(word: str) -> bool:
    """Return whether a status, or a word for an event, says that there was no sale.

    >>> [speaks_against(w) for w in ("order_cancelled", "Partially refunded", "Geliefert")]
    [True, False, False]
    """
    if re.fullmatch(_IN_WHOLE, word):
        return True
    return not re.fullmatch(_PARTLY, word) and bool(re.fullmatch(_AGAINST, word))


def spread_status(con: duckdb.DuckDBPyConnection, read: Read) -> None:
    """Let what one row of an order says of it hold for its rows without a status.

    Some exports state an order's status once, on the first of its lines.
    """
    files = _files(read)
    if not files:
        return
    con.execute("ALTER VIEW settled RENAME TO stated")
    con.execute(
        "CREATE VIEW settled AS SELECT s.* REPLACE (CASE WHEN u.order_id IS NOT NULL "
        "AND s.source_event IS NULL THEN 'other' ELSE s.event_type END AS event_type) "
        "FROM stated s LEFT JOIN (SELECT DISTINCT __file, order_id, "
        "coalesce(visitor_id, user_id) AS who FROM stated WHERE event_type = 'other' "
        f"AND order_id IS NOT NULL AND __file IN ({files})) u ON s.__file = u.__file "
        "AND s.order_id = u.order_id "
        "AND coalesce(s.visitor_id, s.user_id) IS NOT DISTINCT FROM u.who"
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
    words = sorted(
        {w for r in read.resolved if r.layout.status for w, k in r.layout.events.items()
         if k == "other"}
    )  # fmt: skip
    counts = ", ".join(f"count(*) FILTER (list_contains(said, {literal(w)}))" for w in words)
    listed = ", ".join(map(literal, words))
    (row,) = keyed(
        con,
        "unsold orders",
        "SELECT coalesce(order_id, __seq::VARCHAR) AS key, lower(source_event) AS status, "
        f"event_type <> 'other' AS sold FROM settled WHERE __file IN ({files}) AND "
        f"(event_type IN ('purchase', 'refund') OR lower(source_event) IN ({listed}))",
        f"SELECT {counts} FROM (SELECT list(DISTINCT status) FILTER (NOT sold) AS said "
        "FROM {rows} GROUP BY key HAVING NOT bool_or(sold))",
    )
    told = {word: n for word, n in zip(words, row, strict=True) if n}
    if not told:
        return []
    shown = ", ".join(f"{n:,} {word}{'...' if word in _STEMS else ''}" for word, n in told.items())
    return [
        finding(NO_SALE, f"{shown}: these orders are not sales.", count=sum(told.values()), **told)
    ]
