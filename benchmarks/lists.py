"""Do lists hold what they promise? Expected against happened, in simulated shops.

    python benchmarks/lists.py --shops 4 --sessions 20000 --out /tmp/lists

For each shop (half of each simulator) and each moment a run is trained; its lists of the test
period, made by the model that was judged, are held against what the log shows came after.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from cartcast import simulate
from cartcast.datasets import Missions
from cartcast.train import train

MOMENTS = {"during": None, "after": "7d", "day": "7d"}
FIGURES = ("expected", "happened", "low", "high", "best_expected", "best_happened")


def rows(folder: Path, shops: int, sessions: int, models: tuple[str, ...]) -> list[dict[str, Any]]:
    """Return one row a shop and moment."""
    found = []
    for seed in range(1, shops + 1):
        shop = folder / f"shop-{seed}.parquet"
        kind = Missions() if seed % 2 == 0 else None
        made = simulate(sessions=sessions, seed=seed, out=shop, shop=kind)
        for moment, horizon in MOMENTS.items():
            run = train(
                made.out, moment=moment, horizon=horizon, models=models, backtest=False, refit=False,
                run_dir=folder / f"run-{seed}-{moment}",
            )  # fmt: skip
            check = run.data["lists"]["check"] or {}
            found.append(
                {"shop": f"{seed} ({'second' if kind else 'first'})", "moment": moment, **check}
            )
            print(found[-1], flush=True)
    return found


def main() -> None:
    """Print the table as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shops", type=int, default=4)
    parser.add_argument("--sessions", type=int, default=20_000)
    parser.add_argument("--models", nargs="+", default=["logistic_regression"])
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    found = rows(given.out, given.shops, given.sessions, tuple(given.models))
    print("| shop | moment | lists | rows | expected % | happened % | 95 % | best tenth | agrees |")
    print("|---|---|---|---|---|---|---|---|---|")
    for r in found:
        figures = [f"{100 * r[name]:.2f}" for name in FIGURES]
        e, h, low, high, best, came = figures
        print(
            f"| {r['shop']} | {r['moment']} | {r['lists']} | {r['rows']:,} | {e} | {h} | "
            f"{low} to {high} | {best} and {came} | {'yes' if r['agrees'] else 'no'} |"
        )


if __name__ == "__main__":
    main()
