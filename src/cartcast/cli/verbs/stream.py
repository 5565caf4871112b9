"""`cartcast stream`: score a stream of events."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cartcast.cli import shell

__all__ = ["add"]


def add(app: typer.Typer) -> None:
    """Register the verb."""

    @app.command()
    def stream(
        source: Annotated[
            str,
            typer.Option(
                "--from", help="redis://host/0?stream=S, kafka://host:9092/topic or FILE."
            ),
        ],
        sink: Annotated[str, typer.Option("--to", help="Like --from; files hold JSON lines.")],
        model: Annotated[
            str, typer.Option("--model", help="Run folder, run id or alias.")
        ] = "champion",
        dead: Annotated[
            str | None, typer.Option("--dead-letter", help="Where unreadable messages go.")
        ] = None,
        group: Annotated[str, typer.Option("--group", help="Consumer group.")] = "cartcast",
        consumer: Annotated[str, typer.Option("--consumer", help="Name in the group.")] = "one",
        protocol: Annotated[
            str, typer.Option("--protocol", help="cartcast, segment, ga4 or snowplow.")
        ] = "cartcast",
        state: Annotated[str, typer.Option("--state", help="memory or redis://...")] = "memory",
        state_dir: Annotated[
            Path | None, typer.Option("--state-dir", help="Folder of the state and the position.")
        ] = None,
        durability: Annotated[
            str, typer.Option("--durability", help="fsync, write or none.")
        ] = "fsync",
        batch: Annotated[int, typer.Option("--batch", min=1, help="Messages read at once.")] = 500,
        idle: Annotated[
            float | None,
            typer.Option("--stop-when-idle", help="Stop after this many idle seconds."),
        ] = None,
        as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
    ) -> None:
        """Score a stream: at least once, counted once, unreadable messages set aside."""
        from cartcast.config import find_project
        from cartcast.live.place import home
        from cartcast.live.run_stream import StreamPlan, run_stream

        project = find_project()
        report = run_stream(
            StreamPlan(
                model=model,
                project=None if project is None else str(project),
                source=source,
                sink=sink,
                dead=dead,
                group=group,
                consumer=consumer,
                protocol=protocol,
                state=state,
                state_dir=state_dir or home() / f"stream-{group}-{consumer}",
                durability=durability,
                batch=batch,
                idle_seconds=idle,
            )
        )
        if as_json:
            shell.print_json(report)
        else:
            for name, value in report.items():
                typer.echo(f"{name}: {value}")
