"""A run, opened: `Run.open` is the only reader of a run folder.

`run.json` is read at once, everything else when it is first asked for: findings and tables as they
are, models and feature sets after their hashes and fingerprints were checked.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from cartcast.errors import CartcastError, NotFoundError, NotTrustedError, UsageError
from cartcast.findings import Finding, by_severity
from cartcast.moments import Moment
from cartcast.moments.waits import Waits
from cartcast.runs.reading import Reading
from cartcast.runs.registry import resolve_run
from cartcast.runs.shown import as_html, as_line
from cartcast.segments import Segment, named_segment
from cartcast.targets import Proxy, Target, parse_target

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from sklearn.pipeline import Pipeline

    from cartcast.events import Log, Privacy
    from cartcast.features import FeatureSet
    from cartcast.models.persist import Verified

__all__ = ["SCHEMA", "Run"]

SCHEMA = 1
"""Version of `run.json`."""


@dataclass(frozen=True)
class Run:
    """One training with its evidence.

    Attributes:
        dir: the run folder.
        data: what `run.json` holds.
    """

    dir: Path
    data: dict[str, Any]

    @classmethod
    def open(cls, name: Path | str | Run, project: Path | None = None) -> Run:
        """Open a run: the path of its folder, its id, or an alias such as `champion`.

        Ids and aliases are those of `project` (here or above, if None); a run of a team that is
        not on this host is pulled from its store.

        Raises:
            UsageError: `name` is something else.
            NotFoundError: there is no such run.
            NotTrustedError: `run.json` is damaged, or of another schema.
        """
        if isinstance(name, Run):
            return name
        if not isinstance(name, str | Path):
            raise UsageError(f"a run must be a path, an id or an alias, got {type(name).__name__}.")
        folder = resolve_run(name, project)
        data = _json(folder / "run.json")
        if not isinstance(data, dict) or data.get("schema") != SCHEMA:
            got = data.get("schema") if isinstance(data, dict) else type(data).__name__
            raise NotTrustedError(
                f"{folder}/run.json: schema must be {SCHEMA}, got {got}: it is of another version "
                "of Cartcast; train again, or update."
            )
        return cls(folder, data)

    def __getstate__(self) -> dict[str, Any]:
        """Leave behind what was loaded: on another machine it is verified again."""
        return {"dir": self.dir.absolute(), "data": self.data}

    def __repr__(self) -> str:
        return as_line(self)

    def _repr_html_(self) -> str:
        return as_html(self)

    @property
    def id(self) -> str:
        """Its name in the registry: that of its folder."""
        return str(self.data["run_id"])

    @property
    def champion(self) -> str:
        """Name of the model that was chosen on validation."""
        return str(self.data["champion"])

    @property
    def version(self) -> str:
        """Id and model, as every score carries it."""
        return f"{self.id}/{self.champion}"

    @property
    def title(self) -> str:
        """What to call the run in a sentence."""
        return f"{self.target} · {self.data['created'][:16].replace('T', ' ')}"

    @property
    def target(self) -> str:
        """Name of the target."""
        return str(self.data["target"]["name"])

    @property
    def metrics(self) -> dict[str, dict[str, float]]:
        """Figures on test: model, then metric, then value (None where undefined)."""
        return dict(self.data["metrics"])

    @property
    def report(self) -> Path:
        """Path of the report."""
        return self.dir / "report.html"

    def as_dict(self) -> dict[str, Any]:
        """Return what `cartcast train --json` prints."""
        same = ("run_id", "champion", "metrics", "intervals", "by_click", "baselines")
        return {
            "run_dir": str(self.dir),
            "target": self.target,
            "target_kind": self.data["target"]["kind"],
            **{name: self.data[name] for name in same},
            "findings": [f.as_dict() for f in self.findings],
            "seconds": self.data["seconds"]["total"],
            "report": str(self.report),
        }

    # What was asked, and how the log was read.

    @property
    def kind(self) -> Literal["classifier", "regressor"]:
        """What the champion predicts: a probability or money."""
        found = self.data["models"].get(self.champion, {}).get("kind", "classifier")
        return "regressor" if found == "regressor" else "classifier"

    @property
    def reads_events(self) -> bool:
        """Whether the champion reads the events of sessions instead of features."""
        return bool(self.data["models"][self.champion].get("reads") == "events")

    @cached_property
    def moment(self) -> Moment:
        """When it may be asked."""
        return Moment.from_run(self.data)

    @cached_property
    def segment(self) -> Segment | None:
        """The declared segment whose sessions it learnt from and may be asked of; None is all."""
        told = self.data.get("segment")
        return None if told is None else named_segment(told)

    @cached_property
    def outcome(self) -> Target | Proxy:
        """What is predicted.

        Raises:
            NotTrustedError: a proxy of a run from before they were kept whole.
        """
        told = self.data["target"]
        try:
            if isinstance(whole := told.get("proxy"), dict):
                return Proxy(**whole)
            return parse_target(told["asked"])
        except (KeyError, TypeError, CartcastError) as error:
            raise NotTrustedError(
                f"{self.dir}: its target {told.get('name')!r} is not written down; train again."
            ) from error

    @property
    def column(self) -> str:
        """Name of the column of a list that holds what it is ordered by; a proxy says its name."""
        if self.kind == "regressor":
            return "expected_revenue"
        return (
            f"proxy_{re.sub(r'[^a-z0-9]+', '_', self.target.lower())}"
            if self.proxy
            else "probability"
        )

    @property
    def asks(self) -> str:
        """What a score says, in words."""
        said = "Expected" if self.kind == "regressor" else "Probability of"
        return f"{said}: {self.data['target']['describe']}"

    @property
    def horizon(self) -> float | None:
        """Seconds after a moment until its outcome is known; None where there are no times."""
        found = (self.data.get("lists") or {}).get("horizon")
        return None if found is None else float(found)

    @cached_property
    def waits(self) -> Waits | None:
        """How a visitor's silence bears on the outcome, of a run that is asked during sessions."""
        told = (self.data.get("lists") or {}).get("waits")
        return Waits.from_dict(told) if told else None

    @property
    def proxy(self) -> bool:
        """Whether the target only stands in for an outcome that the log does not record."""
        return bool(self.data["target"].get("kind") == "proxy")

    @cached_property
    def reading(self) -> Reading:
        """How its log was read, and how every other is to be."""
        return Reading.from_run(self.data)

    def read(
        self, *sources: Any, layout: str | None = None, rates: Any = None,
        privacy: Privacy | None = None, **how: Any,
    ) -> Log:  # fmt: skip
        """Return a log read as the run's own was, with the findings on what differs.

        See `Reading.load` for the parameters; a `Log` is held against the run as it is.

        Raises:
            NotTrustedError: the run's ids were replaced by another key.
            DataError: the log breaks the contract, or the run cannot say anything of it.
        """
        from dataclasses import replace

        from cartcast.events import Log
        from cartcast.events.rates import rates_from
        from cartcast.runs.foreign import require_same

        if len(sources) == 1 and isinstance(sources[0], Log):
            log = sources[0]
        else:
            log = self.reading.load(
                *sources, layout=layout, rates=rates_from(rates), privacy=privacy, **how
            )
        first = sources[0] if isinstance(sources[0], str | Path) else log.path
        found = require_same(log, self, Path(first).name)
        return replace(log, findings=tuple(by_severity([*log.findings, *found])))

    @property
    def currency(self) -> str | None:
        """ISO 4217 code of the money, or None."""
        return self.reading.currency

    # Evidence.

    @cached_property
    def findings(self) -> tuple[Finding, ...]:
        """What a reader must know before trusting a figure, `block` first, waived last."""
        return tuple(by_severity(Finding.from_dict(f) for f in _json(self._file("findings.json"))))

    @property
    def blocking(self) -> list[Finding]:
        """Findings that block and were not waived."""
        return [f for f in self.findings if f.severity == "block" and f.waived is None]

    @property
    def waived(self) -> list[Finding]:
        """Findings that were waived, each with its reason."""
        return [f for f in self.findings if f.waived is not None]

    @cached_property
    def metric_table(self) -> pd.DataFrame:
        """`metrics.parquet`, tidy."""
        return _table(self._file("metrics.parquet"))

    @cached_property
    def predictions(self) -> pd.DataFrame:
        """`predictions.parquet`: rows of validation and test, with what each model said."""
        return _table(self._file("predictions.parquet"))

    @property
    def test(self) -> pd.DataFrame:
        """Predictions on test rows."""
        return self.predictions[self.predictions["part"] == "test"].reset_index(drop=True)

    @property
    def baselines(self) -> list[str]:
        """The models that any other must beat."""
        return [str(name) for name in self.data.get("baselines", [])]

    def figure(self, model: str, metric: str) -> tuple[Any, Any, Any]:
        """Return (value, low, high) on test; None where undefined."""
        value = self.data["metrics"].get(model, {}).get(metric)
        ends = self.data.get("intervals", {}).get(model, {}).get(metric) or (None, None)
        return value, ends[0], ends[1]

    # Models, verified.

    @cached_property
    def verified(self) -> Verified:
        """The files of its models, each read once; their hashes are the recorded ones.

        Raises:
            NotFoundError, NotTrustedError: a file is not there, or not as recorded.
        """
        from cartcast.models.persist import read_verified

        return read_verified(self.dir / "model", self.data["model_manifest"])

    @cached_property
    def models(self) -> dict[str, Any]:
        """Fitted models by name: `champion`, and `amount`, `interval`, `segments` if any.

        Raises:
            NotFoundError, NotTrustedError: a file is not there, not as recorded, or of a type
                that is not trusted.
        """
        from cartcast.models.persist import load_all

        return load_all(self.dir / "model", self.data["model_manifest"])

    def holds(self, name: str) -> bool:
        """Return whether it has a model of this name, such as `segments`."""
        return name in self.verified.manifest["models"]

    @cached_property
    def scorers(self) -> dict[str, Any]:
        """What says the scores, by the names of `models`.

        It is the exported form of each, and the model itself only where there is none: that loads
        the training libraries.

        Raises:
            NotFoundError, NotTrustedError: as `models`.
        """
        from cartcast.models.exported import FILE, exported_of
        from cartcast.models.persist import load_all
        from cartcast.models.scoring import scorers

        manifest, files = self.verified
        if FILE not in files:
            return self.models
        where = f"{self.dir}/model"
        found = scorers(exported_of(self), files, where)
        if lacking := set(manifest["models"]) - set(found):
            found |= load_all(where, self.data["model_manifest"], lacking)
        return found

    @property
    def pipeline(self) -> Pipeline:
        """The champion as a fitted scikit-learn pipeline over rows of its features, as they come.

        A clone is fitted and calibrated on what it is given; labels are 0 and 1.

        Raises:
            UsageError: it reads events.
            NotFoundError, NotTrustedError: as `models`.
        """
        from sklearn.pipeline import Pipeline

        from cartcast.models.astrained import AsTrained

        self.require_features()
        steps = [("read", AsTrained(self.data["features"])), ("model", self.models["champion"])]
        return Pipeline(steps)

    @cached_property
    def features(self) -> FeatureSet | None:
        """Its feature set, or None for a run on a ready table.

        Raises:
            NotTrustedError: this version makes another of the same declaration.
        """
        told = self.data["features"]
        found = _declared(told["yaml"])
        if found is not None and found.fingerprint != told["fingerprint"]:
            raise NotTrustedError(
                f"{self.dir}: trained with feature set {told['fingerprint'][:12]}, this version of "
                f"Cartcast makes {found.fingerprint[:12]} of the same declaration; train again."
            )
        return found

    @cached_property
    def behaviour(self) -> FeatureSet | None:
        """The feature set of its segments, or None."""
        return _declared((self.data.get("segmentation") or {}).get("yaml"))

    def loaded(self) -> Run:
        """Return the run once its models and features are loaded.

        Raises:
            NotFoundError, NotTrustedError: as `models` and `features`.
        """
        _ = self.scorers, self.features, self.behaviour
        return self

    def require_features(self) -> None:
        """Refuse a champion to which single rows of features say nothing.

        Raises:
            UsageError: it reads events.
        """
        if self.reads_events:
            raise UsageError(
                f"the champion {self.champion!r} reads the events of whole sessions: it scores "
                "logs with `cartcast predict` and nothing else; train without it."
            )

    def require_during(self, where: str) -> None:
        """Refuse a run that was not trained on moments during a session.

        Raises:
            UsageError: naming what it may be asked.
        """
        if self.moment.dated:
            raise UsageError(
                f"run {self.id} may be asked of {self.moment.describe()}; {where} asks during a "
                "session: use a run of `cartcast train --moment during`."
            )

    def typed(self, table: pd.DataFrame) -> pd.DataFrame:
        """Return the features of a table as the models read them."""
        from cartcast.rows import typed

        return typed(table, self.data["features"]["names"], self.data["features"]["categorical"])

    def score(self, X: pd.DataFrame, events: pd.DataFrame | None = None) -> dict[str, Any]:
        """Return the columns said of feature rows `X`: probability, revenue, its interval.

        `events` is `X` with the events up to each row, for a champion that reads them.

        Raises:
            UsageError: it reads events, and there are none.
        """
        import numpy as np

        from cartcast.models.scoring import Ends

        if not len(X):
            # A list may be empty, and models refuse no rows.
            money = ("expected_revenue", "revenue_if_purchase_low", "revenue_if_purchase_high")
            first = "probability" if self.kind == "classifier" else "expected_revenue"
            names = dict.fromkeys((first, *(money if self.holds("amount") else ())))
            return {name: np.empty(0) for name in names}
        scorers, said = self.scorers, dict[str, Any]()
        if events is None:
            self.require_features()
        if self.kind == "classifier":
            read = X if events is None else events
            p = scorers["champion"].predict_proba(read)[:, 1]
            said["probability"] = np.asarray(p, dtype=np.float64)
        else:
            said["expected_revenue"] = np.asarray(scorers["champion"].predict(X), dtype=np.float64)
        if self.holds("amount"):
            given = scorers["amount"].predict_given_purchase(X)
            if self.kind == "classifier":
                said["expected_revenue"] = said["probability"] * given
            interval = scorers["interval"]
            low, high = (
                interval.around(given, said["expected_revenue"])
                if isinstance(interval, Ends)
                else interval.predict(X)
            )
            said |= {"revenue_if_purchase_low": low, "revenue_if_purchase_high": high}
        return said

    def segment_names(self, table: pd.DataFrame) -> np.ndarray[Any, Any]:
        """Return the name of each session's segment; None where it is in none."""
        import numpy as np

        if table.empty:
            return np.empty(0, dtype=object)
        names = {p["label"]: p["name"] for p in self.data["segments"]}
        labels = self.scorers["segments"].predict(table)
        return np.array([names.get(int(k)) for k in labels], dtype=object)

    def _file(self, name: str) -> Path:
        path = self.dir / name
        if not path.is_file():
            raise NotFoundError(f"{self.dir}: not a whole run, {name} is missing; train it again.")
        return path


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise NotTrustedError(f"{path}: damaged, not valid JSON ({error}); train again.") from error


def _table(path: Path) -> pd.DataFrame:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table: pd.DataFrame = pq.read_table(path.absolute()).to_pandas()
    except pa.ArrowInvalid as error:
        first = str(error).splitlines()[0]
        raise NotTrustedError(f"{path}: not valid Parquet ({first}); train again.") from error
    return table


def _declared(text: str | None) -> FeatureSet | None:
    """Return the feature set that `run.json` holds as YAML text."""
    from cartcast.features.form import parse
    from cartcast.yamlfile import parse_yaml

    return parse(parse_yaml(text, "the run's features")) if text else None
