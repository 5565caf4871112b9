"""Ready tables as they lie: targets of any two values, dates, words for nothing, ids."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from cartcast.errors import DataError, UsageError
from cartcast.models.checks import check_table
from cartcast.rows import Rows, from_table, read_as_trained
from cartcast.rows.rows import KEYS
from cartcast.score import predict
from cartcast.train import train


def table(target: list[Any], **more: Any) -> pd.DataFrame:
    return pd.DataFrame({"x": np.arange(len(target)), "t": target, **more})


def codes(rows: Rows) -> set[str]:
    return {f.code for f in rows.findings}


@pytest.mark.parametrize(
    ("values", "positive", "told"),
    [
        ((0, 1), "1", False),
        ((False, True), "True", False),
        (("FALSE", "TRUE"), "TRUE", False),
        ((0.0, 1.0), "1", False),
        (("n", "y"), "y", True),
        (("no", "Yes"), "Yes", True),
        (("Down", "Up"), "Up", True),
        (("-", "+"), "+", True),
        ((1, 2), "2", True),
        ((-1, 1), "1", True),
        (("non-buyer", "buyer"), "buyer", True),
        (("NO_RELAPSE", "RELAPSE"), "RELAPSE", True),
        (("none", "churn"), "churn", True),
        (("CH", "MM"), "MM", True),  # MM is the rarer
        (("<=50K", ">50K"), ">50K", True),
        ((49.9, 99.9), "99.9", True),
    ],
)
@pytest.mark.parametrize("form", ["csv", "parquet", "memory", "category"])
def test_any_two_values_are_two_outcomes(
    values: tuple[Any, Any], positive: str, told: bool, form: str, tmp_path: Path
) -> None:
    frame = table([values[0]] * 6 + [values[1]] * 3)
    source: Any = frame
    if form == "csv":
        source = tmp_path / "t.csv"
        frame.to_csv(source, index=False)
    elif form == "parquet":
        source = tmp_path / "t.parquet"
        frame.to_parquet(source)
    elif form == "category":
        source = frame.astype({"t": "category"})
    rows = from_table(source, "t")
    assert rows.table["label"].tolist() == [0.0] * 6 + [1.0] * 3
    assert rows.positive == positive
    assert ("MD104" in codes(rows)) == told


def test_the_positive_value_can_be_named() -> None:
    frame = table(["CH"] * 5 + ["MM"] * 3)
    rows = from_table(frame, "t", positive="ch")
    assert (rows.positive, rows.table["label"].sum()) == ("CH", 5)
    assert from_table(table([0, 1, 1]), "t", positive=0).table["label"].tolist() == [1, 0, 0]
    three = table(["a", "b", "c", "a"])
    assert from_table(three, "t", positive="a").table["label"].tolist() == [1, 0, 0, 1]
    with pytest.raises(DataError, match=r"3 different words: 'a', 'b', 'c'; say with --positive"):
        from_table(three, "t")
    with pytest.raises(UsageError, match=r"Did you mean 'CH'"):
        from_table(frame, "t", positive="CHH")


def test_amounts_stay_amounts_and_nothing_is_no_outcome() -> None:
    rows = from_table(table(["1,50", "2,5", "0", "7"]), "t")
    assert rows.table["label"].tolist() == [1.5, 2.5, 0.0, 7.0]
    assert rows.positive is None
    for bad in (["y", "n", ""], ["y", "n", None], ["y", "n", "?"], [1.0, 2.0, np.nan]):
        with pytest.raises(DataError, match="missing in 1 of 3"):
            from_table(table(bad), "t")


def test_dates_are_left_out_and_said() -> None:
    when = pd.date_range("2024-05-01", periods=4)
    rows = from_table(table([0, 1, 0, 1], a=when, b=when.astype(str), c=["a", "b", "a", ""]), "t")
    assert rows.features == ("x", "c")
    assert rows.categorical == ("c",)
    assert [f.evidence["columns"] for f in rows.findings if f.code == "MD105"] == [["a", "b"]]
    timed = from_table(table([0, 1, 0, 1], a=when), "t", time="a")
    assert timed.table["anchor_time"].tolist() == when.tolist()
    with pytest.raises(DataError, match=r"got '03/04/2024' \(either of %d/%m/%Y and %m/%d/%Y\)"):
        from_table(table([0, 1], a=["03/04/2024", "05/04/2024"]), "t", time="a")
    with pytest.raises(DataError, match="row 2: the time column 'a' is empty"):
        from_table(table([0, 1], a=["2024-05-01", None]), "t", time="a")


@pytest.mark.parametrize("holes", [0, 1])
@pytest.mark.parametrize("word", ["", "u"])
def test_an_id_is_an_id_with_a_hole_in_it(holes: int, word: str) -> None:
    ids = [f"{word}{i}" for i in range(1, 201)]
    ids[100 : 100 + holes] = ["?"] * holes
    rows = from_table(table([0, 1] * 100, id=ids), "t", drop=("x",))
    found = check_table(rows.X.assign(z=np.arange(200) % 7), rows.y)
    assert "MD122" in {f.code for f in found}


def test_visitors_of_long_ids_stay_apart() -> None:
    ids = [2**60 + 1, 2**60 + 2, 2**60 + 1]
    rows = from_table(table([0, 1, 0], who=ids), "t", group="who")
    assert rows.groups.tolist() == [str(i) for i in ids]
    assert from_table(table([0, 1]), "t").groups.tolist() == ["session:1", "session:2"]


def shop(n: int = 300) -> pd.DataFrame:
    rng = np.random.default_rng(3)
    x = rng.normal(size=n)
    said = np.where(rng.random(n) < 1 / (1 + np.exp(-2 * x)), "Up", "Down")
    return pd.DataFrame(
        {
            "x": x.round(3),
            "day": pd.date_range("2024-01-01", periods=n, freq="h"),
            "kept": pd.to_timedelta(np.arange(n) * 7 % 50, unit="s"),
            "size": rng.choice(["S", "M"], n),
            "way": said,
        }
    )


def test_units_and_files_do_not_move_a_score(tmp_path: Path) -> None:
    frame = shop()
    run = train(
        rows=frame, target="way", models=("logistic_regression",), run_dir=tmp_path / "run",
        threads=1,
    )  # fmt: skip
    assert run.data["target"]["positive"] == "Up"
    assert run.data["target"]["describe"] == "column way is Up, as the table gives it"
    truth = predict(frame, run.dir)[0]["probability"]
    assert truth.corr(pd.Series(frame["x"], name="x")) > 0.8
    for unit in ("s", "ms", "us", "ns"):
        frame.astype({"day": f"datetime64[{unit}]", "kept": f"timedelta64[{unit}]"}).to_parquet(
            tmp_path / "t.parquet"
        )
        said = predict(tmp_path / "t.parquet", run.dir)[0]["probability"]
        pd.testing.assert_series_equal(said, truth)
    frame.to_csv(tmp_path / "t.csv", index=False)
    pd.testing.assert_series_equal(predict(tmp_path / "t.csv", run.dir)[0]["probability"], truth)
    holed = frame.astype({"x": object})
    holed.loc[3, "x"] = "?"
    said, found = predict(holed, run.dir)
    assert [f.code for f in found] == ["MD103"]
    pd.testing.assert_series_equal(said["probability"].drop(3), truth.drop(3))
    with pytest.raises(DataError, match="column 'x', row 1: must be a number as in training"):
        predict(frame.assign(x="many"), run.dir)
    with pytest.raises(DataError, match="no column 'x', which the model reads"):
        predict(frame.drop(columns="x"), run.dir)


def test_a_run_from_before_meanings_is_read_by_its_kinds() -> None:
    older = {"names": ["a", "b"], "categorical": ["b"]}
    X, _ = read_as_trained({"a": ["True", "2"], "b": [1.0, 2.0]}, older)
    assert X["a"].tolist() == [1.0, 2.0]
    assert X["b"].tolist() == ["1", "2"]


def test_features_may_be_called_like_our_own_columns(tmp_path: Path) -> None:
    """An amount, a weight, a position: the same table under other names gives the same model."""
    draw = np.random.default_rng(3)
    names = [*KEYS, "part", "probability", "segment", "row", "p", "y"]
    values = pd.DataFrame(draw.normal(size=(400, len(names))).round(3), columns=names)
    chance = 1 / (1 + np.exp(-2 * values["amount"] - values["label"]))
    values["who"] = draw.integers(0, 150, 400)
    values["bought"] = (draw.random(400) < chance).astype(int)
    plain = values.rename(columns={name: f"x_{name}" for name in names})
    runs = []
    for number, frame in enumerate((values, plain)):
        run = train(rows=frame, target="bought", group="who", run_dir=tmp_path / str(number),
                    models=["logistic_regression"])  # fmt: skip
        runs.append((run, predict(frame.drop(columns="bought"), run.dir)[0]))
    (own, first), (other, second) = runs
    pd.testing.assert_series_equal(first["probability"], second["probability"])
    assert {f.code for f in own.findings} == {f.code for f in other.findings}
    renamed = other.test.rename(columns=lambda name: name.removeprefix("x_"))
    assert list(own.test) == list(renamed)
