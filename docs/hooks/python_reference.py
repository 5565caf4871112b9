"""The reference of Python: a page for each public module, filled by mkdocstrings from docstrings."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

import cartcast
from cartcast.evaluate.score import Score

FOLDER = "reference/python"
PINNED = tuple(f"cartcast.{name}" for name in cartcast._MODULES)
TAUGHT = (
    "cartcast.activation", "cartcast.datasets", "cartcast.errors", "cartcast.evaluate.curves",
    "cartcast.evaluate.intervals", "cartcast.evaluate.scores", "cartcast.events",
    "cartcast.experiments", "cartcast.monitoring", "cartcast.score",
)  # fmt: skip
"""Modules that the pages import from, besides the public ones."""


def _names(modules: tuple[str, ...]) -> list[str]:
    lines = ["| module | what it holds |", "|---|---|"]
    for name in sorted(modules):
        text = (import_module(name).__doc__ or "").splitlines()[0]
        lines.append(f"| [`{name.removeprefix('cartcast.')}`]({name}.md) | {text} |")
    return lines


def _target(module: str, name: str) -> str:
    """Return where a module's name is documented: beside a file of that name, in the file."""
    beside = find_spec(f"{module}.{name}") if hasattr(import_module(module), "__path__") else None
    return f"{module}.{name}.{name}" if beside else f"{module}.{name}"


def _place(name: str) -> str:
    """Return where a name of `cartcast` is documented."""
    wanted = getattr(cartcast, name)
    holding = [m for m in (*PINNED, *TAUGHT) if name in getattr(import_module(m), "__all__", ())]
    return _target(next(m for m in holding if getattr(import_module(m), name) is wanted), name)


def page(module: str) -> str:
    """Return the page of a module; what a file of the same name hides is asked for by the file."""
    lines = [f"# {module}", "", f"::: {module}", "    options:", "      show_root_heading: false",
             "      show_root_toc_entry: false", ""]  # fmt: skip
    for name in getattr(import_module(module), "__all__", ()):
        found = getattr(import_module(module), name)
        if (target := _target(module, name)).count(".") > module.count(".") + 1:
            lines += [f"::: {target}", ""]
        elif isinstance(found, Score):
            best = found.better.replace("zero", "nearest to 0")
            call = f"{name}(y_obs, y_pred, weights=None, *, threshold=0.5) -> float | None"
            text = f"{found.title}, in {found.unit}; {best} is better. {found.about}"
            lines += [f"## {name} {{#{module}.{name}}}", "", "```python", call, "```", "", text, ""]
    return "\n".join(lines)


def overview() -> str:
    """Return the page of the names that `import cartcast` gives, and of the modules."""
    lines = [
        "# Python", "",
        "What `import cartcast` gives. Each name is loaded when it is first used; a misspelt name, "
        "argument or column is answered with the nearest one. `cartcast.moments` is a module.", "",
        "| name | what it is |", "|---|---|",
    ]  # fmt: skip
    for name in sorted(set(cartcast.__all__) - {"__version__", "moments"}, key=str.lower):
        text = (getattr(cartcast, name).__doc__ or "").splitlines()[0]
        lines.append(f"| [`{name}`][{_place(name)}] | {text} |")
    lines += ["", "## Modules", "", "Public, as `cartcast.features.Count`:", "", *_names(PINNED)]
    lines += ["", "Imported by name, as the guides do; before 1.0 a name here may still move:", ""]
    return "\n".join([*lines, *_names(TAUGHT), ""])


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages."""
    made = {"index": overview()}
    for name in (*PINNED, *TAUGHT):
        made[name] = page(name)
    for name, text in made.items():
        files.append(File.generated(config, f"{FOLDER}/{name}.md", content=text))
    return files


def on_page_content(html: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Refuse a page that lacks a public name: one without a docstring is left out in silence."""
    if page.file.src_uri.startswith(f"{FOLDER}/cartcast."):
        module = page.file.name
        names = getattr(import_module(module), "__all__", ())
        if lacking := [n for n in names if f'id="{_target(module, n)}"' not in html]:
            raise PluginError(f"{module}: no docstring of {', '.join(lacking)}.")
    return html
