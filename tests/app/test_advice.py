"""No finding on a page advises what only a command line can do."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import pytest

from cartcast.app.advice import HERE, advice
from cartcast.findings import CATALOGUE, finding

PAGE = Path(__file__).resolve().parents[2] / "docs" / "generate_findings.py"
FLAG = re.compile(r"--\w|`cartcast ")
NEVER_SHOWN = {"AC106", "LK307"}
"""They name a verb as what made a table, not as what to do."""


@pytest.fixture(scope="module", autouse=True)
def every_code():
    """The catalogue is whole once the page of it was made."""
    runpy.run_path(str(PAGE))["page"]()


def test_advice_on_a_page_needs_no_command_line():
    # What `cartcast doctor` finds is told by `cartcast doctor`.
    told = {c for c, code in CATALOGUE.items() if FLAG.search(code.advice)}
    told = {c for c in told if not c.startswith("OP")} - NEVER_SHOWN
    assert len(told) > 10
    assert told <= set(HERE)
    assert not {c for c, text in HERE.items() if FLAG.search(text)}
    assert set(HERE) <= set(CATALOGUE)


def test_a_code_of_its_own_is_advised_here_and_others_as_everywhere():
    assert "--layout" not in advice(finding(CATALOGUE["EV101"], "guessed"))
    other = finding(CATALOGUE["EV120"], "open")
    assert advice(other) == other.advice
