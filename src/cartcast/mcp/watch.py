"""`experiment` and `monitor`: what a test says at any look, and which alarms are open."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

from cartcast import experiments
from cartcast.experiments.plan import Plan
from cartcast.mcp.answer import Answer
from cartcast.mcp.ask import Word
from cartcast.mcp.desk import Desk
from cartcast.mcp.words import FEWEST
from cartcast.monitoring.store import open_store

__all__ = ["Alarms", "Experiment", "experiment", "monitor"]

MOST_ALARMS: Final = 15
MOST_COMPARED: Final = 24


class Experiment(msgspec.Struct, forbid_unknown_fields=True):
    """Which experiment."""

    plan: Annotated[Word, Meta(description="YAML plan, a file of the project.")]
    name: Annotated[
        Word | None, Meta(description="Name of the experiment, if the plan has several.")
    ] = None
    units: Annotated[
        Word | None,
        Meta(description="Table of units, a file of the project; else they come from the log."),
    ] = None
    exposures: Annotated[
        Word | None, Meta(description="Table of unit, arm, exposed, a file of the project.")
    ] = None


class Alarms(msgspec.Struct, forbid_unknown_fields=True):
    """Which alarms."""

    state: Annotated[
        Literal["open", "acknowledged", "resolved"] | None,
        Meta(description="Only alarms of this state."),
    ] = None


class _Past(experiments.Journal):
    """The looks before this one; this one is not kept, since its intervals hold at any look."""

    def add(self, *_: Any) -> None:
        """Keep nothing."""


def experiment(desk: Desk, asked: Experiment) -> Answer:
    """Return what an experiment says so far, with intervals that hold at every look.

    Raises:
        NotFoundError, DefinitionError: there is no such plan, or it is wrong.
        UsageError, DataError: as `cartcast.experiments.look`.
    """
    a = Answer(desk)
    plan = experiments.read_plan(desk.inside(asked.plan), asked.name)
    source: Any = desk.inside(asked.units) if asked.units else None
    if source is None:
        source = desk.log()
    given = desk.inside(asked.exposures) if asked.exposures else None
    journal = _Past.of(desk.folder, plan)
    found = experiments.look(source, plan, exposures=given, journal=journal)
    counts = ", ".join(
        f"{a.quote(arm)} {a.figure(n, 'units', f'units of arm {a.quote(arm)}')}"
        for arm, n in found.sample_ratio.units.items()
    )
    level = a.figure(found.level, "share", "level of the intervals of experiments")
    a.say(f"Experiment {a.quote(found.experiment)}, control {a.quote(found.control)}: {counts}.")
    a.say(f"Intervals: {level}, valid however often one looks; a look from here is not recorded.")
    if not found.trusted:
        a.say("Its data cannot be trusted: decide nothing by it; see the findings.")
    if found.progress is not None:
        done = a.figure(found.progress, "share", "planned units that are there")
        a.say(f"Planned units that are there: {done}.")
    # The value of a small segment may be the name of a person.
    shown = [c for c in found.comparisons
             if c.segment is None or min(c.units, c.units_control) >= FEWEST]  # fmt: skip
    for c in shown[:MOST_COMPARED]:
        _compared(a, plan, c)
    if len(found.comparisons) > len(shown[:MOST_COMPARED]):
        a.say("Further segments are not shown: they are many, or hold few units.")
    if decided := journal.decisions():
        told = decided[-1]
        a.say(f"Recorded decision: {a.quote(told.get('action'))}. {a.quote(told.get('reason'))}")
    a.findings(found.findings)
    return a


def _compared(a: Answer, plan: Plan, c: Any) -> None:
    name = f"{a.quote(c.metric)}, {a.quote(c.arm)} against control"
    if c.segment is not None:
        name += f" where {a.quote(c.segment[0])} is {a.quote(c.segment[1])}"
    effect, relative = c.always_valid, c.always_valid_relative
    if effect is None:
        a.say(f"- {name}: too few units for an interval")
        return
    shown = a.figure(effect.value, "points", f"difference: {name}", low=effect.low,
                     high=effect.high)  # fmt: skip
    told = f"- {name}: difference {shown}"
    if relative is not None:
        shown = a.figure(relative.value, "share", f"relative difference: {name}",
                         low=relative.low, high=relative.high)  # fmt: skip
        told += f"; relative {shown}"
    if plan.metrics[c.metric].margin is not None:
        told += "; a guardrail"
    elif effect.low <= 0 <= effect.high:
        told += "; nothing is proven"
    a.say(told)


def monitor(desk: Desk, asked: Alarms) -> Answer:
    """Return the alarms of the project, newest first."""
    a = Answer(desk)
    store = open_store(desk.folder)
    if store.path is None or not store.path.is_file():
        a.say("Nothing is watched yet; begin with `cartcast monitor check`.")
        return a
    every = store.alarms(asked.state)
    count = a.figure(len(every), "alarms", f"{asked.state or 'all'} alarms")
    a.say(f"{asked.state or 'open, acknowledged and resolved'}: {count}.")
    desk.learn(None, [x.message for x in every[:MOST_ALARMS]], most=300)
    for x in every[:MOST_ALARMS]:
        desk.ledger.quoted(x.code)
        since = a.figure(x.since[:10], "date", f"day since which alarm {x.number} holds")
        money = ""
        if x.money is not None:
            unit = x.currency or "money"
            money = f", costs {a.figure(x.money, unit, f'cost of alarm {x.number}')} so far"
        a.say(f"- {x.code}, {x.severity}, {x.state} since {since}{money}: {a.quote(x.message)}")
    return a
