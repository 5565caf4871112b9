"""The parts of a clean log, asked on Spark by the code of one machine.

A part holds whole visitors, so whatever looks at one visitor at a time (features, labels, scores)
says of a part what it would say of these visitors in the whole log.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import duckdb

from cartcast.events.engine import translate
from cartcast.events.spark.pieces import COLUMNS, Piece, collected, cut, object_in, run
from cartcast.events.spark.session import by_key, holding, session, small_batches

if TYPE_CHECKING:
    from cartcast.events.log import Log

__all__ = ["ask_parts"]

T = TypeVar("T")


def ask_parts(parts: Sequence[Log], ask: Callable[[Log], T]) -> list[T]:
    """Return what `ask` says of each part, in their order; each part is one task.

    Raises:
        CartcastError: a task has raised it.
    """
    spark = session()
    with small_batches(spark), holding() as held:
        asked = [Piece.of(number, "part", part) for number, part in enumerate(parts)]
        frame = spark.createDataFrame(asked, COLUMNS).repartitionById(len(asked), by_key())
        told = held(run(frame, _Asking(ask)))
        # All tasks run now; what they say is fetched from one after the other.
        for _ in collected(told, "done"):
            pass
        said: dict[int, list[bytes]] = {}
        for piece in collected(told, "said", large=True):
            said.setdefault(piece.key, []).append(piece.payload)
    return [pickle.loads(b"".join(said[n])) for n in range(len(parts))]  # noqa: S301 (as object_in)


class _Asking:
    """Asks the parts of one task, on one core; a class, so that Spark can send it."""

    def __init__(self, ask: Callable[[Log], Any]) -> None:
        self.ask = ask

    def __call__(self, pieces: Iterator[Piece]) -> Iterator[Piece]:
        for piece in pieces:
            part: Log = object_in(piece)
            try:
                said = self.ask(part)
            except duckdb.Error as error:
                raise translate(error, str(part.path)) from error
            yield from cut(pickle.dumps(said), piece.key, "said")
            yield Piece(piece.key, "done", b"")
