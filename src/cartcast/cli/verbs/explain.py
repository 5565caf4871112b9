"""`cartcast explain`: what drives a run, and why single sessions got their scores."""

from __future__ import annotations

from typing import Annotated

import typer

from cartcast.cli import shell

__all__ = ["add"]


def add(app: typer.Typer) -> None:
    """Register the verb."""

    @app.command("explain")
    def explain(
        model: Annotated[str, typer.Argument(help="Run folder, run id, or alias as champion.")],
        files: Annotated[
            list[str] | None, typer.Argument(help="A log, or one ready table, to explain.")
        ] = None,
        session: Annotated[
            list[str] | None, typer.Option(help="Session id, or row number; may be repeated.")
        ] = None,
        count: Annotated[int, typer.Option(help="How many sessions, if none is named.")] = 5,
        top: Annotated[int, typer.Option(help="How many reasons for each.")] = 6,
        layout: Annotated[str | None, typer.Option(help="Layout name or YAML.")] = None,
        rates: shell.RatesFile = None,
        json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
    ) -> None:
        """Explain what drives a run, or why the sessions of a log or table got their scores."""
        from cartcast.insights.explain import explain_run, explain_sessions
        from cartcast.runs.run import Run

        run = Run.open(model)
        if not files:
            drivers = explain_run(run)
            if json:
                shell.print_json({"importance": drivers.to_dict("records")})
                return
            from cartcast.features.words import in_words

            for row in drivers.head(15).to_dict("records"):
                ends = f"({row['low']:.4f} to {row['high']:.4f})"
                words = row["direction"] if isinstance(row["direction"], str) else ""
                typer.echo(
                    f"  {in_words(row['feature']):<36} {row['mean_drop']:+.4f} {ends} {words}"
                )
            return
        with shell.progress(not json) as tell:
            found = explain_sessions(
                files, run, sessions=session or (), count=count, top=top, layout=layout,
                rates=shell.project_rates(rates), progress=tell,
            )  # fmt: skip
        if json:
            shell.print_json([reasons.as_dict() for reasons in found])
            return
        for reasons in found:
            typer.echo(f"{reasons.session}: {reasons.value:.4g}. {reasons.sentence}")
