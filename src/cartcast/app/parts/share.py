"""Keeping what is looked at, and sharing it: a saved view, its link, the page as a file."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import streamlit as st

from cartcast.app import actions, headless, ui
from cartcast.app.access import Person, check
from cartcast.app.saved_views import SavedView, address_of, read_views
from cartcast.app.state import Project

__all__ = ["begin", "link", "offer", "offer_file"]


def begin(project: Project, path: str) -> None:
    """Turn to the saved views, where there are any, when the app is opened without an address."""
    first = "begun" not in st.session_state
    st.session_state["begun"] = True
    if first and not path and not st.query_params and read_views(project.folder):
        st.switch_page("views/start.py")


def link(view: SavedView) -> str:
    """Return the whole address of a view on this server."""
    scheme, _, rest = str(st.context.url or "").partition("://")
    return f"{scheme}://{rest.partition('/')[0]}{view.path}" if rest else view.path


def offer(project: Project, person: Person, page: str) -> None:
    """Offer to save what is looked at, to copy its link, and to take its charts and words along."""
    st.radio(
        "Charts are saved as", ["png", "svg"], key="picture", horizontal=True,
        format_func=str.upper, persist_state="session",
        help="The button appears in a chart's corner when the pointer is on it.",
    )  # fmt: skip
    if page == "start":
        return
    here = SavedView(page, address_of(page, _state(project)))
    with st.popover("Save or share this view", icon=":material/bookmark_add:", width="stretch"):
        if person.may("board"):
            name = st.text_input("Name", key="view_name", placeholder="such as Phones, last week")
            if st.button("Save", type="primary", key="view_save", disabled=not name.strip()):
                with ui.boundary():
                    actions.keep_view(project, person, SavedView(name.strip(), here.address))
                    st.success(ui.plain(f"Saved as {name.strip()}; see Saved views."))
        st.caption("Its link")
        st.code(link(here), language=None, wrap_lines=True)
        key = st.session_state.get("data") or st.session_state.get("seen")
        offer_file(
            project, person, [here], page,
            lambda: headless.draw(project, project.get_data(key), [here]),
        )  # fmt: skip


def offer_file(
    project: Project,
    person: Person,
    views: Sequence[SavedView],
    name: str,
    draw: Callable[[], Sequence[headless.Drawn]],
) -> None:
    """Offer views as one HTML file, to those who may export; it is made when it is asked for."""
    if not person.may("export"):
        return

    def made() -> str:
        # Only here: the room of reports is large.
        from cartcast.app import handout

        check(person, "export")
        project.access.require(person, "export", f"{name}.html, {len(views)} views")
        return handout.page(project.folder.name, views, draw())

    st.download_button(
        "As a page (HTML)", made, file_name=f"{name}.html", mime="text/html", key="view_html",
        icon=":material/download:", on_click="ignore",
        help="One file with charts and figures that asks nobody for anything; print it for a PDF.",
    )  # fmt: skip


def _state(project: Project) -> dict[str, list[str]]:
    """Return the state in the address; a log or a run that is the usual one is no part of it."""
    state = {k: st.query_params.get_all(k) for k in st.query_params}
    newest = project.get_data(None) if "data" in state else None
    if newest is not None and state["data"] == [newest.key]:
        del state["data"]
    usual = project.entry() if "run" in state else None
    if usual is not None and state["run"] == [usual.run_id]:
        del state["run"]
    return state
