"""Encodings and lifetime totals against honest values of the same groups."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from cartcast.leakage import AuditInput, audit

FAMILIES = ("time",)


def sessions(n: int, seed: int) -> pd.DataFrame:
    """Sessions of visitors and landing pages that differ, with honest values of both."""
    rng = np.random.default_rng(seed)
    visitor, landing = rng.integers(0, n // 3, n), rng.integers(0, n // 15, n)
    own, page = rng.beta(1, 6, n // 3), rng.normal(0, 0.5, n // 15)
    odds = own[visitor] / (1 - own[visitor]) * np.exp(page[landing])
    table = pd.DataFrame({"visitor": visitor, "landing": landing, "pages": rng.poisson(5, n)})
    table["label"] = (rng.random(n) < odds / (1 + odds)).astype(int)
    table["time"] = pd.Timestamp("2026-01-01") + pd.to_timedelta(np.arange(n), unit="min")
    table["age"] = np.round(30 + 40 * own + rng.normal(0, 5, n // 3))[visitor]
    table["price"] = np.round(np.exp(3 + page), 2)[landing]
    past = table.groupby("visitor")["label"]
    table["past"] = past.cumsum() - table["label"]
    pages = table.groupby("landing")["label"]
    table["so_far"] = (pages.cumsum() - table["label"] + 2) / (pages.cumcount() + 10)
    return table


def found(table: pd.DataFrame, cut: float = 0.7, **roles: str) -> set[str]:
    n = int(cut * len(table))
    features = [c for c in table if c not in ("label", "visitor", "time")]
    given = AuditInput(train=table[:n], test=table[n:], target="label", features=features, **roles)
    return {f.evidence["column"] for f in audit(given, families=FAMILIES) if f.severity == "block"}


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    "roles", [{"visitor": "visitor", "time": "time"}, {"visitor": "visitor"}, {}]
)
def test_honest_values_of_groups_pass(seed, roles) -> None:
    table = sessions(3000, seed)
    assert found(table, **roles) == set()
    assert found(table.sample(frac=1.0, random_state=seed), **roles) == set()


def encoding(table: pd.DataFrame, how: str) -> pd.Series:
    rng = np.random.default_rng(1)
    group = table.groupby("landing")["label"]
    mean = group.transform("mean")
    if how == "smoothed":
        return (group.transform("sum") + 8 * table["label"].mean()) / (group.transform("size") + 8)
    if how == "noise":
        return mean + rng.normal(0, mean.std() / 2, len(table))
    return mean.round(2) if how == "rounded" else mean


@pytest.mark.parametrize("how", ["exact", "rounded", "smoothed", "noise"])
def test_an_encoding_over_the_whole_table(how) -> None:
    table = sessions(6000, 0)
    leaky = table.assign(rate=encoding(table, how))
    assert found(leaky, time="time", visitor="visitor") == {"rate"}
    if how in ("exact", "rounded"):
        assert found(leaky.drop(columns="landing")) == {"rate"}


def test_an_encoding_of_training_rows_passes() -> None:
    table = sessions(6000, 0)
    ours = table[:4200].groupby("landing")["label"].mean()
    rate = table["landing"].map(ours).fillna(ours.mean())
    assert found(table.assign(rate=rate)) == set()


@pytest.mark.parametrize("what", ["bought", "spent", "pages"])
@pytest.mark.parametrize("clock", [True, False])
def test_a_lifetime_total(what, clock) -> None:
    table = sessions(4000, 1)
    amount = {
        "bought": table["label"],
        "spent": table["label"] * np.random.default_rng(0).lognormal(4, 0.5, len(table)),
        "pages": table["pages"],
    }[what]
    leaky = table.assign(life=amount.groupby(table["visitor"]).transform("sum"))
    roles = {"visitor": "visitor"} | ({"time": "time"} if clock else {})
    assert found(leaky, **roles) == {"life"}


@pytest.mark.parametrize("seed", range(5))
def test_rounding_does_not_hide_a_value_of_a_group(seed) -> None:
    rng = np.random.default_rng(seed)
    owner, y = rng.integers(0, 900, 2700), (rng.random(2700) < 0.17).astype(int)
    table = pd.DataFrame({"visitor": owner, "pages": rng.poisson(5, 2700), "label": y})
    table["life"] = table.groupby("visitor")["label"].transform("sum") / 3
    assert found(table, visitor="visitor") == {"life"}


def test_a_label_that_hardly_occurs() -> None:
    """Nothing is left to have an error where no judged group holds an outcome."""
    table = sessions(900, 0).assign(label=0)
    table.loc[:4, "label"] = 1
    assert found(table.assign(life=table.groupby("visitor")["label"].transform("sum"))) <= {"life"}
