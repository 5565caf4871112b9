"""The command line: each verb parses, makes one library call, and shows the result."""

from __future__ import annotations

import pkgutil
import sys
from importlib import import_module
from typing import Annotated

import typer

from cartcast.cli.shell import run

__all__ = ["app", "main"]

app = typer.Typer(
    name="cartcast",
    help="From a shop's raw click log to decisions, honest by construction.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _version(wanted: bool) -> None:
    if wanted:
        from cartcast import __version__

        typer.echo(f"cartcast {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help="Show the traceback of an error; works after any verb.")
    ] = False,
) -> None:
    """Turn a shop's raw click log into decisions.

    Exit status: 0 done, 1 unexpected, 2 usage, 3 data break the contract, 4 blocked by the
    audit, 5 not found or not trusted.
    """


def _register() -> None:
    """Add every verb: each module of `cartcast.cli.verbs` offers `add(app)`.

    Modules there import nothing heavy at the top, so that `cartcast --help` stays instant.
    """
    from cartcast.cli import verbs

    for module in sorted(m.name for m in pkgutil.iter_modules(verbs.__path__)):
        import_module(f"cartcast.cli.verbs.{module}").add(app)


_register()


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit with its status."""
    try:
        run(app, arguments)
    except SystemExit as stop:
        # Of a process of its own alone: a caller's may have more to do.
        if arguments is None and (store := sys.modules.get("cartcast.runs.store")):
            store.leave(stop.code if isinstance(stop.code, int) else int(stop.code is not None))
        raise
