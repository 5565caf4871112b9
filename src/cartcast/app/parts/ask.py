"""Ask for a training: target, models, anchors, waivers; on a log or on a ready table."""

from __future__ import annotations

import contextlib
from typing import Any

import streamlit as st

from cartcast.app import actions, files, jobs, ui
from cartcast.errors import CartcastError
from cartcast.features.words import in_words
from cartcast.segments import read_segment, segment_names

BUDGETS = {"no tuning": None, "1 minute": 60.0, "5 minutes": 300.0, "30 minutes": 1800.0}


def show_train(view: ui.View) -> None:
    """Choose what to predict, from what, with which models, and start."""
    if not view.may("train"):
        ui.note("Your role can look, but not train; ask an analyst.")
        return
    kind = st.radio(
        "Train on", ["the log", "a ready table (one row per session)"], horizontal=True, key="on"
    )
    if kind == "the log":
        train_log(view)
    else:
        train_table(view)


MOMENTS = {
    "during": "during the session",
    "after": "after it, as a reminder",
    "day": "on a day, as a mailing",
}
"""When somebody acts on a score, by the kind of the moment."""


def train_log(view: ui.View) -> None:
    """Start a training on the current log."""
    if view.data is None:
        ui.note("There is no log yet: bring one in under Data.")
        return
    types = view.data.log.summary.event_types
    proxies = [f"proxy:{n}" for n in view.project.settings.targets]
    observed = {"purchase": "purchase", "revenue": "purchase", "add_to_cart": "add_to_cart",
                "checkout": "begin_checkout"}  # fmt: skip
    targets = [t for t, e in observed.items() if e in types] + proxies
    if not targets:
        st.warning(
            ui.plain(
                "This log records no outcome (no purchase, cart or checkout), so there is nothing "
                "to learn from it alone. Add an orders file (orders: in cartcast.yaml), or "
                "declare a proxy target there."
            )
        )
        return
    with st.form("train_log", border=True):
        a, b, c = st.columns(3)
        target = a.selectbox("Target", targets, key="target")
        horizon = b.selectbox(
            "Horizon",
            ["session", "1d", "7d", "30d"],
            key="horizon",
            help="until the session ends, or any session of the visitor within that time",
        )
        budget = c.selectbox("Tuning", list(BUDGETS), key="budget")
        names = model_names(target == "revenue")
        chosen = st.multiselect(
            "Models (baselines always train)",
            names,
            format_func=in_words,
            placeholder="a short list that does well",
            key="models",
        )
        d, f, e, g = st.columns(4)
        moment = d.selectbox(
            "You act on a score", list(MOMENTS), format_func=MOMENTS.get, key="moment",
            help="a model is asked at moments of the kind it learnt, and no others",
        )  # fmt: skip
        anchors = f.text_input(
            "During a session: after clicks",
            ", ".join(map(str, view.project.settings.anchors)),
            key="anchors",
        )
        features = e.selectbox("Feature set", ["auto", "shop", "usual"], key="features")
        fitting = usable(view)
        segment = g.selectbox(
            "Segment", ["all sessions", *fitting], key="train_segment",
            help="a saved segment that is known at a session's first event",
        )  # fmt: skip
        waivers = st.text_input(
            "Waive findings (CODE=reason; separate by ;). They stay on the card.",
            key="waivers",
        )
        if not st.form_submit_button("Train", type="primary", icon=":material/play_arrow:"):
            return
    # Once a session is over, its end is no horizon: seven days, where nothing else is chosen.
    asked = target if horizon == "session" or target.startswith("proxy") else f"{target}:{horizon}"
    start(
        view,
        [str(view.data.log.path)],
        None,
        {
            "target": asked,
            "budget": BUDGETS[budget],
            "models": list(chosen) or None,
            "moment": moment,
            "anchors": whole_numbers(anchors),
            "features": features,
            "segment": fitting.get(segment),
            "waivers": pairs(waivers),
        },
    )


def usable(view: ui.View) -> dict[str, dict[str, Any]]:
    """Return the saved segments that a model may learn from, as a training takes them."""
    found = {}
    for name in segment_names(view.project.folder):
        with contextlib.suppress(CartcastError):
            segment = read_segment(view.project.folder, name).require_at_start()
            found[name] = {"name": name, **segment.as_dict()}
    return found


def train_table(view: ui.View) -> None:
    """Start a training on a ready table."""
    upload = st.file_uploader("Upload the table", type=["csv", "gz", "parquet", "zip"], key="rows")
    picked = st.selectbox(
        "Or pick a file of the project",
        files.project_files(view.project.folder),
        index=None,
        key="rows_picked",
    )
    if upload is None and not picked:
        ui.note("A table with one row per session, the outcome in one of its columns.")
        return
    if upload is not None:
        path = actions.add_upload(view.project, view.person, upload.name, upload)
    else:
        path = actions.pick_file(view.project, view.person, str(picked))
    from cartcast.rows import read_table

    head = read_table(path).head(200)
    st.dataframe(head, hide_index=True, height=220, key="rows_head")
    columns = [str(c) for c in head.columns]
    with st.form("train_rows", border=True):
        a, b, c = st.columns(3)
        target = a.selectbox("Outcome column", columns, index=len(columns) - 1, key="rows_target")
        group = b.selectbox("Visitor column", columns, index=None, key="rows_group")
        folds = c.selectbox("Check on", ["one test part", "5 folds", "10 folds"], key="rows_folds")
        drop = st.multiselect("Leave out columns", columns, key="rows_drop")
        waivers = st.text_input("Waive findings (CODE=reason; separate by ;)", key="rows_waivers")
        if not st.form_submit_button("Train", type="primary", icon=":material/play_arrow:"):
            return
    start(
        view,
        [],
        str(path),
        {
            "target": target,
            "group": group,
            "drop": drop or None,
            "folds": {"one test part": None, "5 folds": 5, "10 folds": 10}[folds],
            "waivers": pairs(waivers),
        },
    )


def model_names(money: bool) -> list[str]:
    """Return the models that can be chosen; baselines train anyway."""
    from cartcast.models.classifiers import CLASSIFIERS
    from cartcast.models.regressors import REGRESSORS

    baselines = {"prevalence", "click_count", "mean"}
    return [n for n in (REGRESSORS if money else CLASSIFIERS) if n not in baselines]


def whole_numbers(text: str) -> list[int]:
    """Return whole numbers from `1, 2, 3`.

    Raises:
        UsageError: a word is no whole number.
    """
    from cartcast.errors import UsageError

    words = [w for w in text.replace(",", " ").split() if w]
    if not words or not all(w.isdigit() for w in words):
        raise UsageError(f"anchors are whole clicks such as 1, 2, 3, 5, got {text!r}.")
    return [int(w) for w in words]


def pairs(text: str) -> dict[str, str] | None:
    """Return waivers from `CODE=reason; CODE=reason`."""
    from cartcast.errors import UsageError

    found = {}
    for part in (p.strip() for p in text.split(";")):
        if part:
            code, equals, reason = part.partition("=")
            if not equals or not reason.strip():
                raise UsageError(f"a waiver is CODE=reason, got {part!r}.")
            found[code.strip()] = reason.strip()
    return found or None


def start(view: ui.View, sources: list[str], rows: str | None, options: dict[str, Any]) -> None:
    """Start the training and go to the list."""
    job = jobs.start(view.project, view.person, sources, rows=rows, options=options)
    st.session_state["started"] = job.id
    st.success(ui.plain(f"Training {job.target} has begun; see it under Trainings."))
