"""Roles and the audit log."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from cartcast.app import ui
from cartcast.app.access import ROLES


def show_people(view: ui.View) -> None:
    """Give roles, and show who did what."""
    access = view.project.access
    if not access.on:
        ui.note(
            "Access is off: anyone who can open this page on this machine may do everything. "
            "Set auth: in cartcast.yaml to ask for a sign-in."
        )
    else:
        people = access.people()
        st.header("Roles", anchor=False)
        st.dataframe(
            pd.DataFrame(
                [(p.name, p.role or "none", p.issuer, p.subject) for p in people],
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
    st.header("Audit log", anchor=False)
    lines = access.audit()
    rows = pd.DataFrame(
        [(x.at, x.name, x.action, x.detail, "yes" if x.allowed else "REFUSED") for x in lines],
        columns=["at", "who", "action", "detail", "allowed"],
    )
    ui.table(rows, view, "audit")
