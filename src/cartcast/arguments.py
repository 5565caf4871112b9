"""Arguments of public functions: what does not fit is answered in words, with the nearest name."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable
from numbers import Integral, Real
from os import PathLike
from typing import Any, ParamSpec, TypeVar

from cartcast.errors import UsageError, did_you_mean

__all__ = ["answered", "refusal"]

P = ParamSpec("P")
T = TypeVar("T")

_KINDS: dict[str, tuple[type, ...]] = {
    "float": (Real,), "int": (Integral,), "str": (str,), "Path": (PathLike,), "bool": (bool,),
    "None": (type(None),), "Sequence": (Iterable,),
}  # fmt: skip
_WORDS = {"float": "a number", "int": "a whole number", "str": "a word", "Path": "a path",
          "bool": "True or False", "Sequence": "a list"}  # fmt: skip


def answered(function: Callable[P, T]) -> Callable[P, T]:
    """Let a public function refuse arguments that it does not take, or of the wrong kind.

    >>> @answered
    ... def weigh(grams: float) -> float:
    ...     return grams
    >>> weigh(gram=3)
    Traceback (most recent call last):
    cartcast.errors.UsageError: weigh() has no 'gram'. Did you mean 'grams'?
    >>> weigh("3 g")
    Traceback (most recent call last):
    cartcast.errors.UsageError: weigh(): grams must be a number, got '3 g'.
    """

    @functools.wraps(function)
    def called(*args: P.args, **named: P.kwargs) -> T:
        if why := refusal(function.__name__, inspect.signature(function), args, named):
            raise UsageError(why)
        return function(*args, **named)

    return called


def refusal(
    what: str, signature: inspect.Signature, args: Iterable[Any], named: dict[str, Any]
) -> str | None:
    """Return why these arguments are not taken, or None."""
    known = list(signature.parameters)
    open_ended = any(p.kind is p.VAR_KEYWORD for p in signature.parameters.values())
    wrong = next((name for name in named if name not in known), None)
    if wrong is not None and not open_ended:
        return f"{what}() has no {wrong!r}.{did_you_mean(wrong, known)}"
    try:
        given = signature.bind(*args, **named).arguments
    except TypeError as error:
        return f"{what}(): {error}; it takes {', '.join(known) or 'nothing'}."
    for name, value in given.items():
        if kinds := _unlike(str(signature.parameters[name].annotation), value):
            return f"{what}(): {name} must be {' or '.join(kinds)}, got {value!r:.80}."
    return None


def _unlike(annotation: str, value: Any) -> list[str] | None:
    """Return the kinds that an annotation names when the value is of none of them.

    Annotations of anything but plain kinds are left to the function.
    """
    names = [word.strip().partition("[")[0] for word in annotation.split("|")]
    if not set(names) <= set(_KINDS):
        return None
    for name in names:
        fits = isinstance(value, _KINDS[name])
        if isinstance(value, bool) and name in ("int", "float"):
            fits = False
        if name == "Sequence" and isinstance(value, str):
            fits = False
        if fits:
            return None
    return [_WORDS[name] for name in names if name in _WORDS]
