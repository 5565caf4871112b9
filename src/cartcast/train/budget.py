"""The budget: one clock for a whole training, what is being done, and what is left.

What was decided for lack of time is kept with the checkpoint, so that a training that was killed
and continues decides the same.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Iterator
from typing import TypeVar

import pyarrow as pa

from cartcast.findings import Finding, declare, finding
from cartcast.system import return_memory
from cartcast.train.checkpoint import Checkpoint

__all__ = ["Budget", "Clock", "Progress", "span"]

T = TypeVar("T")
Progress = Callable[[str, float | None], None]
"""Called with what is being done and, when known, the share done (0 to 1)."""
Clock = Callable[[], float]
"""Returns seconds that only grow."""

LEFT_OUT = declare(
    "MD131",
    "warn",
    "something was left out for lack of time",
    "The budget bounds the whole training; what would have ended after it was not begun.",
    "Give a larger --budget, or --budget none.",
)


def span(seconds: float) -> str:
    """Return seconds for people.

    >>> span(8.0), span(95)
    ('8 s', '1 min 35 s')
    """
    whole = math.ceil(seconds) if seconds < 10 else round(seconds)
    return f"{whole} s" if whole < 60 else f"{whole // 60} min {whole % 60} s"


class Budget:
    """A stopwatch with an end; tells each step, and the time left, to `progress`.

    Args:
        seconds: for everything, from now; infinite bounds nothing.
        progress: called with a word and the share of the budget (or of `total` steps) passed.
        clock: seconds that grow.
        total: number of steps expected, for the share without a budget.
    """

    def __init__(
        self,
        seconds: float = math.inf,
        progress: Progress | None = None,
        clock: Clock = time.perf_counter,
        total: int = 12,
    ) -> None:
        self.limit = seconds
        self.progress = progress
        self.clock = clock
        self.total = total
        self.seconds: dict[str, float] = {}
        self.findings: list[Finding] = []
        self.checkpoint: Checkpoint | None = None
        self._begin = clock()

    @property
    def spent(self) -> float:
        """Seconds since the beginning."""
        return self.clock() - self._begin

    @property
    def left(self) -> float:
        """Seconds until the end; never below 0."""
        return max(0.0, self.limit - self.spent)

    def tell(self, what: str) -> None:
        """Tell what is being done, and how much time is left at most."""
        if self.progress is None:
            return
        if math.isfinite(self.limit):
            what = f"{what} (at most {span(self.left)} left)"
        self.progress(what, min(len(self.seconds) / self.total, 1.0))

    @contextlib.contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        """Time one step; what it freed is given back, or the peaks of all steps would add up."""
        self.tell(name)
        begin = self.clock()
        yield
        pa.default_memory_pool().release_unused()
        return_memory()
        self.seconds[name] = self.seconds.get(name, 0.0) + self.clock() - begin

    def allows(self, what: str, seconds: float, keep: float = 0.0) -> bool:
        """Return whether `what` ends in time when `keep` seconds are kept free after it.

        What does not is a finding. The answer is kept: asked again after a kill, it is the same.
        """
        made = self.decide(f"allows {what}", lambda: seconds + keep <= self.left)
        if not made:
            text = f"{what} would take about {span(seconds)}: more than is left of the budget."
            self.findings.append(finding(LEFT_OUT, text, seconds=round(seconds, 1)))
        return made

    def decide(self, what: str, make: Callable[[], T]) -> T:
        """Return a decision taken before a kill, or a new one, kept."""
        return make() if self.checkpoint is None else self.checkpoint.decision(what, make)

    def finish(self) -> dict[str, float]:
        """Return the seconds of each step and in `total`."""
        return {**self.seconds, "total": self.spent}
