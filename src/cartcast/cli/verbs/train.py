"""`cartcast train`: models from a log or a ready table, with the evidence for every figure."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from cartcast.cli import shell

PANEL_LOG = "For logs"
PANEL_ROWS = "For ready tables"


def add(app: typer.Typer) -> None:
    """Add the verb."""

    @app.command()
    def train(
        files: Annotated[
            list[str] | None, typer.Argument(help="Files, folders, globs or table URLs of the log.")
        ] = None,
        target: Annotated[
            str | None,
            typer.Option(help="purchase, revenue, add_to_cart, checkout, proxy:NAME; or a column."),
        ] = None,
        rows: Annotated[
            str | None, typer.Option(help="Instead of a log: a table, one row per session.")
        ] = None,
        orders: Annotated[str | None, typer.Option(help="Outcomes kept apart from clicks.")] = None,
        layout: Annotated[str | None, typer.Option(help="Layout name or YAML.")] = None,
        session_gap: shell.Gap = None,
        session_break: shell.Breaks = None,
        zone: shell.Zone = None,
        rates: shell.RatesFile = None,
        models: Annotated[
            str | None, typer.Option(help="Names with commas, or default, or all.")
        ] = None,
        budget: Annotated[
            str | None,
            typer.Option(help="Time for everything, as 5m; what is left of it tunes. Or none."),
        ] = None,
        refit: Annotated[
            bool | None,
            typer.Option("--refit/--no-refit", help="Fit the champion again to all rows."),
        ] = None,
        run_dir: Annotated[Path | None, typer.Option(help="Folder of the run; new.")] = None,
        features: Annotated[
            str | None, typer.Option("--set", help="Feature set: auto, shop, usual, or a YAML.")
        ] = None,
        moment: Annotated[
            str | None,
            typer.Option(help="When a score is acted on: during a session, after it, or a day."),
        ] = None,
        horizon: Annotated[
            str | None, typer.Option(help="How long an outcome counts, as 7d; or session.")
        ] = None,
        every: Annotated[str | None, typer.Option(help="From one list to the next, as 1d.")] = None,
        seen: Annotated[
            str | None, typer.Option(help="A list of a day holds visitors seen within this time.")
        ] = None,
        at_clicks: Annotated[
            str | None, typer.Option(help="Clicks at which rows are written, such as 1,2,3,5.")
        ] = None,
        drop: Annotated[
            str | None, typer.Option(help="Columns, or features of a log, to leave out.")
        ] = None,
        group: Annotated[str | None, typer.Option(help="Column of --rows: the visitor.")] = None,
        time: Annotated[str | None, typer.Option(help="Column of --rows: the moment.")] = None,
        folds: Annotated[int | None, typer.Option(help="Cross-validate --rows.")] = None,
        positive: Annotated[
            str | None, typer.Option(help="The value of --target in --rows that counts.")
        ] = None,
        resample: Annotated[
            str | None, typer.Option(help="smote, class_weight or undersample; training only.")
        ] = None,
        capacity: Annotated[
            int | None, typer.Option(help="How many sessions can be acted on.")
        ] = None,
        contact_cost: Annotated[float | None, typer.Option(help="Money per contact.")] = None,
        value: Annotated[float | None, typer.Option(help="Money per purchase.")] = None,
        segment: shell.SegmentName = None,
        segments: Annotated[
            int | None, typer.Option(help="Number of segments to find by clustering.")
        ] = None,
        segments_by: Annotated[
            str | None, typer.Option(help="kmeans, mixture, dbscan, hdbscan, or all to compare.")
        ] = None,
        waive: Annotated[
            list[str] | None, typer.Option(help="CODE=reason: continue despite a finding.")
        ] = None,
        licence: Annotated[str | None, typer.Option(help="Licence of the data.")] = None,
        max_rows: Annotated[int | None, typer.Option(help="Sample if there are more rows.")] = None,
        engine: Annotated[
            str, typer.Option(help="duckdb (this machine) or spark: what makes the rows.")
        ] = "duckdb",
        seed: Annotated[int | None, typer.Option(help="Seed of everything random.")] = None,
        json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
    ) -> None:
        """Train models and write a run: figures, findings, report, card, model."""
        from cartcast.config import parse_duration
        from cartcast.errors import BlockedError
        from cartcast.findings import parse_waivers
        from cartcast.train import train as run_training

        changes: dict[str, Any] = {
            "target": target,
            "orders": orders,
            "layout": layout,
            "session_gap": session_gap and parse_duration(session_gap),
            "session_breaks": tuple(session_break) if session_break else None,
            "zone": zone,
            "rates": rates,
            "models": _words(models),
            "budget": budget,
            "features": features,
            "anchors": _clicks(at_clicks),
            "moment": moment,
            "horizon": horizon,
            "every": every,
            "seen": seen,
            "drop": _words(drop),
            "group": group,
            "time": time,
            "folds": folds,
            "positive": positive,
            "resample": resample,
            "capacity": capacity,
            "costs": {
                k: v for k, v in {"contact": contact_cost, "value": value}.items() if v is not None
            }
            or None,
            "segment": segment,
            "segments": segments,
            "segments_by": segments_by,
            "refit": refit,
            "waivers": parse_waivers(waive) if waive else None,
            "licence": licence,
            "most_rows": max_rows,
            "seed": seed,
        }
        try:
            with shell.progress(not json) as progress:
                run = run_training(
                    *(files or ()), rows=rows, run_dir=run_dir, progress=progress, engine=engine,
                    **changes,
                )  # fmt: skip
        except BlockedError as blocked:
            if json:
                shell.print_json({"blocked": True, "findings": blocked.findings})
            else:
                shell.show_findings(blocked.findings, err=True)
            raise
        if json:
            shell.print_json(run.as_dict())
        else:
            _show(run)


def _words(text: str | None) -> tuple[str, ...] | None:
    return None if text is None else tuple(w.strip() for w in text.split(",") if w.strip())


def _clicks(text: str | None) -> tuple[int, ...] | None:
    from cartcast.errors import UsageError

    if text is None:
        return None
    try:
        return tuple(int(w) for w in text.split(","))
    except ValueError as error:
        raise UsageError(f"--at-clicks takes whole numbers as 1,2,3,5, got {text!r}.") from error


def _figure(name: str, value: float | None, ends: Any) -> str:
    from cartcast.evaluate.intervals import TOO_FEW, unsaid

    if value is None:
        return "-"
    return TOO_FEW if ends is not None and unsaid(name, value, ends[0]) else f"{value:.4f}"


def _show_families(families: list[dict[str, Any]]) -> None:
    """Print families of segments side by side, where there are several."""
    if len(families) < 2:
        return
    heads = ("segments", "silhouette", "davies_bouldin", "noise", "stability")
    typer.echo(f"{'segments by':14}" + "".join(f"{head:>16}" for head in heads))
    for one in families:
        mark = "*" if one["taken"] else " "
        cells = (f"{one[h]:.3f}" if isinstance(one[h], float) else str(one[h]) for h in heads)
        typer.echo(f"{mark} {one['family']:12}" + "".join(f"{c:>16}" for c in cells))
        for name, size in zip(one["names"], one["sizes"], strict=True):
            typer.echo(f"      {size:>9,}  {name}")


def _show(run: Any) -> None:
    """Print the answer for a person: target, headline, champion, baselines, findings, report."""
    from cartcast.report.answers import headline
    from cartcast.report.evidence import Evidence

    data = run.data
    proxy = " (PROXY, not an outcome)" if data["target"]["kind"] == "proxy" else ""
    typer.echo(f"Target: {data['target']['describe']}{proxy}")
    shown = ("roc_auc", "average_precision", "log_loss", "brier", "ece")
    if data["champion"] in data["metrics"] and "roc_auc" not in data["metrics"][data["champion"]]:
        shown = ("mae", "rmse", "r2", "spearman", "gini")
    typer.echo(headline(Evidence(run)))
    typer.echo(f"{'':24}" + "".join(f"{name:>18}" for name in shown))
    for model, figures in data["metrics"].items():
        mark = "*" if model == data["champion"] else " "
        ends = data.get("intervals", {}).get(model, {})
        cells = "".join(f"{_figure(name, figures.get(name), ends.get(name)):>18}" for name in shown)
        typer.echo(f"{mark} {model:22}{cells}")
    typer.echo("* champion, chosen on held-out rows; figures on test rows that no model saw.")
    if data["refit"]["refitted"]:
        rows = data["refit"]["rows"]
        typer.echo(f"The champion was then fitted again to all {rows:,} rows; figures are before.")
    if data["backtest"]:
        typer.echo(data["backtest"]["words"])
    _show_families(data["segmentation"].get("families", []))
    typer.echo(f"{len(run.findings)} findings:" if run.findings else "No findings.")
    shell.show_findings(run.findings)
    typer.echo(f"Run: {run.dir}")
    typer.echo(f"Report: {run.report}")
