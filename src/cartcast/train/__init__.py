"""Training: from a log or a ready table to a run with its evidence.

>>> import tempfile
>>> from cartcast.datasets import simulate
>>> from cartcast.train import train
>>> with tempfile.TemporaryDirectory() as folder:
...     shop = simulate(sessions=3000, seed=1, out=f"{folder}/shop.parquet")
...     run = train(shop.out, models=("logistic_regression",), run_dir=f"{folder}/run")
...     sorted(run.metrics)
['click_count', 'logistic_regression', 'prevalence']
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from cartcast.atomic import file_mode, make_folder
from cartcast.config import (
    DEFAULTS,
    STATE_FOLDER,
    find_project,
    read_settings,
)
from cartcast.errors import StorageError, UsageError
from cartcast.runs.registry import Registry
from cartcast.runs.run import Run
from cartcast.runs.write import new_run_id
from cartcast.train.budget import Budget
from cartcast.train.options import Options

__all__ = ["Options", "Run", "train"]


def train(
    *sources: Any,
    rows: Any = None,
    run_dir: Path | str | None = None,
    project: Path | str | None = None,
    progress: Callable[[str, float | None], None] | None = None,
    clock: Callable[[], float] = time.perf_counter,
    engine: str = "duckdb",
    **changes: Any,
) -> Run:
    """Train on a log, or on a ready table given as `rows`, and return the run.

    Settings come from the project (`cartcast.yaml` here or above, if there is one), then from
    `changes`: fields of `Options`; those that are None are ignored. Inside a project the run is
    registered. `clock` tells the seconds that the budget is measured in. With `engine="spark"` the
    log is read, and its rows are made, on Spark.

    Raises:
        UsageError: an option does not exist or does not fit.
        DataError: the data break the contract or lack the outcome.
        BlockedError: the audit found a leak that was not waived.
        StorageError: the run folder cannot be written.
    """
    folder = Path(project) if project is not None else find_project()
    settings = read_settings(folder) if folder is not None else DEFAULTS
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    try:
        options = Options.from_settings(settings, **changes)
    except TypeError as error:
        raise UsageError(f"training has no such option: {error}.") from error
    if rows is not None and sources:
        raise UsageError("give a log or --rows, not both.")
    if rows is not None and engine != "duckdb":
        raise UsageError("--engine is for logs: a ready table (--rows) is read on this machine.")
    if rows is None and not sources:
        base = folder or Path()
        sources = tuple(s if "://" in s else str(base / s) for s in settings.sources)
        if not sources:
            raise UsageError("nothing to train on: give a log, or a ready table with --rows.")
    where = _new_folder(folder, options.target) if run_dir is None else Path(run_dir)
    registry = Registry(folder, settings.catalogue) if folder is not None else None
    if registry is not None:
        registry.require_free(where)
    budget = Budget(options.budget, progress, clock)
    # Threads of linear algebra wait for each other by spinning: on a busy machine a line of 20,000
    # rows took twenty times as long with two as with one.
    with _alone(where), threadpool_limits(1, user_api="blas"):
        if where.exists() and (not where.is_dir() or any(where.iterdir())):
            raise UsageError(f"{where}: exists already; give another --run-dir, runs are kept.")
        if rows is not None:
            from cartcast.train.table import train_rows

            run = train_rows(rows, options, where, budget)
        else:
            from cartcast.train.log import train_log

            run = train_log(sources, options, where, budget, engine)
    if registry is not None:
        registry.add(run.dir)
    return run


@contextlib.contextmanager
def _alone(where: Path) -> Iterator[None]:
    """Let one training at a time write a run, also between processes.

    Raises:
        UsageError: another training writes it now.
        StorageError: the folder above cannot be written.
    """
    from filelock import FileLock, Timeout

    lock = FileLock(where.with_name(f".{where.name}.lock"), mode=file_mode(where))
    try:
        make_folder(where.parent)
        lock.acquire(blocking=False)
    except Timeout:
        raise UsageError(
            f"{where}: another training writes this run now; wait, or give another --run-dir."
        ) from None
    except OSError as error:
        raise StorageError(f"{where}: cannot be written ({error.strerror}).") from error
    try:
        yield
    finally:
        Path(lock.lock_file).unlink(missing_ok=True)
        lock.release()


def _new_folder(project: Path | None, target: str) -> Path:
    return (project or Path()) / STATE_FOLDER / "runs" / new_run_id(target)
