"""Audit clean data and planted leaks, and count what is said of each.

    python benchmarks/false_alarms.py --data FOLDER [--shops 200] [--page docs/audit-figures.md]
    python benchmarks/false_alarms.py --quick

Clean: real logs and tables that are not ours (`clean_tables.py`), made-up shops (`clean_shops.py`)
and shops of `cartcast simulate`, put through Cartcast's own features and split, half of them made
opaque: every column and word a code. A table counts once, however many columns were looked at.
LK503 says that there are few positives, which is true where it is said, and is no alarm.

Planted: six leaks in each real table and in every tenth shop; found is what blocks.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from clean_shops import FEATURES, clean_shop
from clean_tables import Table, clean_tables, features, planted

from cartcast.atomic import write_text
from cartcast.evaluate.share import share
from cartcast.findings import Finding
from cartcast.leakage import AuditInput, audit

TRUE_WHERE_SAID = {"LK503"}
FIRST_SEED = 10_000
"""Shops from here on were not looked at while the thresholds were chosen."""

SHARED = Path(__file__).resolve().parents[1].parent / "shared" / "data"
EXPECTED = {
    "copies": {"LK303"},
    "oversampled": {"LK303", "LK304"},
    "encoded": {"LK204", "LK401"},
    "after the outcome": {"LK401"},
    "rule": {"LK403", "LK401"},
    "lifetime": {"LK209", "LK401"},
}
"""Codes that are a right answer to each planted leak: what makes the label certain is one too."""


class Heard(NamedTuple):
    """What the audit said of one table.

    Attributes:
        name: name of the table.
        rows: rows of train and test.
        blocks: codes that block.
        warns: codes that warn, without those that are true where they are said.
        planted: for each leak, whether a right code blocked; empty where none was planted.
        seconds: CPU seconds of the clean audit.
    """

    name: str
    rows: int
    blocks: frozenset[str]
    warns: frozenset[str]
    planted: dict[str, bool]
    seconds: float


def said(findings: list[Finding], severity: str) -> frozenset[str]:
    """Return the codes of one severity that may be an alarm."""
    return frozenset(f.code for f in findings if f.severity == severity) - TRUE_WHERE_SAID


def hear(table: Table, *, plant: bool, seed: int = 0) -> Heard:
    """Audit a clean table, and where wanted the same with each leak planted."""
    began = time.process_time()
    given: dict[str, Any] = {"features": features(table), "target": "label", **table.roles}
    found = audit(AuditInput(train=table.train, test=table.test, **given))
    seconds = time.process_time() - began
    leaks = {}
    if plant:
        for leak, changed in planted(table, np.random.default_rng(seed)):
            codes = said(audit(AuditInput(target="label", **changed)), "block")
            leaks[leak] = bool(codes & EXPECTED[leak])
    rows = len(table.train) + len(table.test)
    print(table.name, "done", file=sys.stderr, flush=True)
    return Heard(table.name, rows, said(found, "block"), said(found, "warn"), leaks, seconds)


ROLES = {"session": "session_id", "visitor": "visitor_id", "time": "anchor_time", "click": "click"}


def made_up(shops: int, sessions: int | None = None) -> Iterator[Table]:
    """Yield shops of `clean_shops.py` with buyers on both sides; `sessions` None: of many sizes."""
    seed = FIRST_SEED
    while shops:
        shop = clean_shop(seed, sessions=sessions)
        if min(t["label"].sum() for t in (shop.train, shop.test)) >= 1:
            columns = [*FEATURES, "label", *(v for v in ROLES.values() if v != "click")]
            yield Table(f"made-up {seed}", shop.train[columns], shop.test[columns], ROLES)
            shops -= 1
        seed += 1


def simulated(shops: int) -> Iterator[Table]:
    """Yield shops of `cartcast simulate`; every second one has codes for names and words."""
    from cartcast.config import DEFAULTS
    from cartcast.datasets import simulate
    from cartcast.events import load
    from cartcast.features import load_set
    from cartcast.rows import from_log
    from cartcast.splits import split_by_time
    from cartcast.targets import Purchase

    declared = load_set("default")
    for seed in range(FIRST_SEED, FIRST_SEED + shops):
        sessions = (600, 1000, 1500, 2500)[seed % 4]
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "shop.parquet"
            simulate(sessions=sessions, seed=seed, out=file)
            made = from_log(load(file), Purchase(), declared, DEFAULTS.anchors)
            part = split_by_time(made.table, DEFAULTS.split, by_clock=True).part
        columns = [*made.features, "label", *(v for v in ROLES.values() if v not in made.features)]
        train, test = (made.table.loc[part == side, columns] for side in ("train", "test"))
        table = Table(f"simulated {seed}", train, test, ROLES)
        yield opaque(table) if seed % 2 else table


def opaque(table: Table) -> Table:
    """Return the table with codes for the names of features and for words."""
    names = {n: f"c{i}" for i, n in enumerate(features(table)) if n != "click"}
    sides = []
    for side in (table.train, table.test):
        coded = side.copy()
        for name in names:
            if not pd.api.types.is_numeric_dtype(side[name]):
                words = pd.factorize(pd.concat([table.train[name], table.test[name]]))[1]
                coded[name] = side[name].map({w: f"w{i}" for i, w in enumerate(words)})
        sides.append(coded.rename(columns=names))
    return Table(f"{table.name}, opaque", *sides, table.roles)


def rates(heard: list[Heard]) -> list[str]:
    """Return the lines of a table: for each code how many clean shops it blocked or warned of."""
    lines = ["| code | block | warn | warn, at most (95 %) |", "|---|---|---|---|"]
    blocks = Counter(c for h in heard for c in h.blocks)
    warns = Counter(c for h in heard for c in h.warns)
    some = {"any": (sum(bool(h.blocks) for h in heard), sum(bool(h.warns) for h in heard))}
    some |= {c: (blocks[c], warns[c]) for c in sorted({*blocks, *warns})}
    for code, (block, warn) in some.items():
        most = share(warn, len(heard)).high or 0.0
        lines.append(f"| {code} | {block} of {len(heard)} | {warn} of {len(heard)} | {most:.1%} |")
    return lines


def found(heard: list[Heard], kind: str) -> list[str]:
    """Return the lines of a table: how many of the planted leaks were found."""
    with_leaks = [h for h in heard if h.planted]
    lines = []
    for leak in EXPECTED:
        hits = [h.planted[leak] for h in with_leaks]
        missed = [h.name for h in with_leaks if not h.planted[leak]]
        names = "; ".join(missed) or "-"
        lines.append(f"| {kind} | {leak} | {sum(hits)} of {len(hits)} | {names} |")
    return lines


def page(real: list[Heard], shops: list[Heard], command: str) -> str:
    """Return the Markdown page."""
    lines = [
        "# What the audit says of clean data", "",
        f"Made by `{command}`; nothing here is typed in. Every table is clean: split by visitor and",
        "time, or at random where rows are people. `LK503` (few positives) is left out: it is true",
        "where it is said. A table counts once, however many columns and periods were looked at.",
        "The real tables were seen while the checks were written, so they are a test that the audit",
        f"passes, not an estimate; the shops (seeds from {FIRST_SEED:,}) were not.", "",
        "## Real tables and logs that are not ours", "",
        "| table | rows | block | warn | CPU s |", "|---|---|---|---|---|",
    ]  # fmt: skip
    for h in real:
        block, warn = (", ".join(sorted(c)) or "-" for c in (h.blocks, h.warns))
        lines.append(f"| {h.name} | {h.rows:,} | {block} | {warn} | {h.seconds:.1f} |")
    rows = sum(h.rows for h in shops)
    median = float(np.median([h.seconds for h in shops])) if shops else float("nan")
    lines += [
        "", "## Simulated shops", "",
        f"{len(shops)} shops, {rows:,} rows; an audit takes {median:.1f} s of CPU (median).", "",
        *rates(shops), "", "## Planted leaks that block", "",
        "| in | leak | found | missed in |", "|---|---|---|---|",
        *found(real, "real tables"), *found(shops, "shops"), "",
    ]  # fmt: skip
    return "\n".join(lines)


def run(data: Path | None, shops: int, every: int) -> tuple[list[Heard], list[Heard]]:
    """Audit the real tables and the shops; leaks are planted in every table and `every` shop."""
    real = [hear(t, plant=True, seed=i) for i, t in enumerate(clean_tables(data))]
    half = shops // 2
    heard = [hear(t, plant=i % every == 0, seed=i) for i, t in enumerate(made_up(shops - half))]
    heard += [hear(t, plant=i % every == 0, seed=i) for i, t in enumerate(simulated(half))]
    return real, heard


def main() -> None:
    """Print the page, and write it where asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("CARTCAST_DATA", SHARED)))
    parser.add_argument("--shops", type=int, default=200)
    parser.add_argument("--quick", action="store_true", help="shipped tables and 8 shops")
    parser.add_argument("--page", type=Path)
    words = parser.parse_args()
    data = words.data if words.data.is_dir() and not words.quick else None
    shops = 8 if words.quick else words.shops
    real, heard = run(data, shops, 4 if words.quick else 10)
    text = page(real, heard, f"python benchmarks/false_alarms.py --shops {shops}")
    print(text)
    if words.page is not None:
        write_text(words.page, text)


if __name__ == "__main__":
    main()
