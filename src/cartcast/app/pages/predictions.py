"""Predictions: one session click by click, one row of features, or a whole file."""

from __future__ import annotations

import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import streamlit as st

from cartcast.app import actions, files, scoring, ui
from cartcast.app.headlines import plain as step_name
from cartcast.app.headlines import predicted
from cartcast.app.state import Data, RunFiles
from cartcast.charts import by_click, importance
from cartcast.charts.theme import number, words
from cartcast.errors import CartcastError
from cartcast.events import RejectedError
from cartcast.score import Scorer, load_scorer, predict

GAPS = {"5 seconds": 5, "20 seconds": 20, "1 minute": 60, "5 minutes": 300}


def show(view: ui.View) -> None:
    """Draw the page."""
    if view.run is None:
        ui.empty(
            "No model yet: here would be who will buy, how much, and why.",
            "This project has no run. Train one first; it takes a minute or two.",
            "Train",
        )
        return
    scorer = _scorer(str(view.run.entry.path), view.run.entry.manifest)
    kinds = ["Single session", "Features", "Batch"] if scorer.features else ["Features", "Batch"]
    top = st.container()
    kind = st.segmented_control(
        "Kind", kinds, default=kinds[0], required=True, key="kind", bind="query-params",
        label_visibility="collapsed",
    )  # fmt: skip
    with ui.boundary():
        if kind == "Batch":
            batch(view, view.run, top)
        elif kind == "Features":
            form(view, view.run, scorer, top)
        else:
            single(view, view.run, scorer, top)


def _load(path: str, manifest: str) -> Scorer:
    return load_scorer(Path(path))


_scorer = st.cache_resource(_load, max_entries=4, show_spinner="Loading the model …")


def _load_items(folder: str, changed: float, _data: Data) -> pd.DataFrame:
    return scoring.items(_data).rows


_items = st.cache_data(_load_items, max_entries=10, show_spinner=False)


def proxy(run: RunFiles) -> None:
    """Say loudly that a proxy is no outcome."""
    if run.facts["target"]["kind"] == "proxy":
        st.warning(ui.plain(f"{run.facts['target']['describe']}: a declared rule, not an outcome."))


def single(view: ui.View, run: RunFiles, scorer: Scorer, top: Any) -> None:
    """Build a session click by click and see what the model says after each."""
    if view.data is None:
        with top:
            ui.headline("Build a session: there is no log here to take items from.")
        ui.note("Bring a log in under Data and training; or use Features.")
        return
    clicks: list[dict[str, Any]] = st.session_state.setdefault("clicks", [])
    shop = _items(str(view.data.folder), view.data.sessions.stat().st_mtime, view.data)
    counts = view.data.log.summary.event_types
    kinds = sorted(counts, key=lambda kind: (-counts[kind], kind))
    with st.container(border=True, key="click_builder"):
        a, b, c, d = st.columns([1.1, 2, 0.9, 1.7], vertical_alignment="bottom")
        kind = a.selectbox("Event", kinds, format_func=step_name, key="click_kind")
        labels = {k: label(row) for k, row in shop.iterrows()}
        item = b.selectbox(
            "Item (most viewed first)", list(labels), format_func=labels.__getitem__,
            index=0 if len(labels) else None, key="click_item",
        )  # fmt: skip
        gap = c.selectbox("After", list(GAPS), index=1, key="click_gap")
        with d.container(horizontal=True):
            if st.button("Add", type="primary", icon=":material/add:", key="click_add"):
                chosen = shop.loc[item] if item is not None else None
                clicks.append(event(view, run, kind, chosen, clicks, GAPS[gap]))
            if st.button("Undo", disabled=not clicks, key="click_undo"):
                clicks.pop()
            if st.button("Clear", disabled=not clicks, key="click_clear"):
                clicks.clear()
    if not clicks:
        with top:
            ui.headline(
                "Add a first click to see what the model expects.",
                "The prediction is renewed after every click, as it would be live.",
            )
        return
    said = scoring.score_session(scorer, clicks)
    with top:
        ui.headline(sentence(view, run, said[-1]), f"After {len(clicks)} clicks. {using(run)}")
    proxy(run)
    figures(view, run, said[-1])
    left, right = st.columns(2, gap="large")
    with left:
        st.subheader("After each click", anchor=False)
        if len(said) > 1 and said[-1].probability is not None:
            rows = pd.DataFrame(
                {"click": range(1, len(said) + 1), "value": [s.probability for s in said],
                 "model": words(run.facts["champion"])}
            )  # fmt: skip
            drawn = by_click.by_click(
                rows, label="probability of the outcome", unit="share",
                subject=words(run.facts["champion"]), theme=view.theme,
            )  # fmt: skip
            ui.chart(drawn, "so_far", "probability after each click")
        told = pd.DataFrame(
            {
                "click": range(1, len(clicks) + 1),
                "event": [step_name(e["event_type"]) for e in clicks],
                "item": [e.get("item_id") for e in clicks],
                "price": [e.get("price") for e in clicks],
                "probability": [s.probability for s in said],
            }
        )
        ui.table(told, view, "session", shares=("probability",))
    with right:
        explain(view, run, scorer, scoring.feature_row(scorer, clicks))


