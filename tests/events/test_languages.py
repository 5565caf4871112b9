"""Exports in the words of other languages, and with amounts as spreadsheets write them."""

from __future__ import annotations

import datetime as dt
import json
import random

import pandas as pd
import pytest

from cartcast import events
from cartcast.errors import DataError
from cartcast.events.kinds import EVENT_KINDS, plain
from cartcast.events.layoutfile import read_layout
from cartcast.events.records import Records
from cartcast.events.signs import sign_of_sample
from cartcast.events.words import COLUMN_WORDS

WANTED = ("visitor_id", "event_time", "event_type", "item_id", "price", "quantity", "order_id")
ENGLISH = ("visitor_id", "timestamp", "event", "item_id", "price", "quantity", "order_id")
KINDS = ("view_item", "search", "add_to_cart", "purchase", "refund")
SHOPS = {
    "de": ("Besucher;Zeitstempel;Ereignis;Artikelnummer;Stückpreis;Menge;Bestellnummer",
           "Produktansicht;Suche;Warenkorb;Kauf;Rückgabe"),
    "de, plain letters": ("Kundennummer;Datum_Uhrzeit;Aktion;Artikel-Nr.;Stueckpreis;Stueckzahl;"
                          "Bestell-Nr.", "ansicht;suche;in den warenkorb;bestellung;rueckgabe"),
    "fr": ("id_visiteur;horodatage;événement;référence produit;prix unitaire;quantité;"
           "numéro de commande", "Vue produit;Recherche;Ajout au panier;Achat;Remboursement"),
    "es": ("id_cliente;fecha_hora;acción;producto;precio;cantidad;número de pedido",
           "ver producto;búsqueda;añadir al carrito;compra;devolución"),
    "it": ("visitatore;data e ora;azione;codice prodotto;prezzo;quantità;numero ordine",
           "visualizzazione prodotto;ricerca;aggiunta al carrello;acquisto;rimborso"),
    "nl": ("klantnummer;tijdstip;gebeurtenis;artikelcode;prijs;aantal;bestelnummer",
           "product bekeken;zoekopdracht;winkelwagen;aankoop;terugbetaling"),
    "pt": ("usuário;data_hora;ação;produto;preço;quantidade;número_pedido",
           "ver produto;busca;adicionar ao carrinho;compra;devolução"),
    "pl": ("użytkownik;znacznik czasu;zdarzenie;id produktu;cena;ilość;numer zamówienia",
           "wyświetlenie produktu;wyszukiwanie;do koszyka;zakup;zwrot"),
}  # fmt: skip


def rows(seed: int = 1, count: int = 400) -> list[tuple]:
    rng, at, out = random.Random(seed), dt.datetime(2024, 5, 3, 9), []
    for k in range(count):
        at += dt.timedelta(seconds=rng.choice((20, 50, 4000)))
        kind = rng.choice(KINDS[:4])
        order = f"A{k}" if kind == "purchase" else ""
        price = rng.choice((3.5, 12.0, 1299.99, 0.5))
        out.append((rng.randrange(9), at, kind, f"i{k % 7}", price, rng.randint(1, 3), order))
    return out


def written(path, header, told, amount=str, separator=";") -> None:
    lines = [separator.join(header)]
    for visitor, at, kind, item, price, quantity, order in rows():
        lines.append(separator.join(map(str, (f"v{visitor}", at, told(kind), item, amount(price),
                                              quantity, order))))  # fmt: skip
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def facts(path) -> tuple:
    log = events.load(path)
    kinds = {k: v for k, v in log.summary.as_dict().items() if k != "name"}
    table = pd.concat(pd.read_parquet(f) for f in log.files)
    kept = table[["visitor_id", "session_id", "event_time", "event_type", "item_id", "price",
                  "quantity", "order_id", "revenue"]]  # fmt: skip
    return kinds["orders"], kinds["revenue"], kept.astype(str).to_numpy().tolist()


@pytest.fixture(scope="module")
def english(tmp_path_factory):
    path = tmp_path_factory.mktemp("english") / "shop.csv"
    written(path, ENGLISH, str)
    return facts(path)


@pytest.mark.parametrize("language", SHOPS)
def test_a_shop_in_another_language_is_the_same_shop(tmp_path, english, language):
    header, words = (text.split(";") for text in SHOPS[language])
    written(tmp_path / "shop.csv", header, dict(zip(KINDS, words, strict=True)).__getitem__)
    assert facts(tmp_path / "shop.csv") == english
    for kind, word in zip(KINDS, words, strict=True):
        assert EVENT_KINDS[plain(word)] == kind


def test_no_word_means_two_things():
    """A name that is listed for two columns goes to the first: so must be meant where it is."""
    seen: dict[str, str] = {}
    shared = set()
    for target, names in COLUMN_WORDS.items():
        shared |= {n for n in names if seen.setdefault(n, target) != target}
    # An order is a place in English and a sequence; the values decide.
    assert shared == {"order"}


