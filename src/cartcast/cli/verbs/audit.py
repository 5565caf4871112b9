"""`cartcast audit`: look for leaks in any table and split, also those that other tools made."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cartcast.cli import shell

if TYPE_CHECKING:
    from cartcast.findings import Finding
    from cartcast.leakage import Examination


def add(app: typer.Typer) -> None:
    """Add the verb."""

    @app.command()
    def audit(
        rows: Annotated[str, typer.Option(help="Table of the training rows: CSV or Parquet.")],
        target: Annotated[str, typer.Option(help="Column of the label.")],
        test: Annotated[str | None, typer.Option(help="Table of the test rows.")] = None,
        split: Annotated[
            str | None, typer.Option(help="Column that says train or test, instead of --test.")
        ] = None,
        group: Annotated[
            str | None, typer.Option(help="Column of what rows belong to: the session.")
        ] = None,
        visitor: Annotated[str | None, typer.Option(help="Column of the visitor.")] = None,
        time: Annotated[
            str | None, typer.Option(help="Column with the time of the prediction, or its period.")
        ] = None,
        click: Annotated[str | None, typer.Option(help="Column of the click number.")] = None,
        features: Annotated[
            str | None, typer.Option(help="Columns that the model uses, as a,b,c; default: all.")
        ] = None,
        drop: Annotated[str | None, typer.Option(help="Columns that it does not use.")] = None,
        predictions: Annotated[
            str | None, typer.Option(help="Column of the test rows with a model's scores.")
        ] = None,
        baseline: Annotated[
            str | None, typer.Option(help="Column of the test rows with a baseline's scores.")
        ] = None,
        proxy: Annotated[
            str | None, typer.Option(help="The label is a rule, not an outcome: say which.")
        ] = None,
        waive: Annotated[
            list[str] | None, typer.Option(help="CODE=reason: accept a finding, with the reason.")
        ] = None,
        report: Annotated[Path | None, typer.Option(help="Write the report as Markdown.")] = None,
        seed: Annotated[int, typer.Option(help="Seed of samples and folds.")] = 42,
        json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
    ) -> None:
        """Look for leaks in a table: what was asked, what was found, what to do.

        Exit status 4 when a finding blocks and is not waived.
        """
        from cartcast import leakage
        from cartcast.findings import parse_waivers, require_unblocked
        from cartcast.findings import waive as waive_findings

        with shell.progress(enabled=not json) as progress:
            progress("reading and auditing", None)
            examination = leakage.examine_tables(
                rows, target, test=test, split=split, group=group, visitor=visitor, time=time,
                click=click, features=_words(features), drop=_words(drop) or (),
                predictions=predictions, baseline=baseline, proxy=proxy, seed=seed,
            )  # fmt: skip
        found = waive_findings(examination.findings, parse_waivers(waive or []))
        if report is not None:
            from cartcast.atomic import write_text

            write_text(report, leakage.markdown(examination, found, f"Audit of {Path(rows).name}"))
        if json:
            shell.print_json(leakage.as_dict(examination, found))
        else:
            _show(examination, found, report)
        require_unblocked(found)


def _words(text: str | None) -> tuple[str, ...] | None:
    return None if text is None else tuple(w.strip() for w in text.split(",") if w.strip())


def _show(examination: Examination, found: list[Finding], report: Path | None) -> None:
    from cartcast.leakage import in_words

    typer.echo(in_words(examination, found))
    if report is not None:
        typer.echo(f"report: {report}")