def label(row: pd.Series[Any]) -> str:
    """Return an item as a line to choose."""
    parts = [str(row["item_id"])]
    parts += [str(row[c]) for c in ("category", "brand", "color") if pd.notna(row[c])]
    if pd.notna(row["price"]):
        parts.append(f"{row['price']:,.2f}")
    return " · ".join(parts)


def event(
    view: ui.View,
    run: RunFiles,
    kind: str,
    item: pd.Series[Any] | None,
    clicks: list[dict[str, Any]],
    gap: int,
) -> dict[str, Any]:
    """Return the next event of the session as canonical columns."""
    last = view.data.log.summary.end if view.data else None
    begin = datetime.fromisoformat(last).replace(tzinfo=None) if last else datetime.now(UTC)
    clock = run.facts["source"]["clock"]
    at = clicks[-1]["event_time"] + timedelta(seconds=gap) if clicks else begin.replace(tzinfo=None)
    made: dict[str, Any] = {
        "session_id": "built-here",
        "visitor_id": None,
        "event_order": len(clicks) + 1,
        "event_type": kind,
        "event_time": at if clock == "time" else begin.replace(tzinfo=None),
        "quantity": 1.0,
    }
    if item is not None:
        for name in ("item_id", "category", "brand", "color", "price"):
            made[name] = item[name] if pd.notna(item[name]) else None
    return made


def form(view: ui.View, run: RunFiles, scorer: Scorer, top: Any) -> None:
    """A form made from the feature declarations, with their units and real ranges."""
    folder = view.project.state / "app" / "ranges"
    with st.spinner("Measuring the real ranges of the features …"):
        known = scoring.ranges(scorer, run, view.data, folder)
    if not known:
        with top:
            ui.headline("The data of this run are not here any more.")
        ui.note("Their ranges cannot be shown, and a form without ranges would invite nonsense.")
        return
    order = [r["feature"] for r in run.facts.get("importance") or []]
    known = sorted(known, key=lambda f: order.index(f.name) if f.name in order else len(order))
    row: dict[str, Any] = {f.name: f.middle if not f.words else f.words[0] for f in known}
    columns = st.columns(3)
    for k, feature in enumerate(known[:12]):
        with columns[k % 3]:
            row[feature.name] = field(feature)
    if len(known) > 12:
        with st.expander(f"{len(known) - 12} more features, at their usual value"):
            columns = st.columns(3)
            for k, feature in enumerate(known[12:]):
                with columns[k % 3]:
                    row[feature.name] = field(feature)
    said = scoring.score_row(scorer, row)
    with top:
        ui.headline(sentence(view, run, said), f"For the features below. {using(run)}")
    proxy(run)
    figures(view, run, said)
    explain(view, run, scorer, row)


def field(feature: scoring.FeatureRange) -> Any:
    """Draw the field of one feature; empty means unknown."""
    title = words(feature.name).capitalize() + (f" ({feature.unit})" if feature.unit else "")
    key = f"f_{feature.name}"
    if feature.words:
        return st.selectbox(title, [*feature.words], key=key, index=0)
    if feature.middle is None:
        st.text_input(title, "never known in these data", disabled=True, key=key)
        return None
    low, high = feature.low or 0.0, feature.high or 0.0
    return st.number_input(
        title, value=float(round(feature.middle, 4)), key=key, format="%g",
        help=f"Nine in ten sessions: {low:,.4g} to {high:,.4g}. Empty: unknown.",
    )  # fmt: skip


