"""Show the doctests of a docstring as code: between fences, where Markdown would see quotations."""

from __future__ import annotations

import doctest
from typing import Any

import griffe

_PARSER = doctest.DocTestParser()


def fenced(text: str) -> str:
    """Return a docstring with each run of its doctests between fences."""
    lines = text.splitlines()
    of = set()
    for found in _PARSER.get_examples(text):
        rows = found.source.count("\n") + found.want.count("\n")
        of |= set(range(found.lineno, found.lineno + rows))
    shown: list[str] = []
    for n, line in enumerate(lines):
        if n in of and n - 1 not in of:
            shown.append("```pycon")
        shown.append(line)
        if n in of and n + 1 not in of:
            shown.append("```")
    return "\n".join(shown)


class Doctests(griffe.Extension):
    """Rewrite every docstring as it is read."""

    def on_instance(self, *, obj: griffe.Object, **_: Any) -> None:
        """Rewrite the docstring of a module, class, function or attribute."""
        if obj.docstring is not None and ">>>" in obj.docstring.value:
            obj.docstring.value = fenced(obj.docstring.value)
