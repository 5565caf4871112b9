"""`cartcast models`: the registry on the command line."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cartcast.cli import shell

if TYPE_CHECKING:
    from cartcast.runs.registry import Registry

ProjectOption = Annotated[Path | None, typer.Option(help="Project folder; default: here or above.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]


def add(app: typer.Typer) -> None:
    """Add the verb and its parts."""
    models = typer.Typer(help="List, show, promote, roll back and verify trained runs.")
    app.add_typer(models, name="models")

    @models.command("list")
    def list_runs(project: ProjectOption = None, json: JsonOption = False) -> None:
        """List all runs, newest first, with their aliases."""
        registry = _registry(project)
        aliases: dict[str, list[str]] = {}
        for (_, alias), run_id in registry.aliases().items():
            aliases.setdefault(run_id, []).append(alias)
        runs = registry.runs()
        if json:
            shell.print_json([{**vars(e), "aliases": aliases.get(e.run_id, [])} for e in runs])
            return
        for e in runs:
            held = ", ".join(aliases.get(e.run_id, []))
            typer.echo(f"{e.run_id}  {e.target} ({e.target_kind})  {e.champion}  {held}")
        if not runs:
            typer.echo("No run yet; make one with `cartcast train`.")

    @models.command()
    def show(name: str, project: ProjectOption = None, json: JsonOption = False) -> None:
        """Show one run: a run id, or an alias as champion or purchase/champion."""
        entry = _registry(project).get(name)
        if json:
            shell.print_json(vars(entry))
        else:
            for key, value in vars(entry).items():
                typer.echo(f"{key}: {value}")

    @models.command()
    def promote(
        name: str,
        alias: Annotated[str, typer.Option(help="champion or challenger.")] = "champion",
        reason: Annotated[str, typer.Option(help="Reason, kept in the registry.")] = "",
        project: ProjectOption = None,
    ) -> None:
        """Give an alias to a run, after checking its files."""
        registry = _registry(project)
        entry = registry.promote(name, alias, reason)
        typer.echo(f"{entry.target}/{alias} is now {entry.run_id}")
        _announce(registry, entry.target, alias)

    @models.command()
    def rollback(
        alias: Annotated[str, typer.Argument(help="champion or challenger.")] = "champion",
        target: Annotated[str | None, typer.Option(help="Target whose alias is meant.")] = None,
        project: ProjectOption = None,
    ) -> None:
        """Give an alias back to the run that held it before."""
        registry = _registry(project)
        entry = registry.rollback(alias, target)
        typer.echo(f"{entry.target}/{alias} is {entry.run_id} again")
        _announce(registry, entry.target, alias)

    @models.command()
    def verify(
        name: Annotated[str | None, typer.Argument(help="Run or alias; all by default.")] = None,
        project: ProjectOption = None,
    ) -> None:
        """Check that model files are as recorded; exit 5 if one is not."""
        registry = _registry(project)
        entries = [registry.get(name)] if name else registry.runs()
        for entry in entries:
            registry.verify(entry)
            typer.echo(f"{entry.run_id}: as recorded")


def _announce(registry: Registry, target: str, alias: str) -> None:
    from cartcast.monitoring import announce

    if told := announce(registry, target, alias):
        typer.echo(f"  {told}")


def _registry(project: Path | None) -> Registry:
    from cartcast.runs.registry import Registry

    folder, settings = shell.project_here(project)
    return Registry(folder, settings.catalogue)
