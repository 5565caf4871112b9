"""A small project with all that a backup must hold, made once and copied for each test."""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
import sqlite3
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from cartcast import events
from cartcast.access.keys import KeyFile
from cartcast.app.access import Access
from cartcast.atomic import make_folder, write_bytes, write_text
from cartcast.cli import main
from cartcast.config import PROJECT_FILE
from cartcast.datasets import simulate
from cartcast.insights import write_sessions
from cartcast.live.event import Event
from cartcast.live.session import Rules
from cartcast.live.state import MemoryStore
from cartcast.models.baselines import Prevalence
from cartcast.models.persist import save_all
from cartcast.runs.registry import Registry

from ..events.test_databases import postgres  # noqa: F401 - a fixture
from ..live.conftest import StandIn

T0 = 1_780_000_000_000_000
"""When the live events of the project begin to arrive: 2026-05-28, 20:26:40 UTC."""


def live_event(number: int, visitor: str, **more: Any) -> Event:
    when = T0 + number * 1_000_000
    return Event("view_item", event_time=when, visitor_id=visitor, event_id=f"e{number}", **more)


async def opened(folder: Path, **more: Any) -> MemoryStore:
    store = MemoryStore(StandIn(), Rules(), folder, clock=lambda: T0, **more)
    await store.open()
    return store


def states(folder: Path) -> dict[str, Any]:
    """Every open session of a live state, as a server that is started on it has them."""

    async def read() -> dict[str, Any]:
        copy = folder.with_name(f"{folder.name}-read")
        shutil.copytree(folder, copy, ignore=shutil.ignore_patterns("lock"))
        store = await opened(copy, sweeps=False)
        found = {k: (s.id, s.clicks, s.state) for k, s in store.sessions.index.items()}
        found |= {f"history {k}": v.dump() for k, v in store.sessions.visitors.items()}
        await store.abandon()
        shutil.rmtree(copy)
        return found

    return asyncio.run(read())


def send(folder: Path, found: list[Event]) -> None:
    """Let a server take events in and be killed: they are in the log, not in a snapshot."""

    async def run() -> None:
        store = await opened(folder, sweeps=False)
        for event in found:
            await store.ingest([event], int(event.event_time), lambda *_: [])  # type: ignore[arg-type]
        await store.abandon()

    asyncio.run(run())


def make_run(folder: Path, name: str) -> Path:
    """A run as small as one can be that can be asked."""
    folder.mkdir(parents=True)
    rows = pd.DataFrame({"a": [1.0, 2.0, 3.0]})
    model = Prevalence().fit(rows, np.array([0, 1, 1]))
    predictions = pd.DataFrame(
        {"session_id": ["s1", "s2"], "visitor_id": ["v1", "v2"], "p__prevalence": [0.5, 0.25]}
    )
    predictions.to_parquet(folder / "predictions.parquet")
    run = {
        "schema": 1,
        "run_id": name,
        "created": "2026-05-04T00:00:00+00:00",
        "target": {"name": "purchase", "kind": "observed"},
        "champion": "prevalence",
        "metrics": {"prevalence": {"roc_auc": 0.5}},
        "models": {"prevalence": {"kind": "classifier"}},
        "segments": [],
        "features": {"names": ["a"], "categorical": [], "yaml": None, "fingerprint": ""},
        "model_manifest": save_all({"champion": model}, folder / "model"),
    }
    (folder / "run.json").write_text(json.dumps(run))
    return folder


@pytest.fixture(scope="session")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("whole")
    project = root / "shop"
    project.mkdir()
    (project / PROJECT_FILE).write_text("target: purchase\nfeatures: features.yaml\n")
    (project / "features.yaml").write_text("features: {}\n")
    state = project / ".cartcast"
    make_folder(state / "runs")
    registry = Registry(project)
    registry.add(make_run(state / "runs" / "run-1", "run-1"))
    registry.add(make_run(state / "runs" / "run-2", "run-2"))
    access = Access(project, {})
    access.require(access.owner(), "export", "session of visitor-0017 as CSV")
    KeyFile(state / "keys.json").add("shop", ["ingest"])
    simulate(sessions=60, seed=1, out=root / "shop.parquet")
    kept = state / "app" / "logs" / "abc"
    make_folder(kept)
    log = events.load(root / "shop.parquet", folder=root / "log")
    write_bytes(kept / "events.parquet", log.path.read_bytes())
    write_sessions(kept / "events.parquet", kept / "sessions.parquet")
    told = {"name": "shop", "sources": [str(state / "uploads" / "1" / "shop.csv")], "created": ""}
    write_text(kept / "log.json", json.dumps(told))
    write_text(
        state / "uploads" / "1" / "shop.csv",
        "ts,uid,event,sku,price\n"
        "2024-01-01T00:00:00Z,visitor-0017,view,5,3\n"
        '2024-01-01T00:01:00Z,6,view,"two\nlines visitor-0017",5\n'
        "2024-01-01T00:02:00Z,7,view,17,17\n",
    )
    first = [live_event(n, f"visitor-{n % 20:04d}", price=float(n)) for n in range(60)]

    async def run() -> None:
        store = await opened(state / "live", sweeps=False)
        for event in first:
            await store.ingest([event], int(event.event_time), lambda *_: [])  # type: ignore[arg-type]
        await store.close()  # leaves a snapshot

    make_folder(state / "live")
    asyncio.run(run())
    send(state / "live", [live_event(n, f"visitor-{n % 30:04d}") for n in range(60, 120)])
    return project


@pytest.fixture
def project(whole: Path, tmp_path: Path) -> Path:
    """A copy of the whole project, whose catalogue names the copy's runs."""
    copy = tmp_path / "shop"
    shutil.copytree(whole, copy)
    registry = Registry(copy)
    rows = registry.copy()
    for run in rows["runs"]:
        run["path"] = str(copy / ".cartcast" / "runs" / run["run_id"])
    registry.replace(rows)
    return copy


@pytest.fixture
def cartcast(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Run a verb; return exit status, output, error output."""

    def run(*words: object) -> tuple[int, str, str]:
        capsys.readouterr()
        with pytest.raises(SystemExit) as stopped:
            main([*map(str, words)])
        out, err = capsys.readouterr()
        return int(stopped.value.code or 0), out, err

    return run


def _dump(path: Path) -> bytes:
    """A database as SQL: a copy counts its own changes in the header."""
    with contextlib.closing(sqlite3.connect(path)) as con:
        return "\n".join(con.iterdump()).encode()


def content(project: Path) -> dict[str, bytes]:
    """Every file of a project by name, but for locks and what tells of paths."""
    return {
        p.relative_to(project).as_posix(): _dump(p) if p.suffix == ".db" else p.read_bytes()
        for p in project.rglob("*")
        if p.is_file()
        and p.name not in ("lock", "catalogue.db", "log.json")
        and p.suffix != ".lock"
    }


@pytest.fixture
def database(postgres: str) -> Iterator[str]:  # noqa: F811
    """A catalogue of its own: an empty schema of the server."""
    import psycopg

    name = f"t{uuid.uuid4().hex}"
    with psycopg.connect(postgres, autocommit=True) as con:
        con.execute(f"CREATE SCHEMA {name}")
        yield f"{postgres}&options=-csearch_path%3D{name}"
        con.execute(f"DROP SCHEMA {name} CASCADE")


def host(folder: Path, url: str | None, store: str | None) -> Path:
    folder.mkdir()
    settings = [f"catalogue: {url}"] if url else []
    settings += [f"store: {store}"] if store else []
    (folder / "cartcast.yaml").write_text("\n".join(settings) + "\n")
    return folder
