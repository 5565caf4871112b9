"""The alarms of a watched run: what happened, since when, how much money, what to look at."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from cartcast.app import actions, ui
from cartcast.charts.theme import number
from cartcast.features.words import in_words
from cartcast.monitoring.alarms import Alarm
from cartcast.monitoring.store import Store

_HOURS = {"8 hours": 8.0, "2 days": 48.0, "1 week": 168.0}
_SHOWN = 12


def show_alarms(view: ui.View, store: Store, alarms: list[Alarm]) -> None:
    """Draw the alarms that are not resolved, pages first; then those that are."""
    still = sorted(
        (a for a in alarms if a.state != "resolved"),
        key=lambda a: (a.severity != "page", -a.number),
    )
    if not still:
        st.success("No alarm is open.")
    for alarm in still[:_SHOWN]:
        _card(view, store, alarm)
    over = [a for a in alarms if a.state == "resolved"] + still[_SHOWN:]
    if over:
        with st.expander(f"{len(over)} more, resolved or later"):
            rows = [(a.number, a.code, a.state, a.since[:10], a.through[:10], a.money, a.message)
                    for a in over]  # fmt: skip
            columns = ["number", "code", "state", "since", "through", "money", "what happened"]
            ui.table(pd.DataFrame(rows, columns=columns), view, "alarms", units={"money": "money"},
                     currency=over[0].currency)  # fmt: skip
    _silences(view, store)


def _card(view: ui.View, store: Store, alarm: Alarm) -> None:
    with st.container(border=True, key=f"alarm_{alarm.number}"):
        kind = "calls somebody" if alarm.severity == "page" else "can wait for the morning"
        st.badge(f"{alarm.state} · {kind}", color="red" if alarm.severity == "page" else "orange")
        st.markdown(f"**{ui.plain(alarm.code)}** {ui.plain(alarm.message)}")
        told = [f"since {_time(alarm.since)}", f"last seen {_time(alarm.through)}"]
        if alarm.money is not None:
            told.append(f"about {number(alarm.money, 'money', alarm.currency)} so far")
        if alarm.silenced is not None:
            told.append(f"not sent: silence {alarm.silenced}")
        st.caption(ui.plain("; ".join(told).capitalize() + "."))
        if alarm.look:
            st.markdown("\n".join(f"- {ui.plain(one)}" for one in alarm.look))
        with st.expander("What was done with it"):
            for at, who, what, why in store.history(alarm.number):
                st.caption(ui.plain(f"{_time(at)} {who}: {what}{f' ({why})' if why else ''}"))
        if view.may("alarm"):
            _buttons(view, alarm)


def _buttons(view: ui.View, alarm: Alarm) -> None:
    n = alarm.number
    with st.container(horizontal=True, vertical_alignment="bottom"):
        why = st.text_input("Reason; it is kept", key=f"why_{n}", width=280)
        if alarm.state == "open" and st.button("Acknowledge", key=f"acknowledge_{n}"):
            actions.change_alarm(view.project, view.person, n, "acknowledged", why)
            st.rerun()
        if st.button("Resolve", key=f"resolve_{n}"):
            actions.change_alarm(view.project, view.person, n, "resolved", why)
            st.rerun()


def _silences(view: ui.View, store: Store) -> None:
    kept = store.silences()
    if not kept and not view.may("silence"):
        return
    with st.expander("Silences: alarms that are raised and kept, but not sent"):
        if kept:
            rows = [(s.code, _time(s.begin), _time(s.until), s.who, s.why) for s in kept[::-1]]
            columns = ["code", "from", "until", "who", "why"]
            st.dataframe(pd.DataFrame(rows, columns=columns), hide_index=True, key="silences")
        if not view.may("silence"):
            return
        with st.form("silence", border=False):
            a, b, c = st.columns([1, 1, 2])
            known = sorted({x.code for x in store.alarms()})
            code = a.selectbox(
                "Code", ["*", *known], format_func=lambda x: "all" if x == "*" else x
            )
            hours = b.selectbox("For", list(_HOURS))
            why = c.text_input("Reason; it is kept", key="silence_why")
            if st.form_submit_button("Silence"):
                actions.silence(view.project, view.person, code, _HOURS[hours], why)
                st.rerun()


def _time(iso: str) -> str:
    return in_words(iso[:16].replace("T00:00", "").replace("T", " "))
