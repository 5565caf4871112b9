"""Steps of a funnel as people write them: any of several events, and what must hold of the event.

    view_item
    add_to_cart|begin_checkout                    any of these
    page=2|page=3                                 events are named by another column
    view_item[category=shoes,boots; price>=50]    and all of this holds of the same event

What stands in brackets is written as in `cartcast segment make --where`. A value that holds one of
`, ; | [ ] "` stands in double quotes, in which `""` is one quote; so does one that is empty.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

from cartcast.errors import UsageError
from cartcast.features.words import event_words
from cartcast.segments.columns import Range, Values, equal

__all__ = [
    "STEPS",
    "Step",
    "can_ask",
    "carried",
    "condition_of",
    "split_steps",
    "step_words",
    "steps_from",
]

_TEST = re.compile(r"\s*([^=!<>]+?)\s*(!=|>=|<=|=)(.*)", re.DOTALL)
_SPECIAL = set(",;|[]")
_SIGNS = _SPECIAL | set('=!<>"')


class Step(NamedTuple):
    """One step of a funnel: an event of which one of `any_of` and all of `where` holds.

    Attributes:
        any_of: columns and the values that they may have: mostly `event_type`.
        where: further conditions on the same event.
    """

    any_of: tuple[tuple[str, str], ...]
    where: tuple[Values | Range, ...] = ()

    def __str__(self) -> str:
        told = "|".join(
            _quoted(v, "=") if c == "event_type" else f"{_column(c)}={_quoted(v)}"
            for c, v in self.any_of
        )
        return told + (f"[{'; '.join(map(_written, self.where))}]" if self.where else "")

    def describe(self) -> str:
        """Return the step in words.

        >>> steps_from(['view_item|page=2[category!="a;b",boots; price>=5]'])[0].describe()
        'product page or page=2 (category is not a;b or boots; price at least 5)'
        """
        told = " or ".join(
            event_words(v) if c == "event_type" else f"{c}={v}" for c, v in self.any_of
        )
        return told + (f" ({'; '.join(c.describe() for c in self.where)})" if self.where else "")

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns of the log that it asks."""
        return tuple(dict.fromkeys([*(c for c, _ in self.any_of), *(c.column for c in self.where)]))

    @property
    def event_types(self) -> tuple[str, ...]:
        """Event types that it names."""
        return tuple(v for c, v in self.any_of if c == "event_type")

    @property
    def plain(self) -> bool:
        """Whether it asks for event types alone."""
        return not self.where and len(self.event_types) == len(self.any_of)

    @property
    def carried(self) -> Step:
        """The step over carried columns, whose names none of the funnel's own can be."""
        return Step(
            tuple((carried(c), v) for c, v in self.any_of),
            tuple(replace(c, column=carried(c.column)) for c in self.where),
        )

    @property
    def sql(self) -> str:
        """The condition on an event; names and values are quoted."""
        named: dict[str, list[str]] = {}
        for column, value in self.any_of:
            named.setdefault(column, []).append(value)
        told = " OR ".join(equal(c, values) for c, values in named.items())
        return " AND ".join([f"({told})", *(c.sql for c in self.where)])


def carried(column: str) -> str:
    """Return the name under which a column of the log is carried beside the funnel's own."""
    return f"own {column}"


STEPS: tuple[Step, ...] = tuple(
    Step((("event_type", name),))
    for name in ("view_item", "add_to_cart", "begin_checkout", "purchase")
)
"""The usual funnel of a shop; steps that a log never has are left out."""

MOST_STEPS = 50
"""Steps of a funnel: more cannot be read, and each is a query over the one before."""


def split_steps(text: str) -> list[str]:
    """Return the steps that one text holds, with commas between them.

    >>> split_steps('view_item[category=shoes,boots], page="a,b"')
    ['view_item[category=shoes,boots]', 'page="a,b"']
    """
    return list(_split(text, ","))


def steps_from(words: Sequence[str]) -> tuple[Step, ...]:
    """Return steps from words, each as the module says.

    Raises:
        UsageError: there are none, or one cannot be read.

    >>> view, rest = steps_from(["view_item[category=shoes,unknown; price>=50]", "page=2|page=3"])
    >>> view.where[0].values, rest.any_of
    (('shoes', None), (('page', '2'), ('page', '3')))
    >>> str(view)
    'view_item[category=shoes,unknown; price>=50]'
    """
    if not words:
        raise UsageError("a funnel needs at least one step, such as view_item,purchase.")
    if odd := [w for w in words if not isinstance(w, str)]:
        raise UsageError(f"a step is a word such as view_item, got {odd[0]!r}.")
    if len(words) > MOST_STEPS:
        raise UsageError(f"a funnel has at most {MOST_STEPS} steps, got {len(words)}.")
    return tuple(map(_step, words))


