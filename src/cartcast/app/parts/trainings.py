"""Jobs, trainings or checks of a run: state, progress, log, what can be done."""

from __future__ import annotations

from datetime import timedelta

import streamlit as st

from cartcast.app import jobs, ui
from cartcast.findings import Finding

ICONS = {
    "waiting": "○",
    "running": "●",
    "done": "✓",
    "failed": "✕",
    "cancelled": "–",
    "stopped": "✕",
}


def show_jobs(view: ui.View, kind: str = "train") -> None:
    """List all jobs of a kind; what runs is refreshed by itself."""
    every = jobs.jobs(view.project, kind)
    if not every:
        if kind == "train":
            ui.note("No training yet. Start one under Train.")
        return
    busy = any(j.state in jobs.OPEN for j in every)
    draw = st.fragment(run_every=timedelta(seconds=1.0) if busy else None)(draw_jobs)
    draw(view, busy, kind)


def draw_jobs(view: ui.View, busy: bool, kind: str = "train") -> None:
    """Draw the jobs once."""
    with ui.boundary():
        every = jobs.jobs(view.project, kind)
        if busy and not any(j.state in jobs.OPEN for j in every):
            # The last one ended: draw the whole page anew, the headline included.
            st.rerun()
        for job in every[:20]:
            draw_job(view, job)


def draw_job(view: ui.View, job: jobs.Job) -> None:
    """Draw one job: state, progress, log, what can be done."""
    open_now = job.state in jobs.OPEN
    title = f"{ICONS[job.state]} {job.target} · {job.state} · {job.who} · {job.created[:16]}"
    with st.expander(ui.plain(title.replace("T", " ")), expanded=open_now or job.state == "failed"):
        if open_now:
            st.progress(min(job.share or 0.0, 1.0), text=ui.plain(job.message))
            st.caption(f"{job.seconds:.0f} s so far. It continues if you close this page.")
            if view.may("cancel") and st.button("Cancel", key=f"cancel_{job.id}"):
                jobs.cancel(view.project, view.person, job.id)
                st.rerun()
        elif job.state == "done":
            st.caption(f"Took {job.seconds:.0f} s.")
            if job.kind == "train":
                st.page_link("views/performance.py", label="See how good it is")
        else:
            (st.error if job.state in ("failed", "stopped") else st.info)(ui.plain(job.message))
            ui.findings([Finding.from_dict(f) for f in job.findings])
        if job.log:
            st.code(job.log, language=None, height=180)
        deletable = not open_now and view.may("delete")
        if deletable and st.button("Delete this record", key=f"remove_{job.id}", type="tertiary"):
            jobs.remove(view.project, view.person, job.id)
            st.rerun()
