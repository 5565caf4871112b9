"""Predict: the scores of a log or of a ready table, returned or written."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cartcast.arguments import answered
from cartcast.atomic import make_folder
from cartcast.errors import UsageError
from cartcast.events import Log, Privacy
from cartcast.events.rates import Rates
from cartcast.findings import Finding
from cartcast.progress import Progress, quiet
from cartcast.rows import read_as_trained
from cartcast.runs.run import Run
from cartcast.score.sessions import ScoreParts, WriteParts
from cartcast.score.write import write_table
from cartcast.scratch import scratch

__all__ = ["predict", "predict_to"]


@answered
def predict(
    sources: Sequence[Any] | Any,
    run: Path | str | Run,
    *,
    layout: str | None = None,
    orders: str | None = None,
    rates: Rates | Mapping[str, Any] | Path | str | None = None,
    privacy: Privacy | None = None,
    progress: Progress | None = None,
    engine: str = "duckdb",
    work: Path | None = None,
) -> tuple[pd.DataFrame, tuple[Finding, ...]]:
    """Return the scores of a log or of a ready table, and what was found in it.

    A run on a pseudonymised log scores logs pseudonymised with the same key, and replaces the ids
    of others with it; `privacy` does so for runs that are not. `rates` convert the log's money
    into the run's currency. With `engine="spark"` the log is read and scored on Spark, from a
    folder in `work`, which its machines must share, as they must the run.

    Raises:
        NotFoundError, NotTrustedError: the run is not there, or not as recorded.
        DataError: the log or table does not match the model.
        UsageError: Spark is asked for what it cannot do.
    """
    say = progress or quiet
    say("loading the model", None)
    opened = Run.open(run).loaded()
    given = list(sources) if isinstance(sources, list | tuple) else [sources]
    if opened.features is None:
        if len(given) != 1:
            raise UsageError(f"this run scores one ready table, got {len(given)} files.")
        _require_here(engine)
        say("reading", None)
        return _table_scores(given[0], opened)
    with _read(opened, given, say, engine, work, layout, orders, rates, privacy) as log:
        tables = log.map_parts(ScoreParts(opened))
        table = pd.concat([t for t in tables if len(t)] or tables[:1], ignore_index=True)
        return table.sort_values("session_id", ignore_index=True), log.findings


def predict_to(
    sources: Sequence[Any] | Any,
    run: Path | str | Run,
    out: Path | str,
    *,
    layout: str | None = None,
    orders: str | None = None,
    rates: Rates | Mapping[str, Any] | Path | str | None = None,
    privacy: Privacy | None = None,
    progress: Progress | None = None,
    engine: str = "duckdb",
) -> dict[str, Any]:
    """Write the scores to CSV or Parquet, whole or not at all; return what was done.

    With `engine="spark"` any other name is that of a new folder: each task writes a Parquet file of
    its sessions, and no score comes to this machine.

    Raises:
        UsageError: `out` ends neither in .csv nor in .parquet, and there is no Spark; or the folder
            exists.
        StorageError: it cannot be written.
        NotFoundError, NotTrustedError, DataError: as `predict`.
    """
    out = Path(out)
    how: dict[str, Any] = {
        "layout": layout, "orders": orders, "rates": rates, "privacy": privacy,
    }  # fmt: skip
    work = out.absolute().parent if engine == "spark" else None
    if out.suffix in (".csv", ".parquet"):
        table, findings = predict(
            sources, run, progress=progress, engine=engine, work=work, **how
        )  # fmt: skip
        write_table(table, out)
        model = str(table["model"].iloc[0]) if len(table) else ""
        return {"rows": len(table), "out": str(out), "model": model, "findings": findings}
    if engine != "spark":
        raise UsageError(f"{out}: the name must end in .csv or .parquet.")
    from cartcast.events.spark.reading import keep_only, new_folder

    say = progress or quiet
    say("loading the model", None)
    opened = Run.open(run).loaded()
    if opened.features is None:
        _require_here(engine)
    given = list(sources) if isinstance(sources, list | tuple) else [sources]
    with new_folder(out) as folder, _read(opened, given, say, engine, work, **how) as log:
        assert folder is not None
        told = log.map_parts(WriteParts(ScoreParts(opened), folder))
        keep_only(folder, {name for name, _ in told})
        findings = log.findings
    rows = sum(n for _, n in told)
    return {"rows": rows, "out": str(out), "model": opened.version, "findings": findings}


def _require_here(engine: str) -> None:
    if engine != "duckdb":
        raise UsageError(
            "this run scores ready tables, which are read on one machine: no --engine."
        )


@contextmanager
def _read(
    run: Run,
    given: Sequence[Any],
    say: Progress,
    engine: str,
    work: Path | None,
    layout: str | None,
    orders: str | None,
    rates: Rates | Mapping[str, Any] | Path | str | None,
    privacy: Privacy | None,
) -> Iterator[Log]:
    """Yield a log read as the run's own; it lies in a folder in `work` meanwhile."""
    say("reading", None)
    if work is not None:
        make_folder(work)
    with scratch(work) as folder:
        log = run.read(
            *given, folder=folder, layout=layout, orders=orders, rates=rates, privacy=privacy,
            engine=engine,
        )  # fmt: skip
        say("scoring", None)
        yield log


def _table_scores(source: Any, run: Run) -> tuple[pd.DataFrame, tuple[Finding, ...]]:
    X, found = read_as_trained(source, run.data["features"])
    out = pd.DataFrame({"row": np.arange(1, len(X) + 1), **run.score(X)})
    if "segments" in run.models:
        out["segment"] = run.segment_names(X)
    out["model"] = run.version
    return out, found
