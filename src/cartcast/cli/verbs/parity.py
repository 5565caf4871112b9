"""`cartcast parity`: are the live features the training features?"""

from __future__ import annotations

from typing import Annotated

import typer

from cartcast.cli import shell

__all__ = ["add"]


def add(app: typer.Typer) -> None:
    """Register the verb."""

    @app.command()
    def parity(
        files: Annotated[list[str], typer.Argument(help="Files of the log.")],
        model: Annotated[str, typer.Option("--model", help="Run folder, run id or alias.")],
        url: Annotated[
            str | None, typer.Option("--url", help="URL of a running server with an empty state.")
        ] = None,
        key: Annotated[
            str | None, typer.Option("--key", envvar="CARTCAST_KEY", help="Key for the server.")
        ] = None,
        layout: Annotated[str | None, typer.Option("--layout", help="Layout of the log.")] = None,
        rates: shell.RatesFile = None,
        tolerance: Annotated[
            float, typer.Option("--tolerance", help="Largest difference that counts as equal.")
        ] = 1e-9,
        disorder: Annotated[
            float, typer.Option("--disorder", min=0, help="Delay events at random, in seconds.")
        ] = 0.0,
        repeats: Annotated[
            float, typer.Option("--repeats", min=0, max=1, help="Share of events sent twice.")
        ] = 0.0,
        restarts: Annotated[
            int, typer.Option("--restarts", min=0, help="How many times to kill and restart.")
        ] = 0,
        as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
    ) -> None:
        """Compare live features with the batch table, per feature and click; 4 when they differ."""
        from cartcast.live.parity import Disturbance, parity, require_parity
        from cartcast.runs.run import Run

        way = Disturbance(disorder, repeats, restarts) if disorder or repeats or restarts else None
        with shell.progress(not as_json) as show:
            result = parity(
                files,
                Run.open(model),
                url=url,
                key=key,
                layout=layout,
                rates=shell.project_rates(rates),
                tolerance=tolerance,
                disturbance=way,
                progress=show,
            )
        if as_json:
            shell.print_json(result.as_dict())
        else:
            typer.echo(
                f"rows {result.rows}  mismatches {result.mismatches}  missing {result.missing}  "
                f"extra {result.extra}  max_difference {result.max_difference:g}"
            )
            for one in result.features:
                if one.mismatches:
                    typer.echo(
                        f"  {one.feature}: {one.mismatches}, by up to {one.max_difference:g}"
                    )
        require_parity(result)
