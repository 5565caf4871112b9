"""`cartcast segment`: saved filters over sessions or visitors, for every other verb and the app."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from cartcast.cli import shell

__all__ = ["add"]

_JSON = typer.Option("--json", help="Print one JSON document.")
_PROJECT = typer.Option("--project", help="Project folder; default: found here or above.")
_NAME = typer.Argument(help="Name of the segment.")
_FILES = typer.Argument(help="Log files, or one clean log.")


def add(app: typer.Typer) -> None:
    """Register the verb and its words."""
    segment = typer.Typer(help="Saved filters over sessions or visitors.", no_args_is_help=True)
    app.add_typer(segment, name="segment")

    @segment.command()
    def make(
        name: Annotated[str, _NAME],
        where: Annotated[
            list[str] | None,
            typer.Option(help="device=mobile,tablet; country!=DE; events>=3; unknown is a value."),
        ] = None,
        did: Annotated[
            list[str] | None,
            typer.Option(help="Did an event, or column=value; add_to_cart:2 at least twice."),
        ] = None,
        did_not: Annotated[list[str] | None, typer.Option(help="The same, not done.")] = None,
        bought: Annotated[
            bool | None, typer.Option("--bought/--not-bought", help="With a purchase, or without.")
        ] = None,
        score_from: Annotated[
            float | None, typer.Option(help="At some moment a run's score was at least this.")
        ] = None,
        run: Annotated[str, typer.Option(help="That run: its id or alias.")] = "champion",
        seen: Annotated[
            str | None, typer.Option(help="Seen within this time before the log's end, as 30d.")
        ] = None,
        of: Annotated[
            str, typer.Option(help="session: each by itself; visitor: all a visitor did.")
        ] = "session",
        project: Annotated[Path | None, _PROJECT] = None,
        json: Annotated[bool, _JSON] = False,
    ) -> None:
        """Save a segment as segments/NAME.yaml; another definition gets the next version."""
        from cartcast.segments import save_segment, segment_from
        from cartcast.segments.steps import condition_of

        conditions: list[dict[str, Any]] = [condition_of(t).as_dict() for t in where or ()]
        for key, words in (("did", did), ("did_not", did_not)):
            conditions += [_event(key, word) for word in words or ()]
        if bought is not None:
            conditions.append({"bought": bought})
        if score_from is not None:
            conditions.append({"score_from": score_from, "run": run})
        if seen is not None:
            conditions.append({"seen": seen})
        folder, _ = shell.project_here(project)
        saved = save_segment(folder, segment_from({"of": of, "where": conditions}, name))
        _show(saved, json)

    @segment.command("list")
    def list_segments(
        project: Annotated[Path | None, _PROJECT] = None, json: Annotated[bool, _JSON] = False
    ) -> None:
        """Show the segments of the project."""
        from cartcast.errors import DefinitionError
        from cartcast.segments import Segment, read_segment, segment_names

        folder, _ = shell.project_here(project)
        found, broken = list[Segment](), list[str]()
        for name in segment_names(folder):
            try:
                found.append(read_segment(folder, name))
            except DefinitionError as error:
                broken.append(str(error))
        if json:
            shell.print_json([{"name": s.name, **s.as_dict()} for s in found])
        else:
            for s in found:
                typer.echo(f"{s.name:<24} {s.describe()}")
        if broken:
            raise DefinitionError(" ".join(broken))

    @segment.command()
    def count(
        name: Annotated[str, _NAME],
        files: Annotated[list[str], _FILES],
        layout: Annotated[str | None, typer.Option(help="Layout name or YAML.")] = None,
        session_gap: shell.Gap = None,
        session_break: shell.Breaks = None,
        zone: shell.Zone = None,
        rates: shell.RatesFile = None,
        json: Annotated[bool, _JSON] = False,
    ) -> None:
        """Count the sessions and visitors of a segment in a log."""
        from cartcast.insights import list_sessions

        with shell.progress(not json) as progress:
            log = shell.read_log(
                files, progress, layout=layout, session_gap=session_gap,
                session_breaks=session_break, zone=zone, rates=rates,
            )  # fmt: skip
            found = list_sessions(log, where=shell.slice_of(name, log), most=0)
        told = {"segment": name, "sessions": found.sessions, "visitors": found.visitors,
                "of_sessions": log.summary.sessions}  # fmt: skip
        if json:
            shell.print_json(told)
        else:
            typer.echo(
                f"{name}: {found.sessions:,} of {log.summary.sessions:,} sessions, "
                f"{found.visitors:,} visitors"
            )

    @segment.command()
    def export(
        name: Annotated[str, _NAME],
        files: Annotated[list[str], _FILES],
        out: Annotated[Path, typer.Option(help="File to write: .csv or .parquet.")],
        layout: Annotated[str | None, typer.Option(help="Layout name or YAML.")] = None,
        session_gap: shell.Gap = None,
        session_break: shell.Breaks = None,
        zone: shell.Zone = None,
        rates: shell.RatesFile = None,
        json: Annotated[bool, _JSON] = False,
    ) -> None:
        """Write the visitors of a segment, the one seen last first."""
        from cartcast.insights import list_visitors
        from cartcast.score import write_table

        with shell.progress(not json) as progress:
            log = shell.read_log(
                files, progress, layout=layout, session_gap=session_gap,
                session_breaks=session_break, zone=zone, rates=rates,
            )  # fmt: skip
            found = list_visitors(log, shell.slice_of(name, log))
        write_table(found, out)
        if json:
            shell.print_json({"segment": name, "visitors": len(found), "out": str(out)})
        else:
            typer.echo(f"{name}: {len(found):,} visitors -> {out}")

    @segment.command()
    def remove(
        name: Annotated[str, _NAME], project: Annotated[Path | None, _PROJECT] = None
    ) -> None:
        """Remove a segment; runs keep the definition that they learnt by."""
        from cartcast.segments import remove_segment

        remove_segment(shell.project_here(project)[0], name)
        typer.echo(f"{name}: removed")


def _show(saved: Any, json: bool) -> None:
    if json:
        shell.print_json({"name": saved.name, **saved.as_dict()})
    else:
        typer.echo(f"{saved.name}, version {saved.version}. {saved.describe()}")


def _event(key: str, word: str) -> dict[str, Any]:
    """Return the condition that `add_to_cart:2` is."""
    event, _, times = word.rpartition(":")
    if event and times.isdecimal():
        return {key: event, "times": int(times)}
    return {key: word}
