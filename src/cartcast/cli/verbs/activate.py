"""`cartcast activate`: contact whom a rule over scores names, with a holdout that measures it."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cartcast.cli import shell

if TYPE_CHECKING:
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
        exposures: Annotated[
            Path | None, typer.Option(help="Parquet file for `experiment analyze --exposures`.")
        ] = None,
        patience: Annotated[float, typer.Option(help="Seconds to try again in.")] = 60.0,
        again: Annotated[
            bool, typer.Option("--again", help="Send dead letters again, and after a 410.")
        ] = False,
        dry_run: Annotated[
            bool, typer.Option("--dry-run", help="Count only; keep and send nothing.")
        ] = False,
        json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
    ) -> None:
        """Send signed webhooks or write an audience, and log exposures of all arms."""
        from cartcast import activation as act
        from cartcast.errors import UsageError

        found = act.read_activation(plan, name)
        if scores is None and found.webhook is None:
            raise UsageError(f"{found.key} writes an audience, which needs scores.")
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
        # Before anything is sent: who is told of is exposed, whatever stops the sending.
        written = _write_exposures(found, outbox, exposures)
        done = _deliver(found, outbox, gone or (), patience, again)
        _show(told, done, written, json)
        if done is not None and (done.waiting or done.dead):
            raise typer.Exit(1)


def _deliver(
    found: Activation, outbox: Outbox, gone: Any, patience: float, again: bool
) -> Delivered | None:
    from cartcast.activation import deliver
    from cartcast.activation.audience import file_name

    if found.webhook is None:
        return None
    if again:
        outbox.revive(found.key)
        outbox.switch(found.webhook.url, None)
    done = deliver(found, outbox, opt_outs=gone, patience=patience)
    outbox.write_dead(found.key, _folder() / f"{file_name(found.key)}.dead.jsonl")
    return done


def _write_exposures(found: Activation, outbox: Outbox, path: Path | None) -> Path:
    from cartcast.activation.audience import file_name

    key = found.experiment.allocation.key
    path = path or _folder() / f"{file_name(key)}.exposures.parquet"
    outbox.write_exposures(key, path)
    return path


def _opt_outs(path: Path | None) -> frozenset[str] | None:
    from cartcast.score.without import Without

    return None if path is None else Without.of(path, shell.project_privacy()).ids


def _folder() -> Path:
    from cartcast.config import STATE_FOLDER, find_project

    folder = (find_project() or Path.cwd()) / STATE_FOLDER / "activation"
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
