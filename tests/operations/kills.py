"""Kill backup, restore and forget with signal 9 at random points; afterwards all is as it should be.

    python tests/operations/kills.py PROJECT --times 20 --seed 1

A point is a call that touches the file system (open, rename, remove, chmod, ...). One process loads
everything and stays without threads; each trial and each check is a fork of it.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import shutil
import signal
import sqlite3
import sys
import tempfile
import traceback
from collections.abc import Callable
from pathlib import Path

from cartcast.backup import Store, back_up, restore, verify
from cartcast.forget import forget
from cartcast.runs.registry import Registry

WATCHED = ("open", "os.", "shutil.", "sqlite3.connect", "tempfile.")
WHO = "visitor-0017"


def forked(work: Callable[[], None]) -> int:
    """Run `work` in a child; return 0, 1 for an error, or -9 when it was killed."""
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            work()
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def killed_at(point: int, work: Callable[[], None], count: Path | None = None) -> None:
    """Run `work`, and die at its nth call to the file system; tell how many there were."""
    seen = [0]

    def hook(event: str, _: object) -> None:
        if event.startswith(WATCHED):
            seen[0] += 1
            if seen[0] == point:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)
    work()
    if count is not None:
        told = seen[0]
        count.write_text(str(told))


def content(folder: Path, *without: str) -> dict[str, bytes]:
    out = {}
    for path in folder.rglob("*"):
        # The catalogue and log.json tell of paths.
        if path.is_file() and path.name not in ("lock", "log.json", "catalogue.db", *without):
            out[path.relative_to(folder).as_posix()] = path.read_bytes()
            if path.suffix == ".db":
                with contextlib.closing(sqlite3.connect(path)) as con:
                    out[path.relative_to(folder).as_posix()] = "\n".join(con.iterdump()).encode()
    return {k: v for k, v in out.items() if not k.endswith(".lock")}


class Trial:
    """A fresh project beside a store with one good backup of it."""

    def __init__(self, whole: Path, root: Path) -> None:
        self.project, self.store, self.new = root / "shop", root / "b", root / "new"
        shutil.copytree(whole, self.project)
        registry = Registry(self.project)
        rows = registry.copy()
        for run in rows["runs"]:
            run["path"] = str(self.project / ".cartcast" / "runs" / run["run_id"])
        registry.replace(rows)
        back_up(self.project, Store.make(self.store))
        self.first = Store(self.store).ids()[0]
        self.before = content(self.project, "keys.json")
        (self.project / ".cartcast" / "later.txt").write_text("later")
        self.after = content(self.project, "keys.json")


class Backups(Trial):
    def work(self) -> None:
        back_up(self.project, Store.make(self.store), keep=2)

    def check(self) -> None:
        store = Store(self.store)
        for name in store.ids():
            assert verify(store, name).problems == ()
        newest = store.ids()[-1]
        restore(store, self.new)
        expected = self.before if newest == self.first else self.after
        assert content(self.new) == expected
        back_up(self.project, store)
        named = {chunk for name in store.ids() for chunk, _ in store.read(name).chunks}
        assert {p.name for p in self.store.glob("chunks/*/*") if p.name[0] != "."} == named


class Restores(Trial):
    def work(self) -> None:
        restore(Store(self.store), self.new)

    def check(self) -> None:
        if not self.new.exists():
            restore(Store(self.store), self.new)
        assert content(self.new) == self.before
        Registry(self.new).promote("run-2")


class Replacements(Trial):
    def work(self) -> None:
        restore(Store(self.store), self.project, swap=True)

    def check(self) -> None:
        found = {
            k: v
            for k, v in content(self.project, "keys.json").items()
            if not k.startswith((".cartcast-", ".cartcast/restored-settings"))
        }
        assert found in (self.before, self.after), set(found) ^ set(self.after)
        assert Registry(self.project).get("champion").run_id == "run-1"
        restore(Store(self.store), self.project, swap=True)


class Forgettings(Trial):
    def work(self) -> None:
        forget(self.project, WHO)

    def check(self) -> None:
        if (self.project / ".cartcast" / "forgotten.json").is_file():
            # Somebody restores before it is repeated.
            restore(Store(self.store), self.project, swap=True)
        done = forget(self.project, WHO)
        left = [p.place for p in done.remains if "uploads/1/shop.csv" not in p.place]
        assert left == [], left


KINDS: dict[str, type[Trial]] = {
    "backup": Backups, "restore": Restores, "replace": Replacements, "forget": Forgettings,
}  # fmt: skip


def trials(whole: Path, kind: str, times: int, seed: int) -> dict[str, int]:
    """Kill `times` times; return the number of points, kills and failures."""
    with tempfile.TemporaryDirectory() as work:
        count = Path(work) / "count"

        def counted() -> None:
            trial = KINDS[kind](whole, Path(work) / "0")
            killed_at(0, trial.work, count)  # type: ignore[attr-defined]
            trial.check()  # type: ignore[attr-defined]

        failed = int(forked(counted) != 0)
        points, kills = int(count.read_text()), 0
        for number, point in enumerate(
            sorted(random.Random(seed).sample(range(1, points + 1), times))
        ):
            root = Path(work) / str(number + 1)
            told: list[int] = []

            def one(root: Path = root, point: int = point) -> None:
                trial = KINDS[kind](whole, root)
                status = forked(lambda: killed_at(point, trial.work))  # type: ignore[attr-defined]
                assert status == -signal.SIGKILL, status
                trial.check()  # type: ignore[attr-defined]

            status = forked(one)
            told.append(status)
            kills += status == 0
            if status != 0:
                failed += 1
                print(f"{kind}: point {point} of {points} failed", file=sys.stderr)
            shutil.rmtree(root, ignore_errors=True)
    return {"points": points, "kills": kills, "failed": failed}


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("project", type=Path)
    parser.add_argument("--times", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--kind", choices=sorted(KINDS))
    asked = parser.parse_args()
    kinds = [asked.kind] if asked.kind else list(KINDS)
    found = {k: trials(asked.project, k, asked.times, asked.seed) for k in kinds}
    print(json.dumps(found))
    return int(any(f["failed"] for f in found.values()))


if __name__ == "__main__":
    sys.exit(main())
