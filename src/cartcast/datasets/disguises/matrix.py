"""The product of forms and accidents: each with each, and pairs of accidents on the main forms."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from cartcast.datasets.disguises.accidents import ACCIDENTS, Accident
from cartcast.datasets.disguises.build import make_log
from cartcast.datasets.disguises.form import Form
from cartcast.datasets.disguises.forms import FORMS
from cartcast.datasets.disguises.sheet import write_sheet
from cartcast.datasets.disguises.shop import TrueLog
from cartcast.datasets.disguises.truth import Truth, truth_of

__all__ = ["Case", "Written", "cases", "product", "write_case"]

_MAIN = ("plain", "ga4-flat", "ga4-jsonl", "segment")
_SESSIONS, _DAYS = 80, 14
_MOST = 8
"""Accidents in one case at most, so that a failure can still be read."""


@dataclass(frozen=True)
class Case:
    """One form with none, one or two accidents."""

    form: Form
    accidents: tuple[Accident, ...] = ()

    @property
    def name(self) -> str:
        """`form+accident+accident`."""
        return "+".join((self.form.name, *(a.name for a in self.accidents)))

    @property
    def tells(self) -> frozenset[str]:
        """The facts that are left."""
        told = self.form.tells
        for accident in self.accidents:
            told = (told - accident.lacks) | accident.adds
        return told


@dataclass(frozen=True)
class Written:
    """A case on disk, and what must come back.

    Attributes:
        log: files of events.
        orders: files of outcomes beside them.
        layout: keys of a whole layout where nothing in the files tells them (a zone); None where
            the reader must find out by itself.
        truth: what a right reader gives.
        tells: facts that the truth holds.
        says: a finding is due, for the reading rests on an assumption or cannot tell the order.
    """

    log: tuple[Path, ...]
    orders: tuple[Path, ...]
    layout: Mapping[str, object] | None
    truth: Truth
    tells: frozenset[str]
    says: bool


def write_case(case: Case, folder: Path, seed: int = 0) -> Written:
    """Write the case's files into `folder`.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     written = write_case(Case(FORMS["plain"]), Path(folder))
    >>> [p.name for p in written.log], written.truth.sessions > 50
    (['events.csv'], True)
    """
    rng = random.Random(f"{seed}-{case.name}")  # noqa: S311
    days = min([a.days for a in case.accidents if a.days] or [_DAYS])
    log = make_log(seed, _SESSIONS, days=days)
    for accident in case.accidents:
        log = accident.log(log)
    seen = case.form.see(log)
    sheets = case.form.write(seen)
    for accident in case.accidents:
        sheets = accident.sheets(sheets, rng)
    paths = [(write_sheet(sheet, folder), sheet.role) for sheet in sheets]
    keys = {k: v for accident in case.accidents for k, v in accident.reading}
    layout = {"name": case.form.name, "columns": dict(sheets[0].names), **keys} if keys else None
    unordered = not case.tells & {"row_order", "event_order"}
    return Written(
        log=tuple(path for path, role in paths if role == "log"),
        orders=tuple(path for path, role in paths if role == "orders"),
        layout=layout,
        truth=truth_of(seen, case.tells),
        tells=case.tells,
        says=any(a.says for a in case.accidents) or (unordered and _tied(seen)),
    )


def _tied(log: TrueLog) -> bool:
    """Whether two kinds of event share a moment of a session, so that their order must be told."""
    kinds: dict[tuple[str, int], set[str]] = {}
    for event in log:
        kinds.setdefault((event.session_id, event.time), set()).add(event.event_type)
    return any(len(found) > 1 for found in kinds.values())


def product(forms: Iterable[str] | None = None) -> Iterator[Case]:
    """Yield every form alone and with each accident it can have.

    >>> [case.name for case in product()][:2]
    ['plain', 'plain+zone-berlin-autumn']
    """
    for form in (FORMS[name] for name in forms or FORMS):
        yield Case(form)
        yield from (Case(form, (a,)) for a in ACCIDENTS.values() if a.can(form))


def cases(seed: int = 0) -> Iterator[Case]:
    """Yield the product in few cases: each form with each accident, and pairs of accidents.

    The plain form has each accident alone; all others have several that fit in one case (look for
    the guilty one with `product`). Each pair of accidents that fit comes together in one of these,
    or on one of the main forms, drawn by `seed`.

    >>> names = [case.name for case in cases()]
    >>> len(names) == len(set(names)) and len(names) < len(list(product()))
    True
    """
    yield from {case.name: case for case in _cases(random.Random(seed))}.values()  # noqa: S311


def _cases(rng: random.Random) -> Iterator[Case]:
    yield from product(("plain",))
    met: set[tuple[Accident, Accident]] = set()
    for form in FORMS.values():
        if form.name != "plain":
            yield Case(form)
            able = [a for a in ACCIDENTS.values() if a.can(form)]
            for case in _packed(form, rng.sample(able, len(able))):
                met |= set(itertools.combinations(case.accidents, 2))
                yield case
    yield from _pairs(rng, met)


def _pairs(rng: random.Random, met: Iterable[tuple[Accident, Accident]]) -> Iterator[Case]:
    """Yield cases on the main forms until each pair of accidents that fit is one of those met."""
    able = {n: [a for a in ACCIDENTS.values() if a.can(FORMS[n])] for n in _MAIN}
    open_: dict[tuple[Accident, Accident], None] = {}
    for accidents in able.values():
        open_ |= {p: None for p in itertools.combinations(accidents, 2) if p[0].fits(p[1])}
    for pair in met:
        open_.pop(pair, None)
    while open_:
        first = rng.choice(list(open_))
        form = rng.choice([n for n in _MAIN if set(first) <= set(able[n])])
        together = list(first)
        while len(together) < _MOST:
            new = [a for a in able[form] if all(a.fits(b) for b in together)]
            if not new:
                break
            together.append(max(new, key=lambda a: sum(_pair(a, b) in open_ for b in together)))
        for one, other in itertools.combinations(together, 2):
            open_.pop(_pair(one, other), None)
        yield Case(FORMS[form], _in_order(together))


def _packed(form: Form, wanted: list[Accident]) -> Iterator[Case]:
    """Yield cases of several accidents each until every wanted one was in one of them."""
    while wanted:
        together: list[Accident] = []
        for accident in wanted:
            if len(together) < _MOST and all(accident.fits(a) for a in together):
                together.append(accident)
        wanted = [a for a in wanted if a not in together]
        yield Case(form, _in_order(together))


def _in_order(accidents: Iterable[Accident]) -> tuple[Accident, ...]:
    """Return the accidents in the order in which they happen."""
    return tuple(sorted(accidents, key=list(ACCIDENTS.values()).index))


def _pair(one: Accident, other: Accident) -> tuple[Accident, Accident]:
    first, second = _in_order((one, other))
    return first, second
