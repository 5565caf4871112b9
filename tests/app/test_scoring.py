from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from cartcast.app import scoring
from cartcast.app.scoring import FeatureRange
from cartcast.app.state import Project


class Model:
    """A scorer by hand: probability = clicks / 10, a little more from Germany."""

    data = {  # noqa: RUF012
        "features": {"names": ["clicks", "country"], "categorical": ["country"]},
        "segments": [],
    }
    kind = "classifier"
    features = None
    behaviour = None
    models: dict = {}  # noqa: RUF012

    def typed(self, table):
        return table.astype({"clicks": float})

    def score(self, X):
        base = X["clicks"].fillna(0).to_numpy() / 10
        return {"probability": np.clip(base + 0.05 * (X["country"] == "DE"), 0, 1)}


KNOWN = [
    FeatureRange("clicks", "", 1.0, 2.0, 8.0, ()),
    FeatureRange("country", "", None, None, None, ("FR", "DE")),
]


def test_a_row_is_scored_as_given():
    assert scoring.score_row(Model(), {"clicks": 3.0, "country": "FR"}).probability == 0.3
    assert scoring.score_row(Model(), {}).probability == 0.0


def test_what_would_change_is_the_largest_single_change_of_each_feature():
    changes = scoring.what_would_change(Model(), {"clicks": 2.0, "country": "FR"}, KNOWN)
    assert [(c.feature, c.other) for c in changes] == [("clicks", 8.0), ("country", "DE")]
    assert changes[0].change == pytest.approx(0.6)
    assert changes[1].probability == pytest.approx(0.25)
    assert scoring.what_would_change(Model(), {}, []) == []


def test_who_is_worth_acting_on():
    table = pd.DataFrame(
        {
            "session_id": list("abcd"),
            # Of the last nothing is said: the model has not seen the like.
            "probability": [0.1, 0.5, 0.3, None],
        }
    )
    assert list(scoring.choose(table, "probability", capacity=2)["session_id"]) == ["b", "c"]
    paying = scoring.choose(table, cost=2.0, value=10.0)
    assert list(paying["session_id"]) == ["b", "c"]
    assert list(paying["gain_at_most"]) == pytest.approx([3.0, 1.0])
    assert list(scoring.choose(table)["session_id"]) == ["b", "c", "a"]


def test_how_scores_like_this_one_turned_out(with_run):
    run = with_run.run()
    table = run.predictions
    test = table[table["part"] == "test"]
    found = scoring.reliability_at(run, 0.05)
    inside = test["p__logistic_regression"].between(found.left, found.right)
    assert found.n == inside.sum()
    assert found.observed == pytest.approx(test.loc[inside, "label"].mean())
    assert found.low <= found.observed <= found.high
    assert scoring.reliability_at(run, 0.999).right < 1


def test_the_scores_of_a_session_are_those_of_its_log(trained):
    project = Project.open(trained)
    run, data = project.run(), project.data()[0]
    rows = run.features.replay(data.log).to_pandas()
    again = data.log.table().to_pandas().groupby("visitor_id")["session_id"].nunique()
    returning = data.log.table().to_pandas().query("visitor_id == @again.idxmax()")
    session = returning.sort_values("event_time")["session_id"].iloc[-1]
    own = rows[rows["session_id"] == session].sort_values("event_order")
    said = scoring.score_clicks(run, data, session)
    assert again.max() > 1
    np.testing.assert_allclose(said["probability"], run.score(run.typed(own))["probability"])
