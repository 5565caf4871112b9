"""Whom to treat: a planted effect is found and told in words, and none is made of noise."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cartcast.cli import main
from cartcast.errors import CartcastError, UsageError
from cartcast.experiments import plan_from
from cartcast.experiments.whom import whom

PLAN = {
    "key": "offer", "unit": "visitor_id", "arms": {"control": 0.5, "offer": 0.5},
    "metrics": {"revenue": {"mean": "money"}, "median": {"quantile": "money", "q": 0.5}},
}  # fmt: skip


def units(n: int = 6000, effect: float = 4.0, seed: int = 1) -> pd.DataFrame:
    """The offer is worth `effect` to who saw dear things, and costs half of it with the others."""
    rng = np.random.default_rng(seed)
    price, treated = rng.uniform(0, 100, n), rng.random(n) < 0.5
    gain = np.where(price > 50, effect, -effect / 2)
    return pd.DataFrame(
        {
            "visitor_id": [f"v{k}" for k in range(n)],
            "arm": np.where(treated, "offer", "control"),
            "price": price, "noise": rng.normal(size=n), "score": rng.random(n),
            "money": rng.gamma(2.0, 5.0, n) + gain * treated,
        }
    )  # fmt: skip


def test_who_gains_is_chosen_and_said():
    found = whom(units(), plan_from(PLAN), "revenue", features=["price", "noise"], score="score")
    values = {name: e.value for name, e in found.policies.values.items()}
    # 4 and -2 to the two halves. The straight line through the step is 1 + 0.09 (price - 50), above
    # zero from a price of 39: it treats 61 %, for 0.5 x 4 - 0.11 x 2.
    assert values["everybody"] - values["nobody"] == pytest.approx(1.0, abs=0.4)
    assert values["by uplift"] - values["nobody"] == pytest.approx(1.78, abs=0.4)
    for other in ("everybody", "as many at random", "the likeliest to buy"):
        assert values["by uplift"] > values[other] + 0.2
    assert found.ranking.low > 0
    assert not found.policies.findings
    treat = [line for line in found.rule.lines() if line.startswith("treat")]
    assert all("price" in line for line in treat)
    both = found.uplift.merge(units()[["visitor_id", "price"]])
    assert both["uplift"].corr(both["price"]) > 0.8


def test_nothing_is_made_of_noise():
    found = whom(units(effect=0.0), plan_from(PLAN), "revenue", features=["price", "noise"])
    assert found.ranking.low <= 0 <= found.ranking.high
    assert [f.code for f in found.policies.findings] == ["XP118"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"metric": "median"}, "for a mean or a proportion"),
        ({"metric": "revenu"}, "Did you mean 'revenue'"),
        ({"features": ["prise"]}, "Did you mean 'price'"),
        ({"features": []}, "nothing before the exposure"),
        ({"arm": "control"}, "there is no arm 'control'"),
    ],
)
def test_what_cannot_be_asked_is_said(change, words):
    asked = {"metric": "revenue", "features": ["price"], **change}
    with pytest.raises(UsageError, match=words):
        whom(units(200), plan_from(PLAN), asked.pop("metric"), **asked)
    with pytest.raises(CartcastError, match="200 units have several rows"):
        whom(pd.concat([units(200)] * 2), plan_from(PLAN), "revenue", features=["price"])
    with pytest.raises(CartcastError, match="uplift needs 50"):
        whom(units(60), plan_from(PLAN), "revenue", features=["price"])


def test_the_verb_tells_and_writes(tmp_path: Path, capsys):
    # Ids that are numbers with a point lose their end where they are read as such.
    ids = [f"{1234567890 + k}.1677654{k:04d}" for k in range(1500)]
    units(1500).assign(visitor_id=ids).to_csv(tmp_path / "units.csv", index=False)
    (tmp_path / "plan.yaml").write_text(json.dumps(PLAN))
    with pytest.raises(SystemExit) as ended:
        main(["experiment", "whom", str(tmp_path / "units.csv"), "--plan",
              str(tmp_path / "plan.yaml"), "--metric", "revenue", "--features", "price",
              "--out", str(tmp_path / "uplift.csv")])  # fmt: skip
    told = capsys.readouterr().out
    assert ended.value.code in (0, None), told
    assert "offer against control: 1,500 units, revenue a unit" in told
    assert "order by uplift" in told
    written = pd.read_csv(tmp_path / "uplift.csv", dtype={"visitor_id": str})
    assert list(written.columns) == ["visitor_id", "uplift"]
    assert list(written["visitor_id"]) == ids
