"""Adobe's data feed: headers beside the hits, products as strings; held against the shop itself."""

from __future__ import annotations

import gzip
import random
from pathlib import Path
from typing import Any

import pytest

from cartcast import events

COLUMNS = ("hitid_high", "hitid_low", "hit_time_gmt", "post_visid_high", "post_visid_low",
           "visit_num", "visit_start_time_gmt", "visit_page_num", "exclude_hit", "hit_source",
           "post_event_list", "post_product_list", "post_purchaseid", "post_currency",
           "post_pagename", "geo_country")  # fmt: skip
NUMBERS = {"view_item": "2", "add_to_cart": "12", "remove_from_cart": "13",
           "begin_checkout": "11", "purchase": "1", "page_view": ""}  # fmt: skip
EXTRA = ("", "200=3.5", "219", "100,101=1")


def escaped(text: str) -> str:
    return "".join("^" + c if c in "^,;=" else c for c in text)


def shop(seed: int) -> list[dict[str, Any]]:
    """Hits in the order of time: who, visit, kind, lines (item, category, units, total)."""
    drawn = random.Random(seed)
    items = [f"sku{k}{mark}" for k, mark in enumerate(["", ",red", ";xl", "=1", "^", "ü"])]
    out = []
    for visit in range(60):
        who, start = f"{drawn.randrange(20)}", 1_741_000_000 + visit * 4000
        for page in range(drawn.randint(2, 6)):
            kind = drawn.choice(list(NUMBERS))
            several = kind == "purchase"
            lines = [
                (item, drawn.choice(["", "tops"]), units, round(units * drawn.uniform(3, 60), 2))
                for item in drawn.sample(items, drawn.randint(1, 3) if several else 1)
                for units in [drawn.randint(1, 3)]
            ]
            out.append(
                {"who": who, "visit": visit, "start": start, "page": page + 1, "kind": kind,
                 "time": start + page * 7, "lines": [] if kind == "page_view" else lines,
                 "order": f"P{len(out)}" if several else "", "excluded": drawn.random() < 0.08,
                 "extra": drawn.choice(EXTRA), "first": drawn.random() < 0.5}
            )  # fmt: skip
    return out


def written(folder: Path, hits: list[dict[str, Any]], packed: bool) -> Path:
    rows = []
    for number, hit in enumerate(hits):
        told = [e for e in (NUMBERS[hit["kind"]], hit["extra"]) if e]
        products = ",".join(
            f"{escaped(category)};{escaped(item)};{units};{total};200=1;eVar5=x|eVar6=y"
            if hit["kind"] == "purchase" else f"{escaped(category)};{escaped(item)};;"
            for item, category, units, total in hit["lines"]
        )  # fmt: skip
        cells = ("31", number, hit["time"], "3120" + hit["who"], "7" + hit["who"],
                 1 + hit["visit"], hit["start"], hit["page"], 2 if hit["excluded"] else 0, 1,
                 ",".join(told if hit["first"] else told[::-1]), products, hit["order"], "EUR",
                 "home", "deu")  # fmt: skip
        rows.append("\t".join(map(str, cells)))
    text = "\n".join(rows) + "\n"
    (folder / "column_headers.tsv").write_text("\t".join(COLUMNS) + "\n")
    (folder / "browser.tsv").write_text("1\tFirefox\n2\tChrome\n")
    (folder / "event.tsv").write_text("1\tPurchase\n2\tProduct View\n")
    if packed:
        (folder / "hit_data.tsv.gz").write_bytes(gzip.compress(text.encode()))
        return folder / "hit_data.tsv.gz"
    (folder / "hit_data.tsv").write_text(text)
    return folder / "hit_data.tsv"


@pytest.mark.parametrize(("seed", "packed", "whole"), [(1, False, False), (2, True, True)])
def test_a_data_feed_is_the_shop(tmp_path: Path, seed: int, packed: bool, whole: bool) -> None:
    hits = shop(seed)
    path = written(tmp_path, hits, packed)
    log = events.load(str(tmp_path if whole else path))
    s = log.summary
    sold = [h for h in hits if h["kind"] == "purchase" and not h["excluded"]]
    lines = [line for h in sold for line in h["lines"]]
    assert log.layout == "adobe"
    assert (s.rejects, s.currency) == (0, "EUR")
    assert s.events == len(hits) - len(sold) + len(lines)
    assert (s.sessions, s.visitors) == (60, len({h["who"] for h in hits}))
    assert s.orders == len({h["order"] for h in sold})
    assert s.revenue == pytest.approx(sum(total for *_, total in lines))
    for kind in NUMBERS:
        wanted = sum((len(h["lines"]) if kind == "purchase" else 1)
                     for h in hits if h["kind"] == kind and not h["excluded"])  # fmt: skip
        assert s.event_types.get(kind, 0) == wanted, kind
    got = sorted((r["item_id"], r["category"] or "", r["quantity"], r["line_value"])
                 for r in log.table().to_pylist() if r["event_type"] == "purchase")  # fmt: skip
    assert got == sorted(lines)
