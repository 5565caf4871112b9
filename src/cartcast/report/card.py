"""The model card: what a model is, on what it was judged, and where it must not be used.

After Mitchell et al. 2019, https://doi.org/10.1145/3287560.3287596
"""

from __future__ import annotations

from pathlib import Path

from cartcast.atomic import write_text
from cartcast.features.words import in_words
from cartcast.report import answers
from cartcast.report.document import Document, html, markdown
from cartcast.report.evidence import Evidence
from cartcast.report.sections import sections
from cartcast.runs.run import Run

__all__ = ["write_card"]


def write_card(run_dir: Path | str) -> Path:
    """Write `card.md` and `card.html` into a run folder and return the path of `card.md`.

    Raises:
        NotFoundError: there is no such run, or a file of it is missing.
        NotTrustedError: a file of it is damaged.
        StorageError: the card cannot be written.
    """
    run = Run.open(run_dir)
    e = Evidence(run)
    name = in_words(run.champion)
    card = Document(f"Model card: {name} for {answers.title(e)}", answers.headline(e), sections(e))
    path = run.dir / "card.md"
    write_text(path, markdown(card))
    write_text(run.dir / "card.html", html(card))
    return path
