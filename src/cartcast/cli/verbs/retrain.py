"""`cartcast retrain`: a challenger by the champion's settings, compared, promoted when proven."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cartcast.cli import shell
from cartcast.cli.repeat import Every, repeat


def add(app: typer.Typer) -> None:
    """Add the verb."""

    @app.command()
    def retrain(
        alias: Annotated[str, typer.Argument(help="The champion: champion, purchase/champion.")],
        files: Annotated[list[str], typer.Argument(help="The newest log, with its outcomes.")],
        promote: Annotated[
            str, typer.Option(help="proven (by outcomes), or never: only tell.")
        ] = "proven",
        hold: Annotated[
            str,
            typer.Option(help="End of the log to compare on and not to train on, as 7d; or none."),
        ] = "7d",
        fresh: Annotated[
            bool, typer.Option("--fresh", help="Train a challenger even if there is one.")
        ] = False,
        scored: Annotated[
            Path | None,
            typer.Option(
                help="Scores of both that `cartcast serve --record` kept (.cartcast/scores)."
            ),
        ] = None,
        layout: Annotated[str | None, typer.Option(help="Layout name or YAML.")] = None,
        orders: Annotated[str | None, typer.Option(help="Outcomes kept apart.")] = None,
        rates: shell.RatesFile = None,
        every: Every = None,
        json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
    ) -> None:
        """Compare the challenger on what is new, or train one; promote it when it is proven."""
        from cartcast.errors import UsageError
        from cartcast.monitoring.retrain import retrain as run_retraining

        def turn(_stopped: object = None) -> None:
            with shell.progress(not json) as progress:
                done = run_retraining(
                    alias, *files, promote=promote, hold=None if hold == "none" else hold,
                    fresh=fresh, scored=scored, layout=layout, orders=orders, rates=rates,
                    progress=progress,
                )  # fmt: skip
            if json:
                shell.print_json(done, line=every is not None)
                return
            typer.echo(f"{done.target}: {done.decision}")
            for step in done.steps:
                typer.echo(f"  {step}")

        if every is None:
            turn()
            return
        if fresh:
            raise UsageError("--fresh trains once; with --every each turn would train another one.")
        repeat(every, turn)
