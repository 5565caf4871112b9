"""Counts of an outbox: what waits, and what became of those that were asked about."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from cartcast.activation.outbox import Outbox
from cartcast.activation.plan import Activation

__all__ = ["Counts", "Waiting", "counts", "waiting"]


class Waiting(NamedTuple):
    """Messages of an activation that are not delivered.

    Attributes:
        activation: its name.
        due: messages that wait for a try.
        dead: dead letters.
        age: seconds for which the oldest message that is due waits; 0 without any.
    """

    activation: str
    due: int
    dead: int
    age: float


@dataclass(frozen=True)
class Counts:
    """What became of those asked about since a moment.

    Attributes:
        contacted: messages kept, and contacts shown in a page or written to a file.
        held: units that were held out, each at its first decision.
        left: decisions to leave somebody alone, by reason; one may be asked about several times.
        waiting: what is not delivered now.
    """

    contacted: int
    held: int
    waiting: Waiting
    left: dict[str, int] = field(default_factory=dict)


def waiting(outbox: Outbox, names: Iterable[str]) -> list[Waiting]:
    """Return what is not delivered, of each activation.

    Raises:
        StorageError: the outbox cannot be read.
    """
    sql = "SELECT count(*), min(at) FROM messages WHERE activation = ? AND state = ?"
    now, found = dt.datetime.now(dt.UTC).timestamp(), []
    with outbox.looking() as con:
        for name in names:
            due, since = con.execute(sql, (name, "due")).fetchone()
            dead, _ = con.execute(sql, (name, "dead")).fetchone()
            found.append(Waiting(name, due, dead, max(now - since, 0.0) if due else 0.0))
    return found


def counts(outbox: Outbox, activation: Activation, since: dt.datetime) -> Counts:
    """Return what became of those that an activation was asked about since a moment (UTC).

    Raises:
        StorageError: the outbox cannot be read.
    """
    (open_,) = waiting(outbox, [activation.key])
    seconds = since.timestamp()
    with outbox.looking() as con:
        (contacted,) = con.execute(
            "SELECT count(*) FROM messages WHERE activation = ? AND at >= ? AND "
            "state <> 'withdrawn'", (activation.key, seconds),
        ).fetchone()  # fmt: skip
        (held,) = con.execute(
            "SELECT count(*) FROM exposures WHERE experiment = ? AND arm = ? AND exposed >= ?",
            (activation.experiment.allocation.key, activation.holdout, round(seconds * 1e6)),
        ).fetchone()
        left = con.execute(
            "SELECT reason, sum(times) FROM reasons WHERE activation = ? AND day >= ? AND "
            "reason NOT IN ('contact', 'holdout') GROUP BY 1 ORDER BY 2 DESC",
            (activation.key, since.date().isoformat()),
        ).fetchall()
    return Counts(contacted, held, open_, {str(r): int(n) for r, n in left})
