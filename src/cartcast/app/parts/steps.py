"""The steps of a funnel, chosen one by one; the address holds them as one line."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import streamlit as st

from cartcast.app import filters, ui
from cartcast.app.parts.columns import event_types, filled, split_columns
from cartcast.app.state import Data
from cartcast.errors import UsageError
from cartcast.features.words import in_words
from cartcast.insights.source import Slice
from cartcast.segments import Values
from cartcast.segments.steps import Step, can_ask, split_steps, step_words, steps_from

__all__ = ["choose_steps", "values_of"]

_PLACE = "funnel"
"""Where the address holds the steps."""
_TURN = "steps_turn"
_ANY = "anything"
_IS = ("is", "is not")


def choose_steps(data: Data, usual: Sequence[str]) -> list[str]:
    """Draw the steps with what can be changed of them; return them as they are written."""
    steps = steps_from(usual) if usual else ()
    if text := st.query_params.get(_PLACE):
        try:
            steps = steps_from(split_steps(text))
        except UsageError as error:
            st.error(ui.plain(f"The steps in the address cannot be read: {error}"))
    st.session_state.setdefault(_TURN, 0)
    told = " → ".join(s.describe() for s in steps) or "none yet"
    with st.expander(ui.plain(f"Steps: {told}"), icon=":material/filter_alt:"):
        for k in range(len(steps)):
            _row(data, steps, k)
        with st.container(horizontal=True, vertical_alignment="bottom"):
            st.button(
                "Add a step", key="step_add", icon=":material/add:",
                on_click=_put, args=([*steps, _new(data, steps)],),
            )  # fmt: skip
            if st.query_params.get(_PLACE):
                st.button("The usual steps", key="step_usual", type="tertiary", on_click=_forget)
        key = f"steps_line_{st.session_state[_TURN]}"
        st.text_input(
            "In one line", ", ".join(map(str, steps)), key=key, on_change=_take_line, args=(key,),
            help="Commas between steps; a|b is either of two events; "
            "a[category=x,y; price>=5] holds conditions on the event.",
        )  # fmt: skip
    return list(map(str, steps))


def values_of(data: Data, column: str) -> list[str]:
    """Return the most frequent values of a column of the log."""
    found = filters.insight("distribution", data, Slice(), column=column, largest=60)
    return [b.label for b in found.bars if b.label and b.label != "other"]


def _row(data: Data, steps: Sequence[Step], k: int) -> None:
    step, turn = steps[k], st.session_state[_TURN]
    events, column, sign, values, moves = st.columns([4, 2, 1.7, 4, 3], vertical_alignment="bottom")
    change = {"on_change": _change, "args": (steps, k)}
    names = [str(Step((part,))) for part in step.any_of]
    kinds = [str(Step((("event_type", kind),))) for kind in event_types(data)]
    events.multiselect(
        f"Step {k + 1}: any of", list(dict.fromkeys([*kinds, *names])), default=names,
        format_func=step_words, key=_key(turn, k, "any"), **change,
    )  # fmt: skip
    first = next((c for c in step.where if isinstance(c, Values)), None)
    known = filter(can_ask, split_columns(data))
    columns = [_ANY, *dict.fromkeys([*known, *([first.column] if first else [])])]
    chosen = column.selectbox(
        "where", columns, index=columns.index(first.column) if first else 0,
        format_func=in_words, key=_key(turn, k, "column"), **change,
    )  # fmt: skip
    if chosen != _ANY:
        words = values_of(data, chosen) if chosen in filled(data) else []
        asked: list[str] = []
        if first is not None and first.column == chosen:
            asked = [filters.UNKNOWN if v is None else v for v in first.values]
        sign.selectbox(
            "is", _IS, index=int(first is not None and first.exclude),
            key=_key(turn, k, "sign"), label_visibility="hidden", **change,
        )  # fmt: skip
        values.multiselect(
            "any value of", list(dict.fromkeys([*words, filters.UNKNOWN, *asked])), default=asked,
            key=_key(turn, k, f"values_{chosen}"), accept_new_options=True, **change,
        )  # fmt: skip
    with moves.container(horizontal=True, gap="xxsmall"):
        _button("Earlier", k, _moved(steps, k, k - 1), disabled=k == 0)
        _button("Later", k, _moved(steps, k, k + 1), disabled=k == len(steps) - 1)
        _button("Remove", k, [*steps[:k], *steps[k + 1 :]], disabled=len(steps) == 1)
    if rest := [c.describe() for c in step.where if c is not first]:
        ui.note(f"And: {'; '.join(rest)}.")


def _button(label: str, k: int, steps: Sequence[Step], *, disabled: bool) -> None:
    st.button(
        label, key=f"step_{label}_{k}", type="tertiary", disabled=disabled, on_click=_put,
        args=(steps,), help=f"{label}: step {k + 1}",
    )  # fmt: skip


def _key(turn: int, k: int, what: str) -> str:
    return f"step_{turn}_{k}_{what}"


def _moved(steps: Sequence[Step], k: int, to: int) -> list[Step]:
    rest = [*steps[:k], *steps[k + 1 :]]
    rest.insert(to, steps[k])
    return rest


def _new(data: Data, steps: Sequence[Step]) -> Step:
    """Return the most frequent event that is no step yet."""
    kinds = event_types(data)
    used = {kind for step in steps for kind in step.event_types}
    return Step((("event_type", next((k for k in kinds if k not in used), kinds[0])),))


def _put(steps: Sequence[Step]) -> None:
    """Take other steps; every control is drawn from them again."""
    st.query_params[_PLACE] = ", ".join(map(str, steps))
    st.session_state[_TURN] += 1


def _forget() -> None:
    st.query_params.pop(_PLACE, None)
    st.session_state[_TURN] += 1


def _take_line(key: str) -> None:
    st.query_params[_PLACE] = st.session_state[key]


def _change(steps: Sequence[Step], k: int) -> None:
    """Take what the controls of one step say; they stay as they are."""
    state, turn = st.session_state, st.session_state[_TURN]

    def told(what: str) -> Any:
        return state.get(_key(turn, k, what))

    step = steps[k]
    if not (names := told("any")):
        _put(steps)
        return
    first = next((c for c in step.where if isinstance(c, Values)), None)
    where = [c for c in step.where if c is not first]
    column = told("column")
    if column != _ANY and (values := told(f"values_{column}")):
        asked = tuple(None if v == filters.UNKNOWN else v for v in values)
        where.insert(0, Values(column, asked, told("sign") == _IS[1]))
    any_of = steps_from(["|".join(names)])[0].any_of
    changed = [*steps[:k], Step(any_of, tuple(where)), *steps[k + 1 :]]
    st.query_params[_PLACE] = ", ".join(map(str, changed))
