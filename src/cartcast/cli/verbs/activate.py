"""`cartcast activate`: contact whom a rule over scores names, with a holdout that measures it."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cartcast.cli import shell
from cartcast.cli.repeat import Every, repeat

if TYPE_CHECKING:
    from collections.abc import Callable

    from cartcast.activation import Activated, Activation, Delivered, Outbox


def add(app: typer.Typer) -> None:
    """Add the verb."""

    @app.command()
    def activate(
        plan: Annotated[Path, typer.Argument(help="YAML with activations: and experiments:.")],
        scores: Annotated[
            Path | None,
            typer.Argument(help="What `predict` wrote; without it, what waits is sent."),
        ] = None,
        beside: Annotated[
            list[Path] | None,
            typer.Option("--with", help="Table of more columns: consent, addresses, uplift."),
        ] = None,
        without: Annotated[
            Path | None, typer.Option(help="Who opted out: a file, an id a line; else the plan's.")
        ] = None,
        out: Annotated[
            Path | None, typer.Option(help="Audience to write: .csv, or .json for mail tools.")
        ] = None,
        at: Annotated[
            str | None, typer.Option(help="Moment of decision (UTC), as 2026-03-02T08:00.")
        ] = None,
        name: Annotated[
            str | None, typer.Option(help="Name of the activation, if the plan has several.")
        ] = None,
        patience: Annotated[float, typer.Option(help="Seconds to try again in.")] = 60.0,
        again: Annotated[
            bool, typer.Option("--again", help="Send dead letters again, and after a 410.")
        ] = False,
        every: Every = None,
        dry_run: Annotated[
            bool, typer.Option("--dry-run", help="Count only; keep and send nothing.")
        ] = False,
        json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
    ) -> None:
        """Send signed webhooks or write an audience, and log exposures of all arms."""
        from cartcast import activation as act
        from cartcast.errors import UsageError

        if every is not None:
            if scores is not None or name is not None:
                raise UsageError("--every sends all that waits: give no scores and no --name.")
            _stay(plan, without, every)
            return
        found = act.read_activation(plan, name)
        if scores is None and found.webhook is None:
            raise UsageError(f"{found.key} has no webhook; what it decides needs no sending.")
        gone, outbox = _opt_outs(without or found.opt_outs), act.Outbox(_folder() / "outbox.db")
        told = None
        if scores is not None:
            told = act.activate(
                found, scores, outbox, tables=beside or (), opt_outs=gone, at=_moment(at), out=out,
                dry_run=dry_run,
            )  # fmt: skip
        if dry_run:
            _show(told, None, None, json)
            return
        done = None
        if found.webhook is not None:
            done = _deliver(found, found.webhook.url, outbox, gone or (), patience, again)
        _show(told, done, outbox.path, json)
        if done is not None and (done.waiting or done.dead):
            raise typer.Exit(1)


def _deliver(
    found: Activation, url: str, outbox: Outbox, gone: Any, patience: float, again: bool,
    stopped: Callable[[], bool] = lambda: False,
) -> Delivered:  # fmt: skip
    from cartcast.activation import deliver
    from cartcast.activation.audience import file_name

    if again:
        outbox.revive(found.key)
        outbox.switch(url, None)
    done = deliver(found, outbox, opt_outs=gone, patience=patience, stopped=stopped)
    outbox.write_dead(found.key, _folder() / f"{file_name(found.key)}.dead.jsonl")
    return done


def _stay(plan: Path, without: Path | None, every: str) -> None:
    """Send what waits, again and again, until the process is told to stop.

    Plan and opt-outs are read each time, so that a change of theirs holds.
    """
    from cartcast import activation as act

    act.read_activations(plan)  # what is wrong at the start ends it
    outbox, said = act.Outbox(_folder() / "outbox.db"), dict[str, str]()

    def turn(stopped: Callable[[], bool]) -> None:
        for key, found in act.read_activations(plan).items():
            if found.webhook is None or stopped():
                continue
            gone = _opt_outs(without or found.opt_outs) or ()
            done = _deliver(found, found.webhook.url, outbox, gone, 0.0, False, stopped)
            line = f"{key}: sent {done.sent:,}, waiting {done.waiting:,}, dead {done.dead:,}"
            if done.sent or line != said.get(key):
                typer.echo(line + (f" ({done.said})" if done.said else ""))
            said[key] = line

    repeat(every, turn, finish=True)


def _opt_outs(path: Path | None) -> frozenset[str] | None:
    from cartcast.score.without import Without

    return None if path is None else Without.of(path, shell.project_privacy()).ids


def _folder() -> Path:
    from cartcast.live.place import home

    folder = home() / "activation"
    return folder.relative_to(Path.cwd()) if folder.is_relative_to(Path.cwd()) else folder


def _moment(text: str | None) -> dt.datetime | None:
    from cartcast.errors import UsageError

    if text is None:
        return None
    try:
        told = dt.datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(f"--at must look like 2026-03-02T08:00, got {text!r}.") from None
    return told if told.tzinfo else told.replace(tzinfo=dt.UTC)


def _show(
    told: Activated | None, done: Delivered | None, exposures: Path | None, json: bool
) -> None:
    from dataclasses import asdict

    findings = [*(told.findings if told else ()), *_troubles(done)]
    if json:
        shell.print_json({
            **(vars(told) if told else {}), "delivered": asdict(done) if done else None,
            "exposures": None if exposures is None else str(exposures), "findings": findings,
        })  # fmt: skip
        return
    if told is not None:
        typer.echo(f"{told.activation}: {told.units:,} visitors scored")
        for reason, n in sorted(told.reasons.items(), key=lambda r: -r[1]):
            typer.echo(f"  {reason:<17} {n:>10,}")
        for arm, path in told.files.items():
            typer.echo(f"  {arm}: {told.arms[arm]:,} -> {path}")
    if done is not None:
        typer.echo(f"  sent {done.sent:,}, waiting {done.waiting:,}, dead {done.dead:,}")
    if exposures is not None:
        typer.echo(f"  exposures -> {exposures}")
    shell.show_findings(findings)


def _troubles(done: Delivered | None) -> list[Any]:
    from cartcast.activation import codes
    from cartcast.findings import finding

    if done is None:
        return []
    found = []
    if done.off:
        found.append(finding(codes.ENDPOINT_OFF, "the receiver answered 410 and is switched off."))
    if left := done.waiting + done.dead:
        text = f"{done.waiting:,} messages wait, {done.dead:,} are dead letters"
        last = f" (last: {done.said})" if done.said else ""
        found.append(finding(codes.UNDELIVERED, f"{text}{last}.", count=left))
    return found
