"""`cartcast summary`: what the saved views of the app say of the last days."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from cartcast.cli import shell
from cartcast.cli.repeat import Every, repeat


def add(app: typer.Typer) -> None:
    """Register the verb."""
    app.command("summary")(summary)


def summary(
    files: Annotated[
        list[str] | None, typer.Argument(help="The newest log; default: the project's sources.")
    ] = None,
    days: Annotated[int, typer.Option(help="The last 7, 28 or 90 days of the log.")] = 7,
    app: Annotated[
        str | None, typer.Option(help="The app's address, for links; default: auth.redirect_uri.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Write it as one HTML page, too.")] = None,
    send: Annotated[
        bool, typer.Option("--send", help="Send it as alarms go: monitoring.webhook and .email.")
    ] = False,
    every: Every = None,
    project: Annotated[Path | None, typer.Option("--project", help="Project folder.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Sum up the saved views over the last days, against the days before."""
    folder, _ = shell.project_here(project)

    def once(_stopped: object = None) -> None:
        _once(folder, files or (), out, send, json, every is not None, days=days, app=app)

    if every is None:
        once()
    else:
        repeat(every, once)


def _once(
    folder: Path, files: Any, out: Path | None, wanted: bool, json: bool, stays: bool, **asked: Any
) -> None:
    from cartcast.app import summary
    from cartcast.app.state import Project
    from cartcast.atomic import write_text

    # Before anything is read: what cannot be sent need not be counted.
    plan = summary.ways(Project.open(folder)) if wanted else None
    with shell.progress(not json) as progress:
        made = summary.summarise(folder, files, progress=progress, **asked)
    if out is not None:
        write_text(out, made.html)
    if json:
        shell.print_json(made.as_dict(), line=stays)
    else:
        typer.echo(made.text, nl=False)
    if plan is None:
        return
    sent, failed = summary.send(plan, made)
    typer.echo(f"sent by {', '.join(sent)}", err=True)
    if failed:
        typer.echo(f"not sent by {', '.join(failed)}: look at its settings.", err=True)
        if not stays:
            raise typer.Exit(1)
