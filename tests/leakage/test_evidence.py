from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from cartcast.leakage import AuditInput, audit

FAMILIES = ("evidence",)


def with_column(shop, make) -> dict[str, object]:
    rng = np.random.default_rng(0)
    return {
        "train": shop.train.assign(x=make(shop.train, rng)),
        "test": shop.test.assign(x=make(shop.test, rng)),
        "add": ("x",),
    }


def separated(auc: float):
    """Two shifted normals whose ROC AUC is `auc`: a strong but honest column."""
    from scipy.stats import norm

    shift = float(np.sqrt(2) * norm.ppf(auc))
    return lambda t, rng: t["label"] * shift + rng.normal(size=len(t))


@pytest.mark.parametrize(
    "make",
    [
        lambda t, rng: t["label"] * 17.5 + rng.random(len(t)),
        lambda t, rng: np.where(t["label"] == 1, np.nan, rng.random(len(t))),
        lambda t, rng: np.where(t["label"] == 1, "paid", "open"),
        lambda t, rng: (
            np.abs(rng.normal(size=len(t))) * np.where(t["label"] == 1, -1, 1) + 5 * t["label"]
        ),
    ],
    ids=["shifted", "null for buyers", "a word", "two-sided"],
)
def test_a_column_that_reproduces_the_label_blocks(find, shop, make) -> None:
    found = find(**with_column(shop, make))
    assert found["LK401"].severity == "block"
    assert found["LK401"].evidence["column"] == "x"


def test_a_strong_honest_column_does_not_block(find, shop) -> None:
    for auc in (0.85, 0.93):
        found = find(**with_column(shop, separated(auc)))
        assert not {"LK401", "LK402", "LK403"} & set(found), auc


def test_a_suspicious_column_is_named(find, shop) -> None:
    more = pd.concat(
        [shop.train.assign(session_id=shop.train["session_id"] + f"-{i}") for i in range(8)],
        ignore_index=True,
    )
    column = separated(0.988)(more, np.random.default_rng(0))
    found = find(train=more.assign(x=column), test=None, add=("x",), visitor=None)
    assert found["LK402"].evidence["column"] == "x"
    assert "LK401" not in found


def test_clean_shop_says_nothing(find) -> None:
    assert set(find()) <= {"LK503"}


def test_a_rule_over_two_columns_blocks(find, shop) -> None:
    def label(t: pd.DataFrame) -> pd.Series:
        return ((t["elapsed"] > 60) & (t["price_mean"] > 40)).astype(float)

    given = {"train": shop.train.assign(label=label), "test": shop.test.assign(label=label)}
    found = find(**given)
    assert found["LK403"].severity == "block"
    assert "elapsed" in found["LK403"].message
    assert "price_mean" in found["LK403"].message


def test_few_rows_prove_nothing() -> None:
    """Six rows are told apart by some column by chance; no block, no matter how often."""
    for seed in range(8):
        rng = np.random.default_rng(seed)
        table = pd.DataFrame(rng.normal(size=(12, 20))).add_prefix("x").assign(y=[0, 1] * 6)
        assert not [f for f in audit(AuditInput(train=table, target="y")) if f.severity == "block"]


def test_numbers_as_label() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(3000, 3))
    table = pd.DataFrame(x, columns=["a", "b", "c"])
    honest = table.assign(money=np.exp(table["a"] + rng.normal(size=3000)))
    leaky = honest.assign(gross=honest["money"] * 1.23)
    assert audit(AuditInput(train=honest, target="money"), FAMILIES) == []
    (found,) = audit(AuditInput(train=leaky, target="money"), FAMILIES)
    assert found.code == "LK401"
    assert found.evidence["column"] == "gross"


def test_a_cell_that_never_converts(find, shop) -> None:
    def filled(t, rng):
        out = np.where(rng.random(len(t)) < 0.6, "none", "seen")
        return np.where(t["label"] == 1, "seen", out)

    found = find(**with_column(shop, filled))
    assert found["LK404"].evidence["cell"] == "is 'none'"
    honest = find(**with_column(shop, lambda t, rng: rng.choice(["none", "seen"], len(t))))
    assert "LK404" not in honest


def test_rows_of_one_group_are_not_news() -> None:
    """One session's label repeated a thousand times is one observation."""
    rng = np.random.default_rng(1)
    few = pd.DataFrame({"session": np.arange(8), "y": [0, 1] * 4, "x": [0.0, 1.0] * 4})
    table = few.loc[rng.integers(0, 8, 4000)].reset_index(drop=True)
    table["noise"] = rng.normal(size=4000)
    found = audit(AuditInput(train=table, target="y", session="session", features=["x", "noise"]))
    alone = audit(AuditInput(train=table, target="y", features=["x", "noise"]), FAMILIES)
    assert "LK401" in [f.code for f in alone]
    assert "LK401" not in [f.code for f in found]


def test_the_usual_rule_is_named_on_the_usual_table(eshop_file) -> None:
    """The published target is a rule over two of its own features."""
    import duckdb

    with duckdb.connect() as db:
        import zipfile

        with zipfile.ZipFile(eshop_file) as archive:
            (name,) = [n for n in archive.namelist() if n.endswith(".csv")]
            clicks = pd.read_csv(archive.open(name), sep=";")
        db.register("clicks", clicks)
        table = db.execute(
            "SELECT count(*) AS session_length, sum(price) AS total_spend, "
            "(count(*) > 5 AND sum(price) > 50)::INT AS conversion "
            'FROM clicks GROUP BY "session ID"'
        ).df()
    found = audit(AuditInput(train=table, target="conversion"))
    (finding,) = [
        f for f in found if f.code == "LK401" and f.evidence["column"] == "session_length"
    ]
    assert finding.evidence["roc_auc"] == 1.0
