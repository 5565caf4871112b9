"""Scores on disk: cells are data, never formulas; every row comes back."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from cartcast.score import write_table


def test_formulas_become_text_and_numbers_stay(tmp_path: Path) -> None:
    table = pd.DataFrame({"session_id": ["=1+1", "-2", "@x", "ok", None], "p": [-0.5, 0, 1, 2, 3]})
    write_table(table, tmp_path / "t.csv")
    back = pd.read_csv(tmp_path / "t.csv")
    assert back["session_id"].tolist()[:4] == ["'=1+1", "'-2", "'@x", "ok"]
    assert back["session_id"].isna().tolist() == [False] * 4 + [True]
    assert back["p"].tolist() == [-0.5, 0, 1, 2, 3]


@pytest.mark.parametrize("text", ["a\rb", "a\nb", 'a"b', "a,b", "ü\u2028x"])
def test_odd_text_comes_back(text: str, tmp_path: Path) -> None:
    table = pd.DataFrame({"session_id": [text, "z"], "p": [0.25, 0.5]})
    write_table(table, tmp_path / "t.csv")
    back = pd.read_csv(tmp_path / "t.csv")
    assert len(back) == 2
    assert back["session_id"].tolist() == [text, "z"]
