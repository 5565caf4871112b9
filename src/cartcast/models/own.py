"""Estimators of one's own: what keeps scikit-learn's rules goes where the name of a model does.

A bare estimator is given numbers, as every model here is: an `Encoder` before it makes columns of
words. One that prepares its columns itself (a `Pipeline`, or anything that holds one or another
transformer) is given the table as it is: numbers as float64, words as text, and NaN for null.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin, clone
from sklearn.pipeline import Pipeline
from sklearn.utils import get_tags
from sklearn.utils.validation import has_fit_parameter

from cartcast.errors import CartcastError, UsageError
from cartcast.models.declaration import Declaration
from cartcast.models.encode import Encoder
from cartcast.models.encoding import as_frame
from cartcast.models.table import amounts, binary_labels, few_threads, row_weights

__all__ = ["OwnClassifier", "OwnModel", "OwnRegressor", "one_line", "own_model"]

Floats = NDArray[np.float64]
Kind = Literal["classifier", "regressor"]
_NAME = re.compile(r"[A-Za-z][\w.-]{0,63}")
SIMPLICITY = 5
"""That of boosted trees: nothing is known of it, so between the two the loss decides."""


@dataclass(frozen=True, kw_only=True)
class OwnModel(Declaration):
    """The declaration of an estimator that somebody gave.

    Attributes:
        estimator: as it was given; only clones of it are fitted.
    """

    estimator: Any

    @property
    def key(self) -> str:
        """What decides its result, in words: a stopped training continues only with the same."""
        return f"{_called(self.estimator)} {sorted(_parameters(self.estimator).items())!r}"


def own_model(given: Any) -> OwnModel:
    """Return the declaration of an estimator, or of a pair `(name, estimator)`.

    Raises:
        UsageError: it is a class, cannot be cloned or fitted, or gives neither probabilities nor
            amounts; or the name cannot be one.

    >>> from sklearn.tree import DecisionTreeClassifier
    >>> own_model(("mine", DecisionTreeClassifier(max_depth=2))).notes
    'DecisionTreeClassifier(max_depth=2), given by its user; Cartcast encodes the columns.'
    """
    named = isinstance(given, tuple) and len(given) == 2
    name, estimator = given if named else (_called(given), given)
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise UsageError(
            f"a model's name must begin with a letter, and hold letters, digits, - . _ only, got "
            f"{name!r:.80}."
        )
    kind = _kind(name, estimator)
    itself = _prepares(estimator)
    reads = "it prepares the columns itself" if itself else "Cartcast encodes the columns"

    def build(seed: int, n_jobs: int, categorical: tuple[str, ...] | None) -> Any:
        encoder = None
        if not itself:
            encoder = Encoder(keep_nulls=_takes_nulls(estimator), categorical=categorical)
        made = OwnClassifier if kind == "classifier" else OwnRegressor
        return made(_seeded(estimator, seed), encoder, name)

    return OwnModel(
        name, name, kind, "own", build, simplicity=SIMPLICITY, estimator=estimator,
        notes=f"{one_line(estimator, 160)}, given by its user; {reads}.",
    )  # fmt: skip


class _Own(BaseEstimator):  # type: ignore[misc]
    """What a classifier and a regressor of one's own share: they are fitted, and asked."""

    def __init__(self, own: Any, encoder: Encoder | None = None, name: str = "own") -> None:
        self.own = own
        self.encoder = encoder
        self.name = name

    def _fit(self, X: Any, y: Any, sample_weight: Any) -> None:
        frame = as_frame(X)
        weights = row_weights(sample_weight, len(y))
        self.feature_names_in_ = np.asarray([str(c) for c in frame.columns], dtype=object)
        self.encoder_ = None if self.encoder is None else clone(self.encoder).fit(frame)
        self.own_ = clone(self.own)
        told: dict[str, Any] = {}
        # Equal weights are none: most estimators take them, some only warn of it.
        if weights is not None and np.ptp(weights) > 1e-9 and (to := _weighs(self.own_)):
            told = {to: weights}
        self.weighted_ = bool(told) or weights is None or float(np.ptp(weights)) <= 1e-9
        with few_threads(self.own_, len(frame)):
            self._asked("fit", self._read(frame), y, **told)

    def _read(self, X: Any) -> Any:
        frame = as_frame(X)[list(self.feature_names_in_)]
        if self.encoder_ is not None:
            return self.encoder_.transform(frame)
        # Some tables come with None for null and some with NaN, which are two levels of a word.
        words = {n: frame[n].astype(object) for n in _of_words(frame)}
        return frame.assign(**{n: w.where(w.notna(), np.nan) for n, w in words.items()})

    def _asked(self, what: str, *given: Any, **weights: Any) -> Any:
        """Call a method of the estimator; whatever it raises, the user reads one line."""
        try:
            return getattr(self.own_, what)(*given, **weights)
        except CartcastError:
            raise
        except Exception as error:
            told = _of_words(given[0]) if self.encoder_ is None and what == "fit" else []
            words = f" It was given words too ({', '.join(told[:3])})." if told else ""
            raise UsageError(
                f"model {self.name!r} ({_called(self.own_)}) failed in {what}: "
                f"{type(error).__name__}: {one_line(error)}.{words}"
            ) from error

    def _said(self, what: str, X: Any, shape: tuple[int, ...]) -> Floats:
        said = np.asarray(self._asked(what, self._read(X)), dtype=np.float64)
        if said.shape != shape or not np.isfinite(said).all():
            raise UsageError(
                f"model {self.name!r} ({_called(self.own_)}): {what} must return finite numbers of "
                f"shape {shape}, got shape {said.shape}."
            )
        return said

    @property
    def note_(self) -> str:
        """What it could not be told."""
        return "" if self.weighted_ else "Its fit takes no weights: all rows count the same."


