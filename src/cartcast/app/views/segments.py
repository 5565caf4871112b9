"""Segments: kinds of sessions, what each converts and brings, how stable they are."""

from __future__ import annotations

from typing import Any

import pandas as pd
import streamlit as st

from cartcast.app import headlines, ui
from cartcast.app.parts.listed import open_condition
from cartcast.app.parts.saved import show_saved
from cartcast.app.state import Data
from cartcast.charts import segments
from cartcast.charts.theme import number
from cartcast.runs.run import Run
from cartcast.segments import Found


def show(view: ui.View) -> None:
    """Draw the page."""
    part = st.segmented_control(
        "Part", ["Found by the run", "Saved"], default="Found by the run", required=True,
        key="segments_part", bind="query-params", label_visibility="collapsed",
    ) if view.data is not None else None  # fmt: skip
    with ui.boundary():
        if part == "Saved":
            show_saved(view)
        else:
            show_found(view)


def show_found(view: ui.View) -> None:
    """Show the kinds of sessions that the run found."""
    if view.run is None:
        ui.empty(
            "No segments yet. This page will show the kinds of sessions, and what each brings.",
            "Segments are found when a model is trained; this project has no run.",
            "Train",
        )
        return
    rows = view.run.data.get("segments") or []
    if not rows:
        ui.empty(
            "This run found no segments.",
            "There were too few sessions, or they were all alike; see the run's findings.",
            "Train again",
        )
        ui.findings([f for f in view.run.findings if f.code.startswith("SG")])
        return
    facts = view.run.data.get("segmentation") or {}
    ui.headline(headlines.segments(rows), told_of(view.run, facts))
    table = pd.DataFrame(
        {
            "name": [r["name"] for r in rows],
            "share": [r.get("share") for r in rows],
            "conversion": [r.get("conversion") for r in rows],
            "low": [interval(r)[0] for r in rows],
            "high": [interval(r)[1] for r in rows],
        }
    )
    for column in ("share", "conversion", "low", "high"):
        table[column] = table[column].astype(float)
    asked = view.data is not None and bool(facts.get("yaml"))
    run = view.run
    ui.chart(
        segments.sizes(table, theme=view.theme), "sizes", headlines.segments(rows),
        on_click=(lambda k: open_condition(Found(run.id, rows[k]["name"]))) if asked else None,
    )  # fmt: skip
    for k, r in enumerate(rows):
        with st.container(border=True, key=f"segment_{k}"):
            st.markdown(f"**{ui.plain(r['name'])}**")
            st.write(ui.plain(r.get("sentence") or ""))
            with st.container(horizontal=True, gap="small", vertical_alignment="center"):
                ui.note(f"{number(r.get('size'))} sessions")
                if asked and st.button("See them", key=f"sessions_{k}", type="tertiary"):
                    open_condition(Found(view.run.id, r["name"]))
    ui.findings([f for f in view.run.findings if f.code.startswith("SG")])
    if view.data is not None:
        the_map(view, view.run, view.data)


def interval(row: dict[str, Any]) -> tuple[Any, Any]:
    """Return the ends of a segment's conversion interval, wherever the run keeps them."""
    ends = row.get("conversion_interval") or (row.get("conversion_low"), row.get("conversion_high"))
    return ends[0], ends[1]


def told_of(run: Run, facts: dict[str, Any]) -> str:
    """Return how the segments were found and how much they can be trusted."""
    parts = [f"Run {run.title}"]
    names = {"silhouette": "silhouette", "davies_bouldin": "Davies-Bouldin",
             "stability": "stability (adjusted Rand)"}  # fmt: skip
    for key, word in names.items():
        value = facts.get(key)
        if isinstance(value, dict):
            value = value.get("value", value.get("mean"))
        if isinstance(value, int | float):
            parts.append(f"{word} {value:.2f}")
    return "; ".join(parts) + "."


def the_map(view: ui.View, run: Run, data: Data) -> None:
    """Draw the sessions of the current log as a map."""
    st.header("Map of the sessions", anchor=False)
    if not (run.data.get("segmentation") or {}).get("yaml"):
        ui.note("This run was trained on a ready table; its sessions cannot be found in a log.")
        return
    with st.spinner("Placing sessions …"):
        known = _cached_members(str(run.dir), str(data.folder), data.log.path.stat().st_mtime)
    if known.empty:
        ui.note("The sessions of this log are all alike: there is nothing to place.")
        return
    some = known.sample(min(len(known), 5000), random_state=0).sort_values("segment")
    ui.chart(
        segments.scatter(some, theme=view.theme),
        "map",
        "each dot is a session; near ones are alike",
        on_click=lambda k: open_condition(Found(run.id, some["segment"].iloc[k])),
    )
    ui.note(
        "Two directions in which sessions differ most (principal components of their ranks); "
        f"{number(len(some))} of {number(len(known))} sessions drawn. "
        "Click a dot to see the sessions of its kind."
    )


def _members(run_dir: str, folder: str, changed: float) -> pd.DataFrame:
    from pathlib import Path

    from sklearn.decomposition import PCA
    from sklearn.preprocessing import StandardScaler

    from cartcast import events

    run = Run.open(run_dir).loaded()
    log = run.read(events.open_log(Path(folder) / "events.parquet"))
    assert run.behaviour is not None
    replayed = run.behaviour.replay(log, at="end")
    assert not isinstance(replayed, Path)
    table = replayed.to_pandas()
    names = [c for c in table.columns if c != "session_id"]
    numbers = table[names].select_dtypes("number")
    # Ranks, because a few very long sessions would otherwise stretch the map to a line.
    ranks = numbers.rank(pct=True).fillna(0.5)
    flat = ranks.loc[:, ranks.std() > 0]
    out = pd.DataFrame({"session_id": table["session_id"]})
    out["segment"] = run.segment_names(table)
    if flat.shape[1] < 2 or len(flat) < 3:
        return out.iloc[:0]
    placed = PCA(2, random_state=0).fit_transform(StandardScaler().fit_transform(flat))
    return out.assign(x=placed[:, 0], y=placed[:, 1])


_cached_members = st.cache_data(_members, max_entries=5, show_spinner=False)
ui.serve(show)
