"""References of a layout in one JSON record: what `references` finds in a source's columns.

All references of a layout are one tree, and a record is walked once: what no reference names is
passed over, however large it is.
"""

from __future__ import annotations

import fnmatch
import json
import re
from collections.abc import Iterator
from typing import Any

from cartcast.events.numbers import number_of

__all__ = ["Found", "Paths", "opened"]

_BRACKET = re.compile(r"([^\[]+)\[([^\]]+)\](?:\.(.+))?").fullmatch
_LABELS = ("key", "name", "index")


class _Node:
    """A place in a record: the slot that its value fills, and the places within it."""

    __slots__ = ("at", "inner", "keys", "named", "patterns", "slot")

    def __init__(self) -> None:
        self.slot: int | None = None
        self.named: dict[str, _Node] = {}
        self.patterns: list[tuple[Any, _Node]] = []
        self.at: dict[int, _Node] = {}
        self.keys: dict[str, _Node] = {}
        self.inner = False

    def child(self, name: str) -> _Node:
        """Return the place under a name, which may hold stars."""
        self.inner = True
        if "*" not in name:
            return self.named.setdefault(name, _Node())
        form = re.compile(fnmatch.translate(re.sub(r"([\[?])", r"[\1]", name))).match
        node = _Node()
        self.patterns.append((form, node))
        return node


class Found(dict[int, Any]):
    """Value of each slot that a record fills; `mask` has their bits."""

    __slots__ = ("mask",)
    mask: int


class Paths:
    """The slots that a layout's references fill.

    >>> paths = Paths()
    >>> price, first = paths.slot("properties.price"), paths.slot("contexts[0].id")
    >>> paths.find({"Properties": {"price": 5}, "contexts": [{"id": "a"}]})
    {0: 5, 1: 'a'}
    """

    def __init__(self) -> None:
        self.references: list[str] = []
        self._slots: dict[str, int] = {}
        self._root = _Node()
        self._sums: list[tuple[int, int, str]] = []

    def slot(self, reference: str) -> int:
        """Return the place in what `find` returns that a reference fills."""
        lower = reference.lower()
        if lower not in self._slots:
            self._slots[lower] = slot = len(self.references)
            self.references.append(reference)
            listed, _, summed = lower.partition("[*].")
            if summed:
                self._sums.append((slot, self.slot(listed), summed))
                return slot
            for leaf in _leaves(self._root, lower):
                leaf.slot = slot
            if found := _BRACKET(reference):
                inner = self._inside(found[1].lower(), found[2])
                for leaf in _leaves(inner, found[3].lower()) if found[3] else [inner]:
                    leaf.slot = slot
        return self._slots[lower]

    def _inside(self, path: str, key: str) -> _Node:
        """Return the place under a number or key of the list (or map) at a path."""
        lists = _leaves(self._root, path)
        inner = lists[0].at.get(int(key)) if key.isdigit() else lists[0].keys.get(key)
        inner = inner or _Node()
        for node in lists:
            node.inner = True
            if key.isdigit():
                node.at[int(key)] = inner
            else:
                node.keys[key] = inner
        return inner

    def find(self, record: dict[str, Any]) -> Found:
        """Return what a record holds in the slots."""
        found = Found()
        _walk(record, self._root, found)
        for slot, listed, path in self._sums:
            if numbers := list(_numbers(found.get(listed), path.split("[*]."))):
                found[slot] = sum(numbers)
        mask = 0
        for slot in found:
            mask |= 1 << slot
        found.mask = mask
        return found


def _leaves(node: _Node, path: str) -> list[_Node]:
    """Return the places that a path leads to; a name may hold dots itself (`{"a.b": 1}`)."""
    parts = path.split(".")
    found = [node.child(path)]
    for end in range(1, len(parts)):
        found += _leaves(node.child(".".join(parts[:end])), ".".join(parts[end:]))
    return found


def _numbers(listed: Any, path: list[str]) -> Iterator[float]:
    """Give the numbers under a path of lists and fields."""
    if not isinstance(listed := opened(listed), list):
        return
    for value in listed:
        for part in path[0].split("."):
            names = {k.lower(): k for k in value} if isinstance(value, dict) else {}
            value = value[names[part]] if part in names else None
        if path[1:]:
            yield from _numbers(value, path[1:])
        elif (number := number_of(str(value), ".")) is not None:
            yield number


def opened(value: Any) -> Any:
    """Return a list or object that was written as JSON text; anything else as it is."""
    if isinstance(value, str) and value[:1] in ("{", "["):
        try:
            return json.loads(value)
        except (ValueError, RecursionError):
            return value
    return value


def _walk(value: Any, node: _Node, found: Found) -> None:
    """Fill the slots of a place, whose value is not null, and of the places within it."""
    if node.slot is not None:
        found.setdefault(node.slot, value)
    if not node.inner:
        return
    value = opened(value)
    if isinstance(value, dict):
        named, patterns, keys = node.named, node.patterns, node.keys
        for key, inner in value.items():
            if inner is None:
                continue
            child = named.get(key) or named.get(key.lower())
            if child is not None:
                if child.inner:
                    _walk(inner, child, found)
                elif child.slot is not None:
                    found.setdefault(child.slot, inner)
            if patterns:
                for form, child in patterns:
                    if form(key.lower()):
                        _walk(inner, child, found)
            if keys and key in keys:
                _walk(inner, keys[key], found)
    elif isinstance(value, list):
        for place, child in node.at.items():
            if place < len(value) and value[place] is not None:
                _walk(value[place], child, found)
        if node.keys:
            _walk_pairs(value, node.keys, found)


def _walk_pairs(pairs: list[Any], keys: dict[str, _Node], found: Found) -> None:
    """Walk a list of {key, value}, as GA4 exports parameters."""
    for pair in pairs:
        if not isinstance(pair, dict):
            continue
        name = next((pair[label] for label in _LABELS if label in pair), None)
        node = keys.get(name) if isinstance(name, str) else None
        if node is None:
            continue
        value = pair.get("value")
        if isinstance(value, dict):
            value = next((v for v in value.values() if v is not None), None)
        if value is not None:
            _walk(value, node, found)
