"""A whole file scored: layout, rejects, results, target list."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import streamlit as st

from cartcast.app import actions, files, filters, scoring, ui
from cartcast.app.headlines import predicted
from cartcast.app.parts.said import proxy, using
from cartcast.atomic import atomic_path
from cartcast.errors import CartcastError
from cartcast.events import Log, RejectedError
from cartcast.events.read import UPLOADS
from cartcast.findings import Finding
from cartcast.insights.source import Slice
from cartcast.runs.run import Run
from cartcast.score import predict
from cartcast.segments import read_segment, segment_names

LOADED = "the loaded log"


def batch(view: ui.View, run: Run, top: Any) -> None:
    """Score a whole file: upload, layout, rejects, results, target list."""
    proxy(run)
    allowed = view.may("upload")
    if not allowed:
        ui.note("Your role can look, but not score files; ask an analyst.")
    is_log = bool(run.data["features"]["yaml"])
    what = "a log" if is_log else "a ready table"
    a, b = st.columns(2, gap="large")
    upload = a.file_uploader(
        f"Upload {what} to score", type=[s[1:] for s in UPLOADS],
        key="batch_upload", disabled=not allowed,
        max_upload_size=view.project.settings.upload_megabytes,
    )  # fmt: skip
    every = files.project_files(view.project.folder)
    loaded = [LOADED] if is_log and view.data is not None else []
    picked = b.selectbox(
        "Or pick a file of the project", [*loaded, *every],
        index=0 if loaded and "list_segment" in st.query_params else None, key="batch_picked",
        disabled=not allowed,
    )  # fmt: skip
    names = segment_names(view.project.folder) if is_log else []
    segment = filters.ALL
    if names:
        segment = b.selectbox(
            "Of segment", [filters.ALL, *names], key="list_segment", bind="query-params"
        )
    ready = allowed and (upload is not None or bool(picked))
    if st.button("Score", type="primary", disabled=not ready, key="batch_score"):
        score_file(view, run, upload, picked, None if segment == filters.ALL else segment)
    done = st.session_state.get("batch")
    if not done or done["run"] != run.id or not Path(done["path"]).is_file():
        with top:
            ui.headline(
                f"Upload {what}: who is worth acting on now?"
                if is_log
                else "Upload a ready table to score its rows.",
                using(run),
            )
        return
    results(view, run, done, top)


def score_file(
    view: ui.View, run: Run, upload: Any, picked: str | None, segment: str | None
) -> None:
    """Read, clean and score a file; the result is kept below the project's state."""
    only = None if segment is None else sessions_of(view, segment)
    name = upload.name if upload is not None else str(picked)
    refused: CartcastError | None = None
    with st.status("Reading …") as status:
        try:
            source: Any = None
            rejects, layout = None, None
            if upload is not None:
                path = actions.add_upload(view.project, view.person, name, upload)
            elif picked == LOADED and view.data is not None:
                source = view.data.log
            else:
                path = actions.pick_file(view.project, view.person, name)
            if source is None and run.features is not None:
                data = actions.read_log(
                    view.project, view.person, [str(path)], progress=ui.progress(status),
                    run=run,
                )  # fmt: skip
                rejects, layout, source = data.log.rejects, data.log.layout, data.log
            elif source is None:
                source = str(path)
            view.project.access.require(view.person, "predict", f"{name} with {run.id}")
            table, found = predict(source, run, only=only, progress=ui.progress(status))
            status.update(label="Scored", state="complete")
        except CartcastError as error:
            refused = error
            status.update(label="Refused", state="error")
    if refused is not None:
        ui.refused(files.safe_name(name), refused)
        if isinstance(refused, RejectedError) and refused.log.rejects is not None:
            ui.table(pd.read_parquet(refused.log.rejects).head(100_000), view, "rejects")
        return
    folder = view.project.state / "app" / "batches"
    kept = folder / f"batch-{secrets.token_hex(4)}" / "scores.parquet"
    with atomic_path(kept) as temporary:
        table.to_parquet(temporary, index=False)
    st.session_state["batch"] = {
        "run": run.id,
        "path": str(kept),
        "name": name if picked == LOADED else files.safe_name(name),
        "segment": segment,
        "layout": layout,
        "rejects": str(rejects) if rejects else None,
        "findings": [f.as_dict() for f in found],
    }


def sessions_of(view: ui.View, name: str) -> Callable[[Log], set[str]]:
    """Return what tells the sessions of a saved segment in a log."""
    from cartcast.insights.listing import session_ids
    from cartcast.insights.scored import with_scores

    folder = view.project.folder
    segment = read_segment(folder, name)

    def only(log: Log) -> set[str]:
        ready = with_scores(segment, log, log.path.parent, folder)
        return session_ids(log, Slice(segments=(ready,)))

    return only


def results(view: ui.View, run: Run, done: dict[str, Any], top: Any) -> None:
    """Show scores, downloads, and the list of those worth acting on."""
    table = pd.read_parquet(done["path"])
    currency = view.run_currency
    score = run.column
    ways = ["everybody", "the highest scores"]
    if score == "probability":
        ways.append("where it could pay")
    by = st.radio("Target list", ways, horizontal=True, key="list", bind="query-params")
    chosen = table
    if by == "the highest scores":
        size = st.number_input("How many you can act on", 1, max(len(table), 1),
                               min(1000, max(len(table), 1)), key="capacity")  # fmt: skip
        chosen = scoring.choose(table, score, capacity=int(size))
    elif by == "where it could pay":
        a, b = st.columns(2)
        unit = f" ({currency})" if currency else ""
        cost = a.number_input(f"Cost of a contact{unit}", 0.0, value=0.5, key="list_cost")
        value = b.number_input(f"Value of a buyer{unit}", 0.0, value=20.0, key="list_value")
        chosen = scoring.choose(table, score, cost=cost, value=value)
        ui.note(
            "Gain at most: what is gained if every buyer on the list buys because of the contact. "
            "What a contact adds, only an experiment tells."
        )
    whom = run.moment.describe() if "as_of" in table else "rows scored"
    mean = None
    if run.kind == "classifier" and table[score].notna().any():
        mean = float(table[score].mean())
    with top:
        ui.headline(
            predicted(len(table), whom, mean, None if by == "everybody" else len(chosen)),
            f"{done['name']}" + (f", read as layout {done['layout']}" if done["layout"] else "")
            + (f", segment {done['segment']}" if done.get("segment") else "")
            + f". {using(run)}",
        )  # fmt: skip
    if "as_of" in table and len(table):
        ui.note(f"As of {table['as_of'].iloc[0]:%Y-%m-%d %H:%M}, the end of the log. {run.asks}.")
    for told in done["findings"]:
        if told["code"].startswith("TL"):
            ui.note(told["message"])
    ui.findings([Finding.from_dict(f) for f in done["findings"] if f["severity"] != "note"])
    ui.table(chosen, view, "predictions", currency=currency, height=420)
    if done["rejects"]:
        rows = pd.read_parquet(done["rejects"])
        with st.expander(f"{len(rows):,} rejected rows, each with its reason"):
            ui.table(rows.head(100_000), view, "batch_rejects")
