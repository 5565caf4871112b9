"""Entry of the app's server: the menu, and the page that was asked for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import streamlit as st

from cartcast.app import ui
from cartcast.app.parts import share
from cartcast.app.state import Data, Project


def menu(project: Project) -> None:
    """Draw the sidebar: what is looked at, and who looks."""
    access = project.access
    with st.sidebar:
        choose_data(project.data())
        runs = project.runs()
        if len(runs) > 1:
            current = project.run()
            titles = {e.run_id: f"{e.target} · {e.created[:16].replace('T', ' ')}" for e in runs}
            ids = list(titles)
            st.selectbox(
                "Run", ids, index=ids.index(current.id) if current else 0,
                format_func=titles.__getitem__, key="run",
                bind="query-params", persist_state="session",
            )  # fmt: skip
        st.caption(ui.plain(project.folder.name))
        if access.on:
            st.caption(ui.plain(str(st.user.get("name") or st.user.get("sub") or "")))
            st.button("Sign out", on_click=st.logout)


def draw_groups(pages: dict[str, list[Any]]) -> None:
    """Draw the pages in the sidebar, each under its group."""
    with st.sidebar, st.container(gap="xxsmall", key="pages"):
        for group, listed in pages.items():
            st.caption(group)
            for page in listed:
                st.page_link(page)


def choose_data(every: list[Data]) -> None:
    """Offer the logs of the project; who looks keeps the same log, whatever others bring in."""
    state = st.session_state
    names = {d.key: f"{d.name} ({d.created[:16].replace('T', ' ')})" for d in every}
    wanted = state.pop("wanted", None)
    if len(every) > 1:
        # The value is given, not just the default: else the browser's next click would bring the
        # choice back that it still held.
        if wanted in names:
            state["data"] = wanted
        elif "data" not in state and "data" not in st.query_params and state.get("seen") in names:
            state["data"] = state["seen"]
        st.selectbox(
            "Data", list(names), format_func=names.__getitem__, key="data", bind="query-params",
            persist_state="session",
        )  # fmt: skip
    state["seen"] = state.get("data", every[0].key) if every else None


def _icon() -> Any:
    """Return the tab's icon as an image of our own: a named icon would be fetched from the web."""
    import numpy as np
    from PIL import Image

    image = np.zeros((32, 32, 4), dtype=np.uint8)
    for k, height in enumerate((8, 14, 20, 26)):
        image[30 - height : 30, 3 + 7 * k : 8 + 7 * k] = (11, 98, 168, 255)
    return Image.fromarray(image)


def main() -> None:
    """Run the app once; the framework calls it on every interaction."""
    st.set_page_config(page_title="Cartcast", page_icon=_icon(), layout="wide")
    st.logo(Path(__file__).with_name("logo.svg"), size="large")
    st.html(Path(__file__).with_name("style.css"))
    admitted = ui.admit()
    if admitted is None:
        # Neither a page nor the menu of them: nothing runs that could name what is here.
        st.navigation([st.Page(lambda: None, title="Cartcast")], position="hidden")
        return
    # Not in a folder named `pages`: there the framework would run the file itself, without a menu,
    # if it is the first that is asked for.
    pages: dict[str, list[Any]] = {}
    for name, (group, title, icon) in ui.PAGES.items():
        page = st.Page(f"views/{name}.py", title=title, icon=icon, default=name == "dashboard")
        pages.setdefault(group, []).append(page)
    # The framework's own list of groups is no list to a screen reader: it is drawn here.
    chosen = st.navigation(pages, position="hidden")
    draw_groups(pages)
    with ui.boundary():
        menu(admitted[0])
        share.begin(admitted[0], chosen.url_path)
    chosen.run()
    # Only now are all controls of the page in the address.
    with ui.boundary(), st.sidebar:
        share.offer(*admitted, chosen.url_path or "dashboard")


main()
