"""The audit's page of the docs: the code it shows runs, and says what it says."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from cartcast.datasets import simulate

ROOT = Path(__file__).resolve().parents[2]


def test_a_table_another_tool_made_is_blocked_as_shown(tmp_path: Path) -> None:
    text = (ROOT / "docs" / "audit.md").read_text(encoding="utf-8")
    section = text.split("## On a table another tool made\n")[1].split("\n## ")[0]
    sessions, seed = re.findall(r"--sessions (\d+) --seed (\d+)", section)[0]
    simulate(int(sessions), seed=int(seed), out=tmp_path / "shop.parquet")
    (code,) = re.findall(r"```python\n(.*?)```", section, re.DOTALL)
    made = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert f"prints `{made.stdout.strip()}`" in section
    (shown,) = re.findall(r"```console\n\$ cartcast (.*?)\n(.*?)```", section, re.DOTALL)
    words, output = shown
    audit = subprocess.run(
        [sys.executable, "-m", "cartcast", *words.split()],
        cwd=tmp_path, capture_output=True, text=True,
    )  # fmt: skip
    assert audit.returncode == 4, audit.stderr
    for line in filter(None, output.splitlines()):
        assert line in audit.stdout.splitlines(), line
    told = re.findall(r"^(LK\d+) ", audit.stdout, re.MULTILINE)
    assert told == re.findall(r"^(LK\d+) ", output, re.MULTILINE), "no finding is left out"
