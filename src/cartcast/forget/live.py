"""A person's events in a live state: in the snapshot, in the log, in a running server's memory."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
from filelock import FileLock, Timeout

from cartcast.atomic import atomic_path
from cartcast.errors import NotTrustedError, StorageError
from cartcast.forget.person import Person
from cartcast.live.event import Event
from cartcast.live.forgetting import REQUEST, write_request
from cartcast.live.log import Damage, read_segment, record, segments
from cartcast.live.snapshot import newest_snapshot, read_snapshot, write_snapshot
from cartcast.live.tail import Tail

__all__ = ["drop_events", "events_of", "find_live_sessions", "is_live", "keys_of", "rows_of"]

_event = msgspec.msgpack.Decoder(Event).decode
_WAIT = 60.0
_PAUSE = 0.2


def is_live(folder: Path) -> bool:
    """Return whether a folder holds a live state."""
    return bool(segments(folder)) or newest_snapshot(folder) is not None


def find_live_sessions(folder: Path, person: Person) -> None:
    """Note sessions with ids of their own that events of the person name."""
    for event in _events(folder):
        if event.session_id is None:
            continue
        if person.holds(event.visitor_id) or person.holds(event.user_id):
            person.saw(folder, event.session_id)
    known = person.sessions_in(folder)
    for event in _events(folder):
        named = event.visitor_id or event.user_id
        if named and event.session_id in known and not _is_own(event, person, set()):
            person.others.add(str(event.session_id))


def events_of(folder: Path, person: Person) -> list[dict[str, Any]]:
    """Return the person's events in the log and among those kept in sessions."""
    sessions = person.sessions_in(folder)
    return [
        {k: v for k, v in msgspec.structs.asdict(event).items() if v is not None}
        for event in _events(folder)
        if _is_own(event, person, sessions)
    ]


def rows_of(folder: Path, person: Person) -> list[Any]:
    """Return the person's sessions and histories in the snapshot."""
    sessions = person.sessions_in(folder)
    return [row for row in _snapshot(folder) if _is_persons(row, person, sessions)]


def keys_of(folder: Path, person: Person) -> set[str]:
    """Return the keys under which a running server has the person's sessions and histories."""
    keys = {f"{kind}{name}" for name in person.names for kind in "vu"}
    keys |= {f"s{session}" for session in person.sessions_in(folder)}
    for event in _events(folder):
        for kind, name in (("v", event.visitor_id), ("u", event.user_id)):
            if person.holds(name):
                keys.add(f"{kind}{name}")
    for row in rows_of(folder, person):
        keys |= set(row[1][1]) if row[0] == "s" else {f"v{row[1]}", f"u{row[1]}"}
    return keys


def drop_events(folder: Path, person: Person, wait: float = _WAIT) -> tuple[int, int]:
    """Remove a person from a live state; return the records that went from log and snapshot.

    Where a server has the folder, it is asked to, and waited for: it forgets within seconds.

    Raises:
        StorageError: the server does not answer, or the disk is full.
    """
    logged, kept = len(events_of(folder, person)), len(rows_of(folder, person))
    try:
        with FileLock(folder / "lock", timeout=0, mode=0o600):
            _drop_at_rest(folder, person)
    except Timeout:
        write_request(folder, keys_of(folder, person))
        _wait_for(folder, wait)
    for path in folder.glob("quarantine-*.bin"):
        # Damaged bytes: no record can be taken out of them.
        content = path.read_bytes()
        if any(name.encode() in content for name in person.names):
            path.unlink()
    return logged, kept


def _drop_at_rest(folder: Path, person: Person) -> None:
    sessions = person.sessions_in(folder)
    if (newest := newest_snapshot(folder)) is not None:
        rows = list(_snapshot(folder))
        left = [row for row in rows if not _is_persons(row, person, sessions)]
        if len(left) < len(rows):
            write_snapshot(newest[1], _fingerprint(folder), left)
    for path in segments(folder).values():
        parts, gone = [], 0
        for one in read_segment(path, last=False):
            if isinstance(one, Damage):
                parts.append(one.data)
            elif _is_own(_event(one[1]), person, sessions):
                gone += 1
            else:
                parts.append(record(*one))
        if gone:
            with atomic_path(path, secret=True) as temporary:
                temporary.write_bytes(b"".join(parts))


def _wait_for(folder: Path, wait: float) -> None:
    end = time.monotonic() + wait
    while (folder / REQUEST).is_file():
        if time.monotonic() > end:
            raise StorageError(
                f"{folder}: the server that has it was asked and did not forget within {wait:g} s; "
                "stop it, and repeat."
            )
        time.sleep(_PAUSE)


def _fingerprint(folder: Path) -> str:
    path = folder / "features"
    if not path.is_file():
        raise NotTrustedError(f"{folder}: lacks the file `features`; restore it from a backup.")
    return path.read_text(encoding="utf-8").strip()


def _snapshot(folder: Path) -> Iterator[Any]:
    newest = newest_snapshot(folder)
    if newest is not None:
        yield from read_snapshot(newest[1], _fingerprint(folder))


def _events(folder: Path) -> Iterator[Event]:
    """Yield the events of the log, then those kept in the snapshot's sessions."""
    for path in segments(folder).values():
        for one in read_segment(path, last=False):
            if not isinstance(one, Damage):
                yield _event(one[1])
    for row in _snapshot(folder):
        if row[0] == "s":
            yield from _kept(row[1])


def _kept(session: Any) -> Iterator[Event]:
    for kept in Tail.load(session[11]):
        yield kept.event
    if session[13] is not None:
        yield from _kept(session[13])


def _is_own(event: Event, person: Person, sessions: set[str]) -> bool:
    if person.holds(event.visitor_id) or person.holds(event.user_id):
        return True
    return event.session_id is not None and event.session_id in sessions


def _is_persons(row: Any, person: Person, sessions: set[str]) -> bool:
    if row[0] == "v":
        return person.holds(row[1])
    session = row[1]
    own = any(
        person.holds(key[1:]) if key[0] in "vu" else key[1:] in sessions for key in session[1]
    )
    return own or any(_is_own(event, person, sessions) for event in _kept(session))
