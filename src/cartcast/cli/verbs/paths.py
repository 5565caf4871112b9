"""`cartcast paths`: what sessions do next after an event, or did before it."""

from __future__ import annotations

from typing import Annotated

import typer

from cartcast.cli.shell import (
    Breaks,
    Gap,
    RatesFile,
    SegmentName,
    Zone,
    print_json,
    progress,
    read_log,
    show_findings,
    slice_of,
)


def add(app: typer.Typer) -> None:
    """Register the verb."""
    app.command("paths")(paths)


def paths(
    files: Annotated[list[str], typer.Argument(help="Log files, or one clean log.")],
    start: Annotated[
        str | None, typer.Option("--from", help="Follow sessions from this event on.")
    ] = None,
    end: Annotated[str | None, typer.Option("--to", help="Follow sessions to this event.")] = None,
    column: Annotated[str, typer.Option(help="Column whose values are the steps.")] = "event_type",
    depth: Annotated[int, typer.Option(help="Steps to follow, 1 to 8.")] = 4,
    largest: Annotated[int, typer.Option(help="Values kept apart at each step.")] = 6,
    repeats: Annotated[
        bool, typer.Option("--repeats", help="Count repeats in a row as steps of their own.")
    ] = False,
    segment: SegmentName = None,
    layout: Annotated[str | None, typer.Option(help="Layout; guessed when not given.")] = None,
    session_gap: Gap = None,
    session_break: Breaks = None,
    zone: Zone = None,
    rates: RatesFile = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Show the next steps from an event, or the last steps to it, with small flows folded."""
    from cartcast import insights
    from cartcast.errors import UsageError

    if start and end:
        raise UsageError("give --from or --to, not both.")
    with progress(not json) as show:
        log = read_log(
            files, show, layout=layout, session_gap=session_gap, session_breaks=session_break,
            zone=zone, rates=rates,
        )  # fmt: skip
        found = insights.paths(
            log,
            end or start,
            direction="to" if end else "from",
            column=column,
            depth=depth,
            collapse=not repeats,
            largest=largest,
            where=slice_of(segment, log),
        )
    if json:
        print_json(found.as_dict())
        return
    typer.echo(f"{found.sessions:,} sessions have {found.anchor}; paths {found.direction} it:")
    for f in found.flows:
        typer.echo(f"  {f.step}  {f.source:<22} > {f.target:<22} {f.sessions:>10,}  {f.share:7.2%}")
    show_findings(found.findings)
