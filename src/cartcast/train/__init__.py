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
import time as clocks
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Never, TypeAlias

from cartcast.config import (
    DEFAULTS,
    STATE_FOLDER,
    find_project,
    parse_duration,
    read_settings,
)
from cartcast.errors import StorageError, UsageError
from cartcast.features import Feature, FeatureSet
from cartcast.lock import alone
from cartcast.moments import Moment
from cartcast.runs.registry import REGISTERED, Registry
from cartcast.runs.run import Run
from cartcast.runs.write import new_run_id
from cartcast.segments import Segment, read_segment
from cartcast.targets import Proxy, Target
from cartcast.train.arguments import changes_of, is_column, sources_of, table_with
from cartcast.train.budget import Budget
from cartcast.train.options import Options

__all__ = ["Options", "Run", "train", "train_as"]

Estimator: TypeAlias = Any
"""What keeps scikit-learn's rules: clone, fit, and predict_proba (or predict, for amounts)."""


def train(
    *sources: Any,
    rows: Any = None,
    run_dir: Path | str | None = None,
    project: Path | str | None = None,
    progress: Callable[[str, float | None], None] | None = None,
    clock: Callable[[], float] = clocks.perf_counter,
    engine: str = "duckdb",
    target: str | Target | Proxy | Any = None,
    targets: Mapping[str, Any] | None = None,
    models: Sequence[str | Estimator | tuple[str, Estimator]] | Estimator | str | None = None,
    scorer: str | Callable[..., float] | None = None,
    choose_by: str | None = None,
    features: str | Path | FeatureSet | Mapping[str, Feature] | None = None,
    moment: Moment | str | None = None,
    horizon: str | None = None,
    every: float | str | None = None,
    seen: float | str | None = None,
    anchors: Sequence[int] | int | None = None,
    split: Sequence[float] | None = None,
    layout: str | Path | None = None,
    orders: str | Path | None = None,
    session_gap: float | str | None = None,
    session_breaks: Sequence[str] | str | None = None,
    zone: str | None = None,
    rates: Mapping[str, Any] | str | Path | None = None,
    max_reject_share: float | None = None,
    drop: Sequence[str] | str | None = None,
    group: str | None = None,
    time: str | None = None,
    folds: int | None = None,
    splitter: Any = None,
    test: Any = None,
    positive: object = None,
    resample: str | None = None,
    calibration: str | None = None,
    budget: float | str | None = None,
    tune: bool | None = None,
    refit: bool | None = None,
    backtest: bool | None = None,
    capacity: int | None = None,
    costs: Mapping[str, float] | None = None,
    segment: Segment | str | Mapping[str, Any] | None = None,
    segments: int | None = None,
    segments_by: str | None = None,
    waivers: Mapping[str, str] | None = None,
    privacy: Mapping[str, Any] | None = None,
    licence: str | None = None,
    most_rows: int | None = None,
    seed: int | None = None,
    threads: int | None = None,
    **unknown: Never,
) -> Run:
    """Train on a log, or on a ready table given as `rows`, and return the run.

    An option that is left out is the project's (`cartcast.yaml` here or above, if there is one),
    else the default of `Options`. Inside a project the run is registered.

    Args:
        sources: the log: a `Log`, or what `load` reads. Two of them, of which the second is a
            column, are the `X, y` of a ready table.
        rows: a ready table: a path, a table's URL, or a pandas, Polars or Arrow table.
        run_dir: folder of the run; new.
        project: folder of the project; None means found here or above.
        progress: called with what is being done and the share done.
        clock: tells the seconds that the budget is measured in.
        engine: `duckdb`, or `spark`: there the log is read, and its rows are made.
        target: of a log: `Purchase("7d")` or its word (`purchase:7d`, `revenue`,
            `proxy:browsing`); of a ready table: a column, or the values themselves.
        targets: proxies declared by name.
        models: names of models (`default` or `all` stand for lists), scikit-learn estimators, and
            pairs of a name and an estimator.
        scorer: a scorer of scikit-learn's, or its name, that is told beside the figures.
        choose_by: what chooses the champion: `loss`, or `scorer`.
        features: `auto` (from the log), `shop`, `usual`, a `FeatureSet`, or a YAML declaration.
        moment: when somebody acts on a score: `during` a session, `after` it, or on a `day`.
        horizon: how long an outcome counts, such as `7d`; else that of the target.
        every: seconds (or `1d`) from one list to the next.
        seen: seconds (or `30d`); a list of a day holds visitors seen within them.
        anchors: clicks after which a row is written, during a session.
        split: shares for train, validation and test.
        layout: name or YAML of the log's layout; None means guess.
        orders: outcomes kept apart from the clicks.
        session_gap: seconds (or `30m`) without an event after which a session ends.
        session_breaks: further reasons for a new session: `midnight`, `campaign`.
        zone: the shop's clock, such as Europe/Berlin.
        rates: what each currency is worth in one of them.
        max_reject_share: share of rejected rows above which the log is refused.
        drop: columns to leave out; of a log features, too.
        group: its column that names the visitor.
        time: its column that holds the moment of the row.
        folds: number of folds to cross-validate it with; None is one split.
        splitter: a splitter of scikit-learn's that makes its folds, such as `GroupKFold(5)`.
        test: another table (or `X, y`) with its columns, whose outcome is used for judging only.
        positive: the value of its target that counts as the outcome.
        resample: `smote`, `class_weight` or `undersample`, inside training rows only.
        calibration: `auto`, `isotonic`, `sigmoid` or `none`.
        budget: seconds, or `5m`, for the whole training; `none` bounds nothing.
        tune: whether the time that is left in the budget goes to tuning.
        refit: whether the champion is fitted again to all rows once it is judged.
        backtest: whether it is measured how fast the champion ages.
        capacity: how many sessions can be acted on, for the threshold.
        costs: `contact` and `value` in money, for the threshold.
        segment: learn from the sessions of this declared segment only: a `Segment`, or the name
            of one that the project keeps. It must be known at a session's first event.
        segments: number of segments to find; None chooses it.
        segments_by: `kmeans`, `mixture`, `dbscan`, `hdbscan`, or `all` of them side by side.
        waivers: finding code to the reason for continuing anyway.
        privacy: `pseudonymise`: columns whose ids are replaced on entry.
        licence: licence of the data, for the card.
        most_rows: beyond, rows are sampled.
        seed: of everything random.
        threads: used by the models.
        unknown: nothing else is taken; a name close to it is told.

    Raises:
        UsageError: an option does not exist or does not fit.
        DataError: the data break the contract or lack the outcome.
        BlockedError: the audit found a leak that was not waived.
        StorageError: the run folder cannot be written.
    """
    given = dict(locals())
    if len(sources) == 2 and rows is None and is_column(sources[1]):
        rows, target, sources = sources[0], sources[1], ()
    if is_column(target):
        if rows is None:
            raise UsageError("a target of values needs the features too: train(X, y).")
        rows, given["target"] = table_with(rows, target)
    if isinstance(test, tuple) and len(test) == 2 and is_column(test[1]):
        found, name = table_with(*test)
        given["test"] = found.rename_columns({name: str(given["target"])})
    folder = Path(project) if project is not None else find_project()
    if isinstance(segment, str):
        given["segment"] = read_segment(folder or Path(), segment)
    changes, sources = changes_of(given, unknown), sources_of(sources)
    settings = read_settings(folder) if folder is not None else DEFAULTS
    if isinstance(changes.get("session_gap"), str):
        changes["session_gap"] = parse_duration(changes["session_gap"])
    options = Options.from_settings(settings, **changes)
    if rows is not None and sources:
        raise UsageError("give a log or --rows, not both.")
    if rows is not None and options.segment is not None:
        raise UsageError("--segment is of a log; a ready table (--rows) has none.")
    if rows is None and (alone := [n for n in ("splitter", "test") if given[n] is not None]):
        raise UsageError(
            f"{alone[0]} is for a ready table (rows=): the moments of a log are split by time and "
            "visitors, so that no model knows what came later; take cartcast.moments.table for "
            "folds of your own."
        )
    if rows is not None and engine != "duckdb":
        raise UsageError("--engine is for logs: a ready table (--rows) is read on this machine.")
    if rows is None and not sources:
        base = folder or Path()
        sources = tuple(s if "://" in s else str(base / s) for s in settings.sources)
        if not sources:
            raise UsageError("nothing to train on: give a log, or a ready table with --rows.")
    where = _new_folder(folder, options.target) if run_dir is None else Path(run_dir)
    registry = Registry.of(folder) if folder is not None else None
    return train_as(
        options, where, *sources, rows=rows, registry=registry, progress=progress, clock=clock,
        engine=engine,
    )  # fmt: skip


