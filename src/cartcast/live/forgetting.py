"""A running server forgets a person when it is asked by a file in its folder.

`cartcast forget` cannot change what is in the server's memory. It leaves the keys of sessions and
histories (`vID`, `uID`, `sSESSION`) in `forget.json`; the server drops them within seconds, takes
a snapshot, which removes the log before it, and removes the file.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from cartcast.atomic import atomic_path
from cartcast.live.sessions import Sessions

__all__ = ["REQUEST", "forget", "read_request", "remove_request", "write_request"]

REQUEST = "forget.json"


def write_request(folder: Path, keys: Iterable[str]) -> None:
    """Ask the server whose folder it is."""
    with atomic_path(folder / REQUEST, secret=True) as temporary:
        temporary.write_text(json.dumps(sorted(set(keys))), encoding="utf-8")


def read_request(folder: Path) -> list[str] | None:
    """Return the keys asked for, None when nothing is asked."""
    path = folder / REQUEST
    if not path.is_file():
        return None
    return [str(key) for key in json.loads(path.read_text(encoding="utf-8"))]


def remove_request(folder: Path) -> None:
    """Say that it is done."""
    (folder / REQUEST).unlink(missing_ok=True)


def forget(sessions: Sessions, keys: Iterable[str]) -> int:
    """Drop sessions under these keys, and histories of these people; return how many went."""
    gone = 0
    for key in keys:
        session = sessions.find((key,))
        if session is not None:
            gone += 1
            for own in {key, *session.keys}:
                sessions.index.pop(own, None)
        if key[0] in "vu" and sessions.visitors.pop(key[1:], None) is not None:
            gone += 1
    return gone