AMOUNTS = {
    "$3.50": lambda v: f"${v:,.2f}",
    "3.50 USD": lambda v: f"{v:,.2f} USD",
    "3,50 €": lambda v: f"{v:.2f} €".replace(".", ","),
    "€ 1.299,99": lambda v: "€ " + f"{v:,.2f}".translate(str.maketrans(",.", ".,")),
    "kr 3,50": lambda v: f"kr. {v:.2f}".replace(".", ",").replace("kr,", "kr."),
    "3,50 zł": lambda v: f"{v:.2f} zł".replace(".", ","),
    "£": lambda v: f"£{v}",
}


@pytest.mark.parametrize("form", AMOUNTS)
@pytest.mark.parametrize("column", ["price", "Unit Price"])
def test_amounts_with_a_sign_are_read(tmp_path, english, form, column):
    header = [column if name == "price" else name for name in ENGLISH]
    written(tmp_path / "shop.csv", header, str, AMOUNTS[form])
    assert facts(tmp_path / "shop.csv") == english


def test_a_sign_of_one_currency_names_it(tmp_path):
    written(tmp_path / "a.csv", ENGLISH, str, AMOUNTS["3,50 €"])
    written(tmp_path / "b.csv", ENGLISH, str, AMOUNTS["$3.50"])
    log = events.load(tmp_path / "a.csv")
    assert set(pd.concat(pd.read_parquet(f) for f in log.files)["currency"].dropna()) == {"EUR"}
    log = events.load(tmp_path / "b.csv")
    assert "currency" not in log.filled()


def test_two_signs_are_never_added_up(tmp_path):
    turn = iter(range(10_000))
    written(tmp_path / "a.csv", ENGLISH, str, lambda v: f"{'€$'[next(turn) % 2]}{v}")
    with pytest.raises(DataError, match="price"):
        events.load(tmp_path / "a.csv")
    assert sign_of_sample(["€3", "$3"]) is None
    assert sign_of_sample(["3 pieces", "A3"]) is None


@pytest.mark.parametrize(
    ("day", "hour"),
    [("%m/%d/%Y", "%I:%M:%S %p"), ("%d.%m.%Y", "%H:%M:%S"), ("%Y-%m-%d", "%H:%M:%S")],
)
def test_a_day_and_an_hour_in_two_columns_are_one_time(tmp_path, english, day, hour):
    header = ["visitor_id", "Date", "Time", *ENGLISH[2:]]
    lines = [",".join(header)]
    for visitor, at, *rest in rows():
        cells = (f"v{visitor}", at.strftime(day), at.strftime(hour), *rest)
        lines.append(",".join(map(str, cells)))
    (tmp_path / "shop.csv").write_text("\n".join(lines) + "\n")
    if day == "%m/%d/%Y":
        # All days are early in May: without a word it might be the fifth of a later month.
        with pytest.raises(DataError, match="time_format"):
            events.load(tmp_path / "shop.csv")
        return
    assert facts(tmp_path / "shop.csv") == english


def test_an_order_is_a_number_of_an_order_where_few_rows_have_one(tmp_path, english):
    header = ["Order #" if name == "order_id" else name for name in ENGLISH]
    written(tmp_path / "shop.csv", header, str)
    assert facts(tmp_path / "shop.csv") == english


def test_yes_and_no_are_no_orders(tmp_path):
    header = ["transaction" if name == "order_id" else name for name in ENGLISH]
    written(tmp_path / "shop.csv", header, str)
    text = (tmp_path / "shop.csv").read_text().splitlines()
    lines = [text[0], *(f"{t.rsplit(';', 1)[0]};{int(not t.endswith(';'))}" for t in text[1:])]
    (tmp_path / "shop.csv").write_text("\n".join(lines) + "\n")
    log = events.load(tmp_path / "shop.csv")
    assert "order_id" not in log.filled()


def test_one_record_is_read_as_its_file_is(tmp_path):
    """The live reader and the batch reader take the same layout at its word."""
    layout = tmp_path / "own.yaml"
    layout.write_text(
        "name: own\ncolumns:\n  visitor_id: who\n  event_type: what\n"
        "  event_time: {columns: [day, hour], joined: true}\n"
        "  price: {column: paid, without: '€'}\n  item_id: item\n"
    )
    record = {"who": "v1", "what": "view_item", "day": "2024-05-03", "hour": "10:00:00",
              "paid": "12.50 €", "item": "i1"}  # fmt: skip
    (tmp_path / "shop.json").write_text(json.dumps(record) + "\n")
    log = events.load(tmp_path / "shop.json", layout=layout)
    batch = pd.concat(pd.read_parquet(f) for f in log.files).iloc[0]
    (one,) = Records(read_layout(layout)).rows(record)
    assert float(batch["price"]) == one["price"] == 12.5
    assert str(batch["event_time"]).startswith("2024-05-03 10:00:00")
    assert one["event_time"] == int(batch["event_time"].value // 1000)
