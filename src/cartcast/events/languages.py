"""What shops call things in German, French, Spanish, Italian, Dutch, Portuguese and Polish.

A word that means several things in these languages, or something else in English, is left out.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Mapping

__all__ = ["COLUMNS_ABROAD", "EVENTS_ABROAD", "spellings"]

_EVENTS = {
    "page_view": "Seitenaufruf, Seitenansicht; page vue, vue de page; página vista, "
    "vista de página, visualizzazione pagina, pagina vista; paginaweergave, "
    "visualização de página; odsłona, wyświetlenie strony",
    "view_item_list": "Kategorie, Kategorieansicht, Produktliste; catégorie, liste de produits; "
    "categoría, lista de productos; categoria, lista prodotti; categorie, productlijst; "
    "lista de produtos; kategoria, lista produktów",
    "view_item": "Produktansicht, Artikelansicht, Produkt angesehen, Artikel angesehen, Ansicht, "
    "angesehen, betrachtet; vu, consulté; visto; bekeken; wyświetlono; "
    "vue produit, produit vu, consultation produit, fiche produit; producto visto, ver producto, "
    "vista de producto; prodotto visto, visualizzazione prodotto; product bekeken, "
    "productweergave; produto visto, ver produto, visualização de produto; "
    "wyświetlenie produktu, produkt wyświetlony",
    "search": "Suche, Suchanfrage; recherche; búsqueda, buscar; ricerca; zoeken, zoekopdracht; "
    "busca, pesquisa; wyszukiwanie, szukaj",
    "add_to_cart": "Warenkorb, in den Warenkorb, in den Warenkorb gelegt, "
    "zum Warenkorb hinzugefügt, hinzugefügt, hineingelegt; ajouté; añadido, agregado; aggiunto; "
    "toegevoegd; adicionado; dodano; panier, ajout panier, ajout au panier, ajouter au panier, "
    "ajouté au panier; carrito, añadir al carrito, añadido al carrito, agregar al carrito, "
    "agregado al carrito; carrello, aggiungi al carrello, aggiunta al carrello, "
    "aggiunto al carrello; winkelwagen, winkelmand, in winkelwagen, toevoegen aan winkelwagen, "
    "toegevoegd aan winkelwagen; carrinho, adicionar ao carrinho, adicionado ao carrinho; "
    "koszyk, do koszyka, dodaj do koszyka, dodano do koszyka, dodanie do koszyka",
    "remove_from_cart": "entfernt; retiré, supprimé; eliminado, quitado; rimosso; verwijderd; "
    "removido; usunięto; aus dem Warenkorb entfernt, aus Warenkorb entfernt; retrait panier, "
    "retrait du panier, retiré du panier, suppression panier; eliminar del carrito, "
    "eliminado del carrito, quitar del carrito; rimuovi dal carrello, rimosso dal carrello; "
    "uit winkelwagen verwijderd, verwijderd uit winkelwagen; remover do carrinho, "
    "removido do carrinho; usuń z koszyka, usunięto z koszyka, usunięcie z koszyka",
    "begin_checkout": "Kasse, zur Kasse; caisse, passage en caisse; finalizar compra, "
    "iniciar compra; cassa; afrekenen; finalizar pedido; kasa",
    "add_payment_info": "Zahlung, Zahlungsdaten; paiement; pago; pagamento; betaling; płatność",
    "purchase": "Kauf, gekauft, Bestellung, bestellt; achat, acheté, commande; compra, comprado, "
    "pedido; acquisto, acquistato, ordine; aankoop, gekocht, bestelling; zakup, zamówienie",
    "refund": "Rückgabe, Retoure, Erstattung, Rückerstattung; remboursement, remboursé; "
    "devolución, reembolso; rimborso, reso; terugbetaling, retour; devolução; zwrot",
}

_COLUMNS = {
    "visitor_id": "Besucher, Besucher-ID, Besuchernummer; visiteur, id visiteur, visiteur id; "
    "visitante, id visitante; visitatore, id visitatore; bezoeker, bezoeker id, bezoekernummer; "
    "odwiedzający, id odwiedzającego",
    "user_id": "Kunde, Kunden-ID, Kundennummer, Kundennr, Kunden-Nr, Benutzer, Benutzer-ID, "
    "Nutzer, Nutzer-ID; id client, client id interne, numéro client, utilisateur, id utilisateur; "
    "cliente, id cliente, usuario, id usuario; codice cliente, utente, id utente; "
    "klant, klant id, klantnummer, gebruiker, gebruiker id; usuário, id usuário; "
    "klient, id klienta, użytkownik, id użytkownika",
    "session_id": "Sitzung, Sitzungs-ID, Sitzung-ID, Besuch, Besuchs-ID; id session, visite, "
    "id visite; sesión, id sesión; sessione, id sessione; sessie, sessie id, bezoek; "
    "sessão, id sessão; sesja, id sesji",
    "event_time": "Zeitstempel, Zeitpunkt, Datum Uhrzeit, Datum und Uhrzeit, Bestelldatum, Datum; "
    "horodatage, date heure, date et heure, date commande; marca de tiempo, fecha hora, "
    "fecha y hora, fecha pedido, fecha; data ora, data e ora, data ordine; tijdstip, datum tijd, "
    "datum en tijd, besteldatum; data hora, data e hora, data pedido; znacznik czasu, "
    "data i czas, data zamówienia, data złożenia, data złożenia zamówienia, data",
    "event_type": "Ereignis, Ereignistyp, Ereignis-Typ, Aktion, Aktionstyp; événement, "
    "type événement, type d'événement; evento, tipo evento, tipo de evento, acción; azione; "
    "gebeurtenis, actie; ação; zdarzenie, typ zdarzenia, akcja",
    "item_id": "Artikelnummer, Artikel-Nr, Artikelnr, Artikel-ID, Artikel, Produkt-ID, "
    "Produktnummer, Produkt; id produit, référence produit, réf produit, id article, produit; "
    "id producto, producto, id artículo, artículo; id prodotto, codice prodotto, prodotto, "
    "codice articolo, articolo; artikelcode, productcode, productnummer; id produto, produto; "
    "id produktu",
    "category": "Kategorie, Produktkategorie, Warengruppe; catégorie, rayon; categoría; "
    "categoria; categorie, productcategorie; kategoria",
    "brand": "Marke, Hersteller; marque; marca; merk; marka",
    "price": "Stückpreis, Einzelpreis, Verkaufspreis, Preis; prix unitaire, prix; "
    "precio unitario, precio; prezzo unitario, prezzo; stukprijs, prijs; preço unitário, preço; "
    "cena jednostkowa, cena",
    "amount": "Betrag, Wert; montant; importe; importo; bedrag; valor; kwota",
    "line_value": "Positionswert, Zeilensumme, Positionssumme; total ligne, montant ligne; "
    "total línea, importe línea; totale riga, importo riga; regeltotaal, regelbedrag; "
    "total linha, valor linha; wartość pozycji",
    "order_value": "Bestellwert, Auftragswert, Gesamtbetrag, Gesamtsumme, Summe, Umsatz; "
    "montant total, montant commande, total commande, chiffre d'affaires; importe total, "
    "importe pedido, total pedido; totale ordine, importo totale, totale; totaal, totaalbedrag, "
    "orderbedrag, bestelbedrag, omzet; "
    "valor total, valor pedido; wartość zamówienia, kwota zamówienia",
    "tax": "Steuer, MwSt, Mehrwertsteuer; taxe, tva; impuesto, iva; imposta; btw; imposto; podatek",
    "shipping": "Versandkosten, Versand; frais de port, frais de livraison; gastos de envío, "
    "coste de envío; spese di spedizione; verzendkosten; frete; koszt dostawy",
    "discount": "Rabatt; remise; descuento; sconto; korting; desconto; rabat",
    "quantity": "Menge, Anzahl, Stückzahl, Stück, Stk; quantité, qté; cantidad, unidades; "
    "quantità; aantal, hoeveelheid; quantidade, qtd, qtde; ilość",
    "currency": "Währung; devise; moneda, divisa; valuta; moeda; waluta",
    "order_id": "Bestellnummer, Bestell-Nr, Bestellnr, Bestell-ID, Bestellung, Auftragsnummer, "
    "Auftragsnr, Auftrag, Rechnungsnummer, Rechnungsnr, Belegnummer, Belegnr, Beleg; "
    "numéro commande, numéro de commande, num commande, id commande, "
    "référence commande, commande; número pedido, número de pedido, num pedido, id pedido, "
    "pedido; numero ordine, id ordine, ordine; bestelnummer, ordernummer, bestelling id, "
    "bestelling; numer zamówienia, nr zamówienia, id zamówienia, zamówienie; n° commande, "
    "n° de commande, nº pedido, nº de pedido, n. ordine, n° ordine",
    "country": "Land; pays; país; paese, nazione; kraj",
    "device": "Gerät, Gerätetyp; appareil, type appareil; dispositivo; apparaat; urządzenie",
    "channel": "Kanal; canal; canale; kanaal; kanał",
    "campaign": "Kampagne; campagne; campaña; campagna; campanha; kampania",
    "page": "Seite, Seitenpfad; página; pagina; strona",
}

_UMLAUTS = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "ß": "ss"})
_STROKES = str.maketrans({"ł": "l", "ß": "ss"})


def spellings(word: str) -> Iterator[str]:
    """Give a word in lower case, as it is, and as it is written where letters have no accents.

    >>> list(spellings("Währung")), list(spellings("Kauf"))
    (['währung', 'waehrung', 'wahrung'], ['kauf'])
    """
    low = unicodedata.normalize("NFC", word).lower()
    bare = unicodedata.normalize("NFKD", low.translate(_STROKES))
    bare = "".join(c for c in bare if not unicodedata.combining(c))
    yield from dict.fromkeys((low, low.translate(_UMLAUTS), bare))


def _listed(words: str) -> Iterator[str]:
    for word in words.replace(";", ",").split(","):
        yield from spellings(word.strip())


def _as_column(word: str) -> str:
    return word.replace("-", "_").replace(" ", "_").replace("'", "_")


EVENTS_ABROAD: Mapping[str, str] = {
    form: kind for kind, words in _EVENTS.items() for word in _listed(words)
    for form in (word, word.replace(" ", "_"))
}  # fmt: skip
"""Words (lower case) for events -> canonical event type."""

COLUMNS_ABROAD: Mapping[str, tuple[str, ...]] = {
    target: tuple(dict.fromkeys(map(_as_column, _listed(words))))
    for target, words in _COLUMNS.items()
}
"""Canonical column -> names in these languages (snake case); `amount`: money of any kind."""
