"""`cartcast report`: write the report and the card of a run again."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cartcast.cli.shell import print_json, progress

__all__ = ["add"]


def add(app: typer.Typer) -> None:
    """Register the verb."""

    @app.command("report")
    def report(
        run_dir: Annotated[Path, typer.Argument(metavar="RUN_DIR", help="Folder of the run.")],
        show: Annotated[bool, typer.Option("--open", help="Open it in the browser.")] = False,
        json: Annotated[bool, typer.Option("--json", help="Print the paths as JSON.")] = False,
    ) -> None:
        """Rewrite report.html and the model card of a run from its folder."""
        from cartcast.report import write_card, write_report

        with progress(not json) as tell:
            tell("report", None)
            page = write_report(run_dir)
            card = write_card(run_dir)
        if json:
            print_json({"report": str(page), "card": str(card)})
        else:
            typer.echo(f"Report: {page}\nCard:   {card}")
        if show:
            typer.launch(page.resolve().as_uri())
