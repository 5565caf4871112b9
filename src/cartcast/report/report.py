"""`report.html`: one self-contained page that answers, says how far to trust it, and shows why."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from cartcast.atomic import write_text
from cartcast.charts.theme import number, recolour
from cartcast.evaluate.intervals import TOO_FEW, unsaid
from cartcast.evaluate.scores import SCORES
from cartcast.features.words import in_words
from cartcast.findings import Finding
from cartcast.report import answers
from cartcast.report.blocks import Block, blocks
from cartcast.report.document import environment, read_template
from cartcast.report.evidence import Evidence
from cartcast.runs.run import Run

__all__ = ["write_report"]

_COLUMNS = {
    "classifier": ("roc_auc", "average_precision", "log_loss", "brier", "ece", "f1"),
    "regressor": ("spearman", "gini", "r2", "rmse", "mae", "bias"),
}


def write_report(run_dir: Path | str) -> Path:
    """Write `report.html` into a run folder, from what the folder holds, and return its path.

    The page needs no network: styles, script and Plotly are inside; a content policy forbids
    everything else. Text of the data is escaped.

    Raises:
        NotFoundError: there is no such run, or a file of it is missing.
        NotTrustedError: a file of it is damaged.
        StorageError: the page cannot be written.
    """
    run = Run.open(run_dir)
    path = run.dir / "report.html"
    write_text(path, render(run))
    return path


def render(run: Run) -> str:
    """Return the page as text."""
    from plotly.offline import get_plotlyjs

    e = Evidence(run)
    drawn = blocks(e)
    own = [run.data["scorer"]] if run.data.get("scorer") else []
    template = environment().get_template("report.html.j2")
    return str(
        template.render(
            run=run,
            data=run.data,
            title=answers.title(e),
            headline=answers.headline(e),
            sections=_sections(e, drawn),
            asked=answers.asked(e),
            trust=answers.trust(e),
            findings=_grouped(run),
            heads=[SCORES[m].title for m in _COLUMNS[run.kind]] + [s["name"] for s in own],
            models=_models(e),
            seconds=_seconds(run),
            steps=answers.next_steps(e),
            segments=e.segments.to_dict("records"),
            number=number,
            style=read_template("style.css"),
            script=read_template("page.js"),
            plotly=get_plotlyjs(),
            recolour=json.dumps(recolour()),
        )
    )


def _grouped(run: Run) -> list[list[Finding]]:
    """Return the findings by code and waiver, in order, so that one cause is told once."""
    groups: dict[tuple[str, str, str | None], list[Finding]] = {}
    for f in run.findings:
        groups.setdefault((f.code, f.severity, f.waived), []).append(f)
    return list(groups.values())


def _sections(e: Evidence, drawn: list[Block]) -> dict[str, dict[str, Any]]:
    by: dict[str, list[Block]] = {}
    for block in drawn:
        by.setdefault(block.section, []).append(block)
    words = {"good": answers.good(e), "drivers": answers.drives(e)}
    if e.revenue_model is not None:
        words["revenue"] = answers.revenue(e)
    if len(e.segments):
        words["segments"] = answers.segments(e)
    if "main" not in by and "good" in by:
        usual = [b for b in by["good"] if b.name == "gain"] or by["good"][:1]
        by["main"] = usual
        by["good"] = [b for b in by["good"] if b not in usual]
    names = ("main", "good", "drivers", "effects", "revenue", "segments")
    return {n: {"words": words.get(n, ""), "blocks": by.get(n, [])} for n in names}


def _models(e: Evidence) -> list[dict[str, Any]]:
    """Return the table of models: name, role, and each figure with its interval."""
    rows = []
    columns = _COLUMNS[e.run.kind]
    for name in e.run.data["metrics"]:
        facts = e.run.data["models"].get(name)
        if facts is None or facts.get("kind", e.run.kind) != e.run.kind:
            continue
        cells = []
        for metric in columns:
            unit = SCORES[metric].unit
            unit = unit if unit in ("money", "share") else "points"
            value, low, high = e.run.figure(name, metric)
            ends = ""
            if low is not None and high is not None:
                ends = " to ".join(number(x, unit, e.run.currency) for x in (low, high))
            shown = TOO_FEW if unsaid(metric, value, low) else number(value, unit, e.run.currency)
            cells.append((shown, ends))
        if own := e.run.data.get("scorer"):
            score = own["test"][name]
            ends = " to ".join(number(score[end], "points") for end in ("low", "high"))
            known = score["low"] is not None
            cells.append((number(score["value"], "points"), ends if known else ""))
        role = "champion" if name == e.run.champion else ""
        role = "baseline" if name in e.run.baselines else role
        rows.append(
            {
                "name": in_words(name),
                "role": role,
                "cells": cells,
                "seconds": number(facts.get("seconds"), "seconds"),
            }
        )
    return sorted(rows, key=lambda r: ("champion", "", "baseline").index(str(r["role"])))


def _seconds(run: Run) -> list[tuple[str, str]]:
    found = run.data.get("seconds", {})
    return [(k.replace("_", " "), number(v, "seconds")) for k, v in found.items()]
