"""A run in a notebook: what it says, how good it is beside its baselines, and its findings."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cartcast.runs.run import Run

__all__ = ["as_html", "as_line"]

_FIGURES = {
    "classifier": ("roc_auc", "average_precision", "log_loss", "brier", "lift_top_decile"),
    "regressor": ("r2", "rmse", "mae"),
}


def as_line(run: Run) -> str:
    """Return a run in one line."""
    return f"<Run {run.id}: {run.target} ({run.data['target']['kind']}), {run.champion}>"


def as_html(run: Run) -> str:
    """Return facts, headline figures on test with their intervals, and findings."""
    split = run.data["split"]["parts"]["test"]
    facts = {
        "says": run.asks,
        "asked at": run.moment.describe() if run.features is not None else "each row of a table",
        "champion": f"{run.champion} (chosen on validation)",
        "test": f"{split['rows']:,} rows",
        "report": str(run.report),
    }
    told = "".join(f"<tr><th>{escape(k)}</th><td>{escape(v)}</td></tr>" for k, v in facts.items())
    models = [run.champion, *(name for name in run.baselines if name != run.champion)]
    names = [n for n in _FIGURES[run.kind] if any(run.figure(m, n)[0] is not None for m in models)]
    head = "".join(f"<th>{escape(name)}</th>" for name in names)
    rows = "".join(
        f"<tr><th>{escape(model)}</th>{''.join(_cell(run, model, name) for name in names)}</tr>"
        for model in models
    )
    found = "".join(finding._repr_html_() for finding in run.findings)
    return (
        f"<table><caption>Run {escape(run.id)}</caption>{told}</table>"
        f"<table><tr><th>on test (95 % interval)</th>{head}</tr>{rows}</table>{found}"
    )


def _cell(run: Run, model: str, name: str) -> str:
    value, low, high = run.figure(model, name)
    if value is None:
        return "<td>-</td>"
    span = "" if low is None or high is None else f" ({low:,.3g} to {high:,.3g})"
    return f"<td>{value:,.4g}{span}</td>"
