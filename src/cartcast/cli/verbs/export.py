"""`cartcast export`: a log's tables for a database, or a run for another tool."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import typer

from cartcast.cli import shell


def add(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("export")(export)


def export(
    to: Annotated[
        tuple[str, str],
        typer.Option(metavar="KIND PLACE", help="duckdb FILE, postgres URL, or mlflow FOLDER."),
    ],
    files: Annotated[
        list[str] | None, typer.Argument(help="The log; read as the run reads, if any.")
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="The run of the scores, or for mlflow: folder, id, alias.")
    ] = None,
    everything: Annotated[
        bool, typer.Option("--everything", help="Score every moment, with its outcome.")
    ] = False,
    schema: Annotated[str, typer.Option(help="Schema of the tables.")] = "cartcast",
    dbt: Annotated[
        Path | None, typer.Option(help="Describe the tables as sources of dbt here (.yml).")
    ] = None,
    layout: Annotated[str | None, typer.Option(help="Layout; guessed when not given.")] = None,
    orders: Annotated[str | None, typer.Option(help="Outcomes kept apart.")] = None,
    rates: shell.RatesFile = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Write the events, sessions and scores of a log as tables; or a run for MLflow."""
    from cartcast import export as exports
    from cartcast.errors import UsageError
    from cartcast.runs.run import Run

    kind, place = to
    if kind not in ("duckdb", "postgres", "mlflow"):
        raise UsageError(f"--to takes duckdb FILE, postgres URL or mlflow FOLDER, got {kind!r}.")
    if kind == "mlflow":
        if model is None or files:
            raise UsageError("--to mlflow takes a run (--model) and no log.")
        made = str(exports.to_mlflow(model, place))
        shell.print_json({"model": model, "to": made}) if json else typer.echo(f"{model} -> {made}")
        return
    if not files:
        raise UsageError(f"--to {kind} needs the files of a log.")
    if urlsplit(place).password:
        raise UsageError(
            "--to: others can see a password of the command line; put it into PGPASSWORD, or the "
            "whole URL into a variable, and name that: --to postgres '$SHOP_DATABASE'."
        )
    with shell.progress(not json) as show:
        run = None if model is None else Run.open(model).loaded()
        privacy, rated = shell.project_privacy(), shell.project_rates(rates)
        if run is not None:
            log = run.read(
                *files, layout=layout, orders=orders, rates=rated, privacy=privacy, progress=show
            )
        else:
            reading = shell.project_reading(layout=layout, rates=rates)
            log = reading.load(*files, orders=orders, privacy=privacy, progress=show)
        write = exports.to_duckdb if kind == "duckdb" else exports.to_postgres
        done = write(log, place, run, schema=schema, everything=everything)
    if dbt is not None:
        exports.write_sources(done, dbt)
    if json:
        shell.print_json({**done._asdict(), "findings": log.findings})
        return
    rows = ", ".join(f"{count:,} {name}" for name, count in done.rows.items())
    typer.echo(f"{rows} -> {done.where}, schema {done.schema}")
    shell.show_findings(log.findings)
