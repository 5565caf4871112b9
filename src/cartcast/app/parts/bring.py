"""Bring data in: a file, or a table; what is refused is said beside its name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import streamlit as st

from cartcast.app import actions, files, ui
from cartcast.errors import CartcastError
from cartcast.events import RejectedError

LAYOUTS = ("guess", "eshop-2008", "ga4", "segment", "snowplow", "retailrocket", "rees46",
           "yoochoose")  # fmt: skip


def bring(view: ui.View) -> None:
    """Upload a file, or pick one of the project."""
    limit = view.project.settings.upload_megabytes
    left, right = st.columns(2, gap="large")
    with left:
        upload = st.file_uploader(
            f"Upload a log (CSV, Parquet, gzip or zip, up to {limit} MB)",
            type=["csv", "tsv", "gz", "parquet", "zip", "jsonl"],
            key="upload",
            max_upload_size=limit,
        )
    with right:
        names = files.project_files(view.project.folder)
        named = [str(s) for s in view.project.settings.sources]
        every = list(dict.fromkeys([*named, *names]))
        picked = st.selectbox(
            "Or pick a file of the project",
            every,
            index=None,
            placeholder="choose a file" if every else "the project folder has no data files",
            key="picked",
        )
        layout = st.selectbox("Layout", LAYOUTS, key="layout")
        lenient = st.checkbox(
            "Go on even if more than the allowed share of rows is rejected", key="lenient"
        )
    if st.button("Read and validate", type="primary", disabled=upload is None and not picked):
        read(view, upload, picked, named, None if layout == "guess" else layout, lenient)


def read(
    view: ui.View, upload: Any, picked: str | None, named: list[str], layout: str | None,
    lenient: bool,
) -> None:  # fmt: skip
    """Clean the chosen file; what is refused is said with the file's name, below the status."""
    name = upload.name if upload is not None else str(picked)
    refused: CartcastError | None = None
    with st.status("Reading …") as status:
        try:
            orders = None
            if upload is not None:
                paths = [str(actions.add_upload(view.project, view.person, name, upload))]
            elif picked in named:
                paths, orders = view.project.source_paths(), view.project.orders_path()
            else:
                paths = [str(actions.pick_file(view.project, view.person, name))]
            data = actions.read_log(
                view.project, view.person, paths, layout=layout, orders=orders,
                max_reject_share=1.0 if lenient else None, progress=ui.progress(status),
            )  # fmt: skip
            status.update(label="Read", state="complete")
        except CartcastError as error:
            refused = error
            status.update(label="Refused", state="error")
    if refused is not None:
        ui.refused(files.safe_name(name), refused)
        if isinstance(refused, RejectedError):
            offer_rejects(view, refused.log.rejects, "rejects")
        return
    # The new log becomes the one that is looked at.
    st.session_state["wanted"] = data.key
    st.rerun()


def offer_rejects(view: ui.View, path: Path | None, name: str) -> None:
    """Offer the rejected rows, each with its reason."""
    if path is None or not path.is_file():
        return
    rows = pd.read_parquet(path)
    with st.expander(f"{len(rows):,} rejected rows, each with its reason"):
        ui.table(rows.head(100_000), view, name)
