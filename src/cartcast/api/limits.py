"""Rate limits: a token bucket per key or address."""

from __future__ import annotations

import time

from cartcast.live.problems import Problem

__all__ = ["Buckets"]

MOST_BUCKETS = 10_000


class Buckets:
    """Allows `rate` requests per second for each name, with bursts of `burst`.

    >>> buckets = Buckets(rate=1, burst=2, clock=lambda: 0.0)
    >>> [buckets.wait("a") > 0 for _ in range(3)]
    [False, False, True]
    """

    def __init__(
        self, rate: float, burst: float | None = None, clock: object = time.monotonic
    ) -> None:
        self.rate = rate
        self.burst = burst or max(rate, 1.0)
        self._clock = clock
        self._left: dict[str, tuple[float, float]] = {}

    def wait(self, name: str, cost: float = 1.0) -> float:
        """Take `cost` tokens when there is one; return 0, or the seconds until there is one."""
        now: float = self._clock()  # type: ignore[operator]
        left, then = self._left.get(name, (self.burst, now))
        left = min(self.burst, left + (now - then) * self.rate)
        if left < 1.0:
            self._left[name] = (left, now)
            return (1.0 - left) / self.rate
        if len(self._left) >= MOST_BUCKETS and name not in self._left:
            self._forget(now)
        self._left[name] = (left - cost, now)
        return 0.0

    def take(self, name: str, cost: float = 1.0) -> None:
        """Take `cost` tokens; 0 only asks whether there is one.

        Raises:
            Problem: 429 with Retry-After, when there is none.
        """
        seconds = self.wait(name, cost)
        if seconds > 0:
            raise Problem(
                429,
                f"at most {self.rate:g} requests per second",
                rule=f"rate <= {self.rate:g}/s",
                headers={"Retry-After": str(int(seconds) + 1)},
            )

    def _forget(self, now: float) -> None:
        full = self.burst / self.rate
        self._left = {n: (left, t) for n, (left, t) in self._left.items() if now - t < full}
        if len(self._left) >= MOST_BUCKETS:
            self._left.clear()
