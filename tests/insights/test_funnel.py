from __future__ import annotations

import itertools
import statistics
from collections import Counter

import numpy as np
import pytest

from cartcast.errors import NotFoundError, UsageError
from cartcast.insights import Slice, funnel, write_sessions
from cartcast.segments import Range, Values
from cartcast.segments.steps import Step, split_steps, steps_from

from .conftest import RICH, done

STEPS = ["view_item", "add_to_cart", "purchase"]


def seconds(event: dict) -> float:
    return event["event_time"].timestamp()


def first_reach(rows: list[dict], steps: list[str], window: float | None) -> list[int | None]:
    """Try every choice of events: at which was step k first reached by some allowed chain?"""
    reached: list[int | None] = []
    for k in range(1, len(steps) + 1):
        best = None
        for chain in itertools.combinations(range(len(rows)), k):
            fits = all(done(rows[i], s) for i, s in zip(chain, steps, strict=False))
            span = seconds(rows[chain[-1]]) - seconds(rows[chain[0]])
            if fits and (window is None or span <= window):
                best = chain[-1] if best is None else min(best, chain[-1])
        reached.append(best)
    return reached


def gone_instead(rows: list[dict], steps: list[str], places: list[int | None]) -> tuple | None:
    """Return the last step that was reached, where it is not the last of all, and what came."""
    reached = sum(p is not None for p in places)
    if not 0 < reached < len(steps):
        return None
    step = steps[reached - 1]
    rest = rows[places[reached - 1] + 1 :]
    return reached, step, next((r["event_type"] for r in rest if not done(r, step)), None)


def any_reach(rows: list[dict], steps: list[str], window: float | None) -> list[bool]:
    """Try every set of events, whatever their order."""
    reached = []
    for k in range(1, len(steps) + 1):
        choices = [[seconds(r) for r in rows if done(r, s)] for s in steps[:k]]
        reached.append(
            any(
                window is None or max(times) - min(times) <= window
                for times in itertools.product(*choices)
            )
        )
    return reached


CHAINS = [
    *itertools.product(
        [STEPS, ["view_item", "view_item", "page=2"], list(RICH)[:3]],
        ["session", "visitor"],
        [None, 60.0, 700.0],
    ),
    # Followed in the runs of event types that a session table holds.
    (["view_item|search", "add_to_cart", "purchase"], "session", None),
    (["view_item", "search", "view_item"], "session", None),
]


@pytest.mark.parametrize(("steps", "unit", "window"), CHAINS)
def test_ordered_equals_trying_every_chain(
    events, log, oracle_units, unit, window, steps, tmp_path
):
    if unit == "visitor":
        events = events[:90]
        log = log.slice(0, 90)
    units = list(oracle_units[unit](events).values())
    places = [first_reach(rows, steps, window) for rows in units]
    truth = [
        [None if p is None else seconds(rows[p]) for p in told]
        for rows, told in zip(units, places, strict=True)
    ]
    got = funnel(log, steps, unit=unit, window=window)
    if unit == "session" and window is None:
        table = write_sessions(log, tmp_path / "s.parquet")
        assert funnel(log, steps, sessions=table) == got
    went = Counter(gone_instead(r, steps, p) for r, p in zip(units, places, strict=True))
    assert {(i.reached, i.step, i.event): i.units for i in got.instead} == {
        k: n for k, n in went.items() if k is not None
    }
    for k, after in enumerate(got.steps[1:], 1):
        shares = [i.share for i in got.instead if i.reached == k]
        assert not after.lost or sum(shares) == pytest.approx(1.0)
    assert [s.reached for s in got.steps] == [
        sum(t[k] is not None for t in truth) for k in range(len(steps))
    ]
    for k in range(1, len(steps)):
        gaps = [t[k] - t[k - 1] for t in truth if t[k] is not None]
        step = got.steps[k]
        if not gaps:
            assert step.seconds_median is None
        else:
            assert step.seconds_median == pytest.approx(statistics.median(gaps))
            assert step.seconds_low == pytest.approx(np.quantile(gaps, 0.25))
            assert step.seconds_high == pytest.approx(np.quantile(gaps, 0.75))


@pytest.mark.parametrize("unit", ["session", "visitor"])
@pytest.mark.parametrize("window", [None, 60.0, 700.0])
def test_any_order_equals_trying_every_set(events, log, oracle_units, unit, window):
    for steps in (STEPS, [list(RICH)[k] for k in (0, 1, 3)]):
        truth = [any_reach(r, steps, window) for r in oracle_units[unit](events).values()]
        got = funnel(log, steps, unit=unit, window=window, order="any")
        assert [s.reached for s in got.steps] == [sum(t[k] for t in truth) for k in range(3)]
        assert got.instead == ()


def test_by_a_column_adds_up_and_keeps_unknown_apart(events, log, oracle_units):
    got = funnel(log, STEPS, by="device", segments=2)
    whole = funnel(log, STEPS)
    assert sum(s.reached for s in got.steps if s.step == "purchase") == whole.steps[-1].reached
    truth: dict[str | None, int] = {}
    for rows in oracle_units["session"](events).values():
        first = next((r for r in rows if r["event_type"] == "view_item"), None)
        if first:
            truth[first["device"]] = truth.get(first["device"], 0) + 1
    big = sorted((d for d in truth if d), key=lambda d: (-truth[d], d))[:2]
    expected = {d: n for d, n in truth.items() if d is None or d in big}
    rest = sum(n for d, n in truth.items() if d is not None and d not in big)
    if rest:
        expected["other"] = rest
    assert {s.segment: s.reached for s in got.steps if s.step == "view_item"} == expected


