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
    models = typer.Typer(
        help="List, show, promote, roll back, verify, delete and share trained runs."
    )
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

    @models.command()
    def delete(
        name: Annotated[str, typer.Argument(help="Run id.")],
        reason: Annotated[str, typer.Option(help="Reason, kept in the registry.")] = "",
        project: ProjectOption = None,
    ) -> None:
        """Delete a run that holds no alias: from the registry, the store and this host."""
        typer.echo(f"{_registry(project).delete(name, reason).run_id} is deleted")

    _team(models)


def _team(models: typer.Typer) -> None:
    """Add what a team needs that shares a catalogue and a store."""

    @models.command()
    def push(
        name: Annotated[
            str | None, typer.Argument(help="Run, alias or folder; all that are not there.")
        ] = None,
        project: ProjectOption = None,
    ) -> None:
        """Bring runs of this host into the team's store."""
        pushed = _registry(project).push(name)
        for entry in pushed:
            typer.echo(f"{entry.run_id}: in the store as {entry.stored[:12]}")
        if not pushed:
            typer.echo("Nothing to push.")

    @models.command()
    def pull(
        name: Annotated[str, typer.Argument(help="Run or alias.")] = "champion",
        project: ProjectOption = None,
    ) -> None:
        """Bring a run here before it is needed; verbs that need one do so themselves."""
        typer.echo(str(_registry(project).run(name).dir))

    @models.command()
    def history(project: ProjectOption = None, json: JsonOption = False) -> None:
        """List who gave an alias, deleted a run, restored or gave a role; newest first."""
        registry = _registry(project)
        told = [vars(p) for p in registry.promotions()] + [vars(a) for a in registry.members.acts()]
        told.sort(key=lambda line: line["at"], reverse=True)
        if json:
            shell.print_json(told)
            return
        for line in told:
            what = line.get("action") or f"{line['target']}/{line['alias']} = {line['run_id']}"
            why = line.get("detail", line.get("reason"))
            typer.echo(f"{line['at']}  {line['who']}  {what}  {why}".rstrip())

    @models.command()
    def members(
        name: Annotated[str | None, typer.Argument(help="User of the database.")] = None,
        role: Annotated[str, typer.Option(help="viewer, analyst, admin or none.")] = "viewer",
        project: ProjectOption = None,
    ) -> None:
        """List the members of a PostgreSQL catalogue, or give one a role."""
        held = _registry(project).members
        if name is not None:
            held.give(name, role)
        for user, given in held.roles().items():
            typer.echo(f"{user}: {given}")

    @models.command()
    def migrate(project: ProjectOption = None) -> None:
        """Bring a PostgreSQL catalogue of an earlier version to that of this Cartcast."""
        _registry(project).migrate()
        typer.echo("The catalogue is of the version that this Cartcast works with.")


def _announce(registry: Registry, target: str, alias: str) -> None:
    from cartcast.monitoring.changes import announce

    if told := announce(registry, target, alias):
        typer.echo(f"  {told}")


def _registry(project: Path | None) -> Registry:
    from cartcast.runs.registry import Registry

    return Registry.of(shell.project_here(project)[0])
