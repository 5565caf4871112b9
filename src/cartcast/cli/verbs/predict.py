"""`cartcast predict`: scores for a new log or table from a stored run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cartcast.cli import shell


def add(app: typer.Typer) -> None:
    """Add the verb."""

    @app.command()
    def predict(
        files: Annotated[list[str], typer.Argument(help="The log; or one ready table.")],
        model: Annotated[str, typer.Option(help="Run folder, run id, or alias as champion.")],
        out: Annotated[
            Path,
            typer.Option(help="File to write: .csv or .parquet; with spark also a new folder."),
        ],
        everything: Annotated[
            bool, typer.Option("--everything", help="Every moment with its outcome, to evaluate.")
        ] = False,
        without: Annotated[
            Path | None, typer.Option(help="Who is not to be contacted: a file, an id a line.")
        ] = None,
        segment: shell.SegmentName = None,
        layout: Annotated[str | None, typer.Option(help="Layout name or YAML.")] = None,
        orders: Annotated[str | None, typer.Option(help="Outcomes kept apart.")] = None,
        rates: shell.RatesFile = None,
        engine: Annotated[str, typer.Option(help="duckdb (this machine) or spark.")] = "duckdb",
        json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
    ) -> None:
        """List whom to act on at the end of a log, best first; or score a ready table."""
        from cartcast.runs.run import Run
        from cartcast.score import predict_to

        with shell.progress(not json) as progress:
            done = predict_to(
                files,
                Run.open(model),
                out,
                everything=everything,
                without=without,
                only=shell.only_of(segment, at_start=everything),
                layout=layout,
                orders=orders,
                rates=shell.project_rates(rates),
                privacy=shell.project_privacy(),
                progress=progress,
                engine=engine,
            )
        if json:
            shell.print_json(done)
        else:
            typer.echo(f"{done['rows']:,} rows scored with {done['model']} -> {out}")
            if "listed" in done:
                typer.echo(f"Listed: {done['listed']}.")
            shell.show_findings(done["findings"])
