"""Lists of keys in the pages of `docs/reference`: from the declarations that read the YAML.

A comment in a page stands for a list that is made when the site is built:

    <!-- keys: MODULE.Class ... known=MODULE.NAMES attribute:key -->
    <!-- words: MODULE.TABLE -->   words that make features, with their parameters
    <!-- rows: MODULE.TABLE -->    a table of named tuples

`known` holds the words that are accepted, else they are the attributes; each must be described by a
class or in the page, which goes first, or the build fails. `attribute:key` says that an attribute has
another name in YAML.
"""

from __future__ import annotations

import dataclasses
import inspect
import re
from collections.abc import Callable
from importlib import import_module
from typing import Any

import griffe
import yaml
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import Files
from mkdocs.structure.pages import Page

_COMMENT = re.compile(r"^<!-- (?P<kind>keys|words|rows): (?P<rest>.+?) -->$", re.MULTILINE)
_TOLD = re.compile(r"^`(\w+)`$", re.MULTILINE)
_UNITS = ((604_800, "w"), (86_400, "d"), (3600, "h"), (60, "m"), (1, "s"))


def named(path: str) -> Any:
    """Return what a dotted path names."""
    module, _, name = path.rpartition(".")
    return getattr(import_module(module), name)


def described(kind: type) -> dict[str, str]:
    """Return the attributes of a class, and of those above it, with their descriptions."""
    found: dict[str, str] = {}
    for one in reversed(kind.__mro__):
        for section in griffe.Docstring(inspect.cleandoc(one.__doc__ or "")).parse("google"):
            if section.kind is griffe.DocstringSectionKind.attributes:
                for attribute in section.value:
                    text = " ".join(attribute.description.split()).replace("None", "null")
                    found |= {name.strip(): text for name in attribute.name.split(",")}
    return found


def _default(kind: type, name: str, text: str) -> str:
    """Return the default of an attribute as it would stand in YAML; empty where there is none."""
    fields = {f.name: f for f in dataclasses.fields(kind)}  # type: ignore[arg-type]
    value = fields[name].default if name in fields else None
    if value in (None, dataclasses.MISSING, (), "") or dataclasses.is_dataclass(value):
        return ""
    if isinstance(value, float) and "seconds" in text.lower() and value >= 60:
        size, unit = next((s, u) for s, u in _UNITS if value % s == 0)
        return f" Default: `{value / size:g}{unit}`."
    shown = list(value) if isinstance(value, tuple) else value
    word = yaml.safe_dump(shown, default_flow_style=True).replace("\n...", "").strip()
    return f" Default: `{word}`."


def keys(words: list[str], page: str) -> str:
    """Return the list of the keys that classes describe, in their order, each once."""
    kinds = [named(w) for w in words if "=" not in w and ":" not in w]
    known = next((named(w.removeprefix("known=")) for w in words if w.startswith("known=")), None)
    other = dict(w.split(":") for w in words if ":" in w)
    if known is None:
        known = [other.get(f.name, f.name) for kind in kinds for f in dataclasses.fields(kind)]
    told, lines = set(_TOLD.findall(page)), []
    for kind in kinds:
        for name, text in described(kind).items():
            key = other.get(name, name)
            if key in known and key not in told:
                told.add(key)
                text = text[:1].upper() + text[1:]
                lines += [f"`{key}`", f":   {text}{_default(kind, name, text)}", ""]
    if lacking := sorted(set(known) - told):
        raise PluginError(f"{words[0]}: no description of {', '.join(lacking)}.")
    return "\n".join(lines)


def words(paths: list[str], _: str) -> str:
    """Return the list of words that make features, with their parameters."""
    lines = []
    for word, make in sorted(named(paths[0]).items()):
        parameters = [str(p).split(":")[0] for p in inspect.signature(make).parameters.values()]
        text = inspect.cleandoc(make.__doc__ or "").split("\n\n")[0].removeprefix("Return ")
        text = text[:1].upper() + text[1:]
        shown = f"{word}: {{{', '.join(parameters)}}}" if parameters else word
        lines += [f"`{shown}`", f":   {' '.join(text.split())}", ""]
    return "\n".join(lines)


def rows(paths: list[str], _: str) -> str:
    """Return a table of named tuples."""
    found = list(named(paths[0]).values())
    lines = [" | ".join(found[0]._fields), " | ".join("---" for _ in found[0])]
    lines += [" | ".join([f"`{row[0]}`", *map(str, row[1:])]) for row in found]
    return "\n".join(f"| {line} |" for line in lines)


_MAKERS: dict[str, Callable[[list[str], str], str]] = {"keys": keys, "words": words, "rows": rows}


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Put the lists into a page."""
    return _COMMENT.sub(lambda m: _MAKERS[m["kind"]](m["rest"].split(), markdown), markdown)
