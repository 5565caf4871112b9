"""`cartcast restore`: put a backup where it belongs, whole or not at all."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from cartcast.cli import shell


def add(app: typer.Typer) -> None:
    """Register the verb."""

    @app.command()
    def restore(
        source: Annotated[Path, typer.Argument(metavar="FROM", help="Folder of the backups.")],
        to: Annotated[
            Path | None, typer.Argument(metavar="[TO]", help="New folder; default: here.")
        ] = None,
        name: Annotated[
            str | None, typer.Option("--backup", help="Which backup; default: the newest.")
        ] = None,
        until: Annotated[
            str | None,
            typer.Option(help="Live state at a time, such as 2026-05-04T12:30 (UTC)."),
        ] = None,
        replace: Annotated[
            bool, typer.Option("--replace", help="Move the present state aside.")
        ] = False,
        catalogue: Annotated[
            str,
            typer.Option(help="PostgreSQL: auto (fill an empty one), leave, replace."),
        ] = "auto",
        json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
    ) -> None:
        """Restore a backup into a new folder, or in place of a project's state."""
        from cartcast.backup import Store, passphrase_from
        from cartcast.backup import restore as put_back
        from cartcast.backup.restore import CATALOGUE_WAYS
        from cartcast.errors import UsageError, did_you_mean

        way = next((w for w in CATALOGUE_WAYS if w == catalogue), None)
        if way is None:
            raise UsageError(
                f"unknown --catalogue {catalogue!r}.{did_you_mean(catalogue, CATALOGUE_WAYS)}"
            )
        done = put_back(
            Store(source, passphrase_from()),
            to or Path.cwd(),
            backup=name,
            until=_moment(until) if until else None,
            swap=replace,
            catalogue=way,
        )
        if json:
            shell.print_json(done)
            return
        typer.echo(
            f"{done.manifest.id} of {done.manifest.created[:19]}Z is in {done.place}: "
            f"{len(done.manifest.files)} files"
        )
        for entry in done.live:
            last = datetime.fromtimestamp(entry.last / 1e6, UTC) if entry.last else None
            told = f", the last of {last:%Y-%m-%d %H:%M:%S} UTC" if last else ""
            typer.echo(f"  {entry.name}: {entry.records} events since its snapshot{told}")
        if done.forgotten:
            typer.echo(f"  {done.forgotten} records of people forgotten since were left out")
        if done.aside:
            typer.echo(f"  the state of before lies in {done.aside}; delete it when all is well")
        for note in done.notes:
            typer.echo(f"  {note}")


def _moment(text: str) -> datetime:
    from cartcast.errors import UsageError

    try:
        told = datetime.fromisoformat(text)
    except ValueError as error:
        raise UsageError(f"--until must look like 2026-05-04T12:30, got {text!r}.") from error
    return told if told.tzinfo else told.replace(tzinfo=UTC)