def using(run: RunFiles) -> str:
    """Return which model speaks."""
    return f"Model: {words(run.facts['champion'])}, run {run.title}."


def sentence(view: ui.View, run: RunFiles, said: scoring.Said) -> str:
    """Return what is expected of the session."""
    currency = view.run_currency
    if said.probability is None:
        return f"Expected: {number(said.revenue, 'money', currency)} from this session."
    outcome = run.facts["target"]["describe"].removeprefix("PROXY ")
    base = (run.facts["split"]["parts"].get("test") or {}).get("prevalence")
    times = f", {number(said.probability / base, 'factor')} the usual" if base else ""
    return f"{number(said.probability, 'share')} probability of {outcome}{times}."


def figures(view: ui.View, run: RunFiles, said: scoring.Said) -> None:
    """Draw the figures of one prediction, and how such scores turned out."""
    currency = view.run_currency
    told: list[tuple[str, str, str | None]] = []
    if said.probability is not None:
        told.append(("Probability", number(said.probability, "share"), None))
    if said.revenue is not None:
        between = None
        if said.low is not None and said.high is not None:
            ends = [number(x, "money", currency) for x in (said.low, said.high)]
            between = f"if bought: {ends[0]} to {ends[1]}"
        told.append(("Expected revenue", number(said.revenue, "money", currency), between))
    ui.figures(told, width=280)
    if said.segment:
        ui.note(f"Segment: {said.segment}.")
    if said.probability is not None:
        kept = _reliability(str(run.entry.path), said.probability, run)
        if kept is not None:
            ui.note(
                f"Of {number(kept.n)} test rows scored {number(kept.left, 'share')} to "
                f"{number(kept.right, 'share')}, {number(kept.observed, 'share')} had the outcome "
                f"({number(kept.low, 'share')} to {number(kept.high, 'share')})."
            )


def _at(path: str, probability: float, _run: RunFiles) -> scoring.Reliability | None:
    return scoring.reliability_at(_run, probability)


_reliability = st.cache_data(_at, max_entries=500, show_spinner=False)


def explain(view: ui.View, run: RunFiles, scorer: Scorer, row: dict[str, Any]) -> None:
    """Show in words why the score is what it is, and what would change it."""
    folder = view.project.state / "app" / "ranges"
    st.subheader("Why", anchor=False)
    reasons = scoring.why(scorer, run, view.data, folder, row)
    if reasons is None:
        ui.note("The data of this run are not here any more: there is no usual session to compare.")
    else:
        st.write(ui.plain(reasons.sentence))
        if len(reasons.table):
            ui.chart(
                importance.contributions(reasons.table, theme=view.theme), "why", reasons.sentence
            )
            ui.note(f"Against the usual session; measured in {reasons.scale}.")
    st.subheader("What would change it", anchor=False)
    known = scoring.ranges(scorer, run, view.data, view.project.state / "app" / "ranges")
    changes = scoring.what_would_change(scorer, row, known)
    if not changes:
        ui.note("No single feature, within its real range, would change this score.")
        return
    units = {f.name: f.unit for f in known}
    told = pd.DataFrame(
        {
            "feature": [c.feature for c in changes],
            "text": [
                f"{words(c.feature)} {value_of(c.value)} → {value_of(c.other)} "
                f"{units.get(c.feature, '')}".strip()
                for c in changes
            ],
            "contribution": [c.change for c in changes],
        }
    )
    ui.chart(
        importance.contributions(told, unit="share", theme=view.theme), "changes", "what-if changes"
    )
    ui.note(
        "Each bar is what the model would say if this one feature took another value seen in real "
        "sessions. It is the model's answer, not a promise of what people would do."
    )


def value_of(value: Any) -> str:
    """Return a feature's value in words."""
    if value is None or (isinstance(value, float) and value != value):
        return "unknown"
    return f"{value:,.4g}" if isinstance(value, int | float) else str(value)


