"""`cartcast mcp`: the server that agents ask."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cartcast.cli import shell

__all__ = ["add"]


def add(app: typer.Typer) -> None:
    """Register the verb."""
    app.command("mcp")(start)


def start(
    project: Annotated[
        Path | None, typer.Option(help="Project folder; the one here or above without.")
    ] = None,
    http: Annotated[
        bool, typer.Option("--http", help="Serve over HTTP, instead of standard input and output.")
    ] = False,
    host: Annotated[str, typer.Option(help="With --http: address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="With --http: port; 0 takes a free one.")] = 8765,
    keys: Annotated[
        Path | None, typer.Option(help="With --http: file of keys; default .cartcast/keys.json.")
    ] = None,
    allow_write: Annotated[
        bool,
        typer.Option("--allow-write", help="Offer the tool that promotes runs, too."),
    ] = False,
) -> None:
    """Answer agents over the Model Context Protocol, read-only unless told otherwise."""
    import asyncio

    from cartcast.config import STATE_FOLDER
    from cartcast.errors import UsageError

    folder, _ = shell.project_here(project)
    try:
        from cartcast.mcp.server import Door, over_stdio
    except ModuleNotFoundError as error:
        raise UsageError(f"mcp needs {error.name}: pip install 'cartcast[mcp]'.") from error
    door = Door(folder, allow_write=allow_write)
    if not http:
        asyncio.run(over_stdio(door))
        return
    from cartcast.mcp.http import over_http

    known = keys or folder / STATE_FOLDER / "keys.json"
    asyncio.run(over_http(door, known, host, port, lambda text: typer.echo(text, err=True)))
