"""Propose a layout for a file: what each column seems to be, why, and YAML to edit."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from cartcast.events.builtin import LAYOUTS
from cartcast.events.draft import Draft, draft
from cartcast.events.layoutfile import to_yaml
from cartcast.events.schema import COLUMNS, EVENT_TYPES

__all__ = ["Proposal", "propose"]


@dataclass(frozen=True)
class Proposal:
    """A proposed layout of one source.

    Attributes:
        source: the source's name.
        layout: name of the layout that fits, `guessed`, or `unknown`.
        confidence: 0 (nothing fits) to 1 (every telling column is there).
        reasons: canonical column -> why.
        others: other layouts that fit in part -> confidence.
        columns: canonical column -> source column(s).
        yaml: text to save, edit and give to `--layout`.
    """

    source: str
    layout: str
    confidence: float
    reasons: dict[str, str]
    others: dict[str, float]
    columns: dict[str, Any]
    yaml: str

    def as_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return dict(self.__dict__)


def propose(source: Any, folder: Path | None = None) -> Proposal:
    """Return the layout that a source seems to have.

    Raises:
        NotFoundError: the source is not there.
        DataError: it is empty or cannot be read.
    """
    told = draft(source, folder)
    return _unknown(told) if told.problem else _proposal(told)


def _proposal(told: Draft) -> Proposal:
    source, found, shown = told.source, told.found, told.layout
    columns = shown.columns
    notes = {t: found.reasons.get(t, "") for t in columns}
    lines = [
        f"# {_shown(source.name)}",
        f"# layout {shown.name}, confidence {found.confidence:.0%}",
    ]
    if "" in found.reasons:
        lines.append(f"# because {found.reasons['']}")
    if "every_event" in found.reasons:
        lines.append(f"# every_event: {found.reasons['every_event']}")
    lines += [f"# also possible: {n} ({c:.0%})" for n, c in found.others.items()]
    if told.unused:
        lines.append(f"# kept under their own names: {_shown(', '.join(told.unused))}")
    if shown.amount:
        lines.append(f"# amount: {shown.amount} is what the name says; the rows of orders decide")
    if shown.name in LAYOUTS:
        lines.append(f"# as it is: --layout {shown.name}; changed: save this as a .yaml file")
        shown = replace(shown, name=f"my-{shown.name}")
    return Proposal(
        source=source.name,
        layout=found.layout.name,
        confidence=found.confidence,
        reasons=found.reasons,
        others=found.others,
        columns={t: list(v.references) for t, v in columns.items()},
        yaml="\n".join(lines) + "\n" + to_yaml(shown, notes),
    )


def _examples(counts: Counter[str]) -> str:
    """Return the most frequent values of a column, as JSON would write them."""
    told = ", ".join(json.dumps(v[:40], ensure_ascii=False) for v, _ in counts.most_common(4))
    return f"{told}{' ...' if len(counts) > 4 else ''}" or "nothing"


def _shown(text: str) -> str:
    """Return a text on one line, what does not print written out."""
    return "".join(c if c.isprintable() else json.dumps(c)[1:-1] for c in text)


def _form(told: Draft) -> Iterator[str]:
    """Yield a line for each canonical column, filled in where a name or the values tell it."""
    known = to_yaml(
        replace(told.layout, events={}, items=(), refund=None, variants=())
    ).splitlines()
    filled = {line.split(":")[0]: line for line in known if line.startswith("  ")}
    for name, column in COLUMNS.items():
        yield f"{filled.get(f'  {name}', f'  {name}:')}  # {column.meaning}"


def _unknown(told: Draft) -> Proposal:
    source, why = told.source, told.problem
    lines = [
        f"# {_shown(why)}",
        f"# columns of {_shown(source.name)}, with values of its first rows:",
        *(f"#   {_shown(c)}: {_examples(told.values(c))}" for c in source.columns),
        "# Fill in the source's column for each name that it has; leave the others empty.",
        "# Words for events that are not known go under `events:`, each with what it means.",
        "name: my-layout",
        "columns:",
        *_form(told),
        "events:",
        *(f"  # own word: {kind}" for kind in EVENT_TYPES if kind != "other"),
    ]
    if not source.has_header:
        header = ", ".join(f"{c}" for c in source.columns)
        lines.append(f"header: [{header}]")
    return Proposal(source.name, "unknown", 0.0, {"": why}, {}, {}, "\n".join(lines) + "\n")
