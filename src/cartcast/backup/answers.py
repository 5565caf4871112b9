"""What a run says of rows made up by a fixed rule: equal before a backup and after a restore."""

from __future__ import annotations

from pathlib import Path
from typing import Any

__all__ = ["ROWS", "answers"]

ROWS = 32
_SEED = 20_260_101


def answers(run_dir: Path) -> dict[str, list[str]] | None:
    """Return what the run says, by column, each number exact as hexadecimal text.

    None for a champion that reads no features.

    Raises:
        NotFoundError, NotTrustedError: a file is not there, or not the recorded one.
    """
    import numpy as np
    import pandas as pd

    from cartcast.runs.run import Run

    try:
        run = Run.open(run_dir).loaded()
        if run.reads_events:
            return None
        names = run.data["features"]["names"]
        categorical = run.data["features"]["categorical"]
    except KeyError:
        # A run of another tool, or of an early version: its files are compared, not its answers.
        return None
    rng = np.random.default_rng(_SEED)
    columns: dict[str, Any] = {}
    for name in names:
        if name in categorical:
            columns[name] = rng.choice(["a", "b", "other"], ROWS)
        else:
            columns[name] = np.round(rng.lognormal(1.0, 1.5, ROWS), 3)
    said = run.score(run.typed(pd.DataFrame(columns)))
    return {k: [float(v).hex() for v in np.asarray(values)] for k, values in said.items()}
