"""Values of one live event as the words that registers hold."""

from __future__ import annotations

import datetime as dt
from typing import Any, Final

import numpy as np

from cartcast.errors import DataError
from cartcast.features.encode import MOST_SECONDS
from cartcast.features.kernels.words import NOTHING, hash_text, key_word
from cartcast.features.shop_clock import MINUTE

__all__ = ["key_of", "learn", "microseconds", "seconds_word", "shop_time"]

_EPOCH = dt.datetime(1970, 1, 1)
_EPOCH_UTC = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_MOST_TEXTS: Final = 50_000
"""Hashes of texts remembered per column before starting over."""


def microseconds(time: Any) -> int | None:
    """Return microseconds since 1970 (UTC) of a datetime, ISO text, or number of microseconds.

    A time without a zone is UTC.

    Raises:
        DataError: it is none of these.

    >>> microseconds("1970-01-01T00:00:01Z"), microseconds(dt.datetime(1970, 1, 2)), microseconds(5)
    (1000000, 86400000000, 5)
    """
    if time is None:
        return None
    if isinstance(time, int):
        return _microseconds(time)
    if isinstance(time, str):
        try:
            time = dt.datetime.fromisoformat(time)
        except ValueError as error:
            raise DataError(f"event_time: needs an ISO 8601 time, got {time!r}.") from error
    if isinstance(time, dt.datetime):
        if time != time:  # pandas' missing time
            return None
        since = time - (_EPOCH if time.tzinfo is None else _EPOCH_UTC)
        return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds
    if isinstance(time, np.datetime64):
        return None if np.isnat(time) else int(time.astype("datetime64[us]").astype(np.int64))
    raise DataError(f"event_time: needs a time, got {type(time).__name__} {time!r}.")


def learn(text: Any, known: dict[Any, int], name: str) -> int:
    """Return the hash of a column's text, and remember it.

    Raises:
        DataError: it is no text.
    """
    if text is None or text != text:
        known[None] = NOTHING
        return NOTHING
    if not isinstance(text, str):
        raise DataError(f"{name}: needs a text, got {type(text).__name__} {text!r}.")
    if len(known) >= _MOST_TEXTS:
        known.clear()
        known[None] = NOTHING
    try:
        known[text] = word = hash_text(text)
    except UnicodeEncodeError as error:
        raise DataError(f"{name}: needs a text, got half of a character in {text!r}.") from error
    return word


def shop_time(time: int | None, offset: float | None) -> int | None:
    """Return a time (UTC) by the shop's clock, `offset` minutes east of UTC; null is 0."""
    if time is None or offset is None or offset != offset:
        return time
    try:
        return _microseconds(time + round(offset * MINUTE))
    except (TypeError, OverflowError) as error:
        raise DataError(f"utc_offset: needs minutes, got {offset!r}.") from error


def seconds_word(seconds: Any) -> int | None:
    """Return seconds since the session began in microseconds.

    Raises:
        DataError: it is no number of seconds.
    """
    try:
        if seconds is None or seconds != seconds:
            return None
        if abs(seconds) >= MOST_SECONDS:
            raise OverflowError
        word: int = round(seconds * 1e6)
    except (TypeError, OverflowError) as error:
        raise DataError(f"session_seconds: needs seconds, got {seconds!r}.") from error
    return word


def _microseconds(time: int) -> int:
    if not NOTHING < time < -NOTHING:
        raise DataError(f"event_time: {time} microseconds are more than 292,000 years.")
    return time


def key_of(value: Any) -> int:
    """Return the word of a value that is only told apart from others.

    Raises:
        DataError: it is neither a number nor a text.
    """
    if value is None:
        return NOTHING
    try:
        return hash_text(value) if isinstance(value, str) else key_word(float(value))
    except (TypeError, OverflowError, UnicodeEncodeError) as error:
        raise DataError(
            f"a value to be told apart must be a number or a text, got {value!r}."
        ) from error