def step_words(text: str) -> str:
    """Return in words the step that a text is."""
    (step,) = steps_from((text,))
    return step.describe()


def _step(word: str) -> Step:
    head, tests = word.strip(), ""
    if head.endswith("]"):
        place = next((k for k, c in _outside(head) if c == "["), None)
        if place is not None:
            head, tests = head[:place], head[place + 1 : -1]
            if not tests.strip():
                raise UsageError(f"{word!r}: the brackets hold no condition.")
    parts, open_ = list[tuple[str, str]](), any(c in "[]" for _, c in _outside(head))
    for part in _split(head, "|"):
        column, value = "event_type", part
        if not part.startswith('"') and "=" in part:
            column, _, value = (p.strip() for p in part.partition("="))
        if not column or not value or open_ or set("!<>") & set(column):
            raise UsageError(
                f"a step is an event type or column=value, with others after | and conditions in "
                f"[ ], got {word!r}."
            )
        parts.append((column, _unquoted(value)))
    if not parts:
        raise UsageError(f"a step is an event type or column=value, got {word!r}.")
    where = tuple(condition_of(t) for t in _split(tests, ";")) if tests else ()
    step = Step(tuple(dict.fromkeys(parts)), where)
    for column in step.columns:
        _column(column)
    return step


def condition_of(text: str) -> Values | Range:
    """Return the condition that `device=mobile,tablet` or `events>=3` is.

    Raises:
        UsageError: it is none.

    >>> condition_of("country!=DE,unknown")
    Values(column='country', values=('DE', None), exclude=True)
    """
    match = _TEST.fullmatch(text)
    if match is None:
        raise UsageError(f"a condition is column=value, !=, >= or <=, got {text!r}.")
    column, sign, told = match.groups()
    if sign in (">=", "<="):
        try:
            end = float(told)
        except ValueError:
            raise UsageError(f"{column}{sign} takes a number, got {told!r}.") from None
        if end != end or end in (float("inf"), float("-inf")):
            raise UsageError(f"{column}{sign} takes a number, got {told!r}.")
        return Range(column, least=end) if sign == ">=" else Range(column, most=end)
    words = tuple(_split(told, ","))
    if not words:
        raise UsageError(f"{column}{sign} takes a value, as in {column}{sign}some.")
    return Values(
        column, tuple(None if w == "unknown" else _unquoted(w) for w in words), sign == "!="
    )


def _outside(text: str) -> Iterator[tuple[int, str]]:
    """Return the characters that stand outside of quotes, and of brackets that are open."""
    quoted, depth, start = False, 0, True
    for k, c in enumerate(text):
        if c == '"' and (quoted or start):
            # Within quotes two of them are one: the second opens them again at once.
            quoted = not quoted
            start = not quoted
            continue
        if quoted:
            continue
        if c == "]":
            depth = max(depth - 1, 0)
        if depth == 0:
            yield k, c
        if c == "[":
            depth += 1
        start = c in "=,;|[" or (start and c.isspace())


def _split(text: str, sign: str) -> Iterator[str]:
    """Return the parts of a text between signs that stand outside of quotes and brackets."""
    begin = 0
    for k in [*(k for k, c in _outside(text) if c == sign), len(text)]:
        if part := text[begin:k].strip():
            yield part
        begin = k + 1


def _unquoted(word: str) -> str:
    if len(word) > 1 and word[0] == word[-1] == '"':
        return word[1:-1].replace('""', '"')
    return word


def can_ask(column: str) -> bool:
    """Return whether a step can ask a column: its name can be written, and read again.

    >>> can_ask("my column"), can_ask("price, net")
    (True, False)
    """
    return bool(column) and column == column.strip() and not _SIGNS & set(column)


def _column(name: str) -> str:
    if not can_ask(name):
        raise UsageError(
            f"a step cannot ask the column {name!r}: a name there holds none of "
            f"{' '.join(sorted(_SIGNS))}; rename it in the log."
        )
    return name


def _quoted(value: str, sign: str = '="') -> str:
    odd = _SPECIAL & set(value) or sign in value or value.startswith('"')
    odd = odd or value != value.strip() or value in ("", "unknown")
    return '"' + value.replace('"', '""') + '"' if odd else value


def _written(c: Values | Range) -> str:
    if isinstance(c, Range):
        ends = ((">=", c.least), ("<=", c.most))
        told = [(sign, repr(float(end))) for sign, end in ends if end is not None]
        return "; ".join(f"{_column(c.column)}{s}{end.removesuffix('.0')}" for s, end in told)
    values = ",".join("unknown" if v is None else _quoted(v) for v in c.values)
    return f"{_column(c.column)}{'!=' if c.exclude else '='}{values}"
