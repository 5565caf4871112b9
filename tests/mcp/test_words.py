"""Words of the log are shown short, plain and quoted, and ids of people not at all."""

from __future__ import annotations

import unicodedata

import pandas as pd
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cartcast.events import Log, load
from cartcast.mcp.words import FEWEST, Words, cleaned

IDS = ["v0000017", "Anna-B", "x9", "4711", "ü-71c", "ab"]


@given(st.text(st.characters(codec="utf-8"), max_size=400))
@settings(max_examples=300, deadline=None)
def test_a_cleaned_text_cannot_leave_its_quotation(text: str) -> None:
    shown = cleaned(text)
    assert len(shown) <= 80
    assert not set(shown) & set("«»\n\r\t")
    assert all(c == " " or unicodedata.category(c)[0] not in "CZ" for c in shown)


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Log:
    rows = [
        {"visitor_id": name, "session_id": f"{k}-{name}", "event_type": "page_view",
         "event_time": pd.Timestamp("2026-01-01") + pd.Timedelta(minutes=k),
         "page": "home" if k % 2 else f"p{name}"}
        for k, name in enumerate(IDS * 3 + [f"v{j:07d}" for j in range(100, 120)])
    ]  # fmt: skip
    folder = tmp_path_factory.mktemp("people")
    pd.DataFrame(rows).to_parquet(folder / "log.parquet")
    return load(folder / "log.parquet", folder=folder / "clean")


@given(
    st.lists(
        st.one_of(
            st.text("vx0179Aab -_/%4", max_size=14),
            st.tuples(st.text("ab/ 7-", max_size=5), st.sampled_from(IDS), st.text("c/ 3", max_size=5))
            .map("".join),
        ),
        max_size=12,
    )
)  # fmt: skip
@settings(max_examples=60, deadline=None)
def test_ids_are_found_as_a_slow_reader_finds_them(people: Log, texts: list[str]) -> None:
    words = WORDS.setdefault(str(people.path), Words(people))
    ids = [str(i).lower() for i in pq.read_table(people.path)["visitor_id"].unique().to_pylist()]

    def slow(text: str) -> bool:
        low = text.lower()
        for name in ids:
            for k in range(len(low) - len(name) + 1):
                if low[k : k + len(name)] != name or (len(name) < 4 and low != name):
                    continue
                ends = low[k - 1 : k] + low[k + len(name) : k + len(name) + 1]
                if not name.isdigit() or not any(c.isdigit() for c in ends):
                    return True
        return False

    plain = [t for t in texts if "%" not in t and cleaned(t) == t]
    assert words.naming(plain) == {t for t in plain if slow(t)}


WORDS: dict[str, Words] = {}


def test_an_id_is_found_behind_a_disguise(people: Log) -> None:
    told = ["/a/V0000017", "v00000%31%37", "v00000\x0017", "4711 seconds", "47112", "xAB", "AB"]
    assert Words(people).naming(told) == {*told[:4], "AB"}


def test_what_few_visitors_share_is_rare(people: Log) -> None:
    words = Words(people)
    pages = pq.read_table(people.path, columns=["visitor_id", "page"]).to_pandas()
    counts = pages.groupby("page")["visitor_id"].nunique()
    assert words.rare("page", list(counts.index)) == set(counts[counts < FEWEST].index)
    assert words.rare("page", ["nobody has it"]) == set()
    assert words.rare("no_such", ["x"]) == Words(None).rare("page", ["home"]) == set()
