"""`cartcast cohorts`: do visitors return, and buy again?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

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

if TYPE_CHECKING:
    from cartcast.evaluate.share import Share


def add(app: typer.Typer) -> None:
    """Register the verb."""
    app.command("cohorts")(cohorts)


def cohorts(
    files: Annotated[list[str], typer.Argument(help="Log files, or one clean log.")],
    periods: Annotated[int, typer.Option(help="Weeks to follow after the first visit.")] = 8,
    segment: SegmentName = None,
    layout: Annotated[str | None, typer.Option(help="Layout; guessed when not given.")] = None,
    session_gap: Gap = None,
    session_break: Breaks = None,
    zone: Zone = None,
    rates: RatesFile = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Show return and repeat purchase by week of the first visit."""
    from cartcast import insights

    with progress(not json) as show:
        log = read_log(
            files, show, layout=layout, session_gap=session_gap, session_breaks=session_break,
            zone=zone, rates=rates,
        )  # fmt: skip
        found = insights.cohorts(log, periods=periods, where=slice_of(segment, log))
    if json:
        print_json(found.as_dict())
        return
    typer.echo("week of first visit   visitors  share that came back in the k-th week after it")
    for c in found.cohorts:
        cells = " ".join(_cell(w.returned) for w in found.weeks if w.week == c.week)
        typer.echo(f"  {c.week}        {c.visitors:>10,}  {cells}")
    typer.echo(
        f"{found.visitors:,} visitors; came back within {found.within} weeks of their first visit:"
        f"{_cell(found.returned)}; of the buyers, bought again:{_cell(found.bought_again)}."
    )
    show_findings(found.findings)


def _cell(share: Share | None) -> str:
    return "      -" if share is None or share.value is None else f"{share.value:7.1%}"
