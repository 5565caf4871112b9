"""`cartcast funnel`: how many sessions or visitors reach each step."""

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
    app.command("funnel")(funnel)


def funnel(
    files: Annotated[list[str], typer.Argument(help="Log files, or one clean log.")],
    steps: Annotated[
        str | None,
        typer.Option(
            help="Event types, or column=value, with commas; a|b is either of two, "
            "a[category=x,y; price>=5] holds conditions. Default: the usual."
        ),
    ] = None,
    window: Annotated[
        str | None, typer.Option(help="Longest time from first to last step: 30m, 7d.")
    ] = None,
    unit: Annotated[str, typer.Option(help="What is counted: session or visitor.")] = "session",
    any_order: Annotated[
        bool, typer.Option("--any-order", help="All steps, in any order.")
    ] = False,
    by: Annotated[str | None, typer.Option(help="Split by a column, such as device.")] = None,
    segment: SegmentName = None,
    layout: Annotated[str | None, typer.Option(help="Layout; guessed when not given.")] = None,
    session_gap: Gap = None,
    session_break: Breaks = None,
    zone: Zone = None,
    rates: RatesFile = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Count how many sessions or visitors reach each step, and how long they take."""
    from cartcast import insights
    from cartcast.config import parse_duration
    from cartcast.segments.steps import split_steps

    with progress(not json) as show:
        log = read_log(
            files, show, layout=layout, session_gap=session_gap, session_breaks=session_break,
            zone=zone, rates=rates,
        )  # fmt: skip
        found = insights.funnel(
            log,
            split_steps(steps) if steps else None,
            unit=unit,  # type: ignore[arg-type]
            order="any" if any_order else "ordered",
            window=parse_duration(window) if window else None,
            by=by,
            where=slice_of(segment, log),
        )
    if json:
        print_json(found.as_dict())
        return
    if not found.steps:
        typer.echo("None of the usual steps occurs in this log; name some: --steps page=1,page=2.")
    for value in found.segments:
        if by:
            typer.echo(f"{by}: {'(unknown)' if value is None else value}")
        for s in (x for x in found.steps if x.segment == value):
            rate = s.of_first
            typer.echo(
                f"  {s.step:<20} {s.reached:>12,}"
                + ("" if rate.value is None else f"  {rate.value:8.2%}")
                + ("" if rate.low is None else f"  ({rate.low:.2%} to {rate.high:.2%})")
                + ("" if s.seconds_median is None else f"  median {s.seconds_median:,.0f} s")
            )
    for k in dict.fromkeys(i.reached for i in found.instead):
        own = [i for i in found.instead if i.reached == k]
        went = ", ".join(f"{i.event or 'the end'} {i.share:.1%}" for i in own[:4])
        lost = sum(i.units for i in own)
        typer.echo(f"Lost after {own[0].step} ({lost:,}); next came {went}.")
    show_findings(found.findings)
