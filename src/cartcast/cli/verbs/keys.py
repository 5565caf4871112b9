"""`cartcast keys`: API keys of the live service."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from cartcast.cli import shell

__all__ = ["add"]

_FILE = typer.Option("--keys", help="File of keys; default .cartcast/keys.json.")
_JSON = typer.Option("--json", help="Print one JSON document.")


def add(app: typer.Typer) -> None:
    """Register the verb and its words."""
    keys = typer.Typer(help="API keys of the live service.", no_args_is_help=True)
    app.add_typer(keys, name="keys")

    @keys.command("add")
    def add_key(
        name: Annotated[str, typer.Argument(help="Name of the key.")],
        scope: Annotated[
            list[str], typer.Option("--scope", help="ingest, page, score, ask or admin; repeat.")
        ],
        ends: Annotated[
            str | None, typer.Option("--ends", help="Expires after, such as 90d.")
        ] = None,
        file: Annotated[Path | None, _FILE] = None,
        as_json: Annotated[bool, _JSON] = False,
    ) -> None:
        """Make a key; it is shown once and stored as a hash."""
        import time

        from cartcast.config import parse_duration

        until = time.time() + parse_duration(ends) if ends else None
        _show(_file(file).add(name, scope, until), as_json)

    @keys.command("rotate")
    def rotate(
        name: Annotated[str, typer.Argument(help="Name of the key.")],
        keep: Annotated[
            str, typer.Option("--keep", help="How long the old key stays valid.")
        ] = "1d",
        file: Annotated[Path | None, _FILE] = None,
        as_json: Annotated[bool, _JSON] = False,
    ) -> None:
        """Make a new key; the old one stays valid for a while."""
        from cartcast.config import parse_duration

        _show(_file(file).rotate(name, parse_duration(keep)), as_json)

    @keys.command("revoke")
    def revoke(
        name: Annotated[str, typer.Argument(help="Name or id of the key.")],
        file: Annotated[Path | None, _FILE] = None,
    ) -> None:
        """Revoke a key at once."""
        typer.echo(f"{_file(file).revoke(name)} keys ended")

    @keys.command("list")
    def list_keys(
        file: Annotated[Path | None, _FILE] = None,
        as_json: Annotated[bool, _JSON] = False,
    ) -> None:
        """Show names, scopes and expiry dates; never the keys."""
        found = [
            {
                "id": k.id,
                "name": k.name,
                "scopes": list(k.scopes),
                "created": k.created,
                "ends": k.ends,
            }
            for k in _file(file).read()
        ]
        if as_json:
            shell.print_json(found)
            return
        for key in found:
            typer.echo(f"{key['id']}  {key['name']:<24} {', '.join(key['scopes'])}")


def _file(given: Path | None) -> Any:
    from cartcast.access.keys import KeyFile
    from cartcast.live.place import home

    return KeyFile(given or home() / "keys.json")


def _show(text: str, as_json: bool) -> None:
    if as_json:
        shell.print_json({"key": text})
        return
    typer.echo(text)
    typer.echo("Keep it: it is stored as a hash and cannot be shown again.", err=True)
