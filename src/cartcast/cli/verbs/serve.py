"""`cartcast serve`: the live service over HTTP."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

__all__ = ["add"]


def add(app: typer.Typer) -> None:
    """Register the verb."""

    @app.command()
    def serve(
        model: Annotated[
            str, typer.Option("--model", help="Run folder, run id or alias; none: arms only.")
        ] = "champion",
        host: Annotated[str, typer.Option("--host", help="Address to listen on.")] = "127.0.0.1",
        port: Annotated[int, typer.Option("--port", help="Port; 0 takes a free one.")] = 8000,
        state: Annotated[
            str, typer.Option("--state", help="memory, or redis://host:6379/0 to share sessions.")
        ] = "memory",
        state_dir: Annotated[
            Path | None,
            typer.Option("--state-dir", help="Folder of the log; default .cartcast/live."),
        ] = None,
        durability: Annotated[
            str,
            typer.Option("--durability", help="How events are stored: fsync, write or none."),
        ] = "fsync",
        keys: Annotated[
            Path | None, typer.Option("--keys", help="File of keys; default .cartcast/keys.json.")
        ] = None,
        open_to_all: Annotated[
            bool, typer.Option("--open-to-all", help="Serve other machines without keys.")
        ] = False,
        workers: Annotated[
            int, typer.Option("--workers", min=1, help="Processes; more than one need Redis.")
        ] = 1,
        late_window: Annotated[
            str,
            typer.Option(
                "--late-window", help="How late an event may come and still be sorted in."
            ),
        ] = "2m",
        session_ttl: Annotated[
            str,
            typer.Option("--session-ttl", help="How long sessions with ids of their own are kept."),
        ] = "4h",
        rate: Annotated[
            float, typer.Option("--rate-limit", help="Requests per second and key; 0 for no limit.")
        ] = 0.0,
        max_body: Annotated[str, typer.Option("--max-body", help="Largest request body.")] = "2MB",
        origin: Annotated[
            list[str] | None,
            typer.Option("--origin", help="Web origin whose pages may call; repeat, or *."),
        ] = None,
        credentials: Annotated[
            bool, typer.Option("--credentials", help="Pages of these origins may send cookies.")
        ] = False,
        webhook: Annotated[
            list[str] | None,
            typer.Option("--webhook", help="NAME=LAYOUT: take JSON at /v1/webhook/NAME; repeat."),
        ] = None,
        experiments: Annotated[
            list[Path] | None,
            typer.Option(
                "--experiments", help="Plan, or folder of plans, whose arms are told; repeat."
            ),
        ] = None,
        activation: Annotated[
            Path | None,
            typer.Option("--activation", help="Plan whose activations /v1/decide answers."),
        ] = None,
        max_connections: Annotated[
            int, typer.Option("--max-connections", min=1, help="Open connections in all.")
        ] = 800,
        max_each: Annotated[
            int, typer.Option("--max-each", min=1, help="Open connections of one address.")
        ] = 256,
        max_memory: Annotated[
            str, typer.Option("--max-memory", help="Memory for sessions and histories.")
        ] = "2GB",
        record: Annotated[
            str | None,
            typer.Option("--record", help="Keep the scores told, up to this size, as 1GB."),
        ] = None,
        shadow: Annotated[
            str | None,
            typer.Option("--shadow", help="Run or alias scored beside, for the record only."),
        ] = None,
        no_docs: Annotated[bool, typer.Option("--no-docs", help="Switch /docs off.")] = False,
        no_metrics: Annotated[
            bool, typer.Option("--no-metrics", help="Switch /metrics off.")
        ] = False,
        tls_cert: Annotated[
            Path | None, typer.Option("--tls-cert", help="File of the TLS certificate.")
        ] = None,
        tls_key: Annotated[
            Path | None, typer.Option("--tls-key", help="File of its private key.")
        ] = None,
        log_level: Annotated[
            str, typer.Option("--log-level", help="debug, info, warning or error.")
        ] = "info",
    ) -> None:
        """Serve probabilities while the visitor is still there."""
        from cartcast.config import find_project, parse_duration, parse_size
        from cartcast.live.place import home

        served, plan = _types()
        project = find_project()
        plan.serve(
            plan.Plan(
                model=model,
                project=None if project is None else str(project),
                host=host,
                port=port,
                state=state,
                state_dir=str(state_dir or home() / "live"),
                durability=durability,
                late_window=parse_duration(late_window),
                session_ttl=parse_duration(session_ttl),
                most_memory=parse_size(max_memory),
                record_dir=str(home() / "scores") if record else None,
                most_record=parse_size(record) if record else 0,
                shadow=shadow,
                keys=_keys(keys, home() / "keys.json"),
                open_to_all=open_to_all,
                workers=workers,
                tls_cert=str(tls_cert) if tls_cert else None,
                tls_key=str(tls_key) if tls_key else None,
                log_level=log_level,
                experiments=tuple(map(str, experiments or ())) or _experiments(project),
                activation=str(activation) if activation else None,
                outbox=str(home() / "activation" / "outbox.db"),
                served=served(
                    max_body=parse_size(max_body),
                    rate=rate,
                    origins=tuple(origin or ()),
                    credentials=credentials,
                    webhooks=_webhooks(webhook or ()),
                    max_connections=max_connections,
                    max_each=max_each,
                    docs=not no_docs,
                    metrics=not no_metrics,
                ),
            ),
            lambda text: typer.echo(text, err=True),
        )


def _keys(given: Path | None, usual: Path) -> str | None:
    if given is not None:
        return str(given)
    return str(usual) if usual.is_file() else None


def _experiments(project: Path | None) -> tuple[str, ...]:
    from cartcast.config import read_settings

    return read_settings(project).experiments if project else ()


def _webhooks(given: Sequence[str]) -> tuple[tuple[str, str], ...]:
    from cartcast.errors import UsageError

    pairs = [text.partition("=") for text in given]
    for name, _, layout in pairs:
        if not name or not layout:
            raise UsageError(f"--webhook must be NAME=LAYOUT, got {name!r}.")
    return tuple((name, layout) for name, _, layout in pairs)


def _types() -> tuple[Any, Any]:
    from cartcast.errors import UsageError

    try:
        from cartcast.api import server
        from cartcast.api.settings import Served
    except ModuleNotFoundError as error:
        raise UsageError(f"serve needs {error.name}: pip install 'cartcast[serve]'.") from error
    return Served, server
