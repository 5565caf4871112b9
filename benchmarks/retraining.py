"""How often is a challenger promoted that is no better, and how soon one that is?

    python benchmarks/retraining.py [--streams 300] [--visitors 1000]

Draws streams of two models' scores over 90 days (`cartcast.monitoring.paired`), looked at every
day. The odds of visitors are normal on their logarithm (mean -3.8, deviation 1); each has one to
four moments. Then the cost of recording a score in a live service is timed.
"""

from __future__ import annotations

import argparse
import math
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.special import expit

from cartcast.live.record import ScoreRecord
from cartcast.monitoring.paired import block_sums, log_evidence

DAYS = 90
PROOF = math.log(20)

Said = tuple[np.ndarray, np.ndarray, np.ndarray]


def worlds(z: np.ndarray, noise: np.ndarray, other: np.ndarray) -> dict[str, Said]:
    """Log odds of the truth, of what the champion says, and of what the challenger says."""
    mean = z.mean()
    return {
        "both err alike": (z, z + 0.3 * noise, z + 0.3 * other),
        "the champion knows the truth, the challenger nearly": (z, z, z + 0.1 * other),
        "the champion knows the truth, the challenger errs": (z, z, z + 0.5 * other),
        "conversion x 0.8": (z + math.log(0.8), z, z + math.log(0.8)),
        "conversion x 0.5": (z + math.log(0.5), z, z + math.log(0.5)),
        "half of what the champion knows is gone": (
            mean + 0.5 * (z - mean), z, mean + 0.5 * (z - mean)
        ),
        "the challenger knows a feature more (deviation 0.3)": (z + 0.3 * noise, z, z + 0.3 * noise),
    }  # fmt: skip


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--streams", type=int, default=300)
    asked.add_argument("--visitors", type=int, default=1_000)
    a = asked.parse_args()
    n = DAYS * a.visitors
    told: dict[str, list[tuple[float, float]]] = {}
    for stream in range(a.streams):
        rng = np.random.default_rng(stream)
        z, noise, other = rng.normal(-3.8, 1, n), rng.normal(size=n), rng.normal(size=n)
        each = np.repeat(np.arange(n), rng.integers(1, 5, n))
        drawn = rng.random(n)
        for name, (truth, champion, challenger) in worlds(z, noise, other).items():
            table = pd.DataFrame(
                {
                    "block": each // a.visitors, "visitor_id": each, "time": np.arange(each.size),
                    "champion": expit(champion)[each], "challenger": expit(challenger)[each],
                    "label": (drawn < expit(truth)).astype(float)[each],
                }
            )  # fmt: skip
            sums = block_sums(table, 0.035)
            s, v = sums["log_loss_sum"].cumsum(), sums["log_loss_square"].cumsum()
            days = [
                float(found.argmax() + 1) if found.any() else math.inf
                for found in (log_evidence(s, v) >= PROOF, log_evidence(-s, v) >= PROOF)
            ]
            told.setdefault(name, []).append((days[0], days[1]))
    print(f"{a.streams:,} streams of {DAYS} days, {a.visitors:,} visitors a day")
    for name, days in told.items():
        better, worse = np.array(days).T
        print(
            f"{name:55} better {np.isfinite(better).mean():6.1%} median day {np.median(better):4.0f}"
            f"   worse {np.isfinite(worse).mean():6.1%} median day {np.median(worse):4.0f}"
        )
    with tempfile.TemporaryDirectory() as folder:
        record = ScoreRecord(Path(folder), 10**9)
        begin = time.perf_counter()
        for k in range(100_000):
            record.add(1_780_000_000_000_000 + k, "session", "visitor", 3, 0.05, "run/m")
        added = time.perf_counter()
        record.flush()
        wrote = time.perf_counter()
        size = sum(f.stat().st_size for f in Path(folder).iterdir())
    print(
        f"a score: {(added - begin) * 10:.2f} us on the way, {(wrote - added) * 10:.2f} us beside it, "
        f"{size / 1e5:.0f} bytes"
    )


if __name__ == "__main__":
    main()
