"""Families of segments side by side, on sessions of two kinds that every family can tell."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from cartcast.errors import UsageError
from cartcast.train.options import FAMILIES, Options
from cartcast.train.segments import _told


def sessions(rows: int = 400) -> tuple[pd.DataFrame, np.ndarray]:
    rng = np.random.default_rng(0)
    kind = np.arange(rows) % 2
    clicks = np.exp(1 + 3 * kind + rng.normal(0, 0.1, rows))
    sale = 0.1 + 0.8 * kind + rng.normal(0, 0.02, rows)
    return pd.DataFrame({"clicks": clicks, "sale": sale}), kind


@pytest.mark.parametrize("family", FAMILIES)
def test_each_family_can_be_asked_for(family: str) -> None:
    table, kind = sessions()
    asked = replace(Options(), segments_by=family, segments=2)
    found = _told(table, None, None, None, None, asked, None, None)
    (line,) = found.facts["families"]
    assert (line["family"], line["taken"]) == (family, True)
    assert found.facts["method"] == FAMILIES[family]
    labels = found.models["segments"].labels_
    # Density methods find their own number; no segment of any mixes the two kinds.
    pairs = {(k, s) for k, s in zip(kind, labels, strict=True) if s >= 0}
    assert len(pairs) == len({s for _, s in pairs}) == line["segments"]
    assert {k for k, _ in pairs} == {0, 1}


def test_all_stand_side_by_side_and_one_is_taken() -> None:
    table, _ = sessions()
    asked = replace(Options(), segments_by="all", segments=2)
    found = _told(table, None, None, None, None, asked, None, None)
    lines = found.facts["families"]
    assert [line["family"] for line in lines] == list(FAMILIES)
    assert sum(line["taken"] for line in lines) == 1
    for line in lines:
        assert sum(line["sizes"]) == pytest.approx(400 * (1 - line["noise"]), abs=0.5)
        assert len(line["names"]) == len(line["sizes"]) == line["segments"]
        assert line["silhouette"] > 0.5


def test_an_unknown_family_is_refused() -> None:
    with pytest.raises(UsageError, match="Did you mean 'mixture'"):
        Options(segments_by="mixtur")
