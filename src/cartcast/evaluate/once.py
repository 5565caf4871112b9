"""One decision a session, however many rows it has."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

__all__ = ["once"]


def once(y_pred: Any, sessions: Any) -> NDArray[np.intp]:
    """Return the places of one row a session: that of its highest score, the first of several.

    The rows of a session are the moments at which somebody could act on it, and somebody acts
    once. At any threshold the sessions that are acted on are those whose highest score reaches it,
    so a count of these rows is a count of sessions. A row without a session stands alone.

    >>> once([0.2, 0.7, 0.7, 0.1, 0.4], ["a", "a", "a", "b", None]).tolist()
    [1, 3, 4]
    """
    table = pd.DataFrame({"p": np.asarray(y_pred, dtype=np.float64), "s": np.asarray(sessions)})
    alone = table["s"].isna()
    best = table[~alone & table["p"].notna()].groupby("s", sort=False)["p"].idxmax()
    return np.sort(np.concatenate([best.to_numpy(np.intp), np.flatnonzero(alone)]))
