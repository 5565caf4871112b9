"""Pages whose Python is shown with what it prints: it prints that."""

from __future__ import annotations

import doctest
import re
from pathlib import Path

import pytest

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGES = [p for p in sorted(DOCS.rglob("*.md")) if "```python\n>>> " in p.read_text("utf-8")]


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.stem)
def test_the_page_runs_as_shown(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    code = "\n".join(re.findall(r"```python\n(.*?)```", page.read_text("utf-8"), re.DOTALL))
    examples = doctest.DocTestParser().get_doctest(code, {}, page.stem, None, 0)
    failed, tried = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE).run(examples)
    assert tried == code.count("\n>>> ") + code.startswith(">>> ")
    assert failed == 0


def test_the_pages_are_found() -> None:
    assert {p.stem for p in PAGES} >= {"notebook", "money", "identity", "calibration", "rules"}
