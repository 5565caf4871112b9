"""Scoring: a stored run says of a new log, or of a new ready table, what it expects.

For a log there is one row per session, scored after its last event: the probability of the
outcome, the expected revenue with an interval given purchase, the segment, and the run that said
so. A log of which the run cannot say anything is refused (`cartcast.reading`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cartcast.atomic import atomic_path
from cartcast.errors import DataError, NotTrustedError, UsageError, did_you_mean
from cartcast.events import Log, Privacy
from cartcast.events.rates import Rates, rates_from
from cartcast.features import FeatureSet
from cartcast.features.form import parse
from cartcast.findings import Finding
from cartcast.models.persist import load_all
from cartcast.reading import read_as
from cartcast.registry import read_run
from cartcast.rows import read_table, typed
from cartcast.scratch import scratch
from cartcast.spreadsheet import write_csv
from cartcast.yamlfile import parse_yaml

__all__ = ["Scorer", "load_scorer", "predict", "predict_to", "write_table"]

Progress = Callable[[str, float | None], None]


@dataclass(frozen=True)
class Scorer:
    """A run made ready to score.

    Attributes:
        run: what `run.json` holds.
        models: fitted models by name: `champion`, and `amount`, `segments` where there are any.
        features: the feature set, or None for a run on a ready table.
        behaviour: the feature set of the segments, or None.
    """

    run: dict[str, Any]
    models: dict[str, Any]
    features: FeatureSet | None
    behaviour: FeatureSet | None

    @property
    def version(self) -> str:
        """Run id and model, as every score carries it."""
        return f"{self.run['run_id']}/{self.run['champion']}"

    @property
    def probability(self) -> bool:
        """Whether the champion says a probability (else an amount)."""
        return bool(self.run["models"][self.run["champion"]]["kind"] == "classifier")

    @property
    def reads_events(self) -> bool:
        """Whether the champion reads the events of sessions instead of features."""
        return bool(self.run["models"][self.run["champion"]].get("reads") == "events")

    def require_features(self) -> None:
        """Refuse a champion to which single rows of features say nothing.

        Raises:
            UsageError: it reads events.
        """
        if self.reads_events:
            raise UsageError(
                f"the champion {self.run['champion']!r} reads the events of whole sessions: it "
                "scores logs with `cartcast predict` and nothing else; train without it."
            )

    def score(self, X: pd.DataFrame, prefixes: pd.DataFrame | None = None) -> dict[str, Any]:
        """Return the columns said of feature rows `X`: probability, revenue, its interval.

        `prefixes` holds the events up to each row, for a champion that reads them.

        Raises:
            UsageError: it reads events, and there are none.
        """
        champion = self.models["champion"]
        said: dict[str, Any] = {}
        read = X if prefixes is None else prefixes
        if prefixes is None:
            self.require_features()
        if self.probability:
            said["probability"] = np.asarray(champion.predict_proba(read)[:, 1], dtype=np.float64)
        else:
            said["expected_revenue"] = np.asarray(champion.predict(X), dtype=np.float64)
        if "amount" in self.models:
            amount = self.models["amount"]
            if self.probability:
                given = amount.predict_given_purchase(X)
                said["expected_revenue"] = said["probability"] * given
            low, high = self.models["interval"].predict(X)
            said |= {"revenue_if_purchase_low": low, "revenue_if_purchase_high": high}
        return said

    def segment_names(self, table: pd.DataFrame) -> np.ndarray[Any, Any]:
        """Return the name of each session's segment; None where it is in none."""
        names = {p["label"]: p["name"] for p in self.run["segments"]}
        labels = self.models["segments"].predict(table)
        return np.array([names.get(int(k)) for k in labels], dtype=object)


def load_scorer(run_dir: Path) -> Scorer:
    """Load a run for scoring, after checking hashes, types and the feature set.

    Raises:
        NotFoundError: it is no run.
        NotTrustedError: a file is not the recorded one, or the declared features differ.
    """
    run = read_run(run_dir)
    models = load_all(run_dir / "model", run["model_manifest"])
    declared = run["features"]["yaml"]
    features = _declared(declared)
    if features is not None and features.fingerprint != run["features"]["fingerprint"]:
        raise NotTrustedError(
            f"{run_dir}: the model was trained with feature set "
            f"{run['features']['fingerprint'][:12]}, this version of Cartcast makes "
            f"{features.fingerprint[:12]} of the same declaration; train again."
        )
    behaviour = (run.get("segmentation") or {}).get("yaml")
    return Scorer(run, models, features, _declared(behaviour))


def _declared(text: str | None) -> FeatureSet | None:
    """Return the feature set that `run.json` holds as YAML text."""
    return parse(parse_yaml(text, "the run's features")) if text else None


