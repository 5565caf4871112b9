"""`cartcast backup`: copy a project in use; list and verify what was copied."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cartcast.cli import shell

if TYPE_CHECKING:
    from cartcast.backup import Store
    from cartcast.config import Settings

_WORDS = ("list", "verify")


def add(app: typer.Typer) -> None:
    """Register the verb."""

    @app.command()
    def backup(
        words: Annotated[
            list[str] | None,
            typer.Argument(
                metavar="[list|verify] [TO]", help="Folder of the backups; default: the project's."
            ),
        ] = None,
        project: Annotated[
            Path | None, typer.Option(help="Project; default: here or above.")
        ] = None,
        keep: Annotated[
            str | None, typer.Option(help="Backups to keep: a number, or an age as 30d.")
        ] = None,
        encrypt: Annotated[
            bool, typer.Option("--encrypt", help="Encrypt all with CARTCAST_BACKUP_PASSPHRASE.")
        ] = False,
        keys: Annotated[bool, typer.Option("--keys", help="Include API keys, encrypted.")] = False,
        state_dir: Annotated[
            list[Path] | None, typer.Option(help="A live state kept elsewhere; repeatable.")
        ] = None,
        name: Annotated[
            str | None, typer.Option("--backup", help="verify: which backup; default: the newest.")
        ] = None,
        json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
    ) -> None:
        """Back up a project to TO while it is in use; `list` or `verify` its backups."""
        from cartcast.backup import Store, passphrase_from
        from cartcast.errors import UsageError

        given = list(words or ())
        asked = given.pop(0) if given and given[0] in _WORDS else "make"
        if len(given) > 1:
            raise UsageError(f"backup takes one folder, got {' '.join(given)}.")
        if given and asked in _WORDS:
            to, settings = Path(given[0]), None
        else:
            folder, settings = shell.project_here(project)
            to = _to(given, folder, settings)
        secret = passphrase_from()
        if asked == "list":
            _list(Store(to, secret), json)
        elif asked == "verify":
            _verify(Store(to, secret), name, json)
        else:
            assert settings is not None
            store = Store.make(to, secret, encrypt=encrypt)
            _make(folder, store, settings, keep, keys, tuple(state_dir or ()), json)


def _to(given: list[str], folder: Path, settings: Settings) -> Path:
    from cartcast.errors import UsageError

    told = given[0] if given else settings.backup.get("to")
    if not told:
        raise UsageError(
            "say where to: `cartcast backup TO`, or `backup: {to: ...}` in the settings."
        )
    return Path(told) if given else folder / str(told)


def _make(
    folder: Path,
    store: Store,
    settings: Settings,
    keep: str | None,
    keys: bool,
    states: tuple[Path, ...],
    json: bool,
) -> None:
    from cartcast.backup import back_up
    from cartcast.config import parse_duration

    told = keep or str(settings.backup.get("keep") or "")
    most = int(told) if told.isdigit() and int(told) else None
    since = None
    if told and most is None:
        since = datetime.now(UTC) - timedelta(seconds=parse_duration(told))
    with shell.progress(not json) as show:
        done = back_up(
            folder, store, keys=keys, states=states, keep=most, since=since, progress=show
        )
    if json:
        shell.print_json(done)
        return
    made = done.manifest
    typer.echo(
        f"{made.id}: {len(made.files)} files, {made.size / 1e6:,.1f} MB, of them "
        f"{done.written / 1e6:,.1f} MB new, in {store.folder}"
    )
    for note in made.notes:
        typer.echo(f"  {note}")
    if done.removed:
        typer.echo(f"  {len(done.removed)} older ones removed, {done.freed / 1e6:,.1f} MB freed")


def _list(store: Store, json: bool) -> None:
    from cartcast.backup import summary

    found = [summary(manifest) for manifest in store.readable()]
    unread = len(store.ids()) - len(found)
    if json:
        shell.print_json({"backups": found, "unreadable": unread})
        return
    for one in found:
        typer.echo(
            f"{one['id']}  {one['created'][:19]}Z  {one['files']} files  {one['bytes'] / 1e6:,.1f} "
            f"MB  {one['runs']} runs"
        )
    if unread:
        typer.echo(f"{unread} cannot be read: cut short, changed, or of a newer version")


def _verify(store: Store, name: str | None, json: bool) -> None:
    from cartcast.backup import verify

    with shell.progress(not json) as show:
        found = verify(store, name, progress=show)
    if json:
        shell.print_json(found)
    else:
        for problem in found.problems:
            typer.echo(f"  {problem}")
        for note in found.notes:
            typer.echo(f"  {note}")
    found.require()
    if not json:
        typer.echo(
            f"{found.id}: restored elsewhere and compared: {found.files} files byte for byte, "
            f"{found.runs} runs by their manifests, {found.answers} champions by what they answer, "
            f"{found.records} live events, {found.sessions} sessions"
        )
