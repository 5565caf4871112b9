"""`cartcast fetch`: bring a public data set here, checked by its hash."""

from __future__ import annotations

from typing import Annotated

import typer

from cartcast.cli.shell import print_json, progress


def add(app: typer.Typer) -> None:
    """Register the verb."""
    app.command("fetch")(fetch)


def fetch(
    name: Annotated[str | None, typer.Argument(help="Data set; without it, list them.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Find a public data set, download it where it is not here, and print its path."""
    from cartcast.datasets import public

    if name is None:
        if json:
            print_json({"datasets": list(public.DATASETS.values())})
            return
        for d in public.DATASETS.values():
            typer.echo(f"{d.name:<12} {d.title} ({d.licence})")
        return
    with progress(not json) as show:
        path = public.fetch(name, progress=show)
    data = public.DATASETS[name]
    if json:
        print_json({"path": str(path), **data.as_dict()})
        return
    typer.echo(str(path))
    typer.echo(f"  {data.title}; {data.licence}; cite: {data.citation}", err=True)
