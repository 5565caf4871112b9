"""Large bodies are read one at a time, beside the loop, so that small requests pass them.

A decoder does not let go of the interpreter while it works, and the loop asks for the interpreter
for every callback: back to back, large bodies would keep a small request waiting many times over.
So the lane rests after each body for as long as it has worked, when another one waits.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Concatenate, Final, ParamSpec, TypeVar

from cartcast.api.requests import GZIP

__all__ = ["HEAVY", "in_turn"]

HEAVY: Final = 65_536
"""Bytes from which a body is read in the lane."""
_P = ParamSpec("_P")
_T = TypeVar("_T")


class _Lane:
    """One thread, which rests between its calls."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(1, thread_name_prefix="cartcast-lane")
        self._free_at = 0.0

    async def run(self, call: Callable[[], _T]) -> _T:
        """Return what the call returns, when it is its turn."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._work, call)

    def _work(self, call: Callable[[], _T]) -> _T:
        begun = time.monotonic()
        if begun < self._free_at:
            time.sleep(self._free_at - begun)
            begun = time.monotonic()
        try:
            return call()
        finally:
            ended = time.monotonic()
            self._free_at = ended + (ended - begun)


_LANE = _Lane()


async def in_turn(
    body: bytes, read: Callable[Concatenate[bytes, _P], _T], *args: _P.args, **kwargs: _P.kwargs
) -> _T:
    """Return `read(body, ...)`; a large or packed body waits for its turn in the lane."""
    if len(body) < HEAVY and not body.startswith(GZIP):
        return read(body, *args, **kwargs)
    return await _LANE.run(lambda: read(body, *args, **kwargs))