def test_shares_carry_wilson_intervals(log):
    first, second, _ = funnel(log, STEPS).steps
    assert first.of_first.value == 1.0
    assert second.of_first == second.of_previous
    assert second.of_first.low < second.of_first.value < second.of_first.high
    assert second.lost == first.reached - second.reached


def test_slice_with_and_without_a_written_session_table(events, log, tmp_path):
    table = write_sessions(log, tmp_path / "s.parquet")
    where = Slice(values={"device": "tv; DROP TABLE events"})
    kept = {e["session_id"] for e in events if e["device"] == "tv; DROP TABLE events"}
    assert funnel(log, where=where) == funnel(log, where=where, sessions=table)
    viewed = {e["session_id"] for e in events if e["event_type"] == "view_item"} & kept
    assert funnel(log, STEPS, where=where).steps[0].reached == len(viewed)


def test_usual_steps_are_those_that_occur(log):
    assert [s.step for s in funnel(log).steps] == STEPS


ODD = ["", "a|b", "a,b", "a;b", "[a]", '"a"', 'a="b', "a=b", " a", "unknown", "it's", "a]b["]


@pytest.mark.parametrize("value", ODD)
def test_a_step_that_is_written_is_read_again(value):
    quoted = '"' + value.replace('"', '""') + '"'
    text = f"{quoted}|page={quoted}[category={quoted},unknown; brand!={quoted}; price>=0.1]"
    (step,) = steps_from([text])
    assert step.any_of == (("event_type", value), ("page", value))
    assert [c.values for c in step.where[:2]] == [(value, None), (value,)]
    assert steps_from([str(step)]) == (step,)
    assert split_steps(f"{step},purchase") == [str(step), "purchase"]


@pytest.mark.parametrize("end", [5.0, 0.1 + 0.2, 1 / 3, 123456789.123456789, 1e-9, 1e22, -2.5])
def test_a_range_that_is_written_is_read_again(end):
    for c in (Range("price", least=end), Range("price", most=end)):
        step = Step((("event_type", "view_item"),), (c,))
        assert steps_from([str(step)]) == (step,)


@pytest.mark.parametrize("name", ["a,b", "a;b", "a|b", "a[b", "a]b", "a=b", 'a"b', " a", ""])
def test_a_column_that_no_step_can_name_is_one_line(name):
    view = (("event_type", "view_item"),)
    steps = [Step(((name, "x"),))]
    steps += [Step(view, (c,)) for c in (Values(name, ("x",)), Range(name, least=1.0))]
    for step in steps:
        with pytest.raises(UsageError, match="a step cannot ask the column"):
            str(step)
    if name in ("a|b", "a[b", "a]b", 'a"b'):
        with pytest.raises(UsageError, match="a step"):
            steps_from([f"view_item[{name}=x]"])


@pytest.mark.parametrize(
    ("step", "why"),
    [
        ("", "event type or column=value"),
        ("|", "event type or column=value"),
        ("price>=5", "event type or column=value"),
        ("view_item[]", "no condition"),
        ("view_item[category]", "a condition is column=value"),
        ("view_item[category=]", "takes a value"),
        ("view_item[price>=few]", "takes a number"),
        ("view_item[price<=inf]", "takes a number"),
    ],
)
def test_a_step_that_cannot_be_read_is_one_line(log, step, why):
    with pytest.raises(UsageError, match=why):
        funnel(log, [step])


def test_what_cannot_be_asked(log, tmp_path):
    with pytest.raises(UsageError, match=r"Did you mean 'view_item'\?"):
        funnel(log, ["view_itm", "purchase"])
    with pytest.raises(UsageError, match="no column"):
        funnel(log, ["view_item", "colour=red"])
    with pytest.raises(UsageError, match="no column"):
        funnel(log, by='device" --')
    with pytest.raises(UsageError, match="must differ"):
        funnel(log, ["view_item", "view_item"], order="any")
    with pytest.raises(UsageError, match="window must be positive"):
        funnel(log, window=0.0)
    with pytest.raises(NotFoundError):
        funnel(tmp_path / "none.parquet")


def test_a_clock_that_cannot_tell_is_refused(events, as_log):
    with pytest.raises(UsageError, match="clock is 'order'"):
        funnel(as_log(events, clock="order"), window=60.0)
    with pytest.raises(UsageError, match="count sessions"):
        funnel(as_log(events, clock="session"), unit="visitor")
    assert funnel(as_log(events, clock="order")).steps[1].seconds_median is None


OWN_NAMES = ("unit", "s", "place", "at", "kind", "e", "reach", "segment", "began", "u")


@pytest.mark.parametrize("name", OWN_NAMES)
def test_a_column_may_bear_any_name(name, tmp_path):
    from cartcast.events import load

    rows = ["user_id,session_id,event_time,event_type,product_id,price," + name]
    for k, value in enumerate(["kg", "pc"] * 3):
        rows += [
            f"v{k},s{k},2024-05-06 1{k}:0{m}:00,{kind},p,10,{value}"
            for m, kind in enumerate(("view", "cart", "purchase"))
        ]
    path = tmp_path / "log.csv"
    path.write_text("\n".join(rows) + "\n")
    log = load(path)
    for order in ("ordered", "any"):
        made = funnel(log, by=name, order=order)
        assert {(s.segment, s.reached) for s in made.steps} == {("kg", 3), ("pc", 3)}
    steps = funnel(log, steps=[f"{name}=kg", "purchase"]).steps
    assert [s.reached for s in steps] == [3, 3]
