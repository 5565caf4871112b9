"""What an experiment says: whether to trust it, its effect in money, what to do; and the record."""

from __future__ import annotations

from typing import Any, NamedTuple

import pandas as pd
import streamlit as st

from cartcast import experiments
from cartcast.app import actions, files, headlines, ui
from cartcast.app.state import Data
from cartcast.charts import slices, trend
from cartcast.charts.theme import number
from cartcast.errors import CartcastError
from cartcast.experiments import Analysis, Comparison, Decision, Journal, Mean, Measured, Plan
from cartcast.experiments.measure import DayEffect
from cartcast.features.words import in_words

_HASH = "the arms of the plan's hash"
_MOST_DAYS = 14
_WHO = {"visitor_id": "visitors", "user_id": "users", "session_id": "sessions"}


class Looked(NamedTuple):
    """One look, kept for the session: a page drawn again is no other look."""

    what: tuple[str, ...]
    analysis: Analysis
    units_a_month: float


def show_results(view: ui.View, data: Data, plan: Plan, top: Any) -> None:
    """Look at the experiment, and say what to do."""
    journal = Journal.of(view.project.folder, plan)
    with top.container():
        ui.headline(headlines.tested(plan), _about(plan, journal))
    goals = [name for name, m in plan.metrics.items() if m.margin is None]
    arms = list(plan.allocation.arms[1:])
    a, b, c, d = st.columns([1, 1, 1.4, 1], vertical_alignment="bottom")
    metric = a.selectbox("Judged by", goals, key="judged_by", format_func=in_words)
    arm = b.selectbox("Arm", ["the best", *arms] if len(arms) > 1 else arms, key="judged_arm")
    found = [_HASH, *files.project_files(view.project.folder)]
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
            headlines.of_decision(decision, held.analysis.control),
            _tested(held.analysis, decision, plan),
        )
    _draw(view, data, plan, held.analysis, decision, exposures)


def _held(what: tuple[str, ...]) -> Looked | None:
    held = st.session_state.get("looked")
    return held if isinstance(held, Looked) and held.what == what else None


def _look(view: ui.View, data: Data, plan: Plan, what: tuple[str, ...]) -> Looked | None:
    try:
        with st.spinner("Measuring what each unit did …"):
            measured = _measure(view, data, plan, what[2])
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
        _pictures(view, data, plan, analysis, decision, exposures)
        _tables(view, analysis)
    else:
        with st.expander("The figures, which cannot be trusted"):
            _tables(view, analysis)
    # The guardrails of the only arm are told above.
    told = {"XP112"} if len(plan.allocation.arms) == 2 else set()
    rest = [f for f in analysis.findings if f.severity != "block" and f.code not in told]
    ui.findings(rest, title="What you should know before you trust this")


def _pictures(
    view: ui.View, data: Data, plan: Plan, analysis: Analysis, decision: Decision, exposures: str
) -> None:
    left, right = st.columns(2, gap="large")
    with left:
        st.subheader("Every metric and arm", anchor=False)
        _compared(view, analysis)
    with right:
        st.subheader("The effect by day since the exposure", anchor=False)
        with ui.boundary():
            _by_day(view, data, plan, decision, exposures)


def _tables(view: ui.View, analysis: Analysis) -> None:
    shares = ("change", "low", "high")
    whole = [c for c in analysis.comparisons if c.segment is None]
    ui.table(_table(analysis, whole), view, "experiment", shares=shares)
    parts = [c for c in analysis.comparisons if c.segment is not None]
    if parts:
        st.subheader("By segment", anchor=False)
        ui.table(_table(analysis, parts), view, "experiment_segments", shares=shares)


def trust(plan: Plan, analysis: Analysis, decision: Decision) -> None:
    """Say whether the data can be trusted, then what the guardrails say."""
    blocking = [f for f in analysis.findings if f.severity == "block" and not f.waived]
    ratio = analysis.sample_ratio
    units = ", ".join(f"{arm} {number(n)}" for arm, n in ratio.units.items())
    if blocking:
        ui.findings(blocking)
    else:
        p = "" if ratio.p_value is None else f" (p = {ratio.p_value:.2g})"
        st.success(
            ui.plain(
                f"The data can be trusted: the arms hold the shares they were meant to: {units}{p}."
            )
        )
    for c in analysis.comparisons:
        margin = plan.metrics[c.metric].margin
        if margin is None or c.segment is not None or c.arm != decision.arm:
            continue
        held = c.guardrail is not None and c.guardrail.excludes_null
        told = headlines.guardrail(c, margin, plan.metrics[c.metric].better)
        (st.success if held else st.warning)(ui.plain(told))


