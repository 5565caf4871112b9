"""Planning an experiment: its design from the shop's own past, and a plan made from a form."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any

import streamlit as st
import yaml

from cartcast import experiments
from cartcast.app import actions, ui
from cartcast.app.parts.columns import filled
from cartcast.app.state import Data
from cartcast.charts.theme import number
from cartcast.errors import CartcastError, UsageError
from cartcast.experiments import Design, Measured, Plan, Quantile
from cartcast.features.words import in_words

_UNITS = {"visitor_id": "visitor (device)", "user_id": "user (login)", "session_id": "session"}
_JUDGED = {
    "revenue": "revenue",
    "conversion": "share that buys",
    "carts": "share that fills a cart",
    "checkouts": "share that begins a checkout",
}
_MARGIN = 0.02


def show_design(view: ui.View, data: Data, plan: Plan, top: Any) -> None:
    """Say how long the test must run, what it will see, and whether it is worth it."""
    names = [n for n, m in plan.metrics.items() if not isinstance(m, Quantile)]
    a, b = st.columns(2)
    metric = a.selectbox("Judged by", names, key="design_metric", format_func=in_words)
    asked = ask_effect(view, data, b, metric in plan.money, "design")
    _draw(view, data, plan, metric, asked, top)


def ask_effect(view: ui.View, data: Data, place: Any, money: bool, key: str) -> dict[str, float]:
    """Ask for the smallest effect that matters: an amount a month, or a relative change."""
    if money:
        label = f"Smallest gain that matters, {view.currency or 'money'} a month"
        amount = place.number_input(label, 1, value=_twentieth(data), key=f"{key}_worth")
        return {"worth": float(amount)}
    percent = place.number_input(
        "Smallest relative change that matters, %", 0.1, 500.0, 5.0, step=1.0, key=f"{key}_change"
    )
    return {"relative": float(percent) / 100}


def _twentieth(data: Data) -> int:
    """Return about a twentieth of what the shop earns in a month, to begin with."""
    facts = data.log.summary
    begin, end = (datetime.fromisoformat(t) if t else None for t in (facts.start, facts.end))
    days = max((end - begin).total_seconds() / 86_400, 1.0) if begin and end else 30.0
    return max(int(float(f"{(facts.revenue or 0.0) / days * 30 / 20:.1g}")), 1)


def _draw(
    view: ui.View,
    data: Data,
    plan: Plan,
    metric: str,
    asked: dict[str, float],
    top: Any = None,
) -> Design:
    with st.spinner("Counting what the past says …"):
        path, changed = str(data.log.path), data.log.path.stat().st_mtime
        d: Design = _designed(repr(plan), path, changed, metric, tuple(asked.items()), plan)
    if top is None:
        st.header(ui.plain(verdict(d, plan)), anchor=False)
        ui.note(about(d, view.currency))
    else:
        with top.container():
            ui.headline(verdict(d, plan), about(d, view.currency))
    ui.findings(d.findings)
    change = number(d.relative, "share")
    told = [
        ("Whole weeks", number(d.weeks), f"{number(d.needed)} in two arms"),
        ("Power", number(d.power, "share"), f"to find {change}"),
        ("Smallest found", number(d.detectable / d.baseline, "share"), "with 80 % power"),
        ("Weeks with looks", number(d.looks_weeks), "planned; at most"),
        ("Weeks, any look", number(d.always_valid_weeks), "looked at daily"),
        ("Noise explained", number(d.explained, "share"), "by what was before"),
    ]
    if d.false_alarms is not None and d.drawn_power is not None:
        drawn = f"of {number(d.drawn)} draws"
        told.insert(2, ("False alarms, A/A", number(d.false_alarms, "share"), drawn))
        formula = f"formula {number(d.formula_power, 'share')}"
        told.insert(3, ("Power on the past", number(d.drawn_power, "share"), formula))
    ui.figures(told)
    ui.note(
        "Arms were drawn at random from the past, with and without the effect: the first must find "
        f"something in about {number(1 - plan.level, 'share')} of the draws, the second as often "
        "as the formula says."
    )
    return d


def verdict(d: Design, plan: Plan) -> str:
    """Return whether the test is worth running, as a sentence."""
    weeks = f"{number(d.weeks)} week{'' if d.weeks == 1 else 's'}"
    if d.findings:
        return f"Not worth running as designed: {weeks} to see {number(d.relative, 'share')}."
    arms = number(len(plan.allocation.arms))
    return f"{weeks} with {arms} arms find a change of {number(d.relative, 'share')}."


def about(d: Design, currency: str | None) -> str:
    """Return what the design was counted from."""
    worth = ""
    if d.worth is not None:
        worth = f"; the change is worth {number(d.worth, 'money', currency)} a month"
    return (
        f"{in_words(d.metric).capitalize()} is {number(d.baseline)} a unit today, and "
        f"{number(d.units_a_week)} new units come in a week{worth}. "
        "Counted from the whole loaded log."
    )


def show_new(view: ui.View, data: Data) -> None:
    """Bring a plan, or make one from this log."""
    if not view.may("experiment"):
        ui.note("Your role can look, but not plan experiments; ask an analyst.")
        return
    with st.expander("Bring a plan (YAML)"):
        upload = st.file_uploader(
            "Plan of one experiment, or of several", type=["yaml", "yml"], key="plan_upload"
        )
        if upload is not None and st.button("Keep the uploaded plan", type="primary"):
            try:
                _keep(view, upload.name, upload.getvalue().decode("utf-8", "replace"))
            except CartcastError as error:
                ui.refused(upload.name, error)
    judged = experiments.outcomes(data.log)
    if not judged:
        ui.note("This log records no purchase, cart or checkout to judge an experiment by.")
        return
    with ui.boundary():
        _form(view, data, judged)


def _form(view: ui.View, data: Data, judged: tuple[str, ...]) -> None:
    a, b, c = st.columns(3)
    key = a.text_input("Name", "my-test", key="new_name")
    outcome = b.selectbox("Judged by", judged, format_func=_JUDGED.get, key="new_outcome")
    have = [u for u in _UNITS if u in filled(data)]
    unit = c.selectbox("Arms are given to each", have, format_func=_UNITS.get, key="new_unit")
    d, e, f = st.columns(3)
    arms = d.text_input("Arms; the first is the control", "control, new", key="new_arms")
    shares = e.text_input("Their shares, %", "50, 50", key="new_shares")
    asked = ask_effect(view, data, f, outcome == "revenue", "new")
    g, h, i = st.columns(3)
    days = g.number_input("Days that count after the exposure", 1, 60, 7, key="new_days")
    start = h.date_input("First day", date.today() + timedelta(days=1), key="new_start")
    guarded = i.checkbox(
        f"Guardrail: visits may not fall by more than {number(_MARGIN, 'share')}",
        value=unit != "session_id", disabled=unit == "session_id", key="new_guard",
    )  # fmt: skip
    told: dict[str, Any] = {
        "unit": unit, "days": int(days), "start": start if isinstance(start, date) else None,
        "margin": _MARGIN if guarded else None,
    }  # fmt: skip
    split = shared(arms, shares)
    plan = experiments.plan_from(experiments.draft(key, split, outcome, **told))
    made = _draw(view, data, plan, outcome, asked)
    units = round(made.units_a_week * made.weeks)
    whole = experiments.draft(key, split, outcome, weeks=made.weeks, units=units, **told)
    text = yaml.safe_dump(whole, sort_keys=False, allow_unicode=True)
    with st.expander("The plan as a file"):
        st.code(text, language="yaml")
    if st.button("Keep this plan", type="primary"):
        _keep(view, f"{key}.yaml", text)


def _keep(view: ui.View, name: str, text: str) -> None:
    st.session_state["wanted_plan"] = actions.keep_plan(view.project, view.person, name, text).title
    st.rerun()


def shared(arms: str, shares: str) -> dict[str, float]:
    """Return each arm's share from two lists of words.

    Raises:
        UsageError: a share is no number, or the lists differ in length, or arms are alike.

    >>> shared("control, new", "50, 50")
    {'control': 0.5, 'new': 0.5}
    """
    names = [a.strip() for a in arms.split(",") if a.strip()]
    words = [s.strip(" %") for s in shares.split(",") if s.strip()]
    try:
        parts = [float(w) / 100 for w in words]
    except ValueError:
        raise UsageError(f"shares are numbers such as 50, 50, got {shares!r}.") from None
    if len(names) != len(parts) or len(set(names)) != len(names):
        raise UsageError(f"{len(names)} arms need as many different names and shares.")
    return dict(zip(names, parts, strict=True))


def _past(key: str, path: str, changed: float, _plan: Plan) -> Measured:
    return experiments.past_of(path, _plan)


_cached_past = st.cache_resource(_past, max_entries=4, show_spinner=False)


def _design(key: str, path: str, changed: float, metric: str, asked: Any, _plan: Plan) -> Design:
    past = _cached_past(repr(_plan.quantities) + _plan.unit, path, changed, _plan)
    return experiments.design(past.units, _plan, metric, weeks=past.weeks, **dict(asked))


_designed = st.cache_data(_design, max_entries=50, show_spinner=False)
