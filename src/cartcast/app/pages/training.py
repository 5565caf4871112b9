"""Data and training: bring data in, see what the contract says, train, watch, cancel."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import streamlit as st

from cartcast.app import actions, files, jobs, ui
from cartcast.app.access import ROLES
from cartcast.app.state import Data
from cartcast.charts.theme import number
from cartcast.errors import CartcastError
from cartcast.events import RejectedError
from cartcast.findings import Finding

LAYOUTS = ("guess", "eshop-2008", "ga4", "segment", "snowplow", "retailrocket", "rees46",
           "yoochoose")  # fmt: skip
BUDGETS = {"no tuning": None, "1 minute": 60.0, "5 minutes": 300.0, "30 minutes": 1800.0}
ICONS = {
    "waiting": "○",
    "running": "●",
    "done": "✓",
    "failed": "✕",
    "cancelled": "–",
    "stopped": "✕",
}


def show(view: ui.View) -> None:
    """Draw the page."""
    top = st.container()
    parts = ["Data", "Train", "Trainings"] + (["People"] if view.may("people") else [])
    part = st.segmented_control(
        "Part", parts, default="Data", required=True, key="part", bind="query-params",
        label_visibility="collapsed",
    )  # fmt: skip
    with top:
        ui.headline(*answer(view))
    with ui.boundary():
        {"Data": show_data, "Train": show_train, "Trainings": show_jobs, "People": show_people}[
            part or "Data"
        ](view)


def answer(view: ui.View) -> tuple[str, str | None]:
    """Return the headline: what there is, what is running, what is next."""
    running = [j for j in jobs.jobs(view.project) if j.state in jobs.OPEN]
    if running:
        job = running[0]
        more = f" ({len(running)} trainings in all)" if len(running) > 1 else ""
        return f"Training {job.target}: {job.message}{more}.", "It goes on if you close this page."
    if view.data is None:
        return (
            "No data yet: bring in a log of clicks, or a table with one row per session.",
            "Then train: figures with intervals, what not to trust, and predictions follow.",
        )
    facts = view.data.log.summary
    text = f"{view.data.name}: {number(facts.events)} events in {number(facts.sessions)} sessions"
    sold = (
        f", {number(facts.purchase_sessions)} of them buy" if facts.purchases else ", no purchases"
    )
    return f"{text}{sold}.", (
        f"Layout {view.data.log.layout}; {number(facts.rejects)} rows rejected; clock: "
        f"{view.data.log.clock}."
    )


def show_data(view: ui.View) -> None:
    """Bring data in, and show what the contract says."""
    if view.may("upload"):
        bring(view)
    else:
        ui.note("Your role looks only; an analyst brings data in.")
    if view.data is not None:
        report(view, view.data)


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


def report(view: ui.View, data: Data) -> None:
    """Show the validation report of the current log."""
    facts = data.log.summary
    ui.figures(
        [
            ("Events", number(facts.events), None),
            ("Sessions", number(facts.sessions), None),
            ("Visitors", number(facts.visitors), None),
            ("Items", number(facts.items), None),
            ("Purchases", number(facts.purchases), None),
            ("Revenue", number(facts.revenue_deduplicated, "money", view.currency), None),
            ("Rejected", number(facts.rejects), None),
        ],
        width=128,
    )
    offer_rejects(view, data.log.rejects, f"rejects_{data.key}")
    ui.findings(data.log.findings, title="What the contract found", most=5)
    left, right = st.columns(2, gap="large")
    with left:
        st.subheader("Events by type", anchor=False)
        kinds = pd.DataFrame(
            {"event type": list(facts.event_types), "events": list(facts.event_types.values())}
        ).sort_values("events", ascending=False)
        ui.table(kinds, view, "event_types")
    with right:
        st.subheader("First rows, as understood", anchor=False)
        with data.log.connect() as con:
            rows = con.execute("SELECT * FROM events LIMIT 50").df()
        st.dataframe(rows.dropna(axis=1, how="all"), hide_index=True, height=300, key="first_rows")
    if view.may("delete"):
        with st.popover("Delete this log", icon=":material/delete:"):
            st.write("The clean copy is deleted; the source file and all runs stay.")
            if st.button("Delete", type="primary", key="delete_log"):
                actions.delete_data(view.project, view.person, data)
                st.session_state.pop("data", None)
                st.rerun()


def offer_rejects(view: ui.View, path: Path | None, name: str) -> None:
    """Offer the rejected rows, each with its reason."""
    if path is None or not path.is_file():
        return
    rows = pd.read_parquet(path)
    with st.expander(f"{len(rows):,} rejected rows, each with its reason"):
        ui.table(rows.head(100_000), view, name)


def show_train(view: ui.View) -> None:
    """Choose what to predict, from what, with which models, and start."""
    if not view.may("train"):
        ui.note("Your role looks only; an analyst trains.")
        return
    kind = st.radio(
        "Train on", ["the log", "a ready table (one row per session)"], horizontal=True, key="on"
    )
    if kind == "the log":
        train_log(view)
    else:
        train_table(view)


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
                "This log records no outcome (no purchase, cart or checkout), so nothing honest "
                "can be learned from it alone. Give an orders file (orders: in cartcast.yaml), or "
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
            "Models (baselines always train)", names, placeholder="a short good list", key="models"
        )
        d, e = st.columns([2, 1])
        anchors = d.text_input(
            "Anchors: clicks after which a prediction is made",
            ", ".join(map(str, view.project.settings.anchors)),
            key="anchors",
        )
        features = e.selectbox("Feature set", ["default", "usual"], key="features")
        waivers = st.text_input(
            "Waive findings (CODE=reason; separate by ;). They stay on the card for ever.",
            key="waivers",
        )
        if not st.form_submit_button("Train", type="primary", icon=":material/play_arrow:"):
            return
    asked = target if horizon == "session" or target.startswith("proxy") else f"{target}:{horizon}"
    start(
        view,
        [str(view.data.log.path)],
        None,
        {
            "target": asked,
            "budget": BUDGETS[budget],
            "models": list(chosen) or None,
            "anchors": whole_numbers(anchors),
            "features": features,
            "waivers": pairs(waivers),
        },
    )


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


def show_jobs(view: ui.View) -> None:
    """List all trainings; what runs is refreshed by itself."""
    every = jobs.jobs(view.project)
    if not every:
        ui.note("No training yet. Start one under Train.")
        return
    busy = any(j.state in jobs.OPEN for j in every)
    draw = st.fragment(run_every=timedelta(seconds=1.0) if busy else None)(draw_jobs)
    draw(view, busy)


def draw_jobs(view: ui.View, busy: bool) -> None:
    """Draw the trainings once."""
    with ui.boundary():
        every = jobs.jobs(view.project)
        if busy and not any(j.state in jobs.OPEN for j in every):
            # The last one ended: draw the whole page anew, the headline included.
            st.rerun()
        for job in every[:20]:
            draw_job(view, job)


def draw_job(view: ui.View, job: jobs.Job) -> None:
    """Draw one training: state, progress, log, what can be done."""
    open_now = job.state in jobs.OPEN
    title = f"{ICONS[job.state]} {job.target} · {job.state} · {job.who} · {job.created[:16]}"
    with st.expander(ui.plain(title.replace("T", " ")), expanded=open_now or job.state == "failed"):
        if open_now:
            st.progress(min(job.share or 0.0, 1.0), text=ui.plain(job.message))
            st.caption(f"{job.seconds:.0f} s so far. It goes on if you close this page.")
            if view.may("cancel") and st.button("Cancel", key=f"cancel_{job.id}"):
                jobs.cancel(view.project, view.person, job.id)
                st.rerun()
        elif job.state == "done":
            st.caption(f"Took {job.seconds:.0f} s.")
            st.page_link("pages/performance.py", label="See how good it is")
        else:
            (st.error if job.state in ("failed", "stopped") else st.info)(ui.plain(job.message))
            ui.findings([Finding.from_dict(f) for f in job.findings])
        if job.log:
            st.code(job.log, language=None, height=180)
        deletable = not open_now and view.may("delete")
        if deletable and st.button("Delete this record", key=f"remove_{job.id}", type="tertiary"):
            jobs.remove(view.project, view.person, job.id)
            st.rerun()


def show_people(view: ui.View) -> None:
    """Give roles, and show who did what."""
    access = view.project.access
    if not access.on:
        ui.note(
            "Access is off: whoever reaches this page, on this machine, may do everything. "
            "Set auth: in cartcast.yaml to ask for a sign-in."
        )
    else:
        people = access.people()
        st.subheader("Roles", anchor=False)
        st.dataframe(
            pd.DataFrame(
                [(p.name, p.role, p.issuer, p.subject) for p in people],
                columns=["name", "role", "issuer", "subject"],
            ),
            hide_index=True,
            key="people",
        )
        with st.form("role", border=True):
            a, b, c, d = st.columns(4)
            issuer = a.text_input("Issuer (URL)", value=view.person.issuer)
            subject = b.text_input("Subject")
            name = c.text_input("Name")
            role = d.selectbox("Role", [*ROLES, "none"])
            if st.form_submit_button("Set role", type="primary"):
                wanted = None if role == "none" else role
                access.set_role(view.person, issuer, subject, wanted, name)
                st.rerun()
    st.subheader("Audit log", anchor=False)
    lines = access.audit()
    rows = pd.DataFrame(
        [(x.at, x.name, x.action, x.detail, "yes" if x.allowed else "REFUSED") for x in lines],
        columns=["at", "who", "action", "detail", "allowed"],
    )
    ui.table(rows, view, "audit")


ui.serve(show)
