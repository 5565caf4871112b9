"""The product of forms and accidents: each with each, and pairs of accidents on the main forms."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from cartcast.datasets.disguises.accidents import ACCIDENTS, Accident
from cartcast.datasets.disguises.form import Form
from cartcast.datasets.disguises.forms import FORMS
from cartcast.datasets.disguises.sheet import write_sheet
from cartcast.datasets.disguises.shop import make_log
from cartcast.datasets.disguises.truth import Truth, truth_of

__all__ = ["Case", "Written", "cases", "write_case"]

_PAIRED = ("plain", "ga4-flat", "ga4-jsonl", "segment")
_SESSIONS, _DAYS = 60, 14


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
    rng = random.Random(f"{seed}-{case.name}")
    days = min([a.days for a in case.accidents if a.days] or [_DAYS])
    log = make_log(seed, _SESSIONS, days=days)
    for accident in case.accidents:
        log = accident.log(log)
    seen = case.form.see(log)
    sheets = case.form.write(seen)
    for accident in case.accidents:
        sheets = accident.sheets(sheets, rng)
    paths = [(write_sheet(sheet, folder), sheet.role) for sheet in sheets]
    keys = {k: v for accident in case.accidents for k, v in accident.reading.items()}
    layout = {"name": case.form.name, "columns": dict(sheets[0].names), **keys} if keys else None
    return Written(
        log=tuple(path for path, role in paths if role == "log"),
        orders=tuple(path for path, role in paths if role == "orders"),
        layout=layout,
        truth=truth_of(seen, case.tells),
        tells=case.tells,
        says=any(a.says for a in case.accidents)
        or not case.tells & {"row_order", "event_order"},
    )  # fmt: skip


def cases(seed: int = 0, forms: Iterable[str] | None = None) -> Iterator[Case]:
    """Yield every form alone and with each accident it can have, then pairs on the main forms.

    Pairs are covered once over the main forms together: each pair of accidents that fit is given
    to one of the forms that can have both, drawn by `seed`.

    >>> found = [case.name for case in cases()]
    >>> len(found) == len(set(found)), found[:2]
    (True, ['plain', 'plain+zone-berlin-autumn'])
    """
    chosen = [FORMS[name] for name in forms or FORMS]
    for form in chosen:
        yield Case(form)
        yield from (Case(form, (a,)) for a in ACCIDENTS.values() if a.can(form))
    rng = random.Random(seed)
    mains = [form for form in chosen if form.name in _PAIRED]
    for first, second in itertools.combinations(ACCIDENTS.values(), 2):
        able = [form for form in mains if first.can(form) and second.can(form)]
        if able and first.fits(second) and "length" not in first.touches | second.touches:
            yield Case(rng.choice(able), (first, second))