class OwnClassifier(ClassifierMixin, _Own):  # type: ignore[misc]
    """A classifier of one's own over a table, `encoder` before it if it has one.

    After `fit`, `own_` is the fitted clone and `classes_` is [0, 1].
    """

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> OwnClassifier:
        """Fit a clone on rows `X` with labels `y` (0 or 1).

        Raises:
            DataError: one class, or missing labels.
            UsageError: the estimator failed.
        """
        self.classes_ = np.array([0, 1])
        self._fit(X, binary_labels(y), sample_weight)
        return self

    def predict_proba(self, X: Any) -> Floats:
        """Return probabilities, shape (rows, 2): of 0 and of 1.

        Raises:
            UsageError: the estimator failed, or what it returned is no probability.
        """
        said = self._said("predict_proba", X, (len(X), 2))
        if said.size and (said.min() < -1e-9 or said.max() > 1 + 1e-9):
            raise UsageError(
                f"model {self.name!r} ({_called(self.own_)}): a probability must lie between 0 and "
                f"1, got {said.min():g} to {said.max():g}."
            )
        return said

    def predict(self, X: Any) -> NDArray[np.int64]:
        """Return 1 where the probability is at least one half."""
        return (self.predict_proba(X)[:, 1] >= 0.5).astype(np.int64)


class OwnRegressor(RegressorMixin, _Own):  # type: ignore[misc]
    """A regressor of one's own over a table, `encoder` before it if it has one."""

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> OwnRegressor:
        """Fit a clone on rows `X` with amounts `y`.

        Raises:
            DataError: missing amounts.
            UsageError: the estimator failed.
        """
        self._fit(X, amounts(y), sample_weight)
        return self

    def predict(self, X: Any) -> Floats:
        """Return expected amounts, shape (rows,).

        Raises:
            UsageError: the estimator failed, or what it returned are no amounts.
        """
        return self._said("predict", X, (len(X),))


def one_line(what: object, most: int = 200) -> str:
    r"""Return the text of an object in one line of limited length.

    >>> one_line("two\n  lines."), one_line("x" * 9, 5)
    ('two lines', 'xx...')
    """
    text = re.sub(r"\s+", " ", str(what)).strip().rstrip(".")
    return text if len(text) <= most else text[: most - 3] + "..."


def _kind(name: str, estimator: Any) -> Kind:
    """Return what an estimator predicts, once it keeps the rules."""
    if isinstance(estimator, type):
        raise UsageError(
            f"model {name!r} is a class; give an estimator made of it: {estimator.__name__}(...)."
        )
    what = f"model {name!r} ({_called(estimator)})"
    if lacks := [m for m in ("get_params", "fit") if not callable(getattr(estimator, m, None))]:
        raise UsageError(
            f"{what} is no scikit-learn estimator: it has no {lacks[0]}(); give a model's name, "
            "an estimator, or (name, estimator)."
        )
    try:
        clone(estimator)
    except Exception as error:
        raise UsageError(
            f"{what} cannot be cloned ({one_line(error)}); keep its parameters as they are given."
        ) from error
    role = _role(estimator)
    if role != "regressor" and hasattr(estimator, "predict_proba"):
        return "classifier"
    if role == "classifier":
        raise UsageError(
            f"{what} gives no probabilities (no predict_proba); wrap it in scikit-learn's "
            "CalibratedClassifierCV, or take one that does."
        )
    if hasattr(estimator, "predict"):
        return "regressor"
    raise UsageError(f"{what} predicts nothing: it has neither predict_proba nor predict.")


def _role(estimator: Any) -> str | None:
    try:
        found = get_tags(estimator).estimator_type
    except (AttributeError, TypeError):
        found = getattr(estimator, "_estimator_type", None)
    return None if found is None else str(found)


def _parameters(estimator: Any) -> Mapping[str, Any]:
    return dict(estimator.get_params(deep=True))


def _prepares(estimator: Any) -> bool:
    """Return whether it is a pipeline, or holds one or another transformer."""
    parts = [estimator, *_parameters(estimator).values()]
    return any(
        isinstance(p, Pipeline) or (hasattr(p, "transform") and not hasattr(p, "predict"))
        for p in parts
    )


def _takes_nulls(estimator: Any) -> bool:
    try:
        return bool(get_tags(estimator).input_tags.allow_nan)
    except (AttributeError, TypeError):
        return False


def _seeded(estimator: Any, seed: int) -> Any:
    """Return a clone in which whatever is random has a seed: the same run is the same again."""
    made = clone(estimator)
    for name, value in sorted(_parameters(made).items()):
        if value is None and name.rpartition("__")[2] == "random_state":
            made.set_params(**{name: seed})
    return made


def _weighs(model: Any) -> str | None:
    """Return the parameter of `fit` that takes weights of the rows, or None."""
    if isinstance(model, Pipeline):
        last, final = model.steps[-1]
        inner = _weighs(final) if hasattr(final, "fit") else None
        return inner and f"{last}__{inner}"
    return "sample_weight" if has_fit_parameter(model, "sample_weight") else None


def _of_words(X: pd.DataFrame) -> list[str]:
    return [str(n) for n in X if not pd.api.types.is_numeric_dtype(X[n])]


def _called(estimator: Any) -> str:
    return (estimator if isinstance(estimator, type) else type(estimator)).__name__
