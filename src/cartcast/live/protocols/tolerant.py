"""Reading a body of which one event is broken, so that the others are kept.

A title cut in the middle of an emoji, a NaN of a Python client, a number beyond every float: JSON
cannot carry these (RFC 8259, sections 6 and 8), and a strict decoder refuses the whole body. Here
it is read all the same, and `unfit` names the value for which an event is set aside.
"""

from __future__ import annotations

import json
import math
from typing import Any, Final

from cartcast.live.problems import Problem

__all__ = ["MAX_OBJECTS", "read_json", "require_bounded", "unfit"]

MAX_OBJECTS: Final = 100_000
"""Objects and lists of one body; each costs the decoder as much as hundreds of plain bytes."""
_LONGEST_WHOLE: Final = 308


def require_bounded(body: bytes) -> None:
    """Refuse a body of more objects than its events can need, before it is decoded.

    Raises:
        Problem: 413.
    """
    if len(body) > MAX_OBJECTS and body.count(b"{") + body.count(b"[") > MAX_OBJECTS:
        rule = f"at most {MAX_OBJECTS} objects and lists"
        raise Problem(413, f"the body must have {rule}", field="body", rule=rule)


def read_json(body: bytes) -> Any:
    r"""Return what the body says, with lone surrogates, NaN and infinities where it has them.

    Raises:
        ValueError, RecursionError: it is not JSON even so.

    >>> read_json(rb'["\ud83d", 1e400, NaN]')
    ['\ud83d', inf, nan]
    """
    text = body.decode("utf-8", "surrogateescape")
    return json.loads(text, parse_int=_whole, object_hook=_same)


def _same(one: dict[str, Any]) -> dict[str, Any]:
    """Return the object; being Python, it lets other threads have their turn."""
    return one


def _whole(digits: str) -> int | str:
    """Return a whole number; one beyond every float stays text, for the rule of its column."""
    return int(digits) if len(digits) <= _LONGEST_WHOLE else digits


def unfit(value: Any, where: str) -> Problem | None:
    """Return the problem of the first value that JSON cannot carry, or None.

    >>> unfit({"page": {"title": "a" + chr(0xD83D)}}, "batch[2]").field
    'batch[2].page.title'
    """
    left = [(where, value)]
    while left:
        path, one = left.pop()
        rule = None
        if isinstance(one, str):
            if not _is_text(one):
                rule = "must be whole Unicode text"
        elif isinstance(one, float):
            if not math.isfinite(one):
                rule = "must be a finite number"
        elif isinstance(one, list):
            left += [(f"{path}[{at}]", item) for at, item in enumerate(one)][::-1]
        elif isinstance(one, dict):
            for name, item in reversed(one.items()):
                if not _is_text(name):
                    return _problem(
                        f"{path}.{name!a}"[:200], "must have a name of whole Unicode text"
                    )
                left.append((f"{path}.{name}", item))
        if rule is not None:
            return _problem(path, rule)
    return None


def _is_text(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _problem(path: str, rule: str) -> Problem:
    field = path.lstrip(".")
    return Problem(422, f"{field} {rule}", field=field, rule=rule)