def train_as(
    options: Options,
    where: Path,
    *sources: Any,
    rows: Any = None,
    registry: Registry | None = None,
    reason: str = REGISTERED,
    progress: Callable[[str, float | None], None] | None = None,
    clock: Callable[[], float] = clocks.perf_counter,
    engine: str = "duckdb",
) -> Run:
    """Train by whole options, whatever a project says, into the folder `where`; see `train`.

    `reason` is what the registry, if there is one, keeps of why the run has its alias.
    """
    if registry is not None:
        registry.require_free(where)
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    within = Budget(options.budget, progress, clock)
    # Threads of linear algebra wait for each other by spinning: on a busy machine a line of 20,000
    # rows took twenty times as long with two as with one.
    with _only_writer(where), threadpool_limits(1, user_api="blas"):
        if where.exists() and (not where.is_dir() or any(where.iterdir())):
            raise UsageError(f"{where}: exists already; give another --run-dir, runs are kept.")
        if rows is not None:
            from cartcast.train.table import train_rows

            run = train_rows(rows, options, where, within)
        else:
            from cartcast.train.log import train_log

            run = train_log(sources, options, where, within, engine)
    if registry is not None:
        registry.add(run.dir, reason)
    return run


@contextlib.contextmanager
def _only_writer(where: Path) -> Iterator[None]:
    """Let one training at a time write a run, also between processes.

    Raises:
        UsageError: another training writes it now.
        StorageError: the folder above cannot be written.
    """
    path = where.with_name(f".{where.name}.lock")
    refusal = UsageError(
        f"{where}: another training writes this run now; wait, or give another --run-dir."
    )
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(alone(path, refusal))
        except OSError as error:
            raise StorageError(f"{where}: cannot be written ({error.strerror}).") from error
        stack.callback(path.unlink, missing_ok=True)
        yield


def _new_folder(project: Path | None, target: str) -> Path:
    return (project or Path()) / STATE_FOLDER / "runs" / new_run_id(target)
