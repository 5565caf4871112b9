"""Propose a layout for a file: what each column seems to be, why, and YAML to edit."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import duckdb

from cartcast.errors import DataError
from cartcast.events.builtin import LAYOUTS
from cartcast.events.engine import connect, translate
from cartcast.events.guess import Guess, choose, guess
from cartcast.events.layoutfile import to_yaml
from cartcast.events.layouts import Layout, Value
from cartcast.events.mapping import unrolled
from cartcast.events.read import Source, expand, open_source
from cartcast.events.references import matching, references
from cartcast.events.schema import COLUMNS, EVENT_TYPES
from cartcast.scratch import scratch

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
    first = next(iter(expand(source)))
    with scratch(folder) as work:
        con = connect(Path(work))
        try:
            opened = open_source(con, first, Path(work))
            try:
                found = guess(opened)
                opened, layout, _ = choose(opened, found.layout)
            except DataError as error:
                return _unknown(opened, str(error))
        except duckdb.Error as error:
            raise translate(error, str(first)) from error
        finally:
            con.close()
    return _proposal(opened, found, layout)


def _proposal(source: Source, found: Guess, layout: Layout) -> Proposal:
    rows = unrolled(layout, source)
    columns = {t: one for t, v in layout.columns.items() if (one := _present(v, rows))}
    items = tuple(i for i in layout.items if any(references(rows, c) for c in i.columns))
    shown = replace(layout, columns=columns, items=items)
    notes = {t: found.reasons.get(t, "") for t in columns}
    lines = [
        f"# {_shown(source.name)}",
        f"# layout {layout.name}, confidence {found.confidence:.0%}",
    ]
    if "" in found.reasons:
        lines.append(f"# because {found.reasons['']}")
    if "every_event" in found.reasons:
        lines.append(f"# every_event: {found.reasons['every_event']}")
    lines += [f"# also possible: {n} ({c:.0%})" for n, c in found.others.items()]
    unused = [c for c in source.columns if not _used(c, shown)]
    if unused:
        lines.append(f"# kept under their own names: {_shown(', '.join(unused))}")
    if layout.name in LAYOUTS:
        lines.append(f"# as it is: --layout {layout.name}; changed: save this as a .yaml file")
        shown = replace(shown, name=f"my-{layout.name}")
    return Proposal(
        source=source.name,
        layout=layout.name,
        confidence=found.confidence,
        reasons=found.reasons,
        others=found.others,
        columns={t: list(v.references) for t, v in columns.items()},
        yaml="\n".join(lines) + "\n" + to_yaml(shown, notes),
    )


def _present(value: Value, source: Source) -> Value | None:
    """Return the value with the columns that the source has; None where it has none."""
    here = tuple(c for c in value.columns if references(source, c))
    after = _present(value.otherwise, source) if value.otherwise else None
    if here or value.parts or (value.constant is not None and not value.columns):
        return replace(value, columns=here, otherwise=after)
    return after


def _used(column: str, layout: Layout) -> bool:
    def meant(reference: str) -> bool:
        return bool(matching([column], reference) or matching([column], reference.split("[")[0]))

    lists = (*layout.records, *(c for i in layout.items for c in i.columns))
    named = (r for value in layout.columns.values() for r in value.references)
    return any(map(meant, (*lists, *layout.ties, *layout.event, *named)))


def _examples(source: Source, column: str) -> str:
    """Return the most frequent values of a column in the sample, as JSON would write them."""
    counts = Counter(v.strip() for v in source.values(column) if v.strip())
    told = ", ".join(json.dumps(v[:40], ensure_ascii=False) for v, _ in counts.most_common(4))
    return f"{told}{' ...' if len(counts) > 4 else ''}" or "nothing"


def _shown(text: str) -> str:
    """Return a text on one line, what does not print written out."""
    return "".join(c if c.isprintable() else json.dumps(c)[1:-1] for c in text)


def _unknown(source: Source, why: str) -> Proposal:
    lines = [
        f"# {_shown(why)}",
        f"# columns of {_shown(source.name)}, with values of its first rows:",
        *(f"#   {_shown(c)}: {_examples(source, c)}" for c in source.columns),
        "# Fill in the source's column for each name that it has; leave the others empty.",
        "# Words for events that are not known go under `events:`, each with what it means.",
        "name: my-layout",
        "columns:",
        *(f"  {name}:  # {c.meaning}" for name, c in COLUMNS.items()),
        "events:",
        *(f"  # own word: {kind}" for kind in EVENT_TYPES if kind != "other"),
    ]
    if not source.has_header:
        header = ", ".join(f"{c}" for c in source.columns)
        lines.append(f"header: [{header}]")
    return Proposal(source.name, "unknown", 0.0, {"": why}, {}, {}, "\n".join(lines) + "\n")
