"""`cartcast layout`: say how a file would be read, as YAML to edit."""

from __future__ import annotations

from typing import Annotated

import typer

from cartcast.cli import shell


def add(app: typer.Typer) -> None:
    """Register the verb."""

    @app.command()
    def layout(
        file: Annotated[str, typer.Argument(metavar="FILE", help="A file or table URL.")],
        as_json: Annotated[bool, typer.Option("--json", help="One JSON document.")] = False,
    ) -> None:
        """Guess the layout of FILE; print the reasons, and YAML that `--layout` accepts."""
        from cartcast import events

        proposal = events.propose(file)
        if as_json:
            shell.print_json(proposal.as_dict())
        else:
            typer.echo(proposal.yaml, nl=False)
