"""The words that a kernel is given, and the owner of all that their addresses point to.

An address in a `work` keeps nothing alive. `Work.point` is the one way to write one, and holds the
array; so memory that a kernel may read lives as long as the work, or until it points elsewhere.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from cartcast.features.kernels.layout import WORD, Layout

__all__ = ["Region", "Work", "address", "owner"]

_owners: weakref.WeakValueDictionary[int, Work] = weakref.WeakValueDictionary()


class Region(NamedTuple):
    """Memory that a kernel may use.

    Attributes:
        name: of the array, for messages.
        begin, size: address and bytes.
        row: bytes of a row that an access may not leave; 0 for none.
        array: kept alive.
    """

    name: str
    begin: int
    size: int
    row: int
    array: Any


class Work:
    """The words of one kernel, by a layout of `kernels.layout`.

    Attributes:
        words: int64, zeros at first; the kernel's argument. Alive only with this object.
    """

    __slots__ = ("__weakref__", "_held", "_layout", "words")

    def __init__(self, layout: Layout) -> None:
        self.words: npt.NDArray[np.int64] = np.zeros(layout.words, np.int64)
        self._layout = layout
        self._held: dict[int, tuple[Region, ...]] = {}
        _owners[id(self.words)] = self

    def point(self, place: int, array: Any, row: int = 0, first: int = 0) -> None:
        """Point a word at an array (an Arrow buffer, None for 0), and hold it.

        `row`: elements of a row that no access may leave; `first`: the element pointed at.
        """
        name, width = self._layout.addresses[place]
        if array is None:
            self._held.pop(place, None)
            self.words[place] = 0
            return
        region = _region(name, array, width, row)
        self._held[place] = (region,)
        self.words[place] = region.begin + width * first

    def point_pairs(self, place: int, pairs: Sequence[tuple[Any, Any]]) -> None:
        """Point a word at a table of pairs of addresses: a column, and a table or 0."""
        name, _ = self._layout.addresses[place]
        regions = [
            (_region(f"{name}, column {k}", a, None, 0),
             None if b is None else _region(f"{name}, table of column {k}", b, WORD, 0))
            for k, (a, b) in enumerate(pairs)
        ]  # fmt: skip
        flat = [0 if r is None else r.begin for pair in regions for r in pair]
        table = _region(name, np.array(flat, np.int64), WORD, 0)
        self._held[place] = (table, *(r for pair in regions for r in pair if r is not None))
        self.words[place] = table.begin

    def let_go(self, places: Iterable[int]) -> None:
        """Point words nowhere, and hold what they pointed at no longer."""
        for place in places:
            self._held.pop(place, None)
            self.words[place] = 0

    @property
    def regions(self) -> list[Region]:
        """All that is held, the words first."""
        own = Region("work", self.words.ctypes.data, self.words.nbytes, 0, self.words)
        return [own, *(r for held in self._held.values() for r in held)]


def address(array: npt.NDArray[Any]) -> int:
    """Return where an array lies, in a third of the time that `ctypes.data` takes."""
    found: int = array.__array_interface__["data"][0]
    return found


def owner(words: npt.NDArray[np.int64]) -> Work | None:
    """Return the work that these words are of; None when it is gone, or never was."""
    found = _owners.get(id(words))
    return found if found is not None and found.words is words else None


def _region(name: str, array: Any, width: int | None, row: int) -> Region:
    if not isinstance(array, np.ndarray):  # an Arrow buffer
        return Region(name, array.address, array.size, 0, array)
    if not array.flags.c_contiguous or width not in (None, 1, array.itemsize):
        raise AssertionError(f"{name}: a kernel cannot read {array.dtype} {array.strides}.")
    return Region(name, address(array), array.nbytes, row * array.itemsize, array)
