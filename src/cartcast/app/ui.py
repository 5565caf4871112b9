"""What all pages share: the error boundary, who is there, headline, findings, charts, exports."""

from __future__ import annotations

import contextlib
import functools
import logging
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import streamlit as st
from streamlit import runtime

from cartcast.app import files, gate
from cartcast.app.access import Person, RefusedError, check
from cartcast.app.advice import advice
from cartcast.app.launch import ACCESS_VARIABLE, PROJECT_VARIABLE
from cartcast.app.state import Data, Project
from cartcast.charts import heads
from cartcast.charts import theme as look
from cartcast.config import STATE_FOLDER
from cartcast.errors import BlockedError, CartcastError
from cartcast.findings import Finding, by_severity
from cartcast.numbers import SYMBOLS
from cartcast.progress import Progress
from cartcast.runs.run import Run
from cartcast.spreadsheet import csv_bytes

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "PAGES",
    "View",
    "admit",
    "boundary",
    "chart",
    "empty",
    "export",
    "figures",
    "findings",
    "headline",
    "note",
    "plain",
    "progress",
    "refused",
    "serve",
    "table",
    "written",
]

PAGES: dict[str, tuple[str, str, str]] = {
    "start": ("Understand", "Saved views", ":material/bookmarks:"),
    "dashboard": ("Understand", "Dashboard", ":material/monitoring:"),
    "analysis": ("Understand", "Data analysis", ":material/query_stats:"),
    "segments": ("Understand", "Segments", ":material/group_work:"),
    "predictions": ("Predict", "Predictions", ":material/target:"),
    "performance": ("Predict", "Model performance", ":material/verified:"),
    "training": ("Predict", "Data and training", ":material/model_training:"),
    "experiments": ("Decide", "Experiments", ":material/science:"),
    "activation": ("Decide", "Activation", ":material/campaign:"),
    "monitoring": ("Watch", "Monitoring", ":material/monitor_heart:"),
    "live": ("Watch", "Live", ":material/sensors:"),
}
"""Pages by file name, which is their address: group, title and icon, in the order of the menu."""

EMPTY = "empty_page"
"""Set in the state of a page that says what would be here: it has no answer yet."""

MOST_WRITTEN = 20_000
"""Cells of a table that are written here; a table with more is formatted in the browser."""

_LOGGER = logging.getLogger("cartcast.app")
_SPECIAL = str.maketrans({c: "\\" + c for c in "\\`*_{}[]()#+-.!|<>~:$^&"})


def figures(told: Sequence[tuple[str, str, str | None]], width: int = 172) -> None:
    """Draw figures side by side: label, value, and in small print its interval or its reason."""
    with st.container(horizontal=True, gap="small"):
        for label, value, under in told:
            st.metric(
                label, value, delta=plain(under) if under else None, delta_color="off",
                delta_arrow="off", border=True, width=width, height="stretch",
            )  # fmt: skip


def plain(text: object) -> str:
    """Return words from data so that Markdown shows them as they are: no links, images, HTML."""
    return str(text).replace("\n", " ").translate(_SPECIAL)


@dataclass(frozen=True)
class View:
    """What a page is given: the project, who looks, in which theme, at which data and run."""

    project: Project
    person: Person
    theme: look.Theme
    data: Data | None
    run: Run | None

    @property
    def currency(self) -> str | None:
        """Currency of the data looked at: the log's own, else that of the project."""
        own = self.data.log.currency if self.data else None
        return own or self.project.settings.currency

    @property
    def run_currency(self) -> str | None:
        """Currency of the run's money."""
        own = self.run.currency if self.run else None
        return own or self.project.settings.currency

    def may(self, action: str) -> bool:
        """Return whether the person may do `action`; the action itself checks again."""
        return self.person.may(action)


def local(error: object) -> str:
    """Return a message as the command line prints it in the project folder: without its path.

    An upload is called by its name, not by the place where it is kept.
    """
    folder = Path(os.environ.get(PROJECT_VARIABLE, ".")).resolve()
    kept = rf"{re.escape(str(folder))}/(?:{re.escape(STATE_FOLDER)}/uploads/[0-9a-f]+/)?"
    return re.sub(kept, "", str(error))


@contextlib.contextmanager
def boundary() -> Iterator[None]:
    """Show any error as the line that the command line would print; never a traceback."""
    try:
        yield
    except Exception as error:  # noqa: BLE001  whatever it is, the reader gets one line
        _show(error)


def _show(error: Exception) -> None:
    if isinstance(error, BlockedError):
        st.error(plain(local(error)), icon=":material/block:")
        findings(error.findings)
    elif isinstance(error, RefusedError):
        st.warning(plain(error), icon=":material/lock:")
    elif isinstance(error, CartcastError):
        st.error(plain(local(error)), icon=":material/error:")
    elif isinstance(error, MemoryError):
        st.error("Out of memory; choose fewer days, fewer columns or a smaller file.")
    else:
        _LOGGER.error("unexpected error in a page", exc_info=error)
        line = " ".join(str(error).split())[:300]
        st.error(
            plain(f"Unexpected {type(error).__name__}: {line} (the server's log shows where).")
        )


