"""What a column of a ready table means, whatever file or library it comes from.

Every source becomes Arrow columns; here each is read as numbers, words or times. Texts are read by
what they say: `2.5`, `True`, `0:01:30` and `12,50` are numbers, `2024-05-01` is a time. So a CSV, a
Parquet file and a table in memory with the same values give the same column, in any unit or width.
How a column was read is its `Meaning`: a run records it, and later tables are read by it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, NamedTuple, TypeAlias

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute
from numpy.typing import NDArray

from cartcast.errors import DataError
from cartcast.events.numbers import mark_of_sample, number_sql
from cartcast.events.signs import sign_of_sample
from cartcast.events.time_forms import find_format
from cartcast.events.times import time_sql

__all__ = ["HOLLOW", "Arrow", "Column", "Meaning", "decoded", "is_text", "read_column", "words_of"]

Floats = NDArray[np.float64]
Arrow: TypeAlias = Any
"""An Arrow array, whole or in chunks; the stubs of Arrow know neither well, nor its functions."""
pc: Any = pyarrow.compute
Kind = Literal["number", "word", "time"]

HOLLOW = frozenset(
    {
        "?", "??", "-", "--", "-?", ".", "\\n", "na", "n/a", "#n/a", "n.a.", "<na>", "nan",
        "nat", "null", "(null)", "none", "nil", "missing", "undefined", "unknown",
        "not available", "not applicable", "#value!", "#div/0!", "#ref!", "#num!", "0000-00-00",
        "0000-00-00 00:00:00",
    }
)  # fmt: skip
"""Words (in small letters) that stand for no value among numbers or times."""

_SILENT = frozenset({"nan", "nat", "<na>"})
"""How libraries write a null themselves: nothing to be told."""

ODD_SHARE = 0.01
"""At most this share of a column of numbers or times may be other words; they are null."""

_EXACT = 2**53
"""Whole numbers beyond are no quantities but ids: a float64 cannot tell them apart."""

_PLAIN = r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$|^[+-]?(?i:inf|infinity)$"
_MARKED = r"^[+-]?\d[\d.,'\x{a0}\x{202f} ]*$|^[+-]?[.,]\d+$"
_ISO = r"^\d{4}[-/]\d{1,2}[-/]\d{1,2}([T ].*)?$"
_DATED = r"\d{1,4}[ ./,-].*\d"
_CLOCK = r"(?:(\d+):(\d\d)(?::(\d\d)(?:\.(\d+))?)?)"
_SPAN = rf"^[+-]?(\d+ days?,?( [+-]?{_CLOCK})?|{_CLOCK})$|^[+-]?P[\dDTHMSW.]+$"
_DAYS = re.compile(rf"([+-]?)(?:(\d+) days?,? ?)?([+-]?){_CLOCK}?")
_ISO_SPAN = re.compile(
    r"([+-]?)P(?:(\d+)W)?(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)(?:\.(\d+))?S)?)?"
)
_PER_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}


@dataclass(frozen=True)
class Meaning:
    """How a column is read.

    Attributes:
        kind: `number` (float64, NaN for null), `word` (text, None for null) or `time`.
        form: how its texts are written: of numbers `plain`, `.` or `,` (decimal mark, beside marks
            of thousands), `truth` (true and false) or `span` (times of day and durations, in
            seconds); of times `iso` or a `strptime` format.
        nulls: words of its own that are read as null, beside `HOLLOW`.
        sign: what is written beside its numbers: the sign of a currency, or `%`.
    """

    kind: Kind
    form: str = ""
    nulls: tuple[str, ...] = ()
    sign: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        plain = {"kind": self.kind, "form": self.form, "nulls": list(self.nulls)}
        return plain | ({"sign": self.sign} if self.sign else {})

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Meaning:
        """Read back what `as_dict` wrote."""
        nulls = tuple(data.get("nulls", ()))
        return cls(data["kind"], data.get("form", ""), nulls, data.get("sign", ""))


@dataclass(frozen=True)
class Column:
    """A column, read.

    Attributes:
        meaning: how it was read.
        values: float64, object (text or None) or datetime64[us] (UTC), numbered from 0.
        nulled: words read as null, with how many of each.
    """

    meaning: Meaning
    values: pd.Series
    nulled: Mapping[str, int] = field(default_factory=dict)


def read_column(array: Arrow, known: Meaning | None = None) -> Column:
    """Return what an Arrow column means; with `known`, read it as that.

    Raises:
        DataError: a value is not what `known` says (the row is told).

    >>> read_column(pa.array(["1", " 2.5", "?", ""])).values.tolist()
    [1.0, 2.5, nan, nan]
    >>> read_column(pa.array(["a", "", None])).values.tolist()
    ['a', None, None]
    """
    flat = decoded(array)
    if known is not None and known.kind == "word":
        return Column(known, words_of(flat))
    typed = None if is_text(flat.type) else _typed(flat, known is None)
    if typed is None:
        return _of_text(_texts(flat), known)
    if known is not None and typed.meaning.kind != known.kind:
        raise _unfit(known, flat, pc.is_valid(flat))
    return typed


def words_of(array: Arrow) -> pd.Series:
    """Return a column as text, None where null; whole numbers without a decimal point."""
    flat = decoded(array)
    if pa.types.is_floating(flat.type):
        texts = _shortest(flat)
    elif pa.types.is_boolean(flat.type):
        texts = pc.if_else(flat, "True", "False")
    else:
        texts = _texts(flat)
    texts = pc.replace_substring_regex(texts, r"^([+-]?\d+)\.0*$", r"\1")
    return _objects(texts)


def decoded(array: Arrow) -> Arrow:
    """Return a column in one piece, and a dictionary of values as its values."""
    if isinstance(array, pa.ChunkedArray):
        array = array.combine_chunks() if array.num_chunks else pa.nulls(0, array.type)
    if isinstance(array, pa.ChunkedArray):
        array = pa.concat_arrays(array.chunks)
    while pa.types.is_dictionary(array.type):
        values = array.dictionary
        if pa.types.is_string_view(values.type):
            values = values.cast(pa.string())
        array = values.take(array.indices)
    return array


def is_text(kind: pa.DataType) -> bool:
    """Return whether an Arrow type holds text."""
    return bool(
        pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)
    )


def _typed(flat: Arrow, exact: bool) -> Column | None:
    """Return a column of a type that says what it is; None of one to be read as text.

    With `exact`, whole numbers that float64 cannot tell apart are words.
    """
    kind = flat.type
    if flat.null_count == len(flat):
        return None
    number = Meaning("number", "plain")
    if pa.types.is_boolean(kind):
        return Column(Meaning("number", "truth"), _series(flat.cast(pa.int8())))
    if pa.types.is_integer(kind):
        ends = pc.min_max(flat)
        if exact and (ends["max"].as_py() > _EXACT or ends["min"].as_py() < -_EXACT):
            return Column(Meaning("word"), words_of(flat))
        return Column(number, _series(flat))
    if pa.types.is_floating(kind):
        # The shortest text of a narrow float is what its writer meant, and what a CSV holds.
        wide = flat if kind == pa.float64() else _shortest(flat).cast(pa.float64())
        values = _series(wide)
        return Column(number, values) if values.notna().any() else None
    if pa.types.is_duration(kind) or pa.types.is_time(kind):
        per = _PER_SECOND[kind.unit]
        values = _series(flat.cast(pa.int32() if pa.types.is_time32(kind) else pa.int64()))
        return Column(Meaning("number", "span"), values / per)
    if pa.types.is_date(kind) or pa.types.is_timestamp(kind):
        moments = flat.cast(pa.timestamp("us", getattr(kind, "tz", None)), safe=False)
        moments = moments.cast(pa.timestamp("us"), safe=False)
        values = pd.Series(moments.to_numpy(zero_copy_only=False)).astype("datetime64[us]")
        return Column(Meaning("time", "iso"), values)
    return None


def _series(flat: Arrow) -> pd.Series:
    values = flat.to_numpy(zero_copy_only=False).astype(np.float64)
    return pd.Series(values, dtype="float64")


def _objects(texts: Arrow) -> pd.Series:
    values = np.asarray(texts.to_pylist(), dtype=object)
    return pd.Series(values.reshape(len(texts)), dtype=object)


def _shortest(flat: Arrow) -> Arrow:
    """Return floats as their shortest texts."""
    if flat.type == pa.float16():
        values = flat.to_numpy(zero_copy_only=False)
        null = flat.is_null().to_numpy(zero_copy_only=False)
        told = [None if n or v != v else str(v) for v, n in zip(values, null, strict=True)]
        return pa.array(told, pa.string())
    return pc.if_else(pc.is_nan(flat), None, flat).cast(pa.string())


def _texts(flat: Arrow) -> Arrow:
    """Return any column as stripped texts, null where empty."""
    kind = flat.type
    if pa.types.is_null(kind):
        return pa.nulls(len(flat), pa.string())
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        moments = flat.cast(pa.timestamp("us", getattr(kind, "tz", None)), safe=False)
        texts = moments.cast(pa.timestamp("us"), safe=False).cast(pa.string())
        texts = pc.replace_substring_regex(texts, r"( 00:00:00)?\.0+$", "")
    elif is_text(kind) or pa.types.is_decimal(kind) or pa.types.is_integer(kind):
        texts = flat.cast(pa.string())
    elif pa.types.is_floating(kind):
        texts = _shortest(flat)
    else:
        texts = pa.array([_said(v) for v in flat.to_pylist()], pa.string())
    texts = pc.utf8_trim_whitespace(texts)
    return pc.if_else(pc.equal(texts, ""), None, texts)


def _said(value: Any) -> str | None:
    if value is None:
        return None
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return str(value)


class _Reading(NamedTuple):
    """Values of distinct words read in one form: NaN or NaT where a word does not fit it."""

    meaning: Meaning
    values: Any
    fits: NDArray[np.bool_]


def _of_text(texts: Arrow, known: Meaning | None) -> Column:
    """Read a column of texts: each distinct word once."""
    coded = texts.dictionary_encode()
    words = coded.dictionary
    codes = pc.fill_null(coded.indices, -1).to_numpy(zero_copy_only=False)
    counts = np.bincount(codes[codes >= 0], minlength=len(words))
    small = pc.utf8_lower(words)
    silent = _isin(small, _SILENT)
    if known is not None:
        nulls = _isin(small, HOLLOW) | _isin(words, known.nulls)
        found = _known(_bare(words, known.sign), known)
        wrong = ~(found.fits | nulls)
        if wrong.any():
            raise _unfit(known, texts, pa.array(np.append(wrong, False)[codes]))
        return _column(found, words, codes, counts, silent, known)
    hollow = _isin(small, HOLLOW)
    total = int(counts.sum())
    sign = sign_of_sample(words[:10_000].to_pylist(), also="%") or ""
    shown = _bare(words, sign)
    for read in (_plain, _marked) if sign else (_plain, _truth, _iso, _span, _marked, _dated):
        found = read(shown, hollow)
        good = int(counts[found.fits].sum())
        empty = int(counts[hollow & ~found.fits].sum())
        odd = total - good - empty
        most = 0 if found.meaning.form == "truth" else ODD_SHARE * total
        if good and good >= empty and odd <= most:
            if found.meaning.kind == "number" and _too_long(words, found):
                break
            own = words.filter(pa.array(~found.fits & ~hollow)).to_pylist()
            meaning = replace(found.meaning, nulls=tuple(sorted(own)), sign=sign)
            return _column(found, words, codes, counts, silent, meaning)
    return Column(Meaning("word"), words_of(texts))


def _bare(words: Arrow, sign: str) -> Arrow:
    """Return words without a sign."""
    return pc.utf8_trim_whitespace(pc.replace_substring(words, sign, "")) if sign else words


def _column(
    found: _Reading, words: Arrow, codes: Any, counts: Any, silent: Any, meaning: Meaning
) -> Column:
    empty = np.datetime64("NaT", "us") if meaning.kind == "time" else np.nan
    values = np.append(np.where(found.fits, found.values, empty), empty)
    told = np.flatnonzero(~found.fits & ~silent & (counts > 0))
    nulled = {str(words[int(i)]): int(counts[i]) for i in told}
    return Column(meaning, pd.Series(values[codes]), nulled)


def _isin(words: Arrow, some: Any) -> NDArray[np.bool_]:
    held = pc.is_in(words, pa.array(sorted(some), pa.string()))
    return np.asarray(held.to_numpy(zero_copy_only=False), dtype=bool)


def _matching(words: Arrow, pattern: str) -> NDArray[np.bool_]:
    found = pc.match_substring_regex(words, pattern)
    return np.asarray(found.to_numpy(zero_copy_only=False), dtype=bool)


def _too_long(words: Arrow, found: _Reading) -> bool:
    """Return whether whole numbers are among the words that float64 cannot tell apart."""
    long = _matching(words, r"^[+-]?\d{16,}$") & found.fits
    return any(abs(int(w)) > _EXACT for w in words.filter(pa.array(long)).to_pylist())


def _plain(words: Arrow, hollow: Any = None) -> _Reading:
    fits = _matching(words, _PLAIN)
    # What the engine's cast does not take is what nobody writes: a point with nothing after it.
    shown = pc.replace_substring_regex(words, r"^\+|\.$", "")
    shown = pc.replace_substring_regex(shown, r"\.([eE])", r"\1")
    shown = pc.replace_substring_regex(shown, r"^(-?)\.", r"\10.")
    numbers = pc.if_else(pa.array(fits), shown, None).cast(pa.float64())
    return _Reading(Meaning("number", "plain"), _series(numbers).to_numpy(), fits)


def _truth(words: Arrow, hollow: Any = None) -> _Reading:
    small = pc.utf8_lower(words)
    true, false = _isin(small, {"true"}), _isin(small, {"false"})
    return _Reading(Meaning("number", "truth"), true.astype(np.float64), true | false)


def _span(words: Arrow, hollow: Any = None) -> _Reading:
    fits = _matching(words, _SPAN)
    values = np.full(len(words), np.nan)
    for i in np.flatnonzero(fits):
        values[i] = _seconds(str(words[int(i)]))
    return _Reading(Meaning("number", "span"), values, fits & ~np.isnan(values))


def _seconds(text: str) -> float:
    """Return the seconds of `1 days 00:01:30.5`, `12:30` or `PT1M`; NaN of anything else."""
    if match := _DAYS.fullmatch(text):
        sign, days, turn, hours, minutes, seconds, part = match.groups()
        weeks = None
    elif match := _ISO_SPAN.fullmatch(text):
        sign, weeks, days, hours, minutes, seconds, part = match.groups()
        turn = sign
    else:
        return float("nan")
    clock = int(hours or 0) * 3600 + int(minutes or 0) * 60 + int(seconds or 0)
    nanos = clock * 10**9 + int((part or "")[:9].ljust(9, "0"))
    long = (int(days or 0) + 7 * int(weeks or 0)) * 86_400 * 10**9
    # `-1 days +23:59:59` is one second: the sign is that of the days alone.
    minus = turn == "-" or (sign == "-" and not turn)
    alone = sign == "-" and days is None and weeks is None
    return ((-long if sign == "-" else long) + (-nanos if minus or alone else nanos)) / 10**9


def _marked(words: Arrow, hollow: Any = None) -> _Reading:
    shaped = _matching(words, _MARKED)
    sample = words.filter(pa.array(shaped))[:10_000].to_pylist()
    return _by_mark(words, mark_of_sample(sample), shaped)


def _by_mark(words: Arrow, mark: str, shaped: Any = None) -> _Reading:
    fits = _matching(words, _MARKED) if shaped is None else shaped
    values = np.full(len(words), np.nan)
    if fits.any():
        asked = _asked(words.filter(pa.array(fits)), number_sql("word", mark))
        values[fits] = _series(asked.cast(pa.float64()))
    return _Reading(Meaning("number", mark), values, ~np.isnan(values))


def _iso(words: Arrow, hollow: Any = None) -> _Reading:
    return _by_form(words, "iso", _matching(words, _ISO))


def _dated(words: Arrow, hollow: Any = None) -> _Reading:
    shaped = _matching(words, _DATED)
    some = words.filter(pa.array(shaped & (True if hollow is None else ~hollow)))[:200].to_pylist()
    form = find_format(some)[0] if some else None
    if form is None or "%" not in form:
        return _Reading(Meaning("word"), np.full(len(words), np.nan), np.zeros(len(words), bool))
    return _by_form(words, form, shaped)


def _by_form(words: Arrow, form: str, shaped: NDArray[np.bool_]) -> _Reading:
    values = np.full(len(words), np.datetime64("NaT", "us"))
    if shaped.any():
        sql = time_sql("word", form, None)
        asked = _asked(words.filter(pa.array(shaped)), sql.utc, f"{sql.written} AS kind")
        values[shaped] = asked.cast(pa.timestamp("us")).to_numpy(zero_copy_only=False)
    return _Reading(Meaning("time", form), values, ~np.isnat(values))


def _asked(words: Arrow, sql: str, more: str = "NULL AS kind") -> Arrow:
    """Return what the engine says of each word, in order."""
    table = pa.table({"place": pa.array(range(len(words))), "word": words})
    with duckdb.connect() as con:
        con.execute("SET TimeZone = 'UTC'")
        con.register("words", table)
        inner = f"SELECT place, word, {more} FROM words"
        found = con.execute(f"SELECT {sql} AS said FROM ({inner}) ORDER BY place")
        return decoded(found.to_arrow_table()["said"])


def _known(words: Arrow, known: Meaning) -> _Reading:
    """Read distinct words as a column was read before."""
    if known.kind == "time":
        iso = _iso(words)
        if known.form == "iso" or not known.form:
            return iso
        found = _by_form(words, known.form, _matching(words, _DATED))
        return _Reading(known, np.where(found.fits, found.values, iso.values),
                        found.fits | iso.fits)  # fmt: skip
    if known.form == ",":
        return _by_mark(words, ",")
    found = _plain(words)
    others = [_by_mark(words, ".")] if known.form == "." else [_truth(words), _span(words)]
    for more in others:
        values = np.where(found.fits, found.values, more.values)
        found = _Reading(known, values, found.fits | more.fits)
    return found


def _unfit(known: Meaning, values: Arrow, wrong: Arrow) -> DataError:
    """Return the error for a column that holds other than what was learned from."""
    row = int(pc.index(wrong, True).as_py())
    what = {"number": "a number", "time": "a date or time"}.get(known.kind, "text")
    got = values[row].as_py() if row >= 0 else None
    return DataError(f"row {row + 1}: must be {what} as in training, got {got!r}.")