def _figures(view: ui.View, analysis: Analysis, decision: Decision) -> None:
    chosen = analysis.get(decision.metric, decision.arm)
    told: list[tuple[str, str, str | None]] = []
    name = f"Change in {in_words(decision.metric)}"
    if (e := decision.effect) is None:
        told.append((name, "–", "no interval"))
    else:
        ends = f"{headlines.signed(e.low)} to {headlines.signed(e.high)}"
        told.append((name, headlines.signed(e.value), ends))
    if decision.money is not None:
        value, low, high = (number(x, "money", view.currency) for x in decision.money)
        told.append(("In money a month", value, f"{low} to {high}"))
    chance = chosen.posterior.chance_better if chosen.posterior else None
    told.append(("Chance to be better", number(chance, "share"), "by the prior"))
    times = f"{decision.looks} time{'' if decision.looks == 1 else 's'}"
    share = number(analysis.progress, "share")
    under = "each look counts" if analysis.progress is None else f"{share} of the units"
    told.append(("Looked at", times, under))
    ui.figures(told)
    if decision.money is not None:
        ui.note(
            "Money: if all units that come in a month, at the pace so far, were in this arm "
            "instead of the control."
        )


def level(analysis: Analysis) -> str:
    """Return the confidence of the intervals."""
    return number(analysis.level, "share")


def _keep(view: ui.View, plan: Plan, analysis: Analysis, decision: Decision) -> None:
    with st.container(horizontal=True):
        if view.may("experiment") and st.button("Record this decision", icon=":material/gavel:"):
            actions.record(view.project, view.person, plan, decision)
            st.success("Recorded; see it under Record.")
        if view.may("export"):
            name = f"{files.safe_name(decision.experiment)}.md"

            def made() -> str:
                view.project.access.require(view.person, "export", name)
                return decision.markdown(analysis)

            st.download_button(
                "Markdown", made, file_name=name, mime="text/markdown", key="export_decision",
                icon=":material/download:", on_click="ignore",
            )  # fmt: skip


def _compared(view: ui.View, analysis: Analysis) -> None:
    table = pd.DataFrame(
        [
            (in_words(c.metric), c.arm, r.value, r.low, r.high, c.units)
            for c in analysis.comparisons
            if c.segment is None
            if (r := experiments.relative_of(analysis, c)) is not None
        ],
        columns=["slice_by", "slice", "value", "low", "high", "n"],
    )
    if table.empty:
        ui.note("No metric has a relative effect yet; see the findings.")
        return
    drawn = slices.slices(
        table, label="change against the control", overall=0.0, named="no difference",
        theme=view.theme,
    )  # fmt: skip
    ui.chart(drawn, "compared", "relative change of each metric and arm, with its interval")
    early = any(f.code in ("XP108", "XP109") for f in analysis.findings)
    kind = "hold at the planned looks" if analysis.look else "hold at every look" if early else ""
    ui.note(f"Intervals {kind or 'of the fixed test, read once, at its end'}: {level(analysis)}.")


def _by_day(view: ui.View, data: Data, plan: Plan, decision: Decision, exposures: str) -> None:
    metric = plan.metrics[decision.metric]
    quantity = plan.quantities.get(metric.value) if isinstance(metric, Mean) else None
    if not isinstance(metric, Mean) or quantity is None or quantity.kind not in ("count", "sum"):
        ui.note("Only counts and sums have a value by day; choose such a metric to see it.")
        return
    days = int(min(quantity.end / 86_400, _MOST_DAYS)) or 1
    found = _effects(*_place(view, data, plan, exposures), metric.value, decision.arm, days, plan)
    table = pd.DataFrame(
        [
            (e.day, a.value, a.low, a.high)
            for e in found
            if (a := e.difference.absolute) is not None
        ],
        columns=["time", "value", "low", "high"],
    )
    if table.empty:
        ui.note("No day since the exposure has been seen whole yet.")
        return
    money = decision.metric in plan.money
    drawn = trend.trend(
        table, label=f"difference in {in_words(decision.metric)} a unit", theme=view.theme,
        unit="money" if money else "points", currency=view.currency if money else None,
        across="whole days since the exposure", null=0.0,
    )  # fmt: skip
    ui.chart(drawn, "by_day", "the difference on each day since the exposure")
    ui.note("A lift that falls from day to day is novelty; one that rises has not arrived yet.")


