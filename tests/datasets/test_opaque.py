"""The opaque form: read back by its layout alone, it says what the named form says."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from cartcast import datasets, events
from cartcast.datasets import Missions, Shop
from cartcast.datasets.opaque import FORMS, Opaque, make_opaque, write_opaque
from cartcast.errors import UsageError

SMALL = Missions(categories=(("a", 0.6, 3.0), ("b", 0.4, 3.5)), items=3, horizon=3)
SHOPS = {"visits": Shop(), "missions": SMALL}


@pytest.fixture(scope="module", params=SHOPS)
def made(request: pytest.FixtureRequest) -> datasets.Simulation:
    return datasets.simulate(1_200, seed=4, truth=True, shop=SHOPS[request.param])


@pytest.fixture(params=FORMS)
def form(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def files(made: datasets.Simulation, form: str, tmp_path: Path) -> Opaque:
    return write_opaque(made, tmp_path / "log.parquet", form, seed=1)


def meanings(files: Opaque, what: str) -> dict[str, str]:
    types = {"what": "string", "code": "string", "meaning": "string"}
    key = pd.read_csv(files.key, dtype=types, keep_default_na=False)
    key = key[key["what"] == what]
    return dict(zip(key["code"], key["meaning"], strict=True))


def test_it_reads_back_to_the_same_sessions_outcomes_and_truth(
    made: datasets.Simulation, files: Opaque, form: str, tmp_path: Path
) -> None:
    log = events.load(files.log, layout=files.layout, orders=files.orders, folder=tmp_path / "log")
    read = log.table().to_pandas()
    named = made.events.to_pandas().drop_duplicates("event_id")
    read["meant"] = read["session_id"].map(meanings(files, "session_id"))
    assert read["meant"].notna().all()
    assert set(read["meant"]) == set(named["session_id"])
    buys, bought = read[read["event_type"] == "purchase"], named[named["event_type"] == "purchase"]
    assert set(buys["meant"]) == set(bought["session_id"])
    assert len(buys) == bought["order_id"].nunique() > 20
    assert log.summary.purchase_sessions == made.counts["purchase_sessions"]
    if form == "codes":
        assert buys["revenue"].sum() == pytest.approx(made.counts["revenue"])
    else:
        assert "amount" not in pd.read_parquet(files.orders)
    sizes = named[named["event_type"] != "purchase"].groupby("session_id").size()
    assert (read[read["event_type"] != "purchase"].groupby("meant").size() == sizes).all()

    # The truth of the opaque rows is that of the named rows, event by event.
    truth = pd.read_parquet(files.truth)
    both = read.merge(truth, on=["session_id", "event_order"], how="outer", indicator=True)
    assert (both["_merge"] == "both").all()
    whole = named.merge(
        made.truth.to_pandas().drop(columns=["event_id"]), on=["session_id", "event_order"]
    )
    whole = whole[whole["event_type"] != "purchase"]
    here = both[both["event_type"] != "purchase"].sort_values(["meant", "event_order"])
    whole = whole.sort_values(["session_id", "event_order"])
    assert here["meant"].tolist() == whole["session_id"].tolist()
    assert here["p_purchase"].tolist() == whole["p_purchase"].tolist()
    time = whole["event_time"].dt.floor("s") if form == "pages" else whole["event_time"]
    assert here["event_time"].tolist() == time.tolist()


def test_every_name_and_word_is_a_code_and_the_key_leads_back(
    made: datasets.Simulation, files: Opaque, form: str
) -> None:
    log = pd.read_parquet(files.log)
    columns, words = meanings(files, "column"), meanings(files, "word")
    assert set(log) == set(columns) == {f"c{i + 1}" for i in range(log.shape[1])}
    named = made.events.to_pandas().drop_duplicates("event_id")
    named = named[named["event_type"] != "purchase"].reset_index(drop=True)
    checked = 0
    for code, name in columns.items():
        column = log[code]
        if name in ("price", "quantity"):
            assert column.equals(named[name].rename(code))
        elif name in ("event_time", "known_time"):
            assert pd.api.types.is_datetime64_any_dtype(column)
        elif name.endswith("_id") and name != "item_id":
            assert column.str.fullmatch(r"\d{7}").all()
            assert column.map(meanings(files, name)).tolist() == named[name].tolist()
        else:
            back = column.map(words)
            assert (column.isna() | column.str.fullmatch(r"w\d+")).all()
            source = "page" if form == "pages" else name
            if name == "event_type" and form != "pages" and "source_event" in named:
                expected = named["source_event"].fillna(named["event_type"])
            else:
                expected = named[source]
            assert back.fillna("-").tolist() == expected.fillna("-").tolist()
            checked += 1
    assert checked >= (1 if form == "pages" else 7)


def test_what_a_form_leaves_out_is_not_there(files: Opaque, form: str) -> None:
    names = set(meanings(files, "column").values())
    if form == "bare":
        assert not names & {"item_id", "price", "quantity", "brand", "color", "query"}
    if form == "pages":
        assert names == {"visitor_id", "session_id", "event_time", "event_type"}


def test_the_same_seed_gives_the_same_codes(made: datasets.Simulation) -> None:
    one, same, other = (make_opaque(made, "codes", seed) for seed in (1, 1, 2))
    assert one.log.equals(same.log)
    assert one.key.equals(same.key)
    assert not one.key.equals(other.key)


@pytest.mark.parametrize("suffix", [".csv", ".jsonl"])
def test_it_goes_into_other_files(made: datasets.Simulation, suffix: str, tmp_path: Path) -> None:
    files = write_opaque(made, tmp_path / f"log{suffix}", "bare", seed=1)
    log = events.load(files.log, layout=files.layout, orders=files.orders, folder=tmp_path / "read")
    assert log.summary.sessions == made.counts["sessions"]
    assert log.summary.purchase_sessions == made.counts["purchase_sessions"]


def test_an_unknown_form_and_a_simulation_in_files_are_refused(tmp_path: Path) -> None:
    made = datasets.simulate(20, out=tmp_path / "log.parquet")
    with pytest.raises(UsageError, match="in memory"):
        make_opaque(made)
    with pytest.raises(UsageError, match="unknown opaque form 'code'"):
        make_opaque(datasets.simulate(20), "code")
