"""Do lists hold what they promise? Expected against happened, in simulated shops.

    python benchmarks/lists.py --shops 4 --sessions 20000 --out /tmp/lists
    python benchmarks/lists.py --machines DATA

For each shop (half of each simulator) and each moment a run is trained; its lists of the test
period, made by the model that was judged, are held against what the log shows came after. `--machines` counts the visitors at the speed of machines in both simulated
shops and in the logs of DATA, and those of them who bought (see docs/moments.md).
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from cartcast import events, simulate
from cartcast.datasets import Missions
from cartcast.moments.machines import machines
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


def count_machines(folder: Path) -> None:
    """Print, of each log: sessions, visitors at the speed of machines, and who of them bought."""
    logs: list[Any] = [
        simulate(20_000, seed=3).events,
        simulate(20_000, seed=3, shop=Missions()).events,
    ]
    for one in ("ga4_event_sample", "ga360_one_day", "rees46_oct2019_head"):
        logs += [f for f in (folder / one).iterdir() if f.suffix != ".md"]
    for source in logs:
        log = events.load(source)
        found = machines(log)
        name = source.name if isinstance(source, Path) else "simulated"
        bought = int(found["bought"].notna().sum())
        print(f"| {name} | {log.summary.sessions:,} | {len(found)} | {bought} |")


def main() -> None:
    """Print the table as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shops", type=int, default=4)
    parser.add_argument("--sessions", type=int, default=20_000)
    parser.add_argument("--models", nargs="+", default=["logistic_regression"])
    parser.add_argument("--out", type=Path)
    parser.add_argument("--machines", type=Path)
    given = parser.parse_args()
    if given.machines:
        count_machines(given.machines)
        return
    if given.out is None:
        parser.error("--out FOLDER, or --machines DATA")
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
