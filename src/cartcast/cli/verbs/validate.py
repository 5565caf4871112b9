"""`cartcast validate`: hold a log to the contract and say what it holds."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cartcast.cli import shell

if TYPE_CHECKING:
    from cartcast.events import Log


def add(app: typer.Typer) -> None:
    """Register the verb."""

    @app.command()
    def validate(
        files: Annotated[
            list[str], typer.Argument(metavar="FILE...", help="Files, folders, globs, table URLs.")
        ],
        layout: Annotated[
            str | None, typer.Option(help="Layout name or YAML file; guessed when not given.")
        ] = None,
        orders: Annotated[
            str | None, typer.Option(help="Table of orders, if they are not in the log.")
        ] = None,
        session_gap: shell.Gap = None,
        session_break: shell.Breaks = None,
        zone: shell.Zone = None,
        rates: shell.RatesFile = None,
        max_reject_share: Annotated[
            float | None, typer.Option(help="Share of rejected rows that is let pass; else 0.01.")
        ] = None,
        rejects: Annotated[
            Path | None, typer.Option(help="Write rejected rows here (.parquet or .csv).")
        ] = None,
        out: Annotated[
            Path | None, typer.Option(help="Write the canonical log here (.parquet).")
        ] = None,
        engine: Annotated[
            str, typer.Option(help="duckdb (this machine) or spark; --out is a folder then.")
        ] = "duckdb",
        memory: Annotated[str | None, typer.Option(help="Memory limit, such as 2GB.")] = None,
        as_json: Annotated[bool, typer.Option("--json", help="One JSON document.")] = False,
    ) -> None:
        """Check event files against the contract; exit 3 when too many rows are rejected."""
        from cartcast import events

        refused: events.RejectedError | None = None
        reading = shell.project_reading(
            layout=layout, session_gap=session_gap, session_breaks=session_break, zone=zone,
            rates=rates, max_reject_share=max_reject_share,
        )  # fmt: skip
        with shell.progress(not as_json) as progress:
            try:
                log = reading.load(
                    *files,
                    orders=orders,
                    progress=progress,
                    engine=engine,
                    memory=memory,
                    out=out,
                    rejects_out=rejects,
                    report_only=out is None,
                    privacy=shell.project_privacy(),
                )
            except events.RejectedError as error:
                refused, log = error, error.log
        if as_json:
            shell.print_json(
                {
                    **log.summary.as_dict(),
                    "layout": log.layout,
                    "zone": log.zone,
                    "accepted": refused is None,
                    "out": str(out) if out and refused is None else None,
                    "findings": log.findings,
                }
            )
        else:
            _show(log)
        if refused is not None:
            raise refused


def _show(log: Log) -> None:
    """Print a log's figures and findings for a person."""
    s = log.summary
    unit = f" {s.currency}" if s.currency else ""

    def line(name: str, value: object) -> None:
        typer.echo(f"{name:<18} {value}")

    def number(value: float | None, digits: int = 0) -> str:
        return "-" if value is None else f"{value:,.{digits}f}"

    line("layout", f"{log.layout} (clock: {s.clock}{f', {log.zone}' if log.zone else ''})")
    line("events", f"{number(s.events)} ({number(s.rejects)} rejected)")
    line("from, to", f"{s.start or '-'} .. {s.end or '-'}")
    line("sessions", number(s.sessions))
    line("visitors", number(s.visitors))
    line("items", f"{number(s.items)} in {number(s.categories)} categories")
    line("countries", number(s.countries))
    line("event types", ", ".join(f"{k} {v:,}" for k, v in s.event_types.items()) or "-")
    line("purchases", f"{number(s.purchases)} in {number(s.purchase_sessions)} sessions")
    if s.users:
        line("logins", number(s.users))
    line("orders", number(s.orders))
    line("revenue", f"{number(s.revenue, 2)}{unit}")
    if s.refunds is not None:
        line("", f"of it refunds {number(s.refunds, 2)}{unit}")
    if s.order_totals is not None:
        line("", f"orders with lines: totals {number(s.order_totals, 2)}{unit}, "
             f"lines {number(s.order_lines, 2)}{unit}; the totals count")  # fmt: skip
    if s.revenue_as_sent is not None and s.repeated_purchases:
        line("", f"{number(s.revenue_as_sent, 2)}{unit} as it came, repeats included")
    left_out = s.duplicate_events + s.repeated_rows
    if left_out:
        line("rows left out", f"{number(left_out)} sent or delivered before")
    typer.echo(f"findings ({len(log.findings)})" if log.findings else "findings           none")
    shell.show_findings(log.findings)
