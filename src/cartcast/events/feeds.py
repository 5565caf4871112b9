"""Adobe's data feeds: names of columns in a file beside the hits, products as strings in a cell.

A delivery holds `hit_data.tsv` without a header, and `column_headers.tsv` with the names; further
files explain codes. A product is `category;product;quantity;total;events;eVars`, several are parted
by commas, and `^` stands before a comma, semicolon or equals sign that is part of a value.

https://experienceleague.adobe.com/docs/analytics/export/analytics-data-feed/data-feed-contents/datafeeds-spec-chars.html
https://datafeedtoolbox.com/parsing-products-and-events-in-clickstream-data-feeds/
"""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Final

import duckdb

from cartcast.events.nested import Cell

__all__ = ["HEADERS", "names_beside", "only_hits", "product_strings"]

HEADERS: Final = "column_headers.tsv"

_FIELDS: Final = ("category", "product", "quantity", "total")
_ESCAPED: Final = {"^^": "\x01", "^,": "\x02", "^;": "\x03", "^=": "\x04"}


def names_beside(path: Path) -> tuple[str, ...]:
    """Return the names of the columns of a feed's hits; none for any other file."""
    beside = path.with_name(HEADERS)
    if path.name == HEADERS or ".tsv" not in path.suffixes:
        return ()
    if beside.is_file():
        text = beside.read_text(encoding="utf-8")
    elif beside.with_name(HEADERS + ".gz").is_file():
        text = gzip.decompress(beside.with_name(HEADERS + ".gz").read_bytes()).decode("utf-8")
    else:
        return ()
    return tuple(text.strip().split("\t"))


def only_hits(files: list[Path]) -> list[Path]:
    """Leave the files of a delivery that only explain its hits out of a folder's."""
    feeds = {f.parent for f in files if f.name.removesuffix(".gz") == HEADERS}
    return [f for f in files if f.parent not in feeds or "hit_data" in f.name]


def product_strings(cell: Cell) -> Cell:
    """Return the list of products in a cell of product strings, as a list of records."""
    text = cell.sql
    for written, mark in _ESCAPED.items():
        text = f"replace({text}, '{written}', chr({ord(mark)}))"

    def field(place: int) -> str:
        value = f"string_split(one, ';')[{place}]"
        for written, mark in _ESCAPED.items():
            value = f"replace({value}, chr({ord(mark)}), '{written[1]}')"
        return f"nullif({value}, '')"

    told = ", ".join(f"'{name}': {field(n)}" for n, name in enumerate(_FIELDS, 1))
    listed = f"list_transform(string_split({text}, ','), lambda one: {{{told}}})"
    record = duckdb.struct_type(dict.fromkeys(_FIELDS, duckdb.type("VARCHAR")))
    kind = duckdb.list_type(record)
    return Cell(f"CASE WHEN {cell.sql} <> '' THEN {listed} END", str(kind), kind)
