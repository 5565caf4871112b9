"""`cartcast init` and `cartcast demo`: a project, and one that shows what Cartcast is for."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cartcast.cli import shell


def add(app: typer.Typer) -> None:
    """Add the verbs."""

    @app.command()
    def init(
        folder: Annotated[Path, typer.Argument(help="Folder of the project.")] = Path(),
        source: Annotated[list[str] | None, typer.Option(help="The event log; repeatable.")] = None,
    ) -> None:
        """Write a commented cartcast.yaml."""
        from cartcast.demo import init_project

        typer.echo(f"{init_project(folder, tuple(source or ()))} written; edit it, then train.")

    @app.command()
    def demo(
        folder: Annotated[Path, typer.Argument(help="A fresh folder.")] = Path("demo"),
        sessions: Annotated[int, typer.Option(help="Sessions to simulate.")] = 20_000,
        seed: Annotated[int, typer.Option(help="Seed of the simulated shop.")] = 7,
        json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
    ) -> None:
        """Simulate a shop, validate its log, train, and write the report."""
        from cartcast.demo import run_demo

        with shell.progress(not json) as progress:
            made = run_demo(folder, sessions, seed, progress)
        if json:
            shell.print_json(made.run.as_dict())
            return
        facts, run = made.log.summary, made.run
        champion = run.metrics[run.champion]
        typer.echo(
            f"A simulated shop: {facts.events:,} events, {facts.sessions:,} sessions, "
            f"{facts.purchase_sessions:,} with a purchase."
        )
        typer.echo(
            f"Champion {run.champion}: ROC AUC {champion['roc_auc']:.3f}, log loss "
            f"{champion['log_loss']:.4f} (prevalence alone {_prevalence(run.metrics)}), on "
            "sessions later than any it saw."
        )
        typer.echo("What to know before trusting this:")
        shell.show_findings(run.findings[:5])
        typer.echo(f"Report: {run.report.resolve()}")


def _prevalence(metrics: dict[str, dict[str, float]]) -> str:
    value = metrics.get("prevalence", {}).get("log_loss")
    return "-" if value is None else f"{value:.4f}"
