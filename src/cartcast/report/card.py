"""The model card: what a model is, on what it was judged, and where it must not be used."""

from __future__ import annotations

from pathlib import Path

from cartcast.atomic import write_text
from cartcast.report.folder import read_run

__all__ = ["write_card"]


def write_card(run_dir: Path | str) -> Path:
    """Write the card."""
    run = read_run(run_dir)
    path = run.dir / "card.md"
    write_text(path, f"# {run.champion}\n")
    return path
