"""kill -9 in the middle, a full disk, a busy service: the last good state each time."""

from __future__ import annotations

import asyncio
import contextlib
import json
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from cartcast.backup import Store, back_up, restore, verify

from .conftest import content, live_event, opened, states

HERE = Path(__file__).parent


def test_killed_at_random_points(whole: Path) -> None:
    """Two points each here; `kills.py --times 20` by hand, see docs/operations.md."""
    done = subprocess.run(
        [sys.executable, HERE / "kills.py", whole, "--times", "2"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert {kind: one["kills"] for kind, one in json.loads(done.stdout).items()} == {
        "backup": 2, "restore": 2, "replace": 2, "forget": 2,
    }  # fmt: skip


FULL = """
import resource, sys
from cartcast.cli import main
size = int(sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
main(sys.argv[2:])
"""


def full(size: int, *words: object) -> subprocess.CompletedProcess[str]:
    """Run a verb on a disk that takes no file larger than `size` bytes."""
    return subprocess.run(
        [sys.executable, "-c", FULL, str(size), *map(str, words)],
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_full_disk_is_one_line_and_nothing_half_done(project: Path, tmp_path: Path) -> None:
    back_up(project, Store.make(tmp_path / "b"))
    before = content(project)
    large = project / ".cartcast" / "large.bin"
    large.write_bytes(bytes(range(256)) * 400)
    for words, size in (
        (("backup", tmp_path / "b", "--project", project), 50_000),
        (("backup", tmp_path / "fresh", "--project", project), 20),
        (("restore", tmp_path / "b", tmp_path / "new"), 2_000),
        (("restore", tmp_path / "b", project, "--replace"), 2_000),
    ):
        done = full(size, *words)
        assert (done.returncode, done.stderr.count("\n")) == (1, 1), (words, done.stderr)
    large.unlink()
    assert content(project) == before
    assert not (tmp_path / "new").exists()
    assert [p.name for p in tmp_path.iterdir() if p.name[0] == "."] == []
    assert len(Store(tmp_path / "b").ids()) == 1
    assert verify(Store(tmp_path / "b")).problems == ()
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] == resource.RLIM_INFINITY


def test_a_busy_service_is_copied_as_of_one_moment(project: Path, tmp_path: Path) -> None:
    """Each backup holds the first k events and no other, k no less than were acknowledged."""
    live = project / ".cartcast" / "live"
    found: list[tuple[int, str, int]] = []
    sent = [live_event(1000 + n, f"v{n * 7 % 50}") for n in range(4000)]

    async def run() -> None:
        store = await opened(live, sweeps=False, durability="write")
        count = 0

        async def feed() -> None:
            nonlocal count
            for n, event in enumerate(sent):
                await store.ingest([event], int(event.event_time), lambda *_: [])  # type: ignore[arg-type]
                count = n + 1
                if n % 150 == 149:
                    await store._take_snapshot()
                await asyncio.sleep(0)

        feeding = asyncio.create_task(feed())
        while not feeding.done():
            acknowledged = count
            made = await asyncio.to_thread(back_up, project, Store.make(tmp_path / "b"))
            found.append((acknowledged, made.manifest.id, count))
        await feeding
        await store.abandon()

    asyncio.run(run())
    assert len(found) >= 3
    for number, (acknowledged, name, most) in enumerate(found[:4]):
        place = tmp_path / f"new-{number}"
        restore(Store(tmp_path / "b"), place, backup=name)
        got = {k: v for k, v in states(place / ".cartcast" / "live").items() if k[:3] != "his"}
        k = sum(clicks for key, (_, clicks, _) in got.items() if not key.startswith("vvisitor"))
        assert acknowledged <= k <= most
        clicks: dict[str, int] = {}
        for event in sent[:k]:
            clicks[f"v{event.visitor_id}"] = clicks.get(f"v{event.visitor_id}", 0) + 1
        assert {key: v[1] for key, v in got.items() if not key.startswith("vvisitor")} == clicks


def test_two_backups_at_once(project: Path, tmp_path: Path) -> None:
    from filelock import FileLock

    from cartcast.errors import StorageError

    store = Store.make(tmp_path / "b")
    back_up(project, store)
    with contextlib.ExitStack() as stack:
        stack.enter_context(FileLock(tmp_path / "b" / "lock"))
        stack.enter_context(pytest.raises(StorageError, match="another backup is being written"))
        back_up(project, Store(tmp_path / "b"))
