"""From the prevalence that a model was trained at to the natural one, in closed form."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from cartcast.errors import UsageError

__all__ = ["to_prevalence"]

Floats = NDArray[np.float64]


def to_prevalence(p: Any, trained: float, natural: float) -> Floats:
    """Return probabilities moved from one prevalence to another, in closed form.

    `p' = p r / (p r + (1 - p) s)`, r = natural / trained, s = (1 - natural) / (1 - trained):
    exact when resampling changed only how often each class occurs (Elkan 2001, theorem 2;
    Saerens et al. 2002, doi:10.1162/089976602753284446).

    Raises:
        UsageError: a prevalence is not within 0 and 1.

    >>> to_prevalence([0.5], trained=0.5, natural=0.1).round(6).tolist()
    [0.1]
    """
    for name, value in (("trained", trained), ("natural", natural)):
        if not 0 < value < 1:
            raise UsageError(f"{name} prevalence must fulfil 0 < prevalence < 1, got {value}.")
    q = np.asarray(p, dtype=np.float64)
    up = q * (natural / trained)
    down = (1 - q) * ((1 - natural) / (1 - trained))
    return np.asarray(up / (up + down), dtype=np.float64)
