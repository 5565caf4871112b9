"""`cartcast items`: what sells, what is bought together, what rises and falls."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any

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
    from cartcast.events import Log
    from cartcast.insights import Slice

__all__ = ["add"]


def add(app: typer.Typer) -> None:
    """Register the verb."""
    app.command("items")(items)


def items(
    files: Annotated[list[str], typer.Argument(help="Log files, or one clean log.")],
    by: Annotated[
        str, typer.Option(help="item_id, brand, category: a column that purchases have.")
    ] = "item_id",
    largest: Annotated[int, typer.Option(help="Rows to show.")] = 20,
    least: Annotated[int, typer.Option(help="Orders that a pair, or a change, needs.")] = 10,
    days: Annotated[
        int | None, typer.Option(help="Only the last days, against as many before them.", min=1)
    ] = None,
    segment: SegmentName = None,
    layout: Annotated[str | None, typer.Option(help="Layout; guessed when not given.")] = None,
    session_gap: Gap = None,
    session_break: Breaks = None,
    zone: Zone = None,
    rates: RatesFile = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Show what sessions do with each item, what is bought together, what rises and falls."""
    from cartcast import insights

    with progress(not json) as show:
        log = read_log(
            files, show, layout=layout, session_gap=session_gap, session_breaks=session_break,
            zone=zone, rates=rates,
        )  # fmt: skip
        where = slice_of(segment, log) or insights.Slice()
        there = None
        if days is not None:
            where, there = _before(log, where, days)
        found = insights.items(log, by, where=where, largest=largest)
        pairs = insights.bought_together(log, by, where=where, least=least, largest=largest)
        changes: tuple[Any, ...] = ()
        if there is not None:
            changes = insights.compare_items(log, where, there, by, least=least, largest=largest)
    if json:
        told = {"together": [p._asdict() for p in pairs], "changes": [c._asdict() for c in changes]}
        print_json({**found.as_dict(), **told})
        return
    typer.echo(f"{found.values:,} values of {by}, {found.sessions:,} sessions")
    typer.echo(
        f"  {'':<24} {'views':>10} {'to cart':>8} {'bought':>8} {'shrunk':>8} {'revenue':>14}"
    )
    for r in found.rows:
        shown = [_share(r.to_cart.value), _share(r.bought.value), _share(r.rate and r.rate.value)]
        money = "-" if r.revenue is None else f"{r.revenue:,.2f}"
        typer.echo(f"  {r.value:<24.24} {r.views:>10,} {' '.join(shown)} {money:>14}")
    for p in pairs:
        typer.echo(f"  {p.first} with {p.second}: {p.orders:,} orders, lift {p.lift:.2f}")
    for c in changes:
        change = "" if c.change is None else f"  {c.change:+.1%} ({c.low:+.1%} to {c.high:+.1%})"
        typer.echo(f"  {c.measure}: {c.there or 0:,.0f} -> {c.here or 0:,.0f} sessions{change}")
    show_findings(found.findings)


def _before(log: Log, where: Slice, days: int) -> tuple[Slice, Slice]:
    """Return the last days of a log, and as many before them.

    Raises:
        UsageError: the log has no calendar, or is too short.
    """
    from cartcast.errors import UsageError
    from cartcast.insights import overview

    whole = overview(log)
    if whole.start is None or whole.end is None:
        raise UsageError("--days needs a log with dates.")
    end = whole.end.date()
    if (end - whole.start.date()).days + 1 < 2 * days:
        raise UsageError(
            f"--days {days} needs twice as many days; the log begins on {whole.start:%Y-%m-%d}."
        )
    here = replace(where, start=end - timedelta(days=days - 1), end=end)
    return here, here.before()


def _share(value: float | None) -> str:
    return f"{'-':>8}" if value is None else f"{value:8.2%}"
