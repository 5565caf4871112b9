"""`cartcast doctor`: is this installation well, and what is to be done if not."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cartcast.cli import shell


def add(app: typer.Typer) -> None:
    """Register the verb."""

    @app.command()
    def doctor(
        project: Annotated[
            Path | None, typer.Option(help="Project; default: here or above.")
        ] = None,
        port: Annotated[
            list[int] | None, typer.Option(help="Port to look at; default 8000 and 8501; repeat.")
        ] = None,
        json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
    ) -> None:
        """Check the installation and the project; change nothing, exit 3 if something is wrong."""
        from cartcast.config import find_project
        from cartcast.doctor import PORTS, examine

        found = examine((project or find_project() or Path.cwd()).absolute(), port or PORTS)
        if json:
            shell.print_json(found)
            raise typer.Exit(0 if found.well else 3)
        for one in found.findings:
            typer.echo(f"{one.code} {one.severity:<5} {one.message} {one.advice}")
        if not found.findings:
            typer.echo(f"well: {', '.join(found.checks)}")
        found.require()
