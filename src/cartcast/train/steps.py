"""Steps: what is being done, how long each took, told to anyone who watches."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator

__all__ = ["Progress", "Steps"]

Progress = Callable[[str, float | None], None]
"""Called with what is being done and, when known, the share done (0 to 1)."""


class Steps:
    """A stopwatch that tells each step to `progress(what, share)`.

    Args:
        progress: called with a word and the share done; None tells nobody.
        total: number of steps expected, for the share.
    """

    def __init__(self, progress: Progress | None = None, total: int = 10) -> None:
        self.progress = progress
        self.total = total
        self.seconds: dict[str, float] = {}
        self._begin = time.perf_counter()

    @contextlib.contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        """Time one step."""
        if self.progress is not None:
            self.progress(name, min(len(self.seconds) / self.total, 1.0))
        begin = time.perf_counter()
        yield
        self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - begin

    def finish(self) -> dict[str, float]:
        """Return the seconds of each step and in `total`."""
        return {**self.seconds, "total": time.perf_counter() - self._begin}
