"""The talk in docs/agents.md is what the server says today."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_the_talk_on_the_page_is_true() -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "docs" / "generate_agents.py", "--check"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
