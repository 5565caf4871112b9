"""Damage in the log: set aside beside it, and said; nothing is thrown away in silence."""

from __future__ import annotations

import logging
import os

from cartcast.atomic import atomic_path
from cartcast.errors import StorageError
from cartcast.findings import Finding, declare, finding
from cartcast.live.log import Damage

__all__ = ["set_aside"]

logger = logging.getLogger(__name__)

DAMAGED = declare(
    "LV201", "warn", "Records of the log were damaged and set aside",
    "Events that were acknowledged are missing from their sessions; what follows the damage was "
    "recovered.",
    "Check the disk. The bytes are kept in the quarantine file named; a backup of the log may "
    "still hold them.",
)  # fmt: skip
TORN = declare(
    "LV202", "note", "The end of the log was cut",
    "The last write was cut off by a crash or a power cut. With --durability fsync nothing in it "
    "was acknowledged.",
    "Nothing, if the machine crashed; otherwise check the disk.",
)  # fmt: skip


def set_aside(damage: Damage) -> Finding:
    """Keep the damaged bytes in a file of their own, cut a torn end, and return what to say.

    Raises:
        StorageError: the bytes cannot be kept.
    """
    path, size = damage.path, len(damage.data)
    kept = None
    try:
        if damage.data.strip(b"\0"):
            kept = path.with_name(f"quarantine-{path.stem}-{damage.place}.bin")
            with atomic_path(kept, secret=True) as temporary:
                temporary.write_bytes(damage.data)
        if damage.torn:
            os.truncate(path, damage.place)
    except OSError as error:
        raise StorageError(f"{path}: damage cannot be set aside ({error.strerror}).") from error
    where = f", kept in {kept.name}" if kept else ", all of them zero"
    what = "were cut from the end" if damage.torn else "are damaged"
    found = finding(
        TORN if damage.torn else DAMAGED,
        f"{path.name}: {size} bytes at byte {damage.place} {what}{where}.",
        bytes=size,
        place=damage.place,
    )
    logger.warning("%s: %s", found.code, found.message)
    return found
