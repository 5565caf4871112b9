"""The split keeps time order, a gap of one horizon, and each visitor in one part."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from cartcast.errors import DataError
from cartcast.splits import PARTS, split_by_shares, split_by_time


def anchors(seed: int, sessions: int = 400, visitors: int = 150) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    start = pd.Timestamp("2024-03-01") + pd.to_timedelta(
        np.sort(rng.uniform(0, 20 * 86_400, sessions)), unit="s"
    )
    clicks = rng.integers(1, 5, sessions)
    rows = []
    for i in range(sessions):
        visitor = None if rng.random() < 0.1 else f"v{rng.integers(visitors)}"
        for click in range(1, clicks[i] + 1):
            rows.append(
                {
                    "session_id": f"s{i}",
                    "visitor_id": visitor,
                    "session_start": start[i],
                    "known_time": start[i] + pd.Timedelta(minutes=45),
                    "position": i + 1,
                    "weight": 1.0,
                    "click": click,
                }
            )
    return pd.DataFrame(rows)


@pytest.mark.parametrize("by_clock", [True, False])
@pytest.mark.parametrize("seed", range(5))
def test_parts_are_in_time_order_and_share_no_visitor(seed: int, by_clock: bool) -> None:
    table = anchors(seed)
    split = split_by_time(table, (0.6, 0.2, 0.2), by_clock)
    table["part"] = split.part
    key = "session_start" if by_clock else "position"
    kept = table[table["part"].notna()]
    train, validation, test = (kept[kept["part"] == p] for p in PARTS)
    assert train[key].max() < validation[key].min() < test[key].min()
    if by_clock:
        # A label of one part is known before the next part begins.
        assert train["known_time"].max() <= split.boundaries[0] <= validation[key].min()
        assert validation["known_time"].max() <= split.boundaries[1] <= test[key].min()
    who = kept["visitor_id"].fillna(kept["session_id"])
    assert kept.groupby(who)["part"].nunique().max() == 1
    assert kept.groupby("session_id")["part"].nunique().max() == 1
    total = len(kept) + split.dropped["gap"] + split.dropped["visitor_overlap"]
    assert total == len(table)


def test_weights_restore_the_mix_of_visitors() -> None:
    """With inverse weights, the expected weight of returning visitors is what it was."""
    shares, natural = [], []
    for seed in range(30):
        table = anchors(seed)
        split = split_by_time(table, (0.6, 0.2, 0.2), by_clock=False)
        who = table["visitor_id"].fillna(table["session_id"])
        returning = table.groupby(who)["session_id"].transform("nunique") > 3
        kept = split.part.notna()
        weight = split.weight
        shares.append(weight[kept & returning].sum() / weight[kept].sum())
        natural.append(table["weight"][returning].sum() / table["weight"].sum())
    assert np.mean(shares) == pytest.approx(np.mean(natural), abs=0.02)


def test_a_list_counts_whoever_was_on_one_before() -> None:
    """Lists of the same visitors, week after week, are cut by the lists, not by the first of them."""
    weeks = pd.date_range("2024-01-01", periods=20, freq="7D")
    who = np.tile(np.arange(50).astype(str), len(weeks))
    start = np.repeat(weeks, 50)
    table = pd.DataFrame({"session_id": "s" + pd.Series(who), "visitor_id": who, "weight": 1.0,
                          "session_start": start, "known_time": start + pd.Timedelta(days=7),
                          "position": range(len(who))})  # fmt: skip
    found = split_by_time(table, (0.6, 0.2, 0.2), by_clock=True)
    assert found.boundaries == (weeks[12], weeks[16])
    assert set(found.part.dropna()) == set(PARTS)


def test_too_few_sessions_are_refused() -> None:
    with pytest.raises(DataError, match="at least 3 sessions"):
        split_by_time(anchors(0, sessions=2), (0.6, 0.2, 0.2), True)


def test_shares_are_stratified_and_reproducible() -> None:
    label = pd.Series(np.repeat([0.0, 1.0], [900, 100]))
    split = split_by_shares(label, (0.6, 0.2, 0.2), seed=1)
    positives = label.groupby(split.part).sum()
    assert positives.to_dict() == {"train": 60, "validation": 20, "test": 20}
    assert split.part.equals(split_by_shares(label, (0.6, 0.2, 0.2), seed=1).part)
    assert not split.part.equals(split_by_shares(label, (0.6, 0.2, 0.2), seed=2).part)
