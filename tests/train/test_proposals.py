"""Features proposed from the log: a log in codes is learnt from; usual measures stay if enough."""

from __future__ import annotations

import re

import pandas as pd
import pyarrow.parquet as pq
import pytest

from cartcast.datasets import simulate
from cartcast.datasets.opaque import write_opaque
from cartcast.errors import DataError
from cartcast.events import load
from cartcast.features.candidates import propose
from cartcast.live.parity import parity, require_parity
from cartcast.models.folds import forward_folds
from cartcast.models.screen import Screened
from cartcast.moments import Moment
from cartcast.moments.moment import SO_FAR, with_horizon
from cartcast.score import predict
from cartcast.targets import Purchase
from cartcast.train import proposals, train
from cartcast.train.proposals import propose_features

CLICKS = (1, 3, 5, 10)


@pytest.fixture(scope="module")
def opaque(tmp_path_factory):
    """The shop in words that nobody knows, with the outcome in a table beside it."""
    folder = tmp_path_factory.mktemp("opaque")
    made = simulate(sessions=4000, seed=9)
    files = write_opaque(made, folder / "log.parquet", form="codes")
    how = {"layout": str(files.layout), "orders": str(files.orders)}
    return files, how, load(files.log, folder=folder / "clean", **how)


@pytest.fixture(scope="module")
def found(opaque):
    return propose_features(opaque[2], Purchase(), CLICKS, train=0.6, session_gap=1800, seed=1)


def test_a_log_in_codes_is_learnt_from(found):
    assert found.facts["screened"]
    assert found.facts["log_loss"] < found.facts["log_loss_of_shop_features"]
    assert "source_event" in found.features.lineage.columns
    assert set(found.reasons) == set(found.features.names)


def test_names_and_words_do_not_matter(opaque):
    """What is proposed for the log in codes is what is proposed for it in its own words."""
    files, _, coded = opaque
    key = pd.read_csv(files.key, dtype=str, keep_default_na=False)
    meaning = dict(zip(key["code"], key["meaning"], strict=True))
    made, same = propose(coded, most=5000), []
    for feature in made.features.features.values():
        own = re.sub(r"'([cw]\d+)'", lambda m: repr(meaning[m[1]]), repr(feature))
        own = own.replace("'source_event'", "'event_type'")
        same.append(re.sub(r"EarlierWords\('event_type', ", "EarlierEvents(", own))
    named = propose(load(simulate(sessions=4000, seed=9).events), most=5000)
    # Of a log in codes nobody knows that a column holds the currency, which tells nothing new.
    apart = {"First('currency', text=True)", "EarlierEvents('other')"}
    assert {repr(f) for f in named.features.features.values()} == {*same} - apart
    assert apart < {*same}
    assert len(same) > 300


def test_what_comes_after_training_changes_nothing(opaque, found, tmp_path):
    """The same log with its last fifth turned upside down gives the same features."""
    import pyarrow as pa

    files, how, _ = opaque
    raw = pq.read_table(files.log).to_pandas()
    word = how_word(files)
    cut = raw.index > 0.9 * len(raw)
    raw.loc[cut, word] = raw.loc[cut, word].to_numpy()[::-1]
    pq.write_table(pa.Table.from_pandas(raw, preserve_index=False), tmp_path / "log.parquet")
    other = load(tmp_path / "log.parquet", folder=tmp_path / "clean", **how)
    again = propose_features(other, Purchase(), CLICKS, train=0.6, session_gap=1800, seed=1)
    assert again == found


def test_a_list_of_visitors_has_proposals_too(opaque, monkeypatch):
    """What is known of every visitor stands beside the features, and is none of them."""
    # Too few come back and buy here to screen by; so every column that is asked about is kept.
    monkeypatch.setattr(proposals, "_folds", lambda part: forward_folds(part.position, 1))
    monkeypatch.setattr(
        proposals, "screen", lambda X, *_, **more: Screened(tuple(X), {}, 0.1, None)
    )
    daily = Moment("day", every=86_400)
    target = with_horizon(Purchase(), daily, "14d")
    made = propose_features(opaque[2], target, daily, train=0.6, session_gap=1800, seed=1)
    assert 100 < made.facts["kept"] == len(made.features.names) == len(made.reasons)
    assert not {*made.features.names} & {*SO_FAR}


def test_a_history_of_orders_has_a_list_but_no_clicks(tmp_path):
    """What tells is what is known of every visitor, beside the measures of the last order."""
    lines = [f"v{k % 9},s{k},2025-03-{1 + k % 28:02d},purchase,o{k},5" for k in range(60)]
    head = "visitor_id,session_id,event_time,event_type,order_id,revenue"
    (tmp_path / "log.csv").write_text("\n".join([head, *lines]))
    log = load(tmp_path / "log.csv", folder=tmp_path / "clean")
    target = with_horizon(Purchase(), Moment("day"))
    made = propose_features(log, target, Moment("day"), train=0.6, session_gap=1800, seed=1)
    assert "earlier_purchases" in made.features.names
    assert "item_id" not in made.features.lineage.columns
    assert made.facts["why"] == "the log is a history of orders"
    with pytest.raises(DataError, match="no event but purchases"):
        propose_features(log, Purchase(), CLICKS, train=0.6, session_gap=1800, seed=1)


def how_word(files):
    """The column of the opaque log that tells what an event is."""
    import yaml

    return yaml.safe_load(files.layout.read_text())["columns"]["event_type"]


def test_a_run_keeps_the_set_with_its_reasons_and_scores(opaque, tmp_path):
    files, how, _ = opaque
    run = train(
        files.log, **how, features="auto", models=("logistic_regression",), anchors=CLICKS,
        backtest=False, segments=3, run_dir=tmp_path / "run",
    )  # fmt: skip
    told = run.data["features"]
    assert set(told["proposed"]["reasons"]) == set(told["names"])
    assert told["proposed"]["left_out"]
    scores, _ = predict(files.log, run.dir, everything=True, **how)
    assert scores["session_id"].nunique() == 4000
    assert scores["probability"].nunique() > 1000
    assert "EarlierWords(" in repr(dict(run.features.items()))
    first = pq.read_table(files.log).slice(0, 1500)
    pq.write_table(first, tmp_path / "first.parquet")
    require_parity(parity([tmp_path / "first.parquet"], run, layout=how["layout"]))
