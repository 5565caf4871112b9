"""The demo: a fresh project with a simulated shop, from raw log to report."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cartcast.config import PROJECT_FILE
from cartcast.errors import UsageError
from cartcast.progress import Progress

if TYPE_CHECKING:
    from cartcast.events import Log
    from cartcast.train import Run

__all__ = ["Demo", "init_project", "run_demo"]

SESSIONS = 20_000
SEED = 7
MODELS = ("logistic_regression", "lightgbm")
"""Two good ones that train within seconds; a project of your own starts with `default`."""

_TEMPLATE = """\
# A Cartcast project. Every setting has a default; these are the ones that most projects change.
sources: {sources}        # files, folders, globs or table URLs of the event log
layout: null              # name or YAML of the layout; null guesses (see `cartcast layout FILE`)
session_gap: 30m          # a new session starts after this time without an event
zone: null                # the shop's clock, such as Europe/Berlin; null is the layout's, else UTC
target: purchase          # or purchase:7d, revenue, add_to_cart, checkout, proxy:NAME
moment: during            # when you act on a score: during a session, after it, or on a day
features: auto            # what the log holds; or shop, usual, the path of a YAML declaration
anchors: [1, 2, 3, 5, 8, 13, 21]   # clicks after which a training row is written
models: {models}         # or names, or all
split: [0.4, 0.4, 0.2]    # shares of the sessions, in time order: train, judged by folds, test
seed: 42
"""


@dataclass(frozen=True)
class Demo:
    """What the demo made: the project folder, the log, the run."""

    folder: Path
    log: Log
    run: Run


def init_project(
    folder: Path, sources: tuple[str, ...] = (), models: tuple[str, ...] = ("default",)
) -> Path:
    """Write `cartcast.yaml` into a folder and return its path.

    Raises:
        UsageError: there is a project already.
        StorageError: the folder cannot be written.
    """
    import json

    from cartcast.atomic import write_text

    path = folder / PROJECT_FILE
    if path.exists():
        raise UsageError(f"{path}: exists already; edit it, or choose another folder.")
    text = _TEMPLATE.format(sources=json.dumps(list(sources)), models=json.dumps(list(models)))
    write_text(path, text)
    return path


def run_demo(
    folder: Path,
    sessions: int = SESSIONS,
    seed: int = SEED,
    progress: Progress | None = None,
) -> Demo:
    """Make a project in a fresh folder: simulate, validate, train, report.

    Raises:
        UsageError: the folder holds a project already.
    """
    from cartcast import events
    from cartcast.datasets import simulate
    from cartcast.train import train

    init_project(folder, ("shop.parquet",), MODELS)
    if progress is not None:
        progress("simulating a shop", None)
    simulate(
        sessions=sessions, seed=seed, out=folder / "shop.parquet", truth=folder / "truth.parquet"
    )
    log = events.load(folder / "shop.parquet")
    run = train(project=folder, progress=progress, run_dir=folder / "run")
    return Demo(folder, log, run)
