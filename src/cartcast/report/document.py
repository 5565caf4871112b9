"""A page of words and tables before it takes a format: HTML, Markdown, or plain text."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

__all__ = ["Document", "Section", "environment", "html", "markdown", "plain_text", "read_template"]

_TEMPLATES = Path(__file__).parent / "templates"


@dataclass(frozen=True)
class Section:
    """One section: paragraphs, a picture, a list, then a table; each may be empty.

    Attributes:
        picture: SVG element, shown in HTML only; what it shows is in the table.
    """

    title: str
    paragraphs: Sequence[str] = ()
    items: Sequence[str] = ()
    heads: Sequence[str] = ()
    rows: Sequence[Sequence[str]] = ()
    picture: str = ""


@dataclass(frozen=True)
class Document:
    """A page: its title, its first sentence, its sections."""

    title: str
    answer: str
    sections: Sequence[Section] = ()


def html(document: Document) -> str:
    """Return one self-contained page: no script, nothing fetched; text of the data is escaped."""
    page = environment().get_template("document.html.j2")
    return str(page.render(document=document, style=read_template("style.css")))


def _escape(text: str) -> str:
    r"""Return text of the data as Markdown that shows it as it is, on one line.

    >>> print(_escape("a|b <i>*c*"))
    a\|b &lt;i>\*c\*
    """
    one = " ".join(str(text).split()).replace("&", "&amp;").replace("<", "&lt;")
    return re.sub(r"([\\|*_\[\]#])", r"\\\1", one)


def markdown(document: Document) -> str:
    """Return the page as Markdown; tables in pipe form."""
    lines = [f"# {_escape(document.title)}", "", f"**{_escape(document.answer)}**", ""]
    for section in document.sections:
        lines += [f"## {_escape(section.title)}", ""]
        lines += [f"{_escape(p)}\n" for p in section.paragraphs]
        lines += [f"- {_escape(item)}" for item in section.items]
        lines += [""] if section.items else []
        if section.rows:
            lines.append("| " + " | ".join(_escape(h) for h in section.heads) + " |")
            lines.append("|" + " --- |" * len(section.heads))
            lines += ["| " + " | ".join(_escape(c) for c in row) + " |" for row in section.rows]
            lines.append("")
    return "\n".join(lines).rstrip() + "\n"


def plain_text(document: Document) -> str:
    """Return the page for a terminal."""
    return "\n".join(_lines(document)) + "\n"


def _lines(document: Document) -> Iterator[str]:
    yield document.title
    yield document.answer
    for section in document.sections:
        yield ""
        yield section.title
        yield from (f"  {p}" for p in section.paragraphs)
        yield from (f"  - {item}" for item in section.items)
        table = [[*map(str, row)] for row in (section.heads, *section.rows) if any(row)]
        wide = [max(map(len, column)) for column in zip(*table, strict=True)]
        for row in table:
            cells = zip(row, wide, strict=True)
            yield "  " + "  ".join(c.ljust(w) for c, w in cells).rstrip()


def environment() -> Any:
    """Return the template environment: HTML is escaped, an unknown name is an error."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

    made = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=select_autoescape(("html", "html.j2"), default_for_string=True),
        undefined=StrictUndefined,
        finalize=_unbroken,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters["ticked"] = _ticked
    return made


def _ticked(text: str) -> Any:
    """Return escaped text with `words in backticks` as code."""
    import re

    from markupsafe import Markup, escape

    shown = str(escape(_unbroken(text)))
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", shown))  # noqa: S704


def _unbroken(value: Any) -> Any:
    """Keep a number and its % sign on one line."""
    plain = type(value) is str
    return value.replace(" %", "\u00a0%") if plain else value


@cache
def read_template(name: str) -> str:
    """Return the text of a file beside the templates."""
    return (_TEMPLATES / name).read_text(encoding="utf-8")
