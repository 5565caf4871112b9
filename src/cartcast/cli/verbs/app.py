"""`cartcast app`: the pages for analysts and marketers, in a browser."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def add(app: typer.Typer) -> None:
    """Register the verb."""
    app.command("app")(start)


def start(
    project: Annotated[
        Path | None, typer.Option(help="Project folder; the one here or above without.")
    ] = None,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on.")] = 8501,
    allow_remote_without_access: Annotated[
        bool,
        typer.Option(
            "--allow-remote-without-access",
            help="Let anybody who can reach the address use the app without signing in.",
        ),
    ] = False,
    json: Annotated[
        bool, typer.Option("--json", help="Print the address as JSON before serving.")
    ] = False,
) -> None:
    """Serve the app for a project until it is interrupted."""
    from cartcast.app.launch import launch
    from cartcast.cli.shell import print_json
    from cartcast.config import find_project

    folder = project or find_project() or Path.cwd()
    if json:
        print_json({"url": f"http://{host}:{port}", "project": str(folder)})
    raise typer.Exit(
        launch(folder, host, port, allow_remote_without_access=allow_remote_without_access)
    )
