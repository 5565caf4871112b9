"""Pages drawn without a browser: what a saved view says, for the start page, a file or a summary.

The page itself runs, so its words and figures are the same. That takes a process of its own, since
the framework's runner without a browser stands in for its server.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from cartcast.app.periods import BEFORE, last_days
from cartcast.app.saved_views import SavedView
from cartcast.app.state import Data, Project
from cartcast.errors import CartcastError, UsageError

__all__ = ["Drawn", "draw"]

_SECONDS = 120
_LONGEST = 600
_MOST_ROWS = 30
_FREE = ("ask", "funnel")
"""Parts of an address that belong to no control."""


class DrawingError(CartcastError):
    """The process that draws pages ended without an answer."""


@dataclass(frozen=True)
class Chart:
    """A chart as Plotly JSON, and what it says in words."""

    alt: str
    figure: str


@dataclass(frozen=True)
class Table:
    """A table as it is shown: cells are words."""

    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Drawn:
    """A page in words.

    Attributes:
        problem: why the view cannot be shown, or not as it was saved; None when it can.
        headline: the page's answer.
        about: what it was counted from.
        figures: label, value, and how it differs or how sure it is.
        of: what it is of, where it is not of the days that were asked for.
        compared: the sentence with the differences and their intervals, where it is compared.
        charts: the charts.
        tables: tables of at most 30 rows.
    """

    problem: str | None = None
    headline: str = ""
    about: str = ""
    of: str = ""
    figures: tuple[tuple[str, str, str], ...] = ()
    compared: str = ""
    charts: tuple[Chart, ...] = ()
    tables: tuple[Table, ...] = ()

    @classmethod
    def from_dict(cls, told: Mapping[str, Any]) -> Drawn:
        """Return it from plain data."""
        more = {
            "figures": tuple(tuple(f) for f in told["figures"]),
            "charts": tuple(Chart(**c) for c in told["charts"]),
            "tables": tuple(
                Table(tuple(t["heads"]), tuple(map(tuple, t["rows"]))) for t in told["tables"]
            ),
        }
        return cls(**{**told, **more})


def draw(
    project: Project, data: Data | None, views: Sequence[SavedView], days: int | None = None
) -> list[Drawn]:
    """Return what each view says of a log, as a viewer of the project reads it.

    Args:
        project: the project.
        data: the log, where the view names no other.
        views: what to draw.
        days: a view that can be compared is held against the period before; one without a period
            is of that many last days.

    Raises:
        UsageError: the extra `app` is not installed.
        DrawingError: the process ended without an answer.
    """
    if find_spec("streamlit") is None:
        raise UsageError("views need the extra 'app': pip install 'cartcast[app]'.")
    if not views:
        return []
    asked = {
        "project": str(project.folder),
        "data": None if data is None else {**asdict(data), "folder": str(data.folder)},
        "views": [asdict(v) for v in views],
        "days": days,
    }
    try:
        # -P, for all processes of the app: no module of the folder that they start in runs.
        done = subprocess.run(
            [sys.executable, "-P", "-W", "ignore", "-m", "cartcast.app.headless"],
            input=json.dumps(asked), capture_output=True, text=True, encoding="utf-8", check=False,
            timeout=min(_SECONDS * (1 + len(views)), _LONGEST),
        )  # fmt: skip
        return [Drawn.from_dict(d) for d in json.loads(done.stdout.rpartition("\n")[2])]
    except subprocess.TimeoutExpired:
        raise DrawingError("the saved views take too long to draw; remove some.") from None
    except ValueError:
        last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise DrawingError(f"the saved views could not be drawn: {last[:300]}.") from None


def _draw_here(project: Project, data: Data | None, view: SavedView, days: int | None) -> Drawn:
    """Run the page of a view in this process and return what it says."""
    from cartcast.app import ui

    if view.page not in ui.PAGES or view.page == "start":
        return Drawn(f"There is no page {view.page!r} to show.")
    state = view.state
    for wanted in state.pop("data", ()):
        data = next((d for d in project.data() if d.key == wanted), None)
        if data is None:
            return Drawn("The log that this view was saved with has been deleted.")
    run_id = next(iter(state.pop("run", ())), None)
    try:
        run = project.run(run_id)
    except CartcastError as error:
        return Drawn(str(error))
    if run_id is not None and (run is None or run.id != run_id):
        return Drawn("The run that this view was saved with is gone.")
    # The least role: what everybody may read who may read at all.
    reader = project.access.reader()
    ui.given = ui.View(project, reader, "light", data, run)
    if days is None:
        return _read(view.page, state, state)
    own = {"days", "period"} & set(state)
    asked = {"days": [last_days(days)]} if not own else {}
    found = _read(view.page, state, {"against": [BEFORE], **asked, **state})
    if found.problem is not None or found.compared:
        return found
    return _read(view.page, state, state, instead="" if own else last_days(days))


def _read(
    page: str, state: Mapping[str, list[str]], asked: Mapping[str, list[str]], instead: str = ""
) -> Drawn:
    """Run a page, asked for more than its state, and return what it says.

    `instead` names the period that was asked for and is not in `asked`.
    """
    from streamlit.testing.v1 import AppTest

    from cartcast.app.ui import EMPTY

    file = Path(__file__).parent / "views" / f"{page}.py"
    at = AppTest.from_file(str(file), default_timeout=_SECONDS)
    for key, values in asked.items():
        at.query_params[key] = values if len(values) != 1 else values[0]
    try:
        at.run()
    except RuntimeError:
        return Drawn(f"It took longer than {_SECONDS} seconds.")
    # A finding begins with its code, in bold; what else is in red or locked is an error.
    wrong = [_words(e.value) for e in at.error if not e.value.startswith("**")]
    wrong += [_words(w.value) for w in at.warning if "lock" in (w.icon or "")]
    wrong += [f"The page failed: {e.message}." for e in at.exception]
    lost = [] if wrong else _lost(at, state)
    if lost:
        wrong = [f"This log, or this version, no longer has {', '.join(lost)}; save it again."]
    headline = _words(at.title[0].value) if at.title else ""
    if EMPTY in at.session_state:
        wrong.append(headline)
    notes = [_words(c.value) for c in at.caption]
    compared = next((n for n in notes if n.startswith("Compared with ")), "")
    whole = "is of the whole log" if "days" in at.session_state else "has no period"
    return Drawn(
        problem=wrong[0] if wrong else None,
        headline=headline,
        about=notes[0] if notes and headline else "",
        of=f"It {whole}, not the {instead}." if instead else "",
        figures=tuple((m.label, str(m.value), _words(m.delta or "")) for m in at.metric),
        compared=compared,
        charts=tuple(Chart(c.proto.alt, c.proto.spec) for c in at.get("plotly_chart")),
        tables=tuple(t for d in at.dataframe if (t := _table(d)) is not None),
    )


def _lost(at: Any, state: Mapping[str, list[str]]) -> list[str]:
    """Return the parts of a state that the page did not take up: it fell back on its own."""
    from cartcast.features.words import event_words, in_words

    found = []
    for key, wanted in state.items():
        if key in _FREE:
            continue
        left = at.query_params.get(key)
        if key in at.session_state and wanted in (left, [left]):
            continue
        # What is the page's own choice already is not in the address.
        value = at.session_state.get(key, None)
        values = value if isinstance(value, list | tuple) else [value]
        said = {w for v in values for w in (str(v), event_words(str(v)), in_words(str(v)))}
        if not {w.lower() for w in wanted} <= {w.lower() for w in said}:
            found.append(f"{in_words(key)} {', '.join(wanted)}")
    return found


def _table(frame: Any) -> Table | None:
    """Return a table as it is shown; None where it is long, or written in the browser."""
    from streamlit.dataframe_util import convert_arrow_bytes_to_pandas_df

    proto = frame.proto.arrow_data
    if not proto.HasField("styler"):
        return None
    shown = convert_arrow_bytes_to_pandas_df(proto.styler.display_values)
    if not 0 < len(shown) <= _MOST_ROWS:
        return None
    settings = json.loads(frame.proto.columns or "{}")
    heads = [str((settings.get(str(c)) or {}).get("label") or c) for c in shown.columns]
    rows = shown.fillna("–").astype(str).replace({"None": "–", "nan": "–"})
    return Table(tuple(heads), tuple(tuple(r) for r in rows.itertuples(index=False)))


def _words(markdown: str) -> str:
    r"""Return words that `ui.plain` had made safe for Markdown as they were.

    >>> _words("4\\.1 % of sessions buy\\.")
    '4.1 % of sessions buy.'
    """
    return re.sub(r"\\(.)", r"\1", markdown)


def main() -> None:
    """Draw what standard input asks for, and write it as one line of JSON."""
    import logging

    from cartcast.app.launch import PROJECT_VARIABLE

    asked = json.load(sys.stdin)
    os.environ[PROJECT_VARIABLE] = asked["project"]
    logging.getLogger("streamlit").setLevel(logging.ERROR)
    project = Project.open(Path(asked["project"]))
    data = asked["data"]
    if data is not None:
        data = Data(**{**data, "folder": Path(data["folder"]), "sources": tuple(data["sources"])})
    drawn = []
    for view in asked["views"]:
        try:
            drawn.append(_draw_here(project, data, SavedView(**view), asked["days"]))
        except Exception as error:  # noqa: BLE001  the other views are drawn, whatever it is
            line = " ".join(str(error).split())[:300]
            drawn.append(Drawn(f"It could not be drawn ({type(error).__name__}: {line})."))
    sys.stdout.write("\n" + json.dumps([asdict(d) for d in drawn]))


if __name__ == "__main__":
    main()
