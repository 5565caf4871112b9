# Numba infers the types of kernels; they are declared where they are called.
# mypy: disable-error-code="no-untyped-def,no-untyped-call"
"""Stage 3: arithmetic on the wanted values. NaN is null, and stays null."""

from __future__ import annotations

import numpy as np

from cartcast.features.kernels import codes
from cartcast.features.kernels.block import CODE, OUT, A, B
from cartcast.features.kernels.compiled import inlined, inner
from cartcast.features.kernels.words import NOTHING

__all__ = ["value_stage"]

_HOUR = 3_600_000_000
_DAY = 24 * _HOUR


@inner
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


@inlined
def _calendar(code, out, a, m, b):
    for j in range(m):
        at = b.rg_i[a + j]
        if at == NOTHING:
            b.rg_f[out + j] = np.nan
        elif code == codes.HOUR:
            b.rg_f[out + j] = (at % _DAY) // _HOUR
        elif code == codes.DAYOFWEEK:
            b.rg_f[out + j] = (at // _DAY + 3) % 7  # 1970-01-01 was a Thursday
        else:
            b.rg_f[out + j] = month(at)


@inner
def value_stage(first, stop, m, b):
    """Run operations `first` to `stop` over `m` wanted values."""
    for k in range(first, stop):
        code, out = b.ops_i[k, CODE], b.ops_i[k, OUT] * b.size
        a, c = b.ops_i[k, A] * b.size, b.ops_i[k, B] * b.size
        if code == codes.RATIO:
            for j in range(m):
                den = b.rg_f[c + j]
                b.rg_f[out + j] = b.rg_f[a + j] / den if den != 0.0 else np.nan
        elif code == codes.DIFFERENCE:
            for j in range(m):
                b.rg_f[out + j] = b.rg_f[a + j] - b.rg_f[c + j]
        elif code == codes.TOTAL:
            for j in range(m):
                b.rg_f[out + j] = b.rg_f[a + j] + b.rg_f[c + j]
        elif code == codes.PRODUCT:
            for j in range(m):
                b.rg_f[out + j] = b.rg_f[a + j] * b.rg_f[c + j]
        else:
            _calendar(code, out, a, m, b)
