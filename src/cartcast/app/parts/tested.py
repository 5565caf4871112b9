"""What an experiment says: whether to trust it, its effect in money, and what to do."""

from __future__ import annotations

from typing import Any, NamedTuple

import streamlit as st

from cartcast import experiments
from cartcast.app import actions, files, ui
from cartcast.app.parts.activated import exposed_by_rule
from cartcast.app.parts.compared import HASH, measured_of, pictures, tables
from cartcast.app.state import Data
from cartcast.charts.theme import number
from cartcast.errors import CartcastError
from cartcast.experiments import Analysis, Decision, Journal, Plan, words
from cartcast.experiments.page import page
from cartcast.features.words import in_words
from cartcast.numbers import day
from cartcast.report import document


class Looked(NamedTuple):
    """One look, kept for the session: a page drawn again is no other look."""

    what: tuple[str, ...]
    analysis: Analysis
    units_a_month: float


def show_results(view: ui.View, data: Data, plan: Plan, top: Any) -> None:
    """Look at the experiment, and say what to do."""
    journal = Journal.of(view.project.folder, plan)
    with top.container():
        ui.headline(words.tested(plan), _about(plan, journal))
    goals = [name for name, m in plan.metrics.items() if m.margin is None]
    arms = list(plan.allocation.arms[1:])
    a, b, c, d = st.columns([1, 1, 1.4, 1], vertical_alignment="bottom")
    metric = a.selectbox("Judged by", goals, key="judged_by", format_func=in_words)
    arm = b.selectbox("Arm", ["the best", *arms] if len(arms) > 1 else arms, key="judged_arm")
    found = [HASH, *files.project_files(view.project.folder)]
    if (decided := exposed_by_rule(view.project, plan)) is not None:
        found.insert(0, decided)
    exposures = c.selectbox("Exposures (unit, arm, exposed)", found, key="exposures")
    what = (repr(plan), data.key, exposures)
    held = _held(what)
    if d.button(
        "Look at the results" if held is None else "Look again", key="look",
        type="primary" if held is None else "secondary", disabled=not view.may("experiment"),
    ):  # fmt: skip
        held = _look(view, data, plan, what)
        if held is not None:
            st.rerun()
    if held is None:
        ui.note(
            "Each look at a test that still runs is another chance of a false alarm. So looks are "
            "counted, and the interval that is told holds for them."
        )
        return
    if not goals:
        ui.note("The plan has guardrails only: name a metric without a margin to decide by.")
        return
    if not any(c.metric == metric and c.segment is None for c in held.analysis.comparisons):
        with top.container():
            ui.headline("Fix the test: there is nothing to compare.", _about(plan, journal))
        ui.findings(held.analysis.findings)
        return
    decision = experiments.decide(
        held.analysis, plan, metric, None if arm == "the best" else arm, looks=journal.looked,
        units_a_month=held.units_a_month if metric in plan.money else None,
    )  # fmt: skip
    with top.container():
        ui.headline(
            words.of_decision(decision, held.analysis.control),
            f"{decision.experiment}: {words.asked(decision, held.analysis, plan)}",
        )
    _draw(view, data, plan, held.analysis, decision, exposures)


def _held(what: tuple[str, ...]) -> Looked | None:
    held = st.session_state.get("looked")
    return held if isinstance(held, Looked) and held.what == what else None


def _look(view: ui.View, data: Data, plan: Plan, what: tuple[str, ...]) -> Looked | None:
    try:
        with st.spinner("Measuring what each unit did …"):
            measured = measured_of(view, data, plan, what[2])
        analysis = actions.look(view.project, view.person, plan, measured)
    except CartcastError as error:
        st.error(ui.plain(ui.local(error)), icon=":material/error:")
        facts = data.log.summary
        ui.note(
            f"The loaded log covers {(facts.start or '?')[:10]} to {(facts.end or '?')[:10]}, the "
            f"experiment {_day(plan.start)} to {_day(plan.end)}. Load a log of that time, or "
            "choose the file of exposures."
        )
        return None
    made = Looked(what, analysis, measured.units_a_month)
    st.session_state["looked"] = made
    return made


