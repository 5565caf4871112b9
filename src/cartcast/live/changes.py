"""Files that are read again when they change, while the service runs."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final

from cartcast.errors import CartcastError

__all__ = ["LOOK_SECONDS", "follow", "stamps"]

logger = logging.getLogger(__name__)

LOOK_SECONDS: Final = 2.0
"""How often the files are looked at."""


def stamps(paths: Iterable[Path]) -> dict[str, Any]:
    """Return when files, and plans (YAML) in folders, were changed."""
    found = {}
    for path in paths:
        for file in (path, *(f for f in path.glob("*") if f.suffix in (".yaml", ".yml"))):
            with contextlib.suppress(OSError):  # gone meanwhile
                told = file.stat()
                found[str(file)] = (told.st_mtime_ns, told.st_size)
    return found


async def follow(
    paths: Callable[[], Iterable[Path]],
    seen: dict[str, Any],
    read: Callable[[], Any],
    take: Callable[[Any], str],
) -> None:
    """Read files again when they change, until cancelled; what is wrong is logged, the old stays.

    Args:
        paths: tells the files and folders.
        seen: their `stamps` before they were read first.
        read: reads them, beside the loop.
        take: takes up what was read; returns what to log.
    """
    loop = asyncio.get_running_loop()
    while True:
        await asyncio.sleep(LOOK_SECONDS)
        now = await loop.run_in_executor(None, stamps, tuple(paths()))
        if now == seen:
            continue
        seen = now
        try:
            logger.info("took up %s", take(await loop.run_in_executor(None, read)))
        except CartcastError as error:
            logger.warning("the plans are not taken up: %s", error)
