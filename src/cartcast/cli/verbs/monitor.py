"""`cartcast monitor`: look at a run with a new log, and handle its alarms."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cartcast.cli import shell
from cartcast.cli.repeat import Every, repeat

if TYPE_CHECKING:
    from cartcast.monitoring.check import Look
    from cartcast.monitoring.store import Store

_WHY = typer.Option("--why", help="Reason; it is kept.")
_NUMBER = typer.Argument(help="Number of the alarm.")
_JSON = typer.Option("--json", help="Print one JSON document.")


def add(app: typer.Typer) -> None:
    """Register the verb and its words."""
    monitor = typer.Typer(help="Watch a stored run, and handle its alarms.", no_args_is_help=True)
    app.add_typer(monitor, name="monitor")
    for command in (check, alarms, acknowledge, resolve, silence):
        monitor.command(command.__name__)(command)


def check(
    files: Annotated[list[str], typer.Argument(help="The newest log, with its outcomes.")],
    model: Annotated[str, typer.Option(help="Run folder, run id, or alias.")] = "champion",
    scored: Annotated[
        Path | None, typer.Option(help="Scores kept earlier; without them, the run scores the log.")
    ] = None,
    layout: Annotated[str | None, typer.Option(help="Layout name or YAML.")] = None,
    orders: Annotated[str | None, typer.Option(help="Outcomes kept apart.")] = None,
    rates: shell.RatesFile = None,
    segment: Annotated[
        list[str] | None, typer.Option(help="Calibration by a saved segment, too; repeat.")
    ] = None,
    every: Every = None,
    json: Annotated[bool, _JSON] = False,
) -> None:
    """Add what is new to what is kept, and raise alarms."""

    def look(_stopped: object = None) -> None:
        _look(files, model, json, every is not None, scored=scored, layout=layout, orders=orders,
              rates=rates, segments=segment or ())  # fmt: skip

    if every is None:
        look()
    else:
        repeat(every, look)


def _look(
    files: list[str], model: str, json: bool, stays: bool, *, rates: str | None,
    segments: Sequence[str], **given: Any,
) -> None:  # fmt: skip
    """Look once; settings and the run are those of now."""
    from cartcast.config import DEFAULTS, find_project, read_settings
    from cartcast.monitoring.check import check as look_once
    from cartcast.monitoring.plan import plan_from
    from cartcast.runs.run import Run
    from cartcast.segments import read_segment

    project = find_project()
    settings = read_settings(project) if project else DEFAULTS
    plan = plan_from(settings.monitoring)
    with shell.progress(not json) as progress:
        look = look_once(
            Run.open(model, project), files, project=project, plan=plan,
            rates=shell.project_rates(rates), privacy=shell.project_privacy(),
            targets=settings.targets, progress=progress,
            segments=[read_segment(shell.project_here()[0], name) for name in segments], **given,
        )  # fmt: skip
    if json:
        shell.print_json(look, line=stays)
    else:
        _show(look, project)


def _show(look: Look, project: Path | None) -> None:
    risk = look.risk
    days = len(look.days)
    typer.echo(f"{look.run}: {days:,} day{'s' * (days != 1)} whose outcomes are known")
    typer.echo(
        f"  last 28 days: log loss {_number(risk['log_loss'])} (expected "
        f"{_number(risk['log_loss_expected'])}), purchases {_share(risk['purchases'])} and revenue "
        f"{_share(risk['revenue'])} of those expected"
    )
    if look.estimate is not None:
        e = look.estimate
        typer.echo(
            f"  to come: log loss {e.value:.4f} ({e.low:.4f} to {e.high:.4f}, 90 %); {e.label}"
        )
    if look.untold:
        typer.echo(f"  {look.untold}")
    shell.show_findings(look.findings)
    _list(look.alarms)
    if look.sent:
        typer.echo(f"  sent by {', '.join(look.sent)}")
    if look.problem:
        typer.echo(f"  not sent: {look.problem} It is tried again at the next look.", err=True)
    if project is None:
        typer.echo("  nothing is kept: there is no project here (`cartcast init`).", err=True)


def _number(value: float | None) -> str:
    return "not known" if value is None else f"{value:.4f}"


def _share(value: float | None) -> str:
    return "not known" if value is None else f"{value:.0%}"


def _list(found: list[Any]) -> None:
    if not found:
        typer.echo("  no alarm")
    for a in found:
        money = "" if a.money is None else f", {a.money:,.0f} {a.currency or ''}".rstrip()
        typer.echo(
            f"  [{a.number}] {a.severity} {a.code} {a.state} since {a.since[:10]}{money}: "
            f"{a.message}"
        )


def alarms(
    state: Annotated[
        str | None, typer.Option(help="open, acknowledged or resolved; all if not given.")
    ] = None,
    json: Annotated[bool, _JSON] = False,
) -> None:
    """List the alarms of the project."""
    from cartcast.errors import UsageError, did_you_mean

    states = ("open", "acknowledged", "resolved")
    if state is not None and state not in states:
        raise UsageError(f"unknown state {state!r}.{did_you_mean(state, states)}")
    found = _store().alarms(state)
    if json:
        shell.print_json([a.as_dict() for a in found])
    else:
        _list(found)


def acknowledge(number: Annotated[int, _NUMBER], why: Annotated[str, _WHY] = "") -> None:
    """Say that somebody is at work on an alarm."""
    done = _store().change(number, "acknowledged", why)
    typer.echo(f"alarm {done.number} ({done.code}) is acknowledged")


def resolve(number: Annotated[int, _NUMBER], why: Annotated[str, _WHY] = "") -> None:
    """Say that what raised an alarm is over; if it returns, a new alarm opens."""
    done = _store().change(number, "resolved", why)
    typer.echo(f"alarm {done.number} ({done.code}) is resolved")


def silence(
    code: Annotated[str, typer.Argument(help="Finding code, or * for all.")],
    hours: Annotated[str, typer.Option("--for", help="How long, such as 8h or 2d.")],
    why: Annotated[str, _WHY],
) -> None:
    """Stop sending alarms for a while; they are still raised and kept."""
    from datetime import UTC, datetime, timedelta

    import cartcast.monitoring.codes  # noqa: F401
    from cartcast.config import parse_duration

    until = datetime.now(UTC) + timedelta(seconds=parse_duration(hours))
    done = _store().silence(code, until, why)
    typer.echo(f"silence {done.number}: {done.code} until {done.until}, recorded for {done.who}")


def _store() -> Store:
    from cartcast.config import find_project
    from cartcast.errors import NotFoundError
    from cartcast.monitoring.store import open_store

    project = find_project()
    if project is None:
        raise NotFoundError(
            "alarms are kept in a project, and there is none here (`cartcast init`)."
        )
    return open_store(project)
