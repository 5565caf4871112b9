"""The catalogue: every feature is listed with what it reads."""

from __future__ import annotations

import pytest

from cartcast import features as F
from cartcast.features.catalogue import markdown, rows


@pytest.mark.parametrize("features", list(F.SETS.values()), ids=list(F.SETS))
def test_every_feature_is_listed_with_its_lineage(features):
    found = rows(features)
    assert [row["name"] for row in found] == list(features.names)
    for row in found:
        assert row["columns"] or row["definition"].startswith("Count(")
        assert f"`{row['name']}`" in markdown(features)
