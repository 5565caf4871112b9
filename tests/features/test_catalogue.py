"""The catalogue: every feature is listed, and the docs page is up to date."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from cartcast import features as F
from cartcast.features.catalogue import markdown, rows

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("features", list(F.SETS.values()), ids=list(F.SETS))
def test_every_feature_is_listed_with_its_lineage(features):
    found = rows(features)
    assert [row["name"] for row in found] == list(features.names)
    for row in found:
        assert row["columns"] or row["definition"].startswith("Count(")
        assert f"`{row['name']}`" in markdown(features)


def test_the_docs_page_is_generated_from_the_declarations():
    script = ROOT / "docs" / "generate_features.py"
    assert subprocess.run([sys.executable, script, "--check"], check=False).returncode == 0