def refused(name: str, error: CartcastError) -> None:
    """Show why a file was refused, beside its name."""
    told = local(error)
    st.error(plain(told if told.startswith(name) else f"{name}: {told}"), icon=":material/error:")


def serve(show: Callable[[View], None]) -> None:
    """Run a page: access first, then the page inside the boundary."""
    with boundary():
        view = open_view()
        if view is not None:
            show(view)


given: View | None = None
"""What pages are given in a process that draws them without a browser (`headless`)."""


def open_view() -> View | None:
    """Return what a page needs, or None when the person is not let in (said on the page)."""
    if given is not None:
        return given
    admitted = admit()
    if admitted is None:
        return None
    project, person = admitted
    state = st.session_state
    data = project.get_data(state.get("wanted") or state.get("data") or state.get("seen"))
    run = project.run(st.session_state.get("run"))
    kind: look.Theme = "dark" if st.context.theme.type == "dark" else "light"
    return View(project, person, kind, data, run)


def admit() -> tuple[Project, Person] | None:
    """Return the project and who looks; None after saying why nobody is let in.

    Until the role is known no message tells anything of the project: what goes wrong is in the
    server's log. Where access is off, the machine's owner reads the message.
    """
    if given is not None:
        return given.project, given.person
    guarded = os.environ.get(ACCESS_VARIABLE) == "on"
    try:
        project = Project.open(Path(os.environ.get(PROJECT_VARIABLE, ".")))
        guarded |= project.access.on
        if guarded and not project.access.on:
            raise RefusedError("access was on when the app started; restart it to turn it off.")
        if guarded and runtime.exists() and not gate.stands():
            raise RefusedError("access is on, but this server has no gate; use `cartcast app`.")
        person = who(project)
    except Exception as error:
        if not guarded:
            _show(error)
            return None
        _LOGGER.exception("nobody is let in")
        st.error("This project cannot be opened now; the server's log shows why.")
        return None
    return None if person is None else (project, person)


def who(project: Project) -> Person | None:
    """Return the person, or None after offering the sign-in or saying what is missing."""
    access = project.access
    if not access.on:
        return access.owner()
    if not st.user.is_logged_in:
        headline("Sign in to see this project.")
        st.button("Sign in", type="primary", on_click=st.login)
        return None
    try:
        person = access.person(st.user.to_dict())
    except RefusedError as error:
        st.warning(plain(error), icon=":material/lock:")
        st.button("Sign in again", type="primary", on_click=st.logout)
        return None
    if person.role is None:
        headline("You are signed in, but have no role in this project yet.")
        st.text(
            f"Ask an admin to give a role to:\nissuer   {person.issuer}\nsubject  {person.subject}"
        )
        st.button("Sign out", on_click=st.logout)
        return None
    return person


def progress(status: Any) -> Progress:
    """Return a callback that shows each step of long work on a status box."""

    def tell(what: str, share: float | None = None) -> None:
        done = "" if share is None else f" ({share:.0%})"
        status.update(label=plain(f"{what.capitalize()}{done}"))

    return tell


def on_phone() -> bool:
    """Return whether the browser says that it is a phone's (all of them say Mobi)."""
    return "Mobi" in (st.context.headers.get("User-Agent") or "")


def headline(sentence: str, under: str | None = None, *, empty: bool = False) -> None:
    """Show the answer of the page, and in grey what it was computed from.

    `empty` marks a page that has nothing to answer from: it is not counted among saved views.
    """
    if empty:
        st.session_state[EMPTY] = True
    st.title(plain(sentence), anchor=False)
    if under:
        st.caption(plain(under))


def note(text: str) -> None:
    """Show an aside in grey; the text may come from data."""
    st.caption(plain(text))


def findings(found: Sequence[Finding], *, most: int = 3, title: str = "") -> None:
    """Show findings as a banner with their codes; beyond `most` they fold away."""
    grouped: dict[tuple[str, str, str | None], list[Finding]] = {}
    for finding in by_severity(found):
        grouped.setdefault((finding.code, finding.severity, finding.waived), []).append(finding)
    same = list(grouped.values())
    if not same:
        return
    if title:
        st.header(title, anchor=False)
    for group in same[:most]:
        _banner(group)
    if len(same) > most:
        with st.expander(f"{sum(map(len, same[most:]))} more findings"):
            for group in same[most:]:
                _banner(group)


def _banner(group: Sequence[Finding]) -> None:
    """Draw findings of one code as one box: the first in full, the number of the others."""
    finding = group[0]
    box = {"block": st.error, "warn": st.warning}.get(finding.severity, st.info)
    text = f"**{plain(finding.code)}** {plain(finding.message)}"
    if len(group) > 1:
        text = f"{text} *And {len(group) - 1} more of this kind.*"
    if finding.waived:
        box, text = st.info, f"{text} *Waived: {plain(finding.waived)}*"
    elif what := advice(finding):
        text = f"{text} {plain(what)}"
    box(text)


