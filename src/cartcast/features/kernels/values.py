# Numba infers the types of kernels; they are declared where they are called.
# mypy: disable-error-code="no-untyped-def,no-untyped-call"
"""Stage 3: arithmetic on the wanted values. NaN is null, and stays null."""

from __future__ import annotations

import numpy as np

from cartcast.features.kernels import codes
from cartcast.features.kernels.compiled import inlined, inner
from cartcast.features.kernels.layout import CODE, OUT, ROW, A, B
from cartcast.features.kernels.memory import real, row_at, set_real, word
from cartcast.features.kernels.words import NOTHING

__all__ = ["value_stage"]

_HOUR = 3_600_000_000
_DAY = 24 * _HOUR


@inlined
def month(microseconds):
    """Return the month (1-12) of a time since 1970, in the proleptic Gregorian calendar.

    Hinnant, "chrono-Compatible Low-Level Date Algorithms", civil_from_days,
    https://howardhinnant.github.io/date_algorithms.html.
    """
    days = microseconds // _DAY + 719_468
    of_era = days - (days // 146_097) * 146_097
    year = (of_era - of_era // 1460 + of_era // 36_524 - of_era // 146_096) // 365
    of_year = of_era - (365 * year + year // 4 - year // 100)
    shifted = (5 * of_year + 2) // 153
    return shifted + 3 if shifted < 10 else shifted - 9


@inner
def value_stage(first, stop, m, b):
    """Run operations `first` to `stop` over `m` wanted values."""
    for k in range(first, stop):
        op = row_at(b.ops, ROW * k)
        kind, out = word(op, CODE), row_at(b.rg, 8 * word(op, OUT) * b.size)
        a = row_at(b.rg, 8 * word(op, A) * b.size)
        c = row_at(b.rg, 8 * word(op, B if kind <= codes.PRODUCT else A) * b.size)
        for j in range(m):
            if kind == codes.RATIO:
                value, den = np.nan, real(c, j)
                if den != 0.0:
                    value = real(a, j) / den
            elif kind == codes.DIFFERENCE:
                value = real(a, j) - real(c, j)
            elif kind == codes.TOTAL:
                value = real(a, j) + real(c, j)
            elif kind == codes.PRODUCT:
                value = real(a, j) * real(c, j)
            else:
                value, at = np.nan, word(a, j)
                if at == NOTHING:
                    value = np.nan
                elif kind == codes.HOUR:
                    value = float((at % _DAY) // _HOUR)
                elif kind == codes.DAYOFWEEK:
                    value = float((at // _DAY + 3) % 7)  # 1970-01-01 was a Thursday
                else:
                    value = float(month(at))
            set_real(out, j, value)
