"""What a training is asked to do, checked before data are read."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from cartcast.config import DEFAULTS, Settings, parse_duration
from cartcast.errors import UsageError, did_you_mean
from cartcast.features import FeatureSet
from cartcast.models.own import one_line
from cartcast.moments import Moment
from cartcast.rows.table import called_source
from cartcast.segments import Segment, named_segment

if TYPE_CHECKING:
    from cartcast.events.layouts import Layout
    from cartcast.events.rates import Rates
    from cartcast.models.own import OwnModel
    from cartcast.runs.run import Run
    from cartcast.train.scorer import Scorer

__all__ = ["FAMILIES", "Options"]

FAMILIES = {
    "kmeans": "kmeans",
    "mixture": "gaussian_mixture",
    "dbscan": "dbscan",
    "hdbscan": "hdbscan",
}
"""The families of segments that can be asked for, and their names in `cartcast.models.segments`."""

_APART = (
    "features", "layout", "orders", "session_gap", "session_breaks", "zone", "rates",
    "max_reject_share", "privacy", "threads",
)  # fmt: skip

LEAST_BUDGET = 5.0
DEFAULT_BUDGET = 600.0
"""Seconds that a whole training may take when nobody says."""


@dataclass(frozen=True)
class Options:
    """Everything that decides the result of a training; the same options give the same run.

    Attributes:
        target: a target of the log (`purchase`, `revenue:7d`, `proxy:browsing` ...), or the
            target column of a ready table.
        targets: proxies declared in `cartcast.yaml`.
        models: model names (`default` or `all` stand for lists), and estimators of the user's own.
        scorer, choose_by: a scorer of scikit-learn's that is told beside the figures, and whether
            the champion is chosen by the `loss` or by the `scorer`.
        features: `auto` (proposed from the log itself), `shop`, `usual`, a YAML declaration, or
            a `FeatureSet`.
        moment, horizon, every, seen, anchors: when somebody acts on a score; see `Moment`.
        split: shares of the sessions for train, validation, test.
        layout, orders, session_gap, session_breaks, zone, rates, max_reject_share: as for
            `events.load`.
        drop: columns (of a log: or features) left out.
        group, time, folds: for ready tables: the visitor, the moment,
            and the number of cross-validation folds (None: one split).
        splitter: of a ready table: a splitter of scikit-learn's that makes the folds.
        test: of a ready table: another one with the same columns, which judges.
        positive: the value of a ready table's target that counts as the outcome (None: what its
            words say, else the greater or the rarer one; a finding tells).
        resample: `smote`, `class_weight`, `undersample` or None; inside training rows only.
        calibration: `auto`, `isotonic`, `sigmoid` or `none`.
        budget: seconds for the whole training; infinite bounds nothing.
        tune: whether the time that is left in the budget goes to tuning.
        refit: whether the champion is fitted again to all rows once it is judged.
        backtest: whether it is measured how fast the champion ages.
        capacity: number of sessions that can be acted on, for the threshold by capacity.
        costs: `contact` and `value` in money, for the threshold by profit.
        segment: a declared segment, as plain data with its `name`: only its sessions.
        segments: number of segments to find, or None to choose it.
        segments_by: family that finds the segments, or `all` to see them side by side.
        waivers: finding code to the reason for continuing anyway.
        privacy: `pseudonymise`: columns of the log whose ids are replaced on entry.
        licence: licence of the data, for the card.
        most_rows: rows beyond this number are sampled, by whole visitors.
        seed: seed of everything random.
        threads: threads used by the models.

    Raises:
        UsageError: a value breaks its rule.
    """

    target: str = DEFAULTS.target
    targets: Mapping[str, Any] = field(default_factory=dict)
    models: tuple[str | OwnModel, ...] = DEFAULTS.models
    scorer: Scorer | None = None
    choose_by: str = "loss"
    features: str | FeatureSet = DEFAULTS.features
    moment: str = DEFAULTS.moment
    horizon: str | None = None
    every: float | None = None
    seen: float = DEFAULTS.seen
    anchors: tuple[int, ...] = DEFAULTS.anchors
    split: tuple[float, float, float] = DEFAULTS.split
    layout: str | Layout | None = None
    orders: str | None = None
    session_gap: float = DEFAULTS.session_gap
    session_breaks: tuple[str, ...] = ()
    zone: str | None = None
    rates: Mapping[str, Any] | str | Rates = field(default_factory=dict)
    max_reject_share: float = DEFAULTS.max_reject_share
    drop: tuple[str, ...] = ()
    group: str | None = None
    time: str | None = None
    folds: int | None = None
    splitter: Any = None
    test: Any = None
    positive: str | None = None
    resample: str | None = None
    calibration: str = "auto"
    budget: float = DEFAULT_BUDGET
    tune: bool = False
    refit: bool = True
    backtest: bool = True
    capacity: int | None = None
    costs: Mapping[str, float] = field(default_factory=dict)
    segment: Mapping[str, Any] | None = None
    segments: int | None = None
    segments_by: str = "kmeans"
    waivers: Mapping[str, str] = field(default_factory=dict)
    privacy: Mapping[str, Any] = field(default_factory=dict)
    licence: str | None = None
    most_rows: int = 500_000
    seed: int = DEFAULTS.seed
    threads: int = 2

    def __post_init__(self) -> None:
        if len(self.split) != 3 or min(self.split) <= 0 or abs(sum(self.split) - 1) > 1e-9:
            raise UsageError(
                f"split must be three positive shares that add up to 1, got {self.split}."
            )
        if self.budget < LEAST_BUDGET:
            raise UsageError(
                f"budget must be at least {LEAST_BUDGET:g} seconds, got {self.budget:g}: in less, "
                "not even the baselines are read, fitted, measured and written."
            )
        if self.folds is not None and not 2 <= self.folds <= 100:
            raise UsageError(f"folds must fulfil 2 <= folds <= 100, got {self.folds}.")
        ways = {"folds": self.folds, "splitter": self.splitter, "test": self.test}
        if len(several := [name for name, given in ways.items() if given is not None]) > 1:
            raise UsageError(
                f"give {' or '.join(several)}, one of them only: each says which rows judge."
            )
        if self.choose_by not in ("loss", "scorer"):
            raise UsageError(f"choose_by must be loss or scorer, got {self.choose_by!r}.")
        if self.choose_by == "scorer" and self.scorer is None:
            raise UsageError("choose_by='scorer' needs a scorer, such as 'average_precision'.")
        if self.capacity is not None and self.capacity < 1:
            raise UsageError(f"capacity must be at least 1, got {self.capacity}.")
        if self.segments is not None and self.segments < 2:
            raise UsageError(f"segments must be at least 2, got {self.segments}.")
        _ = self.asked_at
        if self.chosen is not None:
            self.chosen.require_at_start()
        if self.resample not in (None, "smote", "class_weight", "undersample"):
            raise UsageError(
                f"resample must be smote, class_weight or undersample, got {self.resample!r}."
            )
        families = (*FAMILIES, "all")
        if self.segments_by not in families:
            raise UsageError(
                f"segments-by must be one of {', '.join(families)}, got {self.segments_by!r}."
                f"{did_you_mean(self.segments_by, families)}"
            )
        if unknown := set(self.costs) - {"contact", "value"}:
            raise UsageError(f"costs are `contact` and `value`, got {sorted(unknown)}.")

    @property
    def own(self) -> dict[str, OwnModel]:
        """The estimators of the user's own, declared, by name."""
        return {m.name: m for m in self.models if not isinstance(m, str)}

    @property
    def asked_at(self) -> Moment:
        """When somebody acts on a score."""
        return Moment(self.moment, self.anchors, self.every or 0.0, self.seen)  # type: ignore[arg-type]

    @property
    def chosen(self) -> Segment | None:
        """The segment whose sessions are learnt from; None is all."""
        return None if self.segment is None else named_segment(self.segment)

    @classmethod
    def from_settings(cls, settings: Settings, **changes: Any) -> Options:
        """Return options from project settings; `changes` that are not None win.

        A budget that somebody gave is used up: what is left of it goes to tuning.
        """
        same = {f.name for f in dataclasses.fields(cls)} & {
            f.name for f in dataclasses.fields(settings)
        }
        values = {name: getattr(settings, name) for name in same}
        values |= {name: value for name, value in changes.items() if value is not None}
        if isinstance(budget := values.pop("budget", None), str):
            budget = math.inf if budget == "none" else parse_duration(budget)
        if budget is not None:
            values = {"tune": math.isfinite(budget), "budget": float(budget), **values}
        return cls(**values)

    def as_dict(self) -> dict[str, Any]:
        """Return plain data, as `run.json` keeps it; features and reading stand there apart."""
        told = dataclasses.asdict(self._plain(features="", layout=None, rates={}))
        told["own"] = {name: model.notes for name, model in self.own.items()}
        told |= {name: None if v is None else one_line(v) for name, v in self._given.items()}
        return {k: v for k, v in told.items() if k not in _APART}

    def _plain(self, **changes: Any) -> Options:
        """Return the options without what somebody gave as objects."""
        names = tuple(m if isinstance(m, str) else m.name for m in self.models)
        return dataclasses.replace(
            self, models=names, scorer=None, choose_by="loss", splitter=None, test=None, **changes
        )

    @property
    def _given(self) -> dict[str, Any]:
        """What is no plain data, in words."""
        scorer = self.scorer
        return {
            "scorer": None if scorer is None else scorer.name,
            "own_scorer": None if scorer is None or not scorer.own else "yes",
            "choose_by": self.choose_by,
            "splitter": self.splitter,
            "test": None if self.test is None else called_source(self.test),
        }

    @classmethod
    def from_run(cls, run: Run) -> Options:
        """Return the options of a run on a log, for a training on a log that `run.read` gave.

        A run from before options were kept says its target, moment, models and seed.

        Raises:
            UsageError: the run is of a ready table, or has models of its user's own.
        """
        if run.features is None:
            raise UsageError(f"run {run.id} is of a ready table; a run on a log is trained again.")
        if own := (run.data.get("options") or {}).get("own"):
            raise UsageError(
                f"run {run.id} was trained with models of its user's own ({', '.join(own)}), of "
                "which it keeps what they learnt, not how to learn it; train it again from Python."
            )
        moment, reading = run.moment, run.reading
        told = run.data.get("options") or {
            "target": run.data["target"]["asked"],
            "models": [n for n in run.data["models"] if n not in run.baselines] or [run.champion],
            "moment": moment.kind, "anchors": moment.clicks, "every": moment.every,
            "seen": moment.seen, "seed": run.data["seed"],
        }  # fmt: skip
        known = {f.name for f in dataclasses.fields(cls)}
        values: dict[str, Any] = {
            k: tuple(v) if isinstance(v, list) else v for k, v in told.items() if k in known
        }
        values["scorer"] = None
        if told.get("choose_by") == "scorer":
            if told.get("own_scorer"):
                raise UsageError(
                    f"the champion of run {run.id} was chosen by a scorer of its user's own "
                    f"({told['scorer']}), of which it keeps the name; train it again from Python."
                )
            from cartcast.train.scorer import scorer_of

            values["scorer"] = scorer_of(told["scorer"])
        if "budget" in values and values["budget"] is None:
            values["budget"] = math.inf
        return cls(
            **values, features=run.features, layout=reading.layout,
            session_gap=reading.sessions.gap, session_breaks=reading.sessions.breaks,
            zone=reading.zone, rates=reading.rates or {},
            max_reject_share=reading.max_reject_share,
        )  # fmt: skip

    def fingerprint(self, *parts: str) -> str:
        """Return a hash of the options and `parts`, for the resumption of interrupted work."""
        own = {name: model.key for name, model in self.own.items()}
        told = [dataclasses.asdict(self._plain()), own, self._given, *parts]
        data = json.dumps(told, sort_keys=True, default=str)
        return hashlib.sha256(data.encode()).hexdigest()[:16]
