"""Operation codes; how an operation and its state lie in memory is in `kernels.layout`.

Numbers of codes are part of the stored state's format: add, never renumber (and raise `FORMAT` in
`build` when an operation changes its meaning).
"""

from __future__ import annotations

from typing import Final

__all__ = ["CODES"]

# Stage 1: masks and numbers of each event of a block.
EQ_I: Final = 1  # mask = (a == whole)
EQ_F: Final = 2  # mask = (a == real)
OR_EQ_I: Final = 3  # mask |= (a == whole)
OR_EQ_F: Final = 4
ABOVE: Final = 5
BELOW: Final = 6
NOT_NULL_I: Final = 7
NOT_NULL_F: Final = 8
AND: Final = 9  # masks a, b
OR: Final = 10
NOT: Final = 11
SAME: Final = 12  # mask = (a == previous a of the session)
GAP: Final = 13  # register = seconds since the previous
TIMES: Final = 14
NEGATED: Final = 15
ABOVE_AVERAGE: Final = 16  # register = a above the mean so far of the same b
DECAY_SECONDS: Final = 17  # register = 2 ** (-gap / half-life)
DECAY_CLICKS: Final = 18  # register = the constant factor
PREVIOUS: Final = 19  # mask = (mask a held on the previous event of the session)

# Stage 2: reductions; each writes its value for the events that are asked for.
COUNT: Final = 32
SUM: Final = 33
MIN: Final = 34
MAX: Final = 35
FIRST_F: Final = 36
LAST_F: Final = 37
FIRST_I: Final = 38
LAST_I: Final = 39
STD: Final = 40
NUNIQUE: Final = 41
MODE: Final = 42
SINCE_LAST: Final = 43
SINCE_FIRST: Final = 44
WITHIN: Final = 45
DECAY_COUNT: Final = 46
DECAY_SUM: Final = 47

# Stage 3: arithmetic on the values that are asked for.
RATIO: Final = 64
DIFFERENCE: Final = 65
TOTAL: Final = 66
PRODUCT: Final = 67
HOUR: Final = 68
DAYOFWEEK: Final = 69
MONTH: Final = 70

CODES: Final[dict[str, int]] = {
    name: value for name, value in list(globals().items()) if name.isupper() and name != "CODES"
}
