"""A splitter, a test table and a scorer of the user's own: scikit-learn's figures are the truth."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, fbeta_score, make_scorer, mean_absolute_error
from sklearn.model_selection import (
    GroupKFold,
    KFold,
    ShuffleSplit,
    TimeSeriesSplit,
    cross_val_predict,
    cross_val_score,
)

from cartcast.errors import BlockedError, DataError, UsageError
from cartcast.models.fitting import Recipe
from cartcast.models.own import own_model
from cartcast.rows import from_table
from cartcast.train import Options, Run, train
from cartcast.train.champion import choose_champion
from cartcast.train.fit import Plan, fit_one
from cartcast.train.given_split import folds_of, of_fold, with_test
from cartcast.train.scorer import scored, scorer_of
from cartcast.train.table import _audit
from cartcast.train.task import Part, Task, part_of


def table(rows: int = 500, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(rows, 2))
    p = 1 / (1 + np.exp(-(2 * x[:, 0] - x[:, 1] - 1)))
    return pd.DataFrame(
        {
            "a": x[:, 0],
            "b": x[:, 1],
            "who": rng.integers(0, rows // 3, rows).astype(str),
            "day": pd.date_range("2024-01-01", periods=rows, freq="h"),
            "buys": (rng.random(rows) < p).astype(int),
        }
    )


def whole(source: pd.DataFrame, **roles: Any) -> Part:
    rows = from_table(source, "buys", **roles)
    return part_of(rows, pd.Series(True, index=rows.table.index))


LINE = LogisticRegression()
SOURCE = table()
X, Y = SOURCE[["a", "b"]], SOURCE["buys"]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return train(
        rows=SOURCE.drop(columns="day"), target="buys", group="who", models=("line", LINE),
        splitter=GroupKFold(4), scorer="neg_log_loss", choose_by="scorer", calibration="none",
        run_dir=tmp_path_factory.mktemp("given") / "run", threads=1,
    )  # fmt: skip


def test_a_splitter_gives_the_figures_of_cross_val_score(run: Run) -> None:
    groups = SOURCE["who"]
    plain = cross_val_score(LINE, X, Y, groups=groups, cv=GroupKFold(4), scoring="neg_log_loss")
    own = run.data["scorer"]
    np.testing.assert_allclose(own["folds"]["line"], plain, rtol=1e-9)
    said = cross_val_predict(LINE, X, Y, groups=groups, cv=GroupKFold(4), method="predict_proba")
    np.testing.assert_allclose(run.test["p__line"], said[:, 1], atol=1e-12)
    assert own["test"]["line"]["value"] == pytest.approx(-run.metrics["line"]["log_loss"])
    assert own["test"]["line"]["low"] < own["test"]["line"]["value"] < own["test"]["line"]["high"]


def test_a_run_says_what_was_given(run: Run) -> None:
    told = run.data["options"]
    assert told["splitter"].startswith("GroupKFold(n_splits=4")
    assert (told["scorer"], told["choose_by"], told["test"]) == ("neg_log_loss", "scorer", None)
    assert told["own"]["line"].startswith("LogisticRegression()")
    assert "4 folds of GroupKFold" in run.data["split"]["describe"]
    assert run.data["choice"]["reason"].startswith("line has the best neg_log_loss (-0.")
    assert "By the user's scorer" in (run.dir / "card.md").read_text()
    assert "neg_log_loss" in run.report.read_text()


def test_folds_that_tear_a_visitor_apart_are_blocked(tmp_path: Path) -> None:
    with pytest.raises(BlockedError, match="LK302"):
        train(
            rows=SOURCE, target="buys", group="who", models="lightgbm", splitter=KFold(3),
            run_dir=tmp_path / "run",
        )  # fmt: skip


def test_rows_that_no_fold_judges_are_not_in_the_figures() -> None:
    options = Options(target="buys", time="day", splitter=TimeSeriesSplit(4))
    rows = from_table(SOURCE, "buys", time="day", group="who")
    folds = folds_of(options.splitter, rows, options)
    for (fit, held), (wanted_fit, wanted_held) in zip(
        folds, TimeSeriesSplit(4).split(X), strict=True
    ):
        np.testing.assert_array_equal(fit, wanted_fit)
        np.testing.assert_array_equal(held, wanted_held)
    assert of_fold(folds[-1], folds, rows, options).method == "splitter+time"
    backwards = from_table(SOURCE[::-1], "buys", time="day")
    again = folds_of(options.splitter, backwards, options)
    assert of_fold(again[-1], again, backwards, options).method == "splitter"


def test_forward_folds_follow_the_clock_of_an_unsorted_table() -> None:
    shuffled = SOURCE.sample(frac=1.0, random_state=1)
    plan = Plan("classifier", Recipe(), ordered=True)
    rows = whole(shuffled, time="day")
    day = rows.keys["session_start"]
    folds = plan.folds(rows, own_model(("line", LINE)))
    assert sum(len(held) for _, held in folds) == len(SOURCE) // 2
    for fit, held in folds:
        assert day[fit].max() < day[held].min()
        assert len(fit) == (day < day[held].min()).sum()


def test_a_shuffling_splitter_has_the_seed_of_the_run() -> None:
    rows, options = from_table(SOURCE, "buys"), Options(target="buys", seed=5)
    splitter = KFold(3, shuffle=True)
    one, two = (folds_of(splitter, rows, options) for _ in range(2))
    seeded = KFold(3, shuffle=True, random_state=5).split(X)
    for (_, a), (_, b), (_, c) in zip(one, two, seeded, strict=True):
        np.testing.assert_array_equal(a, b)
        np.testing.assert_array_equal(a, c)
    assert splitter.random_state is None


def test_a_test_table_judges_and_nothing_else(tmp_path: Path) -> None:
    first, last = SOURCE[:350], SOURCE[350:]
    run = train(
        first[["a", "b"]], first["buys"], test=(last[["a", "b"]], last["buys"]),
        models=[("line", LINE)], calibration="none", run_dir=tmp_path / "run", threads=1,
        scorer=make_scorer(fbeta_score, beta=2),
    )  # fmt: skip
    fitted = LogisticRegression().fit(X[:350], Y[:350])
    plain = fitted.predict_proba(X[350:])[:, 1]
    np.testing.assert_allclose(run.test["p__line"], plain, atol=1e-12)
    in_use = run.pipeline.predict_proba(last[["a", "b"]])[:, 1]
    np.testing.assert_allclose(in_use, plain, atol=1e-12)
    assert run.data["refit"]["refitted"] is False
    wanted = fbeta_score(Y[350:], plain >= 0.5, beta=2)
    assert run.data["scorer"]["test"]["line"]["value"] == pytest.approx(wanted)
    assert "150 rows beside 350" in run.data["split"]["describe"]


def test_copies_between_the_two_tables_are_found(tmp_path: Path) -> None:
    last = pd.concat([SOURCE[:100], SOURCE[300:400]])
    with pytest.raises(BlockedError, match="LK303"):
        train(
            rows=SOURCE[:300], test=last, target="buys", drop=["who"], models="lightgbm",
            run_dir=tmp_path / "run",
        )  # fmt: skip


def test_a_test_table_is_read_as_the_rows_were() -> None:
    words = SOURCE.assign(buys=np.where(Y == 1, "yes", "no"), kind=["1", "x"] * 250)
    rows = from_table(words[:300], "buys", time="day", group="who")
    later = words[300:].assign(kind="1", a=words["a"].map("{:.17g}".format))
    options = Options(target="buys", time="day", group="who", test=later)
    both, split = with_test(rows, options)
    assert both.values["kind"].iloc[-1] == "1"
    np.testing.assert_allclose(both.values["a"], SOURCE["a"])
    np.testing.assert_array_equal(both.table["label"], Y)
    assert split.part.value_counts().to_dict() == {"train": 300, "test": 200}
    assert split.method == "test table+time"
    assert both.table["session_id"].is_unique
    for changed, error, message in (
        (later.drop(columns="a"), UsageError, "no column 'a'"),
        (later.assign(a="far"), DataError, "column 'a', row 1: must be a number"),
        (later.assign(buys="maybe"), UsageError, "no row has buys = 'yes'"),
        (later.assign(buys=["yes", "maybe"] * 100), DataError, "has the value 'maybe'"),
    ):
        with pytest.raises(error, match=message):
            with_test(rows, Options(target="buys", time="day", group="who", test=changed))


def test_an_amount_of_two_values_in_the_test_is_an_amount() -> None:
    spent = SOURCE[["a", "b"]].assign(spent=np.exp(SOURCE["a"]))
    later = spent[300:].assign(spent=[0.0, 5.0] * 100)
    both, _ = with_test(from_table(spent[:300], "spent"), Options(target="spent", test=later))
    assert both.table["amount"].iloc[-1] == 5.0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"splitter": 5}, "splitter must be one of scikit-learn's, such as GroupKFold.5., got int"),
        ({"splitter": GroupKFold(3)}, "name the column of the groups with group="),
        ({"splitter": ShuffleSplit(3)}, "judge no row twice"),
        ({"splitter": KFold(3), "folds": 3}, "give folds or splitter, one of them only"),
        ({"scorer": "averge_precision"}, "Did you mean 'average_precision'"),
        ({"scorer": 3}, "scorer must be a name of scikit-learn's"),
        ({"choose_by": "scorer"}, "needs a scorer"),
        ({"choose_by": "luck", "scorer": "roc_auc"}, "choose_by must be loss or scorer"),
    ],
)
def test_what_does_not_fit_is_told_in_one_line(
    options: dict[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        train(rows=SOURCE, target="buys", models="lightgbm", run_dir=tmp_path / "run", **options)
    assert "\n" not in str(caught.value)


def test_a_log_takes_neither(tmp_path: Path) -> None:
    for given in ({"splitter": KFold(3)}, {"test": SOURCE}):
        with pytest.raises(UsageError, match="the moments of a log are split by time and visitors"):
            train(tmp_path / "shop.parquet", run_dir=tmp_path / "run", **given)


def test_scores_are_those_of_scikit_learn_with_weights_where_they_are_taken() -> None:
    rng = np.random.default_rng(3)
    rows = whole(SOURCE)
    weight = rng.uniform(0.5, 1.5, len(rows))
    rows = Part(rows.rows, rows.index, weight / weight.mean())
    p = rng.uniform(size=len(rows))
    found = scored(scorer_of("average_precision"), "classifier", rows, p)
    wanted = average_precision_score(Y, p, sample_weight=rows.weight)
    assert found.value == pytest.approx(wanted)

    def dear(estimator: Any, X: pd.DataFrame, y: Any) -> float:
        """Of rows with a large `a` only: a scorer may look at the features."""
        big = X[X["a"] > 0]
        return -float(np.abs(y[(X["a"] > 0).to_numpy()] - estimator.predict_proba(big)[:, 1]).sum())

    big = (SOURCE["a"] > 0).to_numpy()
    value = scored(scorer_of(dear), "classifier", rows, p).value
    assert value == pytest.approx(-np.abs(Y[big] - p[big]).sum())
    with pytest.raises(UsageError, match="scorer '.lambda.' failed: ZeroDivisionError"):
        scored(scorer_of(lambda e, X, y: 1 / 0), "classifier", rows, p)


def test_the_interval_is_that_of_a_mean() -> None:
    """Of a mean the jackknife over many rows is the usual standard error."""
    rows, rng = whole(pd.concat([SOURCE] * 8, ignore_index=True)), np.random.default_rng(0)
    p = rng.uniform(size=len(rows))
    loss = np.abs(rows.label - p)
    scorer = scorer_of(make_scorer(mean_absolute_error, greater_is_better=False))
    as_amount = scored(scorer, "regressor", rows, p)
    assert as_amount.value == pytest.approx(-loss.mean())
    ends = as_amount.interval
    assert ends["high"] is not None
    assert ends["low"] is not None
    usual = 2 * 1.645 * loss.std() / np.sqrt(len(loss))
    assert (ends["high"] - ends["low"]) / usual == pytest.approx(1.0, abs=0.4)


def test_a_scorer_chooses_only_where_it_was_asked() -> None:
    """Half of the probabilities ranks as well as all of them, but is far off."""
    rows = whole(SOURCE)
    own = {n: own_model((n, LINE)) for n in ("true", "half")}
    plan = Plan("classifier", Recipe(), blocks=2, own=own)
    base, good = (fit_one(n, rows, plan) for n in ("prevalence", "true"))
    worse = fit_one("half", rows, plan)
    worse.held[:] = good.held / 4
    good.held[:] = np.where(good.held > 0.5, 0.6, 0.3)
    task = Task("classifier", {}, rows.rows, None, rows, rows, {}, {}, {})  # type: ignore[arg-type]

    def chosen(**options: Any) -> str:
        return choose_champion([base, good, worse], task, Options(**options))[0].name

    assert chosen() == "true"
    assert chosen(scorer=scorer_of("roc_auc")) == "true"
    assert chosen(scorer=scorer_of("roc_auc"), choose_by="scorer") == "half"


def test_leaks_of_several_columns_are_all_told_with_folds_too() -> None:
    y = SOURCE["buys"]
    noise = np.random.default_rng(1).normal(size=(2, len(y))) * 0.01
    leaky = SOURCE.drop(columns=["day", "who"]).assign(one=2 * y + noise[0], two=3 * y + noise[1])
    rows, options = from_table(leaky, "buys"), Options(target="buys", splitter=KFold(3))
    folds = folds_of(KFold(3), rows, options)
    splits = [of_fold(f, folds, rows, options) for f in folds]
    told = {f.evidence.get("column") for f in _audit(rows, splits, options) if f.code == "LK401"}
    assert told == {"one", "two"}


def test_a_score_without_the_only_positives_is_undefined_and_not_an_error() -> None:
    rows = whole(SOURCE.assign(buys=np.arange(len(SOURCE)) == 7), group="who")
    found = scored(scorer_of("neg_log_loss"), "classifier", rows, np.full(len(rows), 0.01))
    assert np.isfinite(found.value)
    assert np.isnan(found.without).sum() == 1
    assert found.interval["low"] is None


def test_a_scorer_of_ones_own_is_not_taken_for_one_of_its_name() -> None:
    def accuracy(estimator: Any, X: Any, y: Any) -> float:
        return 0.0

    assert scorer_of(accuracy).name == scorer_of("accuracy").name
    assert scorer_of(accuracy).own
    assert not scorer_of("accuracy").own


def test_a_test_that_lies_before_is_not_later() -> None:
    options = Options(target="buys", time="day", test=SOURCE[:100])
    rows = from_table(SOURCE[100:], "buys", time="day")
    assert with_test(rows, options)[1].method == "test table"
    rows = from_table(SOURCE[:100], "buys", time="day")
    later = Options(target="buys", time="day", test=SOURCE[100:])
    assert with_test(rows, later)[1].method == "test table+time"
