"""A verb that stays: `--every 1h` runs it again and again in one process, until told to stop."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable
from typing import Annotated

import typer

from cartcast.cli import complaint
from cartcast.config import parse_duration
from cartcast.errors import UsageError

__all__ = ["Every", "repeat"]

Every = Annotated[
    str | None, typer.Option("--every", help="Stay, and do it again at this interval, as 1h.")
]
"""Option of the verbs that can stay."""


def repeat(every: str, turn: Callable[[Callable[[], bool]], None], *, finish: bool = False) -> None:
    """Do a turn at once and then at an interval, from start to start, until SIGTERM or Ctrl-C.

    Turns never overlap: one that takes longer than the interval is followed by the next at once.
    What goes wrong in one is told in a line, and the next comes; a wrong word in the first ends
    all. A stop interrupts the turn, or with `finish` lets it end by itself.

    Args:
        every: duration between two starts, by a clock that nobody sets.
        turn: called with a function that says whether the stop was asked for.
        finish: whether the turn ends by itself when it hears of the stop.

    Raises:
        UsageError: no duration, or the first turn was asked for in a wrong way.
    """
    stop = threading.Event()
    pause = min(parse_duration(every), threading.TIMEOUT_MAX)

    def asked(*_: object) -> None:
        stop.set()
        if not finish:
            raise KeyboardInterrupt

    before = {n: signal.getsignal(n) for n in (signal.SIGTERM, signal.SIGINT)}
    try:
        for number in before:
            signal.signal(number, asked)
        _turns(pause, turn, stop)
    except KeyboardInterrupt:
        pass
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _turns(pause: float, turn: Callable[[Callable[[], bool]], None], stop: threading.Event) -> None:
    first = True
    while not stop.is_set():
        begin = time.monotonic()
        try:
            turn(stop.is_set)
        except BrokenPipeError:
            raise  # nobody reads any more
        except Exception as error:
            # Libraries turn a stop into errors of their own.
            if stop.is_set():
                return
            if first and isinstance(error, UsageError):
                raise
            complaint.say(complaint.of(error)[0])
        first = False
        stop.wait(max(0.0, begin + pause - time.monotonic()))
