"""Audit clean shops and count what is said: no `block` is allowed, and a `warn` is rare.

    python benchmarks/audit_false_alarms.py [--shops 200] [--simulated 20] [--json]

`--shops` made-up tables of `clean_shops.py`, and `--simulated` shops of `cartcast simulate`, put
through Cartcast's own features, anchors and split. For each code: the share of shops that it warned
or blocked, and what that share may be at most (95 %, Wilson). Rules may be looked at many times in
one shop (columns, periods); a shop counts once. LK503 says that there are fewer than 100 positives,
which is true where it is said, and is no alarm.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np
from clean_shops import FEATURES, clean_shop

from cartcast.evaluate.share import share
from cartcast.leakage import AuditInput, audit

TRUE_WHERE_SAID = {"LK503"}


def alarms(said: list[set[str]]) -> dict[str, str]:
    """Return for each code, and for any, in which share of the shops it was said."""
    codes = sorted(set().union(*said)) if said else []
    counts = {"any": sum(bool(s) for s in said), **{c: sum(c in s for s in said) for c in codes}}
    out = {}
    for code, count in counts.items():
        found = share(count, len(said))
        out[code] = f"{count} of {len(said)}, at most {found.high:.1%}"
    return out


def made_up(shops: int) -> dict[str, object]:
    """Audit `shops` tables of `clean_shops.py`."""
    counts: Counter[str] = Counter()
    seconds, blocked, rows, said = [], [], 0, []
    for seed in range(shops):
        shop = clean_shop(seed)
        if shop.train["label"].nunique() < 2 or shop.test["label"].nunique() < 2:
            counts["(no buyer at all, skipped)"] += 1
            continue
        rows += len(shop.train) + len(shop.test)
        began = time.process_time()
        found = audit(
            AuditInput(
                train=shop.train, test=shop.test, target="label", features=FEATURES,
                session="session_id", visitor="visitor_id", time="anchor_time", click="click",
                clock="time",
            )
        )  # fmt: skip
        seconds.append(time.process_time() - began)
        counts.update({f"{f.code} {f.severity}" for f in found})
        loud = {f.code for f in found if f.severity != "note"}
        said.append(loud - TRUE_WHERE_SAID)
        blocked += [(seed, f.code, f.message) for f in found if f.severity == "block"]
    return {
        "shops": shops,
        "rows": rows,
        "shops_blocked": len({b[0] for b in blocked}),
        "blocked": blocked,
        "shops_with_finding": dict(sorted(counts.items())),
        "alarms": alarms(said),
        "cpu_seconds_per_audit_median": round(float(np.median(seconds)), 3),
        "cpu_seconds_per_audit_max": round(float(np.max(seconds)), 3),
    }


def simulated(shops: int, sessions: int = 5000) -> dict[str, object]:
    """Audit shops of `cartcast simulate` after Cartcast's own features, anchors and split."""
    from cartcast.config import DEFAULTS
    from cartcast.datasets import simulate
    from cartcast.events import load
    from cartcast.features import load_set
    from cartcast.rows import from_log
    from cartcast.splits import split_by_time
    from cartcast.targets import Purchase

    counts: Counter[str] = Counter()
    blocked, said = [], []
    features, target = load_set("default"), Purchase()
    for seed in range(shops):
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "shop.parquet"
            simulate(sessions=sessions, seed=seed, out=file)
            rows = from_log(load(file), target, features, DEFAULTS.anchors)
            part = split_by_time(rows.table, DEFAULTS.split, by_clock=True).part
        table = rows.table.assign(part=part)
        found = audit(
            AuditInput(
                train=table[table["part"].notna()], target="label", split="part",
                features=rows.features, session="session_id", visitor="visitor_id",
                time="anchor_time", click="click", clock="time", reads=target.reads,
                kind=target.kind,
                lineage={name: f.lineage for name, f in features.features.items()},
            )
        )  # fmt: skip
        counts.update({f"{f.code} {f.severity}" for f in found})
        loud = {f.code for f in found if f.severity != "note"}
        said.append(loud - TRUE_WHERE_SAID)
        blocked += [(seed, f.code, f.message) for f in found if f.severity == "block"]
    return {
        "shops": shops,
        "sessions": sessions,
        "shops_blocked": len({b[0] for b in blocked}),
        "blocked": blocked,
        "shops_with_finding": dict(sorted(counts.items())),
        "alarms": alarms(said),
    }


def main() -> None:
    """Print the counts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shops", type=int, default=200)
    parser.add_argument("--simulated", type=int, default=20)
    parser.add_argument("--json", action="store_true")
    words = parser.parse_args()
    result = {"made_up": made_up(words.shops)}
    if words.simulated:
        result["simulated"] = simulated(words.simulated)
    if words.json:
        print(json.dumps(result, indent=2))
        return
    for name, part in result.items():
        print(name)
        for key, value in part.items():
            print(f"  {key}: {value}")


if __name__ == "__main__":
    main()
