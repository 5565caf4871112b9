"""No cell of a CSV file that a person opens is a formula."""

from __future__ import annotations

import ast
import csv
import io
import sys
import unicodedata
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

import cartcast
from cartcast.score import write_table
from cartcast.spreadsheet import csv_bytes, neutral, write_csv

PAYLOAD = "{}cmd|' /C calc'!A0"
SIGNS = "=+-@＝＋－＠﹦﹢﹣﹫−"
BEFORE = [
    "",
    " ",
    "\t",
    "\r",
    "\n",
    "\r\n",
    "\n\n ",
    "\u00a0",
    "\u3000",
    "\ufeff",
    "\u200b",
    "\x00",
    "\x1f",
    "\u202e",
    '"',
    "'",
    "\u2028",
]
ATTACKS = [before + PAYLOAD.format(sign) for before in BEFORE for sign in SIGNS] + [
    "\tx",
    "\rx",
    "\nx",
]


def runs(cell: str) -> bool:
    """A cautious spreadsheet: it skips what is not seen, and takes a sign's plain form."""
    for separator in ("", ";", "\t", "\r", "\n"):
        for part in cell.split(separator) if separator else [cell]:
            seen = part.lstrip(
                "".join(
                    c
                    for c in part
                    if not c.isprintable() or c.isspace() or unicodedata.category(c) in ("Cf", "Cc")
                )
                + '"'
            )
            if seen and unicodedata.normalize("NFKC", seen)[0] in "=+-@−":
                return True
    return False


def cells_of(data: bytes) -> list[str]:
    return [c for row in csv.reader(io.StringIO(data.decode(), newline="")) for c in row]


def test_the_attacks_are_attacks():
    assert all(runs(a) or a[0] in "\t\r\n" or a.lstrip("'") != a for a in ATTACKS)


@pytest.mark.parametrize("kind", ["object", "string", "category"])
def test_no_cell_or_heading_runs(kind, tmp_path):
    inner = ["a;=1+1", "a\t@x", "a;\u00a0 ＝1", "a\n-2+3", "x;y;+1"]
    table = pd.DataFrame({"=1+1": pd.Series([*ATTACKS, *inner], dtype=kind), " @b": 1.5})
    write_csv(table, tmp_path / "a.csv")
    assert (tmp_path / "a.csv").read_bytes() == csv_bytes(table)
    found = cells_of(csv_bytes(table))
    assert len(found) == 2 * len(table) + 2
    assert not [c for c in found if runs(c)]


def test_every_sign_of_unicode_behind_every_mark_that_is_not_seen():
    every = [chr(i) for i in range(sys.maxunicode + 1) if not 0xD800 <= i < 0xE000]
    signs = [c for c in every if unicodedata.normalize("NFKC", c)[0] in "=+-@−"]
    unseen = [c for c in every if unicodedata.category(c) in ("Cf", "Cc", "Zs", "Zl", "Zp")]
    assert len(signs) > 20
    assert len(unseen) > 200
    cells = [sign + "1" for sign in signs] + [mark + "=1" for mark in unseen]
    assert not [c for c in cells if not str(neutral(c)).startswith("'")]


def test_numbers_and_plain_text_are_untouched():
    table = pd.DataFrame(
        {
            "n": [-1.5, np.nan, 1e300],
            "i": pd.array([-1, None, 3], dtype="Int64"),
            "t": ["5", "3.25e-7", "shoes, size 5-6"],
            "at": pd.to_datetime(["2024-01-01", None, "2024-01-02"]),
            "o": [-1, None, "a@b.c"],
        }
    )
    read = pd.read_csv(io.BytesIO(csv_bytes(table)), dtype={"t": str, "o": str})
    assert read["n"].tolist()[0::2] == [-1.5, 1e300]
    assert read["t"].tolist() == ["5", "3.25e-7", "shoes, size 5-6"]
    assert read["i"].tolist()[0::2] == [-1, 3]
    assert read["o"].tolist()[0::2] == ["-1", "a@b.c"]
    assert read["at"].tolist()[0] == "2024-01-01"


def test_lists_and_objects_are_text():
    table = pd.DataFrame({"a": [["=1"], {"=": 1}, b"=1", pd.NA, ("=1",)]})
    assert not [c for c in cells_of(csv_bytes(table)) if runs(c)]


def test_rejects_of_the_command_line(call, tmp_path, shop, monkeypatch):
    rows = shop()
    for i, attack in enumerate(ATTACKS[:40]):
        rows[i]["event_time"] = attack
    path = tmp_path / "=1+1.csv"
    pd.DataFrame(rows).to_csv(path, index=False, quoting=csv.QUOTE_ALL)
    out = tmp_path / "rejects.csv"
    call("validate", path, "--rejects", out, "--max-reject-share", "1")
    found = cells_of(out.read_bytes())
    assert found[:5] == ["source", "row", "reason", "column", "value"]
    assert len(found) > 40
    assert not [c for c in found if runs(c)]
    monkeypatch.chdir(tmp_path)
    call("validate", "=1+1.csv", "--rejects", out, "--max-reject-share", "1")
    assert not [c for c in cells_of(out.read_bytes()) if runs(c)]


def test_rejects_without_a_row_have_their_heading(call, tmp_path, text):
    (tmp_path / "a.csv").write_text(text())
    code, _, error = call("validate", tmp_path / "a.csv", "--rejects", tmp_path / "r.csv")
    assert code == 0, error
    assert cells_of((tmp_path / "r.csv").read_bytes()) == [
        "source",
        "row",
        "reason",
        "column",
        "value",
    ]


def test_predictions_and_assignments(tmp_path, call, monkeypatch):
    table = pd.DataFrame({"session_id": ATTACKS, "p_buy": -0.5})
    write_table(table, tmp_path / "p.csv")
    found = cells_of((tmp_path / "p.csv").read_bytes())
    assert set(found[3::2]) == {"-0.5"}
    assert not [c for c in found[2::2] if runs(c)]
    monkeypatch.chdir(tmp_path)
    plan = {"arms": ["=control", "@treatment"], "start": "2026-03-02", "unit": "visitor_id",
            "quantities": {"n": {"kind": "count", "event": "purchase"}}, "metrics": {"m": {"mean": "n"}}}  # fmt: skip
    Path("shop.yaml").write_text(yaml.safe_dump(plan))
    pd.DataFrame({"visitor_id": ATTACKS}).to_parquet("log.parquet")
    code, _, error = call("experiment", "assign", "shop.yaml", "log.parquet", "--out", "arms.csv")
    assert code == 0 or "arm" in error
    if code == 0:
        assert not [c for c in cells_of(Path("arms.csv").read_bytes()) if runs(c)]


def test_there_is_one_writer():
    """No other file of the package writes CSV: found in the code, so that none is added."""
    own = Path(cartcast.__file__).parent
    writers = {"spreadsheet.py"}
    # What makes input for machines: simulated shops, and a work file of a sheet, or COPY out of or into
    # PostgreSQL.
    for path in own.rglob("*.py"):
        name = path.relative_to(own).as_posix()
        machines = name.startswith("datasets/") or name in (
            "events/workbook.py", "export/postgres.py"
        )  # fmt: skip
        if name in writers or machines:
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute):
                assert node.attr not in ("to_csv", "write_csv", "DictWriter"), name
                assert not (node.attr == "writer" and getattr(node.value, "id", "") == "csv"), name
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                copies = "COPY" in node.value and "csv" in node.value.lower()
                assert not copies or name == "events/databases.py", name
