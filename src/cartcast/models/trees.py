"""Trees as arrays of nodes, summed over the rows of a matrix; compiled, and loaded when used."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

__all__ = ["add_trees"]


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def add_trees(
    Z: Any, roots: Any, feature: Any, threshold: Any, null_left: Any, left: Any, right: Any,
    value: Any, out: Any,
) -> None:  # fmt: skip
    """Add to `out` (rows,) one leaf of each tree for each row of `Z`; trees in their order.

    The arrays are those of `models.export`, found sound by `models.structure`: they are read
    without a check. A null goes left where `null_left` is 1, and is read as 0 where it is 2.
    """
    for i in range(len(Z)):
        total = 0.0
        for root in roots:
            node = root
            while feature[node] >= 0:
                v = Z[i, feature[node]]
                if np.isnan(v):
                    code = null_left[node]
                    goes = code == 1 or (code == 2 and threshold[node] >= 0.0)
                else:
                    goes = v <= threshold[node]
                node = left[node] if goes else right[node]
            total += value[node]
        out[i] += total