def batch(view: ui.View, run: RunFiles, top: Any) -> None:
    """Score a whole file: upload, layout, rejects, results, target list."""
    proxy(run)
    allowed = view.may("upload")
    if not allowed:
        ui.note("Your role looks only; an analyst scores files.")
    is_log = bool(run.facts["features"]["yaml"])
    what = "a log" if is_log else "a ready table"
    a, b = st.columns(2, gap="large")
    upload = a.file_uploader(
        f"Upload {what} to score", type=["csv", "tsv", "gz", "parquet", "zip", "jsonl"],
        key="batch_upload", disabled=not allowed,
        max_upload_size=view.project.settings.upload_megabytes,
    )  # fmt: skip
    every = files.project_files(view.project.folder)
    picked = b.selectbox(
        "Or pick a file of the project", every, index=None, key="batch_picked",
        disabled=not allowed,
    )  # fmt: skip
    ready = allowed and (upload is not None or bool(picked))
    if st.button("Score", type="primary", disabled=not ready, key="batch_score"):
        score_file(view, run, upload, picked, is_log)
    done = st.session_state.get("batch")
    if not done or done["run"] != run.entry.run_id or not Path(done["path"]).is_file():
        with top:
            ui.headline(
                f"Give {what}, get a score for every session.",
                using(run),
            )
        return
    results(view, run, done, top)


def score_file(view: ui.View, run: RunFiles, upload: Any, picked: str | None, is_log: bool) -> None:
    """Read, clean and score a file; the result is kept below the project's state."""
    name = upload.name if upload is not None else str(picked)
    refused: CartcastError | None = None
    with st.status("Reading …") as status:
        try:
            if upload is not None:
                path = actions.add_upload(view.project, view.person, name, upload)
            else:
                path = actions.pick_file(view.project, view.person, name)
            rejects, layout, source = None, None, path
            if is_log:
                data = actions.read_log(
                    view.project, view.person, [str(path)], progress=ui.progress(status)
                )
                rejects, layout, source = data.log.rejects, data.log.layout, data.log.path
            view.project.access.require(view.person, "predict", f"{name} with {run.entry.run_id}")
            table, _ = predict([str(source)], run.entry.path, progress=ui.progress(status))
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
    folder.mkdir(parents=True, exist_ok=True)
    kept = Path(tempfile.mkdtemp(prefix="batch-", dir=folder)) / "scores.parquet"
    table.to_parquet(kept, index=False)
    st.session_state["batch"] = {
        "run": run.entry.run_id,
        "path": str(kept),
        "name": files.safe_name(name),
        "layout": layout,
        "rejects": str(rejects) if rejects else None,
    }


def results(view: ui.View, run: RunFiles, done: dict[str, Any], top: Any) -> None:
    """Show scores, downloads, and the list of those worth acting on."""
    table = pd.read_parquet(done["path"])
    currency = view.run_currency
    by = st.radio(
        "Target list", ["everybody", "the best so many", "where it pays"], horizontal=True,
        key="list", bind="query-params",
    )  # fmt: skip
    chosen = table
    if by == "the best so many":
        size = st.number_input("How many can be acted on", 1, max(len(table), 1),
                               min(1000, max(len(table), 1)), key="capacity")  # fmt: skip
        chosen = scoring.choose(table, capacity=int(size))
    elif by == "where it pays":
        a, b = st.columns(2)
        unit = f" ({currency})" if currency else ""
        cost = a.number_input(f"Cost of a contact{unit}", 0.0, value=0.5, key="list_cost")
        value = b.number_input(f"Value of a buyer{unit}", 0.0, value=20.0, key="list_value")
        chosen = scoring.choose(table, cost=cost, value=value)
    mean = float(table["probability"].mean()) if "probability" in table and len(table) else None
    with top:
        ui.headline(
            predicted(len(table), mean, None if by == "everybody" else len(chosen)),
            f"{done['name']}" + (f", read as layout {done['layout']}" if done["layout"] else "")
            + f". {using(run)}",
        )  # fmt: skip
    ui.table(chosen, view, "predictions", shares=("probability",), height=420)
    if done["rejects"]:
        rows = pd.read_parquet(done["rejects"])
        with st.expander(f"{len(rows):,} rejected rows, each with its reason"):
            ui.table(rows.head(100_000), view, "batch_rejects")


ui.serve(show)
