"""The reference of the command line: every verb, argument, option and default, from the program."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from typing import Any

import typer
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

from cartcast import errors
from cartcast.cli import app

HEAD = """# The command line

Every verb of `cartcast`, with its arguments, options and defaults; `cartcast VERB --help` prints the
same. `--json` gives one JSON document for a machine; without it figures go to standard output,
progress and errors to standard error. An option that says "else the project's" falls back to
[`cartcast.yaml`](project.md). `--debug` works after any verb and shows the traceback of an error.

## Exit status

| status | meaning |
|---|---|
"""


def statuses() -> list[str]:
    """Return a row for each exit status, from the tree of errors."""
    found: dict[int, list[str]] = {0: ["Done."]}
    kinds = [k for k in map(errors.__dict__.get, errors.__all__) if inspect.isclass(k)]
    for kind in sorted(kinds, key=lambda k: len(k.__mro__)):
        says = "Unexpected." if kind is errors.CartcastError else inspect.getdoc(kind)
        found.setdefault(kind.exit_status, []).append(str(says).splitlines()[0])
    found[130] = ["Interrupted by Ctrl-C; nothing half-written was kept."]
    return [f"| {status} | {' '.join(says)} |" for status, says in sorted(found.items())]


def verbs(command: Any, words: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield every verb with its words; a group's own verbs come after it."""
    yield words, command
    for name, inner in sorted(getattr(command, "commands", {}).items()):
        yield from verbs(inner, (*words, name))


def _told(given: Any, context: Any) -> list[str]:
    """Return the definition of one argument or option, as its help tells it."""
    name, text = given.get_help_record(context)
    text, _, more = text.removesuffix("]").partition("  [")
    text = re.sub(r"([*_<])", r"\\\1", text.strip())
    return [f"`{name}`", f":   {text}" + (f" *({more})*" if more else ""), ""]


def _verb(words: tuple[str, ...], command: Any) -> list[str]:
    """Return the section of one verb, or the head of a group's."""
    context = typer.Context(command, info_name=" ".join(words))
    lines = [f"{'#' * len(words)} {' '.join(words[1:])}", "", inspect.cleandoc(command.help), ""]
    if hasattr(command, "commands"):
        return lines
    usage = " ".join((*words, *command.collect_usage_pieces(context)))
    lines += ["```text", usage, "```", ""]
    for given in command.params:
        if not given.hidden and given.name != "help":
            lines += _told(given, context)
    return lines


def page() -> str:
    """Return the page."""
    lines = [HEAD + "\n".join(statuses()), ""]
    for words, command in verbs(typer.main.get_command(app), ("cartcast",)):
        if len(words) > 1:
            lines += _verb(words, command)
    return "\n".join(lines)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the page."""
    files.append(File.generated(config, "reference/cli.md", content=page()))
    return files
