"""Bring data in: a file, or a table; what is refused is shown beside its name."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import streamlit as st

from cartcast.app import actions, files, layouts, ui, warehouse
from cartcast.app.parts.counted import offer_rejects
from cartcast.app.parts.mapped import Drafted
from cartcast.errors import CartcastError
from cartcast.events import RejectedError
from cartcast.events.read import UPLOADS


class Choice(NamedTuple):
    """What was chosen to be read: an upload, a file, or a table of a database."""

    upload: Any
    file: str | None
    database: str | None
    table: str | None

    @property
    def made(self) -> bool:
        """Whether anything was chosen."""
        return self.upload is not None or bool(self.file) or bool(self.table)

    @property
    def name(self) -> str:
        """What to call it."""
        if self.upload is not None:
            return files.safe_name(self.upload.name)
        return self.file or f"{self.database} {self.table}"


def bring(view: ui.View) -> None:
    """Upload a file, or pick one, or a table, of the project."""
    limit = view.project.settings.upload_megabytes
    left, right = st.columns(2, gap="large")
    with left:
        upload = st.file_uploader(
            f"Upload a log (CSV, Excel, JSON or Parquet, also packed; up to {limit} MB)",
            type=[suffix[1:] for suffix in UPLOADS],
            key="upload",
            max_upload_size=limit,
        )
        known = {"guess": None, **layouts.known(view.project)}
        layout = known[st.selectbox("Layout", list(known), key="layout")]
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
        database, table = choose_table(view)
    lenient = st.checkbox("Continue even if more rows are rejected than allowed", key="lenient")
    choice = Choice(upload, picked, database, table)
    with st.container(horizontal=True):
        reading = st.button("Read and validate", type="primary", disabled=not choice.made)
        looking = st.button("Look at the columns", disabled=not choice.made)
    if reading:
        read(view, choice, layout, lenient)
    if looking:
        with ui.boundary(), st.spinner("Reading the first rows …"):
            look(view, choice.name, *paths_of(view, choice))
            st.rerun()


def choose_table(view: ui.View) -> tuple[str | None, str | None]:
    """Offer the tables of the project's databases; an unreachable one is reported in place."""
    name: str | None = None
    table: str | None = None
    with ui.boundary():
        known = {w.name: w for w in warehouse.warehouses(view.project)}
        if not known:
            return name, table
        a, b = st.columns(2)
        name = a.selectbox(
            "Or a table of a database", list(known), index=None, key="database",
            placeholder="choose a database",
        )  # fmt: skip
        found = _tables(name, known[name].place) if name else []
        table = b.selectbox(
            "Table", found, index=None, key="database_table", disabled=not name,
            placeholder="choose a table",
        )  # fmt: skip
    return name, table


def _list_tables(name: str, _place: str) -> list[str]:
    return warehouse.tables(warehouse.Warehouse(name, _place))


_tables = st.cache_data(_list_tables, ttl=30, show_spinner="Listing tables …")


def paths_of(view: ui.View, choice: Choice) -> tuple[list[str], str | None]:
    """Return the sources of a choice, and the orders that belong to them.

    Raises:
        RefusedError: the person may not bring data in.
        NotFoundError, DataError, UsageError: it is not there, or is refused.
    """
    project, person = view.project, view.person
    if choice.upload is not None:
        return [str(actions.add_upload(project, person, choice.upload.name, choice.upload))], None
    if choice.file in project.settings.sources:
        return project.source_paths(), project.orders_path()
    if choice.file:
        return [str(actions.pick_file(project, person, choice.file))], None
    return [actions.pick_table(project, person, str(choice.database), str(choice.table))], None


def look(view: ui.View, name: str, sources: Sequence[str], orders: str | None) -> None:
    """Turn to what the columns of a source mean."""
    told = actions.draft_of(view.project, view.person, sources)
    kept = all("://" in s or Path(s).exists() for s in sources)
    drafted = Drafted(tuple(sources), orders, name, told, kept)
    st.session_state.update({"drafted": drafted, "wanted_part": "Columns"})


def read(view: ui.View, choice: Choice, layout: str | None, lenient: bool) -> None:
    """Clean what was chosen; what is refused is shown with its name, below the status."""
    refused: CartcastError | None = None
    paths: list[str] = []
    orders: str | None = None
    with st.status("Reading …") as status:
        try:
            paths, orders = paths_of(view, choice)
            data = actions.read_log(
                view.project, view.person, paths, layout=layout, orders=orders,
                max_reject_share=1.0 if lenient else None, progress=ui.progress(status),
            )  # fmt: skip
            status.update(label="Read", state="complete")
        except CartcastError as error:
            refused = error
            status.update(label="Refused", state="error")
    if refused is not None:
        ui.refused(choice.name, refused)
        if isinstance(refused, RejectedError):
            offer_rejects(view, refused.log.rejects, "rejects")
        if paths and all("://" in p or Path(p).exists() for p in paths):
            st.button(
                "Say what its columns mean", key="say_columns",
                on_click=_turn, args=(view, choice.name, paths, orders),
            )  # fmt: skip
        return
    # The new log becomes the one that is looked at.
    st.session_state["wanted"] = data.key
    st.rerun()


def _turn(view: ui.View, name: str, sources: Sequence[str], orders: str | None) -> None:
    with ui.boundary():
        look(view, name, sources, orders)
