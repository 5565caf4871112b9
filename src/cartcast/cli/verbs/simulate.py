"""`cartcast simulate`: write the log of a shop whose truth is known."""

from __future__ import annotations

from datetime import date
from typing import Annotated

import typer

from cartcast.cli.shell import print_json, progress
from cartcast.errors import UsageError


def add(app: typer.Typer) -> None:
    """Register the verb."""
    app.command("simulate")(simulate)


def simulate(
    sessions: Annotated[int, typer.Option(help="Number of sessions.")],
    out: Annotated[str, typer.Option(help="File: .parquet, .csv, .jsonl; or .csv.gz, .jsonl.gz.")],
    seed: Annotated[int, typer.Option(help="The same seed gives the same log.")] = 0,
    truth: Annotated[
        str | None, typer.Option(help="File for the exact probabilities after every event.")
    ] = None,
    arms: Annotated[
        str | None,
        typer.Option(help="Experiment, name:share[:lift] with commas: a:0.5,b:0.5:0.1."),
    ] = None,
    start: Annotated[str, typer.Option(help="First day, such as 2025-03-03.")] = "2025-03-03",
    days: Annotated[int, typer.Option(help="Number of days.")] = 90,
    late: Annotated[float, typer.Option(help="Share of events known late.")] = 0.005,
    twice: Annotated[float, typer.Option(help="Share of events that arrive twice.")] = 0.002,
    disorder: Annotated[
        bool,
        typer.Option("--disorder", help="Order rows as they became known, not as they happened."),
    ] = False,
    shop: Annotated[
        int, typer.Option(help="1: each visit has its intent; 2: one search over visits and days.")
    ] = 1,
    opaque: Annotated[
        bool,
        typer.Option(
            "--opaque", help="Write codes for all names and words; orders beside the log."
        ),
    ] = False,
    opaque_form: Annotated[
        str, typer.Option(help="codes: all columns; bare: no items or prices; pages: just pages.")
    ] = "codes",
    layout: Annotated[
        str | None,
        typer.Option(help="Write a small shop as this tracker or export does: ga4, segment, ..."),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Simulate a shop: a log in canonical columns and, if asked, what could be known."""
    from cartcast import datasets

    if shop not in (1, 2):
        raise UsageError(f"there are shops 1 and 2, got {shop}.")
    if layout is not None:
        if truth or arms or disorder or opaque or shop != 1:
            raise UsageError(
                "--layout does not go with --truth, --arms, --disorder, --opaque or --shop 2."
            )
        _disguised(layout, out, sessions, seed, datasets.parse_day(start), days, json=json)
        return
    with progress(not json) as show:
        made = datasets.simulate(
            sessions, seed, None if opaque else out, bool(truth) if opaque else truth,
            datasets.parse_arms(arms), start=datasets.parse_day(start), days=days, late=late,
            twice=twice, disorder=disorder, shop=datasets.Missions() if shop == 2 else None,
            progress=show,
        )  # fmt: skip
    files = datasets.write_opaque(made, out, opaque_form, seed, truth) if opaque else None
    if json:
        print_json({**made.as_dict(), **(files.as_dict() if files else {})})
        return
    c = made.counts
    typer.echo(
        f"{out}: {c['events']:,} events, {c['sessions']:,} sessions, {c['visitors']:,} visitors, "
        f"{c['start']:%Y-%m-%d} to {c['end']:%Y-%m-%d} UTC"
    )
    typer.echo(
        f"  {c['purchase_sessions']:,} sessions buy ({c['conversion']:.2%}), "
        f"revenue {c['revenue']:,.2f} {c['currency']}"
    )
    typer.echo(
        f"  {c['late_events']:,} events known late, {c['repeated_events']:,} repeated, "
        f"{c['bot_sessions']:,} sessions of bots"
    )
    for name, file in (files.as_dict() if files else {"truth": truth}).items():
        if file is not None and name != "out":
            typer.echo(f"  {name}: {file}")


def _disguised(
    layout: str, out: str, sessions: int, seed: int, start: date, days: int, *, json: bool
) -> None:
    """Write one form of a shop and say what a right reader must find in it."""
    from cartcast.datasets import disguises

    made = disguises.write_form(layout, out, sessions, seed, start, days)
    figures = made.truth.figures()
    if json:
        print_json({"layout": layout, "files": [str(f) for f in made.files], "truth": figures})
        return
    typer.echo(f"{layout}: {', '.join(str(f) for f in made.files)}")
    for name, value in figures.items():
        typer.echo(f"  {name.replace('_', ' ')}: {value:,}")
