"""`cartcast features`: a table of features, as known at each click or of finished sessions."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cartcast.cli import shell
from cartcast.errors import UsageError

if TYPE_CHECKING:
    from cartcast.features import FeatureSet
    from cartcast.runs.reading import Reading


def add(app: typer.Typer) -> None:
    """Register the verb."""

    @app.command()
    def features(
        files: Annotated[
            list[str] | None,
            typer.Argument(metavar="FILE...", help="Files, folders, globs, table URLs."),
        ] = None,
        out: Annotated[Path | None, typer.Option(help="Parquet file to write.")] = None,
        set_: Annotated[
            str, typer.Option("--set", help="usual, default, or a YAML file of your own.")
        ] = "shop",
        at_clicks: Annotated[
            str, typer.Option(help="end (finished sessions), all (every click), or 1,2,3.")
        ] = "end",
        engine: Annotated[str, typer.Option(help="duckdb (this machine) or spark.")] = "duckdb",
        memory: Annotated[str | None, typer.Option(help="Memory limit, such as 2GB.")] = None,
        layout: Annotated[
            str | None, typer.Option(help="Layout name or YAML file; guessed when not given.")
        ] = None,
        orders: Annotated[
            str | None, typer.Option(help="Table of orders, if they are not in the log.")
        ] = None,
        session_gap: shell.Gap = None,
        session_break: shell.Breaks = None,
        zone: shell.Zone = None,
        rates: shell.RatesFile = None,
        list_: Annotated[
            bool, typer.Option("--list", help="Show the features of the set and stop.")
        ] = False,
        as_yaml: Annotated[
            bool, typer.Option("--yaml", help="Show the set as YAML to copy and edit, and stop.")
        ] = False,
        as_json: Annotated[bool, typer.Option("--json", help="One JSON document.")] = False,
    ) -> None:
        """Write the features of a log, each as known at its click; nothing of the future."""
        from cartcast.features import load_set

        chosen = load_set(set_)
        if as_yaml:
            typer.echo(chosen.to_yaml().rstrip())
        elif list_:
            _show(chosen, as_json)
        else:
            if not files:
                raise UsageError("features: give a FILE, or --list to see the features of a set.")
            if out is None:
                raise UsageError("features: give --out T.parquet, the table to write.")
            reading = shell.project_reading(
                layout=layout, session_gap=session_gap, session_breaks=session_break, zone=zone,
                rates=rates,
            )  # fmt: skip
            at = _moments(at_clicks)
            _write(files, orders, chosen, out, at, engine, memory, reading, as_json)


def _moments(text: str) -> Any:
    if text in ("end", "all"):
        return text
    try:
        return [int(word) for word in text.split(",")]
    except ValueError as error:
        raise UsageError(
            f"--at-clicks must be end, all, or clicks such as 1,2,3, got {text!r}."
        ) from error


def _show(chosen: FeatureSet, as_json: bool) -> None:
    from cartcast.features.catalogue import rows

    found = rows(chosen)
    if as_json:
        shell.print_json({"fingerprint": chosen.fingerprint, "features": found})
        return
    width = max(len(row["name"]) for row in found)
    for row in found:
        unit = f" [{row['unit']}]" if row["unit"] else ""
        typer.echo(f"{row['name']:<{width}}  {row['definition']}{unit}; {row['null']}")


def _write(
    files: list[str], orders: str | None, chosen: FeatureSet, out: Path, at: Any, engine: str,
    memory: str | None, reading: Reading, as_json: bool,
) -> None:  # fmt: skip
    from time import perf_counter

    with shell.progress(not as_json) as progress:
        log = reading.load(
            *files,
            orders=orders,
            progress=progress,
            memory=memory,
            privacy=shell.project_privacy(),
            engine=engine if _on_shared_disk(files, orders) else "duckdb",
        )
        begin = perf_counter()
        how: Any = engine
        chosen.replay(log, at, out, how, memory, progress=progress)
    seconds = perf_counter() - begin
    report = {
        "out": str(out),
        "rows": _rows(out),
        "features": len(chosen),
        "fingerprint": chosen.fingerprint,
        "events": log.summary.events,
        "seconds": round(seconds, 3),
        "findings": log.findings,
    }
    if as_json:
        shell.print_json(report)
        return
    typer.echo(f"{report['rows']:,} rows of {len(chosen)} features in {seconds:.1f} s: {out}")
    shell.show_findings(log.findings)


def _on_shared_disk(files: list[str], orders: str | None) -> bool:
    """Return whether Spark's machines can read the raw files; else this one reads them first."""
    return orders is None and not any("://" in f or "::" in f for f in files)


def _rows(out: Path) -> int:
    import pyarrow.dataset as ds

    return int(ds.dataset(out, format="parquet").count_rows())
