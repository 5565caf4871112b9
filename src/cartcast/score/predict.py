"""Predict: the scores of a log or of a ready table, returned or written."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cartcast.arguments import answered
from cartcast.atomic import make_folder
from cartcast.errors import DataError, UsageError
from cartcast.events import Log, Privacy
from cartcast.events.rates import Rates
from cartcast.findings import Finding
from cartcast.moments.dates import Due, end_of
from cartcast.moments.lists import Check, check_of, older, told
from cartcast.moments.machines import left_out, sends_alone
from cartcast.progress import Progress, quiet
from cartcast.rows import read_as_trained
from cartcast.runs.run import Run
from cartcast.score.parts import ScoreParts, WriteParts, known_only
from cartcast.score.without import Without
from cartcast.score.write import write_table
from cartcast.scratch import scratch

__all__ = ["predict", "predict_to", "score_rows"]


@answered
def predict(
    sources: Sequence[Any] | Any,
    run: Path | str | Run,
    *,
    everything: bool = False,
    without: Collection[str] | Path | str | None = None,
    only: Callable[[Log], Collection[str]] | None = None,
    layout: str | None = None,
    orders: str | None = None,
    rates: Rates | Mapping[str, Any] | Path | str | None = None,
    privacy: Privacy | None = None,
    progress: Progress | None = None,
    engine: str = "duckdb",
    work: Path | None = None,
) -> tuple[pd.DataFrame, tuple[Finding, ...]]:
    """Return the scores of a log or of a ready table, and what was found.

    Of a log, whom somebody can still act on at its end, best first, one row a visitor: sessions
    that are still open, visitors whose session ended lately, or visitors seen lately, by the moment
    that the run learnt. A finding tells how such lists came out at earlier dates. With `everything`
    every moment of the kind is scored, with its `outcome` where the log shows it: for evaluation.
    `without` holds ids of visitors or logins who are not to be contacted, or names a file of them.
    `only` returns the sessions of the log that rows may be of, such as those of a segment.

    A run on a pseudonymised log scores logs pseudonymised with the same key, and replaces the ids
    of others with it; `privacy` does so for runs that are not. `rates` convert the log's money
    into the run's currency. With `engine="spark"` the log is read and scored on Spark, from a
    folder in `work`, which its machines must share, as they must the run.

    Raises:
        NotFoundError, NotTrustedError: the run is not there, or not as recorded.
        DataError: the log or table does not match the model; or it has no times, so nobody can tell
            whom to act on.
        UsageError: Spark is asked for what it cannot do, such as `only`.
    """
    opened, given = _opened(run, sources, progress, engine)
    if opened.features is None:
        return score_rows(given[0], opened)
    how = _How(layout, orders, rates, privacy, engine, work)
    with _read(opened, given, progress or quiet, how) as log:
        score = _asked(opened, log, everything, without, only, privacy)
        tables = log.map_parts(score)
        table = pd.concat([t for t in tables if len(t)] or tables[:1], ignore_index=True)
        found = (*log.findings, *_said_of(opened, log, score))
    return _ordered(table, opened.column, everything), found


def predict_to(
    sources: Sequence[Any] | Any,
    run: Path | str | Run,
    out: Path | str,
    *,
    everything: bool = False,
    without: Collection[str] | Path | str | None = None,
    only: Callable[[Log], Collection[str]] | None = None,
    layout: str | None = None,
    orders: str | None = None,
    rates: Rates | Mapping[str, Any] | Path | str | None = None,
    privacy: Privacy | None = None,
    progress: Progress | None = None,
    engine: str = "duckdb",
) -> dict[str, Any]:
    """Write the scores to CSV or Parquet, whole or not at all; return what was done.

    With `engine="spark"` any other name is that of a new folder: each task writes a Parquet file of
    its rows, and no score comes to this machine.

    Raises:
        UsageError: `out` ends neither in .csv nor in .parquet, and there is no Spark; or the folder
            exists; or Spark is asked for `only`.
        StorageError: it cannot be written.
        NotFoundError, NotTrustedError, DataError: as `predict`.
    """
    out = Path(out)
    work = out.absolute().parent if engine == "spark" else None
    how = _How(layout, orders, rates, privacy, engine, work)
    if out.suffix in (".csv", ".parquet"):
        table, findings = predict(
            sources, run, everything=everything, without=without, only=only, progress=progress,
            **dataclasses.asdict(how),
        )  # fmt: skip
        write_table(table, out)
        opened, rows = Run.open(run), len(table)
    elif engine != "spark":
        raise UsageError(f"{out}: the name must end in .csv or .parquet.")
    else:
        from cartcast.events.spark.reading import keep_only, new_folder

        opened, given = _opened(run, sources, progress, engine)
        with new_folder(out) as folder, _read(opened, given, progress or quiet, how) as log:
            assert folder is not None
            score = _asked(opened, log, everything, without, only, privacy)
            told = log.map_parts(WriteParts(score, folder))
            keep_only(folder, {name for name, _ in told})
            findings = (*log.findings, *_said_of(opened, log, score))
        rows = sum(n for _, n in told)
    listed = (
        opened.moment.describe() if opened.data["features"]["yaml"] and not everything else None
    )
    return {"rows": rows, "out": str(out), "model": opened.version, "listed": listed,
            "findings": findings}  # fmt: skip


@dataclass(frozen=True)
class _How:
    """How a log is read; see `predict`."""

    layout: str | None
    orders: str | None
    rates: Rates | Mapping[str, Any] | Path | str | None
    privacy: Privacy | None
    engine: str
    work: Path | None


def _opened(
    run: Path | str | Run, sources: Any, progress: Progress | None, engine: str
) -> tuple[Run, list[Any]]:
    (progress or quiet)("loading the model", None)
    opened = Run.open(run).loaded()
    given = list(sources) if isinstance(sources, list | tuple) else [sources]
    if opened.features is None:
        if len(given) != 1:
            raise UsageError(f"this run scores one ready table, got {len(given)} files.")
        _require_here(engine)
    return opened, given


def _asked(
    run: Run, log: Log, everything: bool, without: Any,
    only: Callable[[Log], Collection[str]] | None, privacy: Privacy | None,
) -> ScoreParts:  # fmt: skip
    """Return what scores the parts of a log.

    Raises:
        DataError: a list is asked of a log whose clock cannot tell who is still there.
    """
    moment, gap = run.moment, run.reading.sessions.gap
    if only is not None and log.engine == "spark":
        raise UsageError("sessions are chosen on one machine: --segment goes without --engine.")
    sessions = None if only is None else frozenset(only(log))
    out = None if without is None else Without.of(without, run.reading.privacy(privacy))
    if everything and not moment.dated:
        timed = log.clock == "time" and log.summary.end is not None
        end = pd.Timestamp(end_of(log)) if timed else None
        return ScoreParts(run, None, end, everything=True, without=out, only=sessions)
    if not moment.dated and log.clock != "time":
        raise DataError(
            "the log's clock does not tell the time of day, so nobody can say which "
            "sessions are still open. `--everything` scores every moment, for evaluation; lists of "
            "visitors need a run of `cartcast train --moment after` or `day`."
        )
    due = Due(moment, end_of(log), gap)
    end = pd.Timestamp(due.end)
    return ScoreParts(
        run, due if everything else due.now, end, everything, without=out, only=sessions,
        machines=everything or sends_alone(log),
    )  # fmt: skip


def _said_of(run: Run, log: Log, score: ScoreParts) -> list[Finding]:
    """Return what is to be said of a list: how others came out, and who was left out."""
    found = [] if score.everything else [_check(run, log, score), *left_out(log)]
    if not score.everything and score.end is not None and (learnt := _learnt(run)) is not None:
        found += older(score.end, learnt)
    if score.without is not None:
        found.append(score.without.told(sum(map(len, log.map_parts(score.without.visitors)))))
    return found


def _check(run: Run, log: Log, score: ScoreParts) -> Finding:
    """Return how such lists came out: in this log after the run's own, else in training."""
    kept = (run.data.get("lists") or {}).get("check")
    check = Check.from_dict(kept) if kept else None
    known, begin = run.horizon, _learnt(run)
    due = None
    if score.due is not None and known is not None and begin is not None:
        due = score.due.checkable(begin, known)
    if due is not None:
        every = replace(score, due=due, everything=True, segments=False, without=None, only=None)
        tables = log.map_parts(every)
        rows = pd.concat(tables, ignore_index=True).rename(columns={"as_of": "anchor_time"})
        rows = rows.assign(amount=rows.get("amount"))
        check = check_of(rows, rows[run.column], run.kind == "regressor") or check
    return told(check, run.outcome.describe(), run.kind == "regressor")