def _table(analysis: Analysis, found: list[Comparison]) -> pd.DataFrame:
    rows = []
    for c in found:
        r = experiments.relative_of(analysis, c)
        row: dict[str, Any] = {}
        if c.segment is not None:
            row["segment"] = f"{in_words(c.segment[0])} {c.segment[1]}"
        row |= {
            "metric": in_words(c.metric), "arm": c.arm, "units": c.units,
            "control": c.difference.control, "value": c.difference.treatment,
            "change": r and r.value, "low": r and r.low, "high": r and r.high,
        }  # fmt: skip
        if c.segment is not None and c.shrunk is not None:
            row["difference, shrunk"] = c.shrunk.value
        p = c.adjusted
        told = None if p is None else "< 0.001" if p < 0.001 else f"{p:.3f}"
        rows.append({**row, "p, corrected": told})
    return pd.DataFrame(rows)


def show_record(view: ui.View, data: Data, plan: Plan, top: Any) -> None:
    """Show the looks and decisions so far, and what became of them."""
    journal = Journal.of(view.project.folder, plan)
    entries = journal.entries()
    made = [e for e in entries if e["kind"] == "decision"]
    with top.container():
        ui.headline(headlines.of_record(plan, entries), "Kept with the project, for everybody.")
    held = st.session_state.get("looked")
    now = held.analysis if isinstance(held, Looked) and held.what[0] == repr(plan) else None
    rows = []
    for e in made:
        later = experiments.since(e, now) if now is not None else None
        effect = e.get("effect") or {}
        rows.append(
            {
                "at": e["at"][:16].replace("T", " "), "who": e.get("who"), "decision": e["action"],
                "arm": e["arm"], "metric": in_words(e["metric"]), "looks": e["looks"],
                "change then": effect.get("value"), "from": effect.get("low"),
                "to": effect.get("high"), "change now": later and later.now and later.now[0],
                "holds": {True: "yes", False: "no", None: None}[later.holds if later else None],
            }
        )  # fmt: skip
    if rows:
        ui.table(
            pd.DataFrame(rows[::-1]), view, "decisions",
            shares=("change then", "from", "to", "change now"),
        )  # fmt: skip
        if now is None:
            ui.note("Look at the results again, and each decision is compared with what they say.")
    looks = [
        {"at": e["at"][:16].replace("T", " "), "who": e.get("who"), "share of the units":
         e.get("progress"), "units": sum((e.get("units") or {}).values())}
        for e in entries if e["kind"] == "look"
    ]  # fmt: skip
    if looks:
        st.subheader("Looks", anchor=False)
        ui.table(pd.DataFrame(looks[::-1]), view, "looks", shares=("share of the units",))


def _about(plan: Plan, journal: Journal) -> str:
    looked = journal.looked
    times = {0: "not looked at yet", 1: "looked at once"}.get(looked, f"looked at {looked} times")
    return f"From {_day(plan.start)} to {_day(plan.end)}; {times}."


def _tested(analysis: Analysis, decision: Decision, plan: Plan) -> str:
    units = sum(analysis.sample_ratio.units.values())
    times = "once" if decision.looks == 1 else f"{decision.looks} times"
    return (
        f"{decision.experiment}: {decision.arm} was tested against {analysis.control} on "
        f"{number(units)} {_WHO.get(plan.unit, 'units')}, judged by {in_words(decision.metric)}. "
        f"You looked {times}."
    )


def _day(moment: Any) -> str:
    return "any day" if moment is None else headlines.day(moment.isoformat())


def _measure(view: ui.View, data: Data, plan: Plan, exposures: str) -> Measured:
    found: Measured = _measured(*_place(view, data, plan, exposures), plan)
    return found


def _place(view: ui.View, data: Data, plan: Plan, exposures: str) -> tuple[Any, ...]:
    """Return what decides a measurement: the plan, the files, and when they were written."""
    path = None
    if exposures != _HASH:
        path = files.resolve_inside(view.project.folder, exposures)
    stamps = tuple(p.stat().st_mtime for p in (data.log.path, path) if p is not None)
    return repr(plan), str(data.log.path), path and str(path), stamps


def _units(key: str, log: str, exposures: str | None, stamps: Any, _plan: Plan) -> Measured:
    given = None if exposures is None else experiments.table_of(exposures)
    return experiments.measure(log, _plan, given)


_measured = st.cache_resource(_units, max_entries=4, show_spinner=False)


def _over_time(
    key: str, log: str, exposures: str | None, stamps: Any, quantity: str, arm: str, days: int,
    _plan: Plan,
) -> tuple[DayEffect, ...]:  # fmt: skip
    measured = _measured(key, log, exposures, stamps, _plan)
    return experiments.effect_over_time(log, _plan, measured, quantity, arm, days)


_effects = st.cache_data(_over_time, max_entries=50, show_spinner=False)