def empty(sentence: str, why: str, button: str | None = None, page: str = "training") -> None:
    """Say what would be here and why it is not, and offer the way there."""
    headline(sentence, empty=True)
    st.write(plain(why))
    if button and st.button(button, type="primary", key=f"to_{page}"):
        st.switch_page(f"views/{page}.py")


def chart(figure: Any, key: str, alt: str, on_click: Callable[[int], None] | None = None) -> None:
    """Show a Plotly figure of `cartcast.charts`; `alt` is its answer in words.

    `on_click` is called with the place of the mark that was clicked.
    """
    shown = look.show(figure, key, st.session_state.get("picture", "png"))
    if on_click is None:
        st.plotly_chart(key=key, alt=alt, **shown)
        return
    # A click stays chosen under its key: the next drawing takes another.
    turn = f"{key}_turn"
    number = st.session_state.setdefault(turn, 0)
    chosen = st.plotly_chart(
        key=f"{key}_{number}", alt=alt, on_select="rerun", selection_mode="points",
        **shown,
    )  # fmt: skip
    points = chosen["selection"]["points"]
    if points:
        st.session_state[turn] = number + 1
        on_click(int(points[0]["point_index"]))


def table(
    rows: pd.DataFrame,
    view: View,
    name: str,
    *,
    units: Mapping[str, str] | None = None,
    shares: Sequence[str] = (),
    currency: str | None = None,
    height: int | None = None,
    on_row: Callable[[int], None] | None = None,
) -> None:
    """Show a table that sorts, searches and exports (CSV without formulas, Parquet).

    Columns are headed and written for people; the exported files keep names and numbers as they
    are. `units` (as in `charts.heads.cell`) and `shares` say what the name of a column does not.
    `on_row` is called with the place of the row that was chosen.
    """
    known = {str(c): heads.unit_of(c) for c in rows.columns}
    known |= {**dict.fromkeys(shares, "share"), **(units or {})}
    shown, settings = written(rows, known, currency or view.currency)
    more: dict[str, Any] = {"height": height} if height else {}
    turn = f"table_{name}_turn"
    if on_row is not None:
        # As a click on a chart: what was chosen is let go with the key.
        more |= {"on_select": "rerun", "selection_mode": "single-row"}
        st.session_state.setdefault(turn, 0)
    chosen = st.dataframe(
        shown,
        hide_index=True,
        key=f"table_{name}_{st.session_state.get(turn, '')}",
        placeholder="–",
        column_config=settings,
        **more,
    )
    export(rows, view, name)
    if on_row is not None and (places := chosen["selection"]["rows"]):
        st.session_state[turn] += 1
        on_row(int(places[0]))


def written(
    rows: pd.DataFrame, units: Mapping[str, str], currency: str | None
) -> tuple[Any, dict[str, Any]]:
    """Return a table as it is shown, and the settings of its columns; values still sort.

    A long one is formatted in the browser, which knows no thousands separator.
    """
    labels = {str(c): heads.head(c) for c in rows.columns}
    if rows.size <= MOST_WRITTEN and rows.index.is_unique and rows.columns.is_unique:
        cells: dict[Any, str | Callable[[object], str] | None] = {
            c: functools.partial(heads.cell, unit=units.get(str(c), ""), currency=currency)
            for c in rows.columns
            if rows[c].dtype.kind != "M"
        }
        return rows.style.format(cells), {c: st.column_config.Column(n) for c, n in labels.items()}
    shares = [c for c in rows.columns if units.get(str(c)) == "share"]
    shown = rows.assign(**{c: 100 * rows[c] for c in shares})
    sign = SYMBOLS.get(currency or "", "")
    formats = {"share": "%.1f %%", "money": f"{sign}%.2f"}
    return shown, {
        c: st.column_config.NumberColumn(n, format=formats[units[c]])
        if units.get(c) in formats
        else st.column_config.Column(n)
        for c, n in labels.items()
    }


def export(rows: pd.DataFrame | Callable[[], pd.DataFrame], view: View, name: str) -> None:
    """Offer a table as CSV and Parquet to those who may export; each export is logged.

    A table that is large is given as what makes it, once it is asked for.
    """
    if not view.may("export"):
        return
    kinds = (("csv", "text/csv", csv_bytes), ("parquet", "", files.parquet_bytes))
    with st.container(horizontal=True, width="content"):
        for suffix, mime, write in kinds:

            def made(write: Callable[[pd.DataFrame], bytes] = write, suffix: str = suffix) -> bytes:
                check(view.person, "export")
                table = rows() if callable(rows) else rows
                detail = f"{name}.{suffix}, {len(table)} rows"
                view.project.access.require(view.person, "export", detail)
                return write(table)

            kind = "CSV" if suffix == "csv" else "Parquet"
            st.download_button(
                f"{name.capitalize()} as {kind}" if callable(rows) else kind,
                made,
                file_name=f"{name}.{suffix}",
                mime=mime or "application/octet-stream",
                key=f"export_{name}_{suffix}",
                icon=":material/download:",
                on_click="ignore",
            )