def predict(
    sources: Sequence[Any] | Any,
    run_dir: Path | str,
    *,
    layout: str | None = None,
    orders: str | None = None,
    rates: Rates | Mapping[str, Any] | Path | str | None = None,
    privacy: Privacy | None = None,
    progress: Progress | None = None,
) -> tuple[pd.DataFrame, tuple[Finding, ...]]:
    """Return the scores of a log or of a ready table, and what was found in it.

    A run on a pseudonymised log scores logs pseudonymised with the same key, and replaces the ids
    of others with it; `privacy` does so for runs that are not. `rates` convert the log's money
    into the run's currency.

    Raises:
        NotFoundError, NotTrustedError: the run is not there, or not as recorded.
        DataError: the log or table does not match the model.
    """
    say = progress or _silent
    say("loading the model", None)
    scorer = load_scorer(Path(run_dir))
    given = list(sources) if isinstance(sources, list | tuple) else [sources]
    say("reading", None)
    if scorer.features is None:
        if len(given) != 1:
            raise UsageError(f"this run scores one ready table, got {len(given)} files.")
        return _table_scores(given[0], scorer), ()
    with scratch() as work:
        log = read_as(
            scorer.run,
            scorer.features,
            given,
            work,
            layout=layout,
            orders=orders,
            rates=rates_from(rates),
            privacy=privacy,
        )
        say("scoring", None)
        return _log_scores(log, scorer), log.findings


def predict_to(
    sources: Sequence[Any] | Any,
    run_dir: Path | str,
    out: Path | str,
    *,
    layout: str | None = None,
    orders: str | None = None,
    rates: Rates | Mapping[str, Any] | Path | str | None = None,
    privacy: Privacy | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Write the scores to CSV or Parquet, whole or not at all; return what was done.

    Raises:
        UsageError: `out` ends neither in .csv nor in .parquet.
        StorageError: it cannot be written.
        NotFoundError, NotTrustedError, DataError: as `predict`.
    """
    out = Path(out)
    if out.suffix not in (".csv", ".parquet"):
        raise UsageError(f"{out}: the name must end in .csv or .parquet.")
    table, findings = predict(
        sources, run_dir, layout=layout, orders=orders, rates=rates, privacy=privacy,
        progress=progress,
    )  # fmt: skip
    write_table(table, out)
    model = str(table["model"].iloc[0]) if len(table) else ""
    return {"rows": len(table), "out": str(out), "model": model, "findings": findings}


def write_table(table: pd.DataFrame, out: Path) -> None:
    """Write a table as CSV or Parquet; in CSV, text that a spreadsheet would run is made text."""
    with atomic_path(out) as temporary:
        if out.suffix == ".parquet":
            table.to_parquet(temporary, index=False)
        else:
            write_csv(table, temporary)


def _log_scores(log: Log, scorer: Scorer) -> pd.DataFrame:
    assert scorer.features is not None
    replayed = scorer.features.replay(log, at="end").to_pandas()
    X = typed(replayed, scorer.run["features"]["names"], scorer.run["features"]["categorical"])
    with log.connect() as con:
        facts = con.execute(
            "SELECT session_id, any_value(visitor_id) AS visitor_id, count(*) AS click, "
            "max(event_order) AS event_order, "
            "max(event_time) AS last_event, "
            "count(*) FILTER (event_type = 'purchase') > 0 AS purchased "
            "FROM events GROUP BY session_id"
        ).df()
    read = _prefixes(log, facts, replayed["session_id"]) if scorer.reads_events else None
    said = pd.DataFrame({"session_id": replayed["session_id"], **scorer.score(X, read)})
    if scorer.behaviour is not None and "segments" in scorer.models:
        behaved = scorer.behaviour.replay(log, at="end").to_pandas()
        named = pd.DataFrame(
            {"session_id": behaved["session_id"], "segment": scorer.segment_names(behaved)}
        )
        said = said.merge(named, on="session_id", how="left", validate="one_to_one")
    table = facts.drop(columns="event_order").merge(
        said, on="session_id", how="inner", validate="one_to_one"
    )
    table["model"] = scorer.version
    return table.sort_values("session_id", ignore_index=True)


def _prefixes(log: Log, facts: pd.DataFrame, sessions: pd.Series) -> pd.DataFrame:
    """Return the events of each session, in the order of `sessions`."""
    from cartcast.models.sequence import prefixes

    last = facts.set_index("session_id")["event_order"]
    moments = pd.DataFrame(
        {"session_id": sessions.to_numpy(), "event_order": last.loc[sessions].to_numpy()}
    )
    return prefixes(log, moments)


def _table_scores(source: Any, scorer: Scorer) -> pd.DataFrame:
    raw = read_table(source)
    names = scorer.run["features"]["names"]
    for name in names:
        if name not in raw.columns:
            raise DataError(
                f"the table has no column {name!r}, which the model reads."
                f"{did_you_mean(name, map(str, raw.columns))}"
            )
    X = typed(raw, names, scorer.run["features"]["categorical"])
    out = pd.DataFrame({"row": np.arange(1, len(raw) + 1), **scorer.score(X)})
    if "segments" in scorer.models:
        out["segment"] = scorer.segment_names(X)
    out["model"] = scorer.version
    return out


def _silent(what: str, share: float | None) -> None:
    """Tell nobody."""
