"""A run made ready to score: its models, verified, and its feature sets."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cartcast.errors import NotTrustedError, UsageError
from cartcast.features import FeatureSet
from cartcast.features.form import parse
from cartcast.models.persist import load_all
from cartcast.registry import read_run
from cartcast.yamlfile import parse_yaml

__all__ = ["Scorer", "load_scorer"]


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


def load_scorer(run_dir: Path, run: dict[str, Any] | None = None) -> Scorer:
    """Load a run for scoring, after checking hashes, types and the feature set.

    `run` is what its `run.json` held before, when that is not to be read again.

    Raises:
        NotFoundError: it is no run.
        NotTrustedError: a file is not the recorded one, or the declared features differ.
    """
    run = read_run(run_dir) if run is None else run
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