def _draw(
    view: ui.View, data: Data, plan: Plan, analysis: Analysis, decision: Decision, exposures: str
) -> None:
    trust(plan, analysis, decision)
    if analysis.trusted:
        _figures(view, analysis, decision)
    st.markdown(ui.plain(f"{decision.reason} What would change this: {decision.would_change}"))
    _keep(view, plan, analysis, decision)
    if analysis.trusted:
        pictures(view, data, plan, analysis, decision, exposures)
        tables(view, analysis)
    else:
        with st.expander("The figures, which cannot be trusted"):
            tables(view, analysis)
    # The guardrails of the only arm are told above.
    told = {"XP112"} if len(plan.allocation.arms) == 2 else set()
    rest = [f for f in analysis.findings if f.severity != "block" and f.code not in told]
    ui.findings(rest, title="What you should know before you trust this")


def trust(plan: Plan, analysis: Analysis, decision: Decision) -> None:
    """Say whether the data can be trusted, then what the guardrails say."""
    blocking = [f for f in analysis.findings if f.severity == "block" and not f.waived]
    if blocking:
        ui.findings(blocking)
        return
    st.success(ui.plain(words.ratio(analysis)))
    for c in analysis.comparisons:
        margin = plan.metrics[c.metric].margin
        if margin is None or c.segment is not None or c.arm != decision.arm:
            continue
        held = c.guardrail is not None and c.guardrail.excludes_null
        told = words.guardrail(c, margin, plan.metrics[c.metric].better)
        (st.success if held else st.warning)(ui.plain(told))


def _figures(view: ui.View, analysis: Analysis, decision: Decision) -> None:
    chosen = analysis.get(decision.metric, decision.arm)
    told: list[tuple[str, str, str | None]] = []
    name = f"Change in {in_words(decision.metric)}"
    if (e := decision.effect) is None:
        told.append((name, "–", "no interval"))
    else:
        ends = f"{words.signed(e.low)} to {words.signed(e.high)}"
        told.append((name, words.signed(e.value), ends))
    if decision.money is not None:
        value, low, high = (number(x, "money", view.currency) for x in decision.money)
        told.append(("In money a month", value, f"{low} to {high}"))
    better = chosen.posterior.chance_better if chosen.posterior else None
    told.append(("Chance to be better", words.chance(better), "by the prior"))
    share = number(analysis.progress, "share")
    under = "each look counts" if analysis.progress is None else f"{share} of the units"
    told.append(("Looked at", words.times(decision.looks), under))
    ui.figures(told)
    if decision.money is not None:
        ui.note(words.MONTH)


def _keep(view: ui.View, plan: Plan, analysis: Analysis, decision: Decision) -> None:
    with st.container(horizontal=True):
        if view.may("experiment") and st.button("Record this decision", icon=":material/gavel:"):
            actions.record(view.project, view.person, plan, decision)
            st.success("Recorded; see it under Record.")
        if view.may("export"):
            name = f"{files.safe_name(decision.experiment)}.html"

            def made() -> str:
                view.project.access.require(view.person, "export", name)
                before = Journal.of(view.project.folder, plan).decisions()
                told = page(decision, analysis, plan, currency=view.currency, record=before)
                return document.html(told)

            st.download_button(
                "The decision as a page", made, file_name=name, mime="text/html",
                key="export_decision", icon=":material/download:", on_click="ignore",
            )  # fmt: skip


def _about(plan: Plan, journal: Journal) -> str:
    looked = journal.looked
    times = f"looked at {words.times(looked)}" if looked else "not looked at yet"
    return f"From {_day(plan.start)} to {_day(plan.end)}; {times}."


def _day(moment: Any) -> str:
    return "any day" if moment is None else day(moment.isoformat())