def _learnt(run: Run) -> datetime | None:
    """Return the end of the log that a run learnt from; None where it has no times."""
    since = run.data["data"].get("end")
    return None if since is None else datetime.fromisoformat(str(since)).replace(tzinfo=None)


def _ordered(table: pd.DataFrame, by: str, everything: bool) -> pd.DataFrame:
    if everything:
        return table.sort_values(["session_id", "as_of", "click"], ignore_index=True)
    return table.sort_values(
        [by, "session_id"], ascending=[False, True], na_position="last", ignore_index=True
    )


def _require_here(engine: str) -> None:
    if engine != "duckdb":
        raise UsageError(
            "this run scores ready tables, which are read on one machine: no --engine."
        )


@contextmanager
def _read(run: Run, given: Sequence[Any], say: Progress, how: _How) -> Iterator[Log]:
    """Yield a log read as the run's own; it lies in a folder in `work` meanwhile."""
    say("reading", None)
    if how.work is not None:
        make_folder(how.work)
    with scratch(how.work) as folder:
        log = run.read(
            *given, folder=folder, layout=how.layout, orders=how.orders, rates=how.rates,
            privacy=how.privacy, engine=how.engine,
        )  # fmt: skip
        say("scoring", None)
        yield log


def score_rows(source: Any, run: Run) -> tuple[pd.DataFrame, tuple[Finding, ...]]:
    """Return the scores of a table of features, and what was found in it.

    What a run on a log says nothing of is null, with the `reason`.

    Raises:
        UsageError: the run reads events, not features.
        DataError: the table does not match the run.
    """
    run.require_features()
    X, found = read_as_trained(source, run.data["features"])
    out = pd.DataFrame({"row": np.arange(1, len(X) + 1)})
    said = run.score(X)
    if run.features is not None:
        said = known_only(run, X, said)
    out = out.assign(**said).rename(columns={"probability": run.column})
    if run.holds("segments") and run.behaviour is None:
        out["segment"] = run.segment_names(X)
    out["model"] = run.version
    return out, found
