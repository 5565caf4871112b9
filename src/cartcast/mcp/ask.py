"""`describe` and `ask`: what the log holds, and what `cartcast.insights` counts in it."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

from cartcast import insights
from cartcast.config import parse_duration
from cartcast.errors import CartcastError, UsageError
from cartcast.events.schema import EVENT_TYPES
from cartcast.mcp.answer import Answer
from cartcast.mcp.desk import Desk
from cartcast.segments import Values
from cartcast.segments.steps import Step, steps_from

__all__ = ["Ask", "Nothing", "Word", "ask", "describe"]

LEVEL: Final = 0.95
MOST_POINTS: Final = 31
MOST_FLOWS: Final = 8
MOST_COHORTS: Final = 12
MOST_WORDS: Final = 40

Word = Annotated[str, Meta(min_length=1, max_length=200)]

_TAKES: Final = {
    "funnel": {"steps", "unit", "any_order", "window", "by"},
    "paths": {"anchor", "direction", "column", "depth"},
    "cohorts": {"periods"},
    "breakdown": {"column"},
    "trend": {"grain"},
}


class Nothing(msgspec.Struct, forbid_unknown_fields=True):
    """No arguments."""


class Ask(msgspec.Struct, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """A question to the log."""

    what: Annotated[
        Literal["funnel", "paths", "cohorts", "breakdown", "trend"],
        Meta(description="What is counted."),
    ]
    steps: Annotated[
        Annotated[list[Word], Meta(max_length=12)] | None,
        Meta(
            description="funnel: event types, or column=value; a|b is either of two, "
            "a[column=x,y] has one of these values; else the usual."
        ),
    ] = None
    unit: Annotated[Literal["session", "visitor"], Meta(description="funnel: what is counted.")] = (
        "session"
    )
    any_order: Annotated[bool, Meta(description="funnel: all steps, in any order.")] = False
    window: Annotated[
        Word | None, Meta(description="funnel: longest time from first to last step: 30m, 7d.")
    ] = None
    by: Annotated[Word | None, Meta(description="funnel: split by this column.")] = None
    anchor: Annotated[Word | None, Meta(description="paths: a value of the column.")] = None
    direction: Annotated[
        Literal["from", "to"], Meta(description="paths: from the anchor onwards, or to it.")
    ] = "from"
    column: Annotated[
        Word | None, Meta(description="paths: whose values are the steps; breakdown: by which.")
    ] = None
    depth: Annotated[int, Meta(ge=1, le=5, description="paths: steps to follow.")] = 3
    periods: Annotated[int, Meta(ge=1, le=26, description="cohorts: weeks to follow.")] = 8
    grain: Annotated[
        Literal["hour", "day", "week", "month"] | None,
        Meta(description="trend: period; chosen when not given."),
    ] = None
    start: Annotated[date | None, Meta(description="First day that counts, 2025-01-31.")] = None
    end: Annotated[date | None, Meta(description="Last day that counts.")] = None


def describe(desk: Desk, _: Nothing) -> Answer:
    """Return what there is to ask about: the log, its columns and events, the runs."""
    a = Answer(desk)
    a.say(f"Project {a.quote(desk.folder.name)}.")
    try:
        log = desk.log()
    except CartcastError as error:
        a.say(f"No log can be read: {desk.quote(error, most=300)}")
    else:
        _log(a, log)
    _runs(a)
    return a


def _log(a: Answer, log: Any) -> None:
    desk, s = a.desk, log.summary
    counted = [
        a.figure(value, unit, f"{unit} of the log")
        for value, unit in (
            (s.events, "events"), (s.sessions, "sessions"), (s.visitors, "visitors"),
            (s.items, "items"),
        )
        if value
    ]  # fmt: skip
    a.say(f"Log: {', '.join(counted)}; the clock tells {a.quote(log.clock)}.")
    if s.start and s.end:
        days = [a.figure(date.fromisoformat(t[:10]), "date", w)
                for t, w in ((s.start, "first day"), (s.end, "last day"))]  # fmt: skip
        a.say(f"Days: {days[0]} to {days[1]}.")
    told = insights.overview(log, sessions=desk.sessions)
    if told.conversion is None:
        a.say("No purchases are recorded: nothing here may be called a purchase.")
    else:
        bought = a.share(told.conversion, "sessions", "conversion", "purchase")
        a.say(f"Sessions with a purchase: {bought}.")
    if told.revenue is not None:
        money = told.currency or "money"
        a.say(
            f"Revenue: {a.figure(told.revenue, money, 'revenue', about='purchase')} of "
            f"{a.figure(told.orders, 'orders', 'orders', about='purchase')}, on average "
            f"{a.figure(told.average_order, money, 'average order', about='purchase')}."
        )
    kinds = sorted(s.event_types, key=lambda k: -s.event_types[k])
    desk.learn("event_type", kinds)
    a.say("Events: " + ", ".join(a.quote(k, "event_type") for k in kinds[:MOST_WORDS]) + ".")
    names = desk.columns(of_sessions=True)
    desk.learn(None, names)
    a.say("Columns: " + ", ".join(a.quote(n) for n in names[:MOST_WORDS]) + ".")
    a.findings(log.findings)


def _runs(a: Answer) -> None:
    try:
        registry = a.desk.registry()
    except CartcastError as error:
        a.say(f"Runs: {a.quote(error)}")
        return
    held = {run: alias for (_, alias), run in registry.aliases().items()}
    for entry in registry.runs()[:MOST_WORDS]:
        kind = "PROXY, not an outcome" if entry.target_kind == "proxy" else entry.target_kind
        alias = f", {held[entry.run_id]}" if entry.run_id in held else ""
        a.say(f"Run {a.quote(entry.run_id)}: target {a.quote(entry.target)} ({kind}){alias}.")


def ask(desk: Desk, asked: Ask) -> Answer:
    """Return what is asked of the log.

    Raises:
        UsageError: an argument is not for this question, or a column does not exist.
        DataError: the log cannot tell.
    """
    given = set(msgspec.to_builtins(asked)) - {"what", "start", "end"}
    if wrong := sorted(given - _TAKES[asked.what]):
        takes = ", ".join(sorted(_TAKES[asked.what]))
        raise UsageError(f"{asked.what} takes {takes}, start and end, not {', '.join(wrong)}.")
    where = insights.Slice(asked.start, asked.end)
    a = Answer(desk)
    {"funnel": _funnel, "paths": _paths, "cohorts": _cohorts, "breakdown": _breakdown,
     "trend": _trend}[asked.what](a, asked, where)  # fmt: skip
    return a


def _level(a: Answer) -> str:
    over = "sessions" if a.desk.log().summary.visitors is None else "visitors"
    return f"Intervals: {a.figure(LEVEL, 'share', 'level of the intervals')} over {over}."


def _funnel(a: Answer, asked: Ask, where: insights.Slice) -> None:
    desk = a.desk
    for step in steps_from(asked.steps) if asked.steps else ():
        for column in step.columns:
            if column != "event_type":
                desk.require_column(column)
    if asked.by is not None:
        desk.require_column(asked.by)
    if asked.unit == "visitor" and desk.log().summary.visitors is None:
        raise UsageError("the log has no visitor_id: nobody can be told apart; count sessions.")
    found = insights.funnel(
        desk.log(), asked.steps, unit=asked.unit, by=asked.by, where=where, sessions=desk.sessions,
        order="any" if asked.any_order else "ordered",
        window=parse_duration(asked.window) if asked.window else None,
    )  # fmt: skip
    unit = f"{asked.unit}s"
    order = "in any order" if asked.any_order else "in this order"
    total = a.figure(found.units, unit, f"{unit} with any of the steps")
    a.say(f"Funnel, steps {order}: {total} have one of them. {_level(a)}")
    if asked.by is not None:
        desk.learn(asked.by, [s for s in found.segments if s is not None])
    for s in found.steps:
        name = _step(a, *steps_from([s.step]))
        if asked.by is not None:
            name += f" where {a.quote(asked.by)} is {a.quote(s.segment, asked.by)}"
        about = s.step if s.step in EVENT_TYPES else "another step"
        told = [a.figure(s.reached, unit, f"{unit} that reach {name}", about=about)]
        if s.step != found.steps[0].step:
            told += [
                "of the first step "
                + a.share(s.of_first, unit, f"of the first step: {name}", about),
                "of the step before "
                + a.share(s.of_previous, unit, f"of the one before: {name}", about),
            ]
            if s.seconds_median is not None:
                took = a.figure(s.seconds_median, "seconds", f"median time to {name}", about=about)
                told.append(f"median time from the step before {took}")
        a.say(f"- {name}: {'; '.join(told)}")
    a.findings(found.findings)


def _step(a: Answer, step: Step) -> str:
    """Return a step in words; what comes from the log, or from who asks, is marked as data."""

    def named(column: str, value: str | None) -> str:
        told = a.quote(value, column)
        return told if column == "event_type" else f"{a.quote(column)} = {told}"

    told = " or ".join(named(c, v) for c, v in step.any_of)
    for c in step.where:
        if isinstance(c, Values):
            values = " or ".join(named(c.column, v) for v in c.values)
            told += f" with {'not ' if c.exclude else ''}{values}"
        else:
            told += f" with {a.quote(c.describe())}"
    return told


def _paths(a: Answer, asked: Ask, where: insights.Slice) -> None:
    desk, column = a.desk, asked.column or "event_type"
    desk.require_column(column)
    try:
        found = insights.paths(
            desk.log(), asked.anchor, direction=asked.direction, column=column, depth=asked.depth,
            where=where, sessions=desk.sessions,
        )  # fmt: skip
    except UsageError as error:
        if asked.anchor is None or column == "event_type":
            raise
        # The reason may list words of the log that only one visitor has.
        raise UsageError(
            f"{column} has no value {asked.anchor!r} here; a breakdown by it tells its values."
        ) from error
    desk.learn(column, {found.anchor, *(w for f in found.flows for w in (f.source, f.target))})
    total = a.figure(found.sessions, "sessions", f"sessions with {a.quote(found.anchor, column)}")
    a.say(f"Paths {found.direction} {a.quote(found.anchor, column)}: {total} have it.")
    for k in range(1, found.depth + 1):
        flows = [f for f in found.flows if f.step == k]
        for f in flows[:MOST_FLOWS]:
            way = f"{a.quote(f.source, column)} to {a.quote(f.target, column)}"
            far = f"step {k} {found.direction} {a.quote(found.anchor, column)}"
            n = a.figure(f.sessions, "sessions", f"{way}, {far}")
            share = a.figure(f.share, "share", f"{way}, {far}", of="sessions")
            a.say(f"{'- ' * k}{way}: {n}, {share}")
        if left := flows[MOST_FLOWS:]:
            rest = a.figure(sum(f.sessions for f in left), "sessions", f"smaller flows, step {k}")
            a.say(f"{'- ' * k}smaller flows: {rest}")
    a.findings(found.findings)


def _cohorts(a: Answer, asked: Ask, where: insights.Slice) -> None:
    found = insights.cohorts(
        a.desk.log(), periods=asked.periods, where=where, sessions=a.desk.sessions
    )
    weeks = a.figure(found.within, "weeks", "weeks that each visitor is followed")
    total = a.figure(found.visitors, "visitors", "visitors in all cohorts")
    a.say(f"Cohorts by week of the first visit, followed {weeks}: {total}. {_level(a)}")
    back = a.share(found.returned, "visitors", "visitors who came back")
    again = a.share(found.bought_again, "buyers", "buyers who bought again", "purchase")
    a.say(f"All: came back {back}; of the buyers, bought again {again}.")
    for c in found.cohorts[-MOST_COHORTS:]:
        week = a.figure(c.week, "date", "Monday of a cohort")
        size = a.figure(c.visitors, "visitors", f"first visit in the week of {c.week}")
        back = a.share(c.returned, "visitors", f"came back, week of {c.week}")
        again = a.share(c.bought_again, "buyers", f"bought again, week of {c.week}", "purchase")
        a.say(f"- {week}: {size}; came back {back}; bought again {again}")
    a.findings(found.findings)


def _breakdown(a: Answer, asked: Ask, where: insights.Slice) -> None:
    desk = a.desk
    if asked.column is None:
        raise UsageError(f"breakdown needs a column: {', '.join(desk.columns(of_sessions=True))}.")
    column = desk.require_column(asked.column, of_sessions=True)
    found = insights.breakdown(desk.log(), column, where=where, sessions=desk.sessions)
    total = a.figure(found.sessions, "sessions", "sessions in all")
    more = "" if found.counted == "session" else " A session counts at each value that it has."
    of = a.quote(column)
    a.say(f"By {of}, {total}.{more} {_level(a)}")
    ranges = {r: f"{r.low:.3g} to {r.high:.3g}" for r in found.rows
              if r.low is not None and r.high is not None}  # fmt: skip
    desk.learn(column, [r.value for r in found.rows if r.value is not None and r not in ranges])
    money = desk.log().currency or "money"
    for r in found.rows:
        name = a.quote(ranges[r]) if r in ranges else a.quote(r.value, column)
        told = [a.figure(r.sessions, "sessions", f"sessions with {of} {name}")]
        if r.conversion is not None:
            bought = a.share(r.conversion, "sessions", f"conversion with {of} {name}", "purchase")
            told.append(f"with a purchase {bought}")
        if r.revenue_per_session is not None:
            each = a.figure(r.revenue_per_session, money, f"revenue per session, {of} {name}",
                            about="purchase")  # fmt: skip
            told.append(f"revenue per session {each}")
        a.say(f"- {name}: {'; '.join(told)}")
    a.findings(found.findings)


def _trend(a: Answer, asked: Ask, where: insights.Slice) -> None:
    found = insights.overview(
        a.desk.log(), where=where, grain=asked.grain, sessions=a.desk.sessions
    )
    if found.grain is None:
        raise UsageError("no trend here: the log's clock has no calendar.")
    a.say(f"By {found.grain}, the shop's clock. {_level(a)}")
    money = found.currency or "money"
    for t in found.trend[-MOST_POINTS:]:
        when = t.start.isoformat(" ", "minutes") if found.grain == "hour" else str(t.start.date())
        begin = a.figure(when, "date", f"begin of a {found.grain}")
        told = [a.figure(t.sessions, "sessions", f"sessions, {found.grain} of {when}")]
        if t.conversion is not None:
            bought = a.share(
                t.conversion, "sessions", f"conversion, {found.grain} of {when}", "purchase"
            )
            told.append(f"with a purchase {bought}")
        if t.revenue is not None:
            sold = a.figure(t.revenue, money, f"revenue, {found.grain} of {when}", about="purchase")
            told.append(f"revenue {sold}")
        a.say(f"- {begin}: {'; '.join(told)}")
    if len(found.trend) > MOST_POINTS:
        a.say("Earlier periods are left out; ask with an `end` for them.")
    a.findings(found.findings)
