"""`cartcast forget`: remove a person, tell what is known of one, keep nothing longer than asked."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

import typer

from cartcast.cli import shell


def add(app: typer.Typer) -> None:
    """Register the verb."""

    @app.command()
    def forget(
        visitor: Annotated[
            str | None, typer.Argument(help="Id of a visitor or user, as the shop writes it.")
        ] = None,
        export: Annotated[
            bool, typer.Option("--export", help="Print what is stored as JSON; remove nothing.")
        ] = False,
        older_than: Annotated[
            str | None, typer.Option(help="Instead: remove all that is older, such as 400d.")
        ] = None,
        finish: Annotated[
            bool, typer.Option("--finish", help="Instead: finish an interrupted removal.")
        ] = False,
        backups: Annotated[
            list[Path] | None, typer.Option(help="Folder of backups, beside the project's; repeat.")
        ] = None,
        wait: Annotated[float, typer.Option(help="Seconds that a running service has.")] = 60.0,
        project: Annotated[
            Path | None, typer.Option(help="Project; default: here or above.")
        ] = None,
        json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
    ) -> None:
        """Remove a person from logs, states, scores, uploads, and what is restored later."""
        from cartcast import forget as people
        from cartcast.config import parse_duration
        from cartcast.errors import UsageError

        if sum((visitor is not None, older_than is not None, finish)) != 1:
            raise UsageError("forget takes one of VISITOR, --older-than AGE and --finish.")
        folder, settings = shell.project_here(project)
        if visitor is None:
            went = (
                people.finish(folder, wait)
                if older_than is None
                else people.expire(folder, parse_duration(older_than))
            )
            _places("removed", went, json)
            return
        if export:
            shell.print_json(people.export(folder, visitor))
            return
        told = settings.backup.get("to")
        stores = [*(backups or ()), *([folder / str(told)] if told else [])]
        done = people.forget(folder, visitor, wait=wait, stores=stores)
        if json:
            shell.print_json(done)
            return
        _places("removed", done.removed, json)
        _places("remains", done.remains, json)
        if done.short:
            typer.echo("an id of under four characters was searched in whole cells only")
        if stores:
            typer.echo(
                "backups of before still hold the person; what is restored from them will not"
            )


def _places(title: str, places: Iterable[Any], json: bool) -> None:
    rows = [vars(p) for p in places]
    if json:
        shell.print_json({title: rows})
        return
    for row in rows:
        typer.echo(f"{title}: {row['count']} {row['what']}: {row['place']}")
    if not rows:
        typer.echo(f"{title}: nothing")
