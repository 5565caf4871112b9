"""What the registry holds: findings and card of the run, all runs, promote and roll back."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from cartcast.app import actions, ui
from cartcast.charts.theme import words
from cartcast.runs.run import Run


def show_findings(view: ui.View, run: Run) -> None:
    """All findings with their codes, evidence and waivers."""
    if not run.findings:
        ui.note("No finding.")
        return
    ui.findings(run.findings, most=20)
    rows = pd.DataFrame(
        [(f.code, f.severity, f.message, f.count, f.waived or "") for f in run.findings],
        columns=["code", "severity", "message", "count", "waived because"],
    )
    ui.table(rows, view, "findings")


def show_card(view: ui.View, run: Run) -> None:
    """The model card and the report, as written with the run."""
    card = run.dir / "card.md"
    report = run.dir / "report.html"
    if view.may("export"):
        with st.container(horizontal=True):
            for path, mime in ((card, "text/markdown"), (report, "text/html")):
                if path.is_file():
                    st.download_button(
                        path.name, path.read_bytes(), file_name=path.name, mime=mime,
                        key=f"get_{path.name}", icon=":material/download:", on_click="ignore",
                    )  # fmt: skip
    if card.is_file():
        # As text: a card quotes names from data, and those must not become links or images.
        st.code(card.read_text(encoding="utf-8"), language="markdown", wrap_lines=True)
    else:
        ui.note("This run has no card.")


def show_runs(view: ui.View, run: Run) -> None:
    """All runs of the registry; promote and roll back."""
    aliases = view.project.registry.aliases()
    held: dict[str, list[str]] = {}
    for (_, alias), run_id in aliases.items():
        held.setdefault(run_id, []).append(alias)
    entries = view.project.runs()
    rows = []
    for e in entries:
        figures = e.metrics.get(e.champion) or {}
        rows.append(
            {
                "run": e.run_id,
                "alias": ", ".join(held.get(e.run_id, [])),
                "target": e.target + (" (PROXY)" if e.target_kind == "proxy" else ""),
                "created": e.created[:16].replace("T", " "),
                "model": words(e.champion),
                **{
                    m: figures.get(m)
                    for m in (
                        "roc_auc",
                        "average_precision",
                        "log_loss",
                        "brier",
                        "ece",
                        "mae",
                        "spearman",
                    )
                    if m in figures
                },
            }
        )
    ui.table(pd.DataFrame(rows), view, "runs", currency=view.run_currency)
    ui.note("Runs on different data or targets cannot be ranked by these figures alone.")
    if not view.may("promote"):
        ui.note("Only an admin can promote and roll back.")
        return
    st.header("Promote", anchor=False)
    with st.form("promote", border=True):
        a, b, c = st.columns([2, 1, 2])
        name = a.selectbox("Run", [e.run_id for e in entries], key="promote_run")
        alias = b.selectbox("Alias", ["champion", "challenger"], key="promote_alias")
        reason = c.text_input("Reason", key="promote_reason")
        if st.form_submit_button("Promote", type="primary"):
            moved = actions.promote(view.project, view.person, name, alias, reason)
            st.success(ui.plain(f"{name} is now {alias}. {moved.told or ''}"))
    if st.button("Roll back the champion of this target"):
        moved = actions.rollback(view.project, view.person, "champion", run.target)
        st.success(ui.plain(f"{moved.entry.run_id} is champion again. {moved.told or ''}"))
    with st.expander("History of aliases"):
        history = view.project.registry.promotions()
        told = pd.DataFrame(
            [(p.at, p.target, p.alias, p.run_id, p.who, p.reason) for p in history],
            columns=["at", "target", "alias", "run", "who", "reason"],
        )
        ui.table(told, view, "promotions")
