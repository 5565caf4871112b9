"""The model card: what a model is, on what it was judged, and where it must not be used.

After Mitchell et al. 2019, https://doi.org/10.1145/3287560.3287596
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cartcast.atomic import write_text
from cartcast.features.words import in_words
from cartcast.report import answers
from cartcast.report.evidence import Evidence
from cartcast.report.sections import Section, sections
from cartcast.runs.run import Run

__all__ = ["write_card"]


@dataclass(frozen=True)
class Card:
    """A card before it takes a format: its title, its first sentence, its sections."""

    title: str
    answer: str
    sections: Sequence[Section] = field(default_factory=tuple)


def write_card(run_dir: Path | str) -> Path:
    """Write `card.md` and `card.html` into a run folder and return the path of `card.md`.

    Raises:
        NotFoundError: there is no such run, or a file of it is missing.
        NotTrustedError: a file of it is damaged.
        StorageError: the card cannot be written.
    """
    from cartcast.report.report import environment, read_template

    run = Run.open(run_dir)
    e = Evidence(run)
    name = in_words(run.champion)
    card = Card(f"Model card: {name} for {answers.title(e)}", answers.headline(e), sections(e))
    path = run.dir / "card.md"
    write_text(path, markdown(card))
    page = environment().get_template("card.html.j2")
    write_text(run.dir / "card.html", page.render(card=card, style=read_template("style.css")))
    return path


def escape(text: str) -> str:
    r"""Return text of the data as Markdown that shows it as it is, on one line.

    >>> print(escape("a|b <i>*c*"))
    a\|b &lt;i>\*c\*
    """
    one = " ".join(str(text).split()).replace("&", "&amp;").replace("<", "&lt;")
    return re.sub(r"([\\|*_\[\]#])", r"\\\1", one)


def markdown(card: Card) -> str:
    """Return the card as Markdown; tables in pipe form."""
    lines = [f"# {escape(card.title)}", "", f"**{escape(card.answer)}**", ""]
    for section in card.sections:
        lines += [f"## {escape(section.title)}", ""]
        lines += [f"{escape(p)}\n" for p in section.paragraphs]
        lines += [f"- {escape(item)}" for item in section.items]
        lines += [""] if section.items else []
        if section.rows:
            lines.append("| " + " | ".join(escape(h) for h in section.heads) + " |")
            lines.append("|" + " --- |" * len(section.heads))
            lines += ["| " + " | ".join(escape(c) for c in row) + " |" for row in section.rows]
            lines.append("")
    return "\n".join(lines).rstrip() + "\n"
