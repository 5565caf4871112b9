"""The estimator: features and prefixes in, one probability per moment out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin

from cartcast.errors import DataError, UsageError
from cartcast.models.encode import Encoder
from cartcast.models.sequence import exported
from cartcast.models.sequence.inputs import Reader, Sessions, gather
from cartcast.models.sequence.prefixes import EVENTS
from cartcast.models.table import binary_labels, row_weights

__all__ = ["ClickSequence"]

Floats = NDArray[np.float64]
HELD = 10
"""One session in this many is held back to choose the best pass."""
SCORED = 16_384
"""Events scored side by side, at most."""


class ClickSequence(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """A network over the events of a session, with the features of the moment beside them.

    `X` is a table as `with_events` makes it: features, and the events up to each row's moment.
    The rows of a session must be prefixes of one another; each event is then read once. PyTorch
    learns (extra `deep`, on a GPU where there is one); what is learnt are arrays (`weights_`),
    which score by numpy alone.

    Args:
        body: `transformer` (two causal blocks) or `gru` (a gated recurrent unit).
        networks: number of networks, each from another start; their log-odds are averaged.
        size: size of the state.
        before: passes over the events to learn what comes next, before the labels are seen.
        epochs: passes over the rows; the best one on a tenth of the sessions, another tenth for
            each network, is kept.
        batch: sessions in a step.
        rate: highest learning rate.
        dropout: share of the state that is left out in learning.
        decay: decay of the weights.
        levels: values of a category that have a code of their own, at most.
        categorical: features that are categories; None means by type.
        seed: seed of weights and order.
    """

    def __init__(
        self,
        body: str = "transformer",
        networks: int = 2,
        size: int = 32,
        before: int = 2,
        epochs: int = 8,
        batch: int = 256,
        rate: float = 5e-3,
        dropout: float = 0.1,
        decay: float = 0.01,
        levels: int = 500,
        categorical: tuple[str, ...] | None = None,
        seed: int = 42,
    ) -> None:
        self.body = body
        self.networks = networks
        self.size = size
        self.before = before
        self.epochs = epochs
        self.batch = batch
        self.rate = rate
        self.dropout = dropout
        self.decay = decay
        self.levels = levels
        self.categorical = categorical
        self.seed = seed

    def fit(
        self, X: pd.DataFrame, y: Any, sample_weight: Any = None, amount: Any = None
    ) -> ClickSequence:
        """Fit on moments with the label of each: what comes after it.

        `amount` is the money after each moment, NaN where unknown.

        Raises:
            UsageError: PyTorch is not installed, or there is no such body.
            DataError: one class, missing labels, or a missing column.
        """
        try:
            from cartcast.models.sequence.network import Given, Learning, learn
        except ImportError as error:
            raise UsageError(
                "the sequence model learns with PyTorch: pip install 'cartcast[deep]'."
            ) from error
        if self.body not in ("gru", "transformer"):
            raise UsageError(f"body must be gru or transformer, got {self.body!r}.")
        labels = binary_labels(y)
        weights = row_weights(sample_weight, len(labels))
        weights = np.ones(len(labels)) if weights is None else weights
        events = gather(X)
        reader = Reader.learn(events, self.levels)
        self.levels_, self.scale_ = reader.levels, reader.scale
        self.encoder_ = Encoder(scale=True, keep_nulls=False, categorical=self.categorical)
        self.encoder_.fit(X.drop(columns=EVENTS))
        money = np.full(len(labels), np.nan) if amount is None else np.asarray(amount, np.float64)
        money = np.log(np.where((labels == 1) & (money > 0), money, np.nan))
        known = money[np.isfinite(money)]
        self.amount_ = (known.mean(), known.std() or 1.0) if len(known) else None
        centre, spread = self.amount_ or (0.0, 1.0)
        single = (self._features(X), labels, weights, (money - centre) / spread)
        given = Given(
            events, list(reader.slices.values()), *reader.read(events),
            *(part.astype(np.float32) for part in single),
        )  # fmt: skip
        self.weights_ = []
        for k in range(self.networks):
            seed = self.seed + k
            held = np.random.default_rng(seed).permutation(len(events.length)) % HELD == 0
            if len(held) == 1:
                raise DataError("one session is too few for the sequence model; give more.")
            how = Learning(
                self.body, self.size, self.before, self.epochs, self.batch, self.rate,
                self.dropout, self.decay, seed,
            )  # fmt: skip
            self.weights_.append(learn(given, held, how))
        self.classes_ = np.array([0, 1])
        self.feature_names_in_ = np.asarray([str(c) for c in X.columns], dtype=object)
        return self

    def predict_proba(self, X: pd.DataFrame) -> Floats:
        """Return probabilities at every moment, shape (rows, 2).

        Raises:
            DataError: a column is missing.
        """
        said = [exported.purchase(w, s, self._features(X))[0] for w, s in self._states(X)]
        p = 0.5 + 0.5 * np.tanh(0.5 * np.mean(said, axis=0))
        return np.column_stack([1 - p, p])

    def predict(self, X: pd.DataFrame) -> NDArray[np.int64]:
        """Return 1 where the probability is at least one half."""
        return (self.predict_proba(X)[:, 1] >= 0.5).astype(np.int64)

    def predict_amount(self, X: pd.DataFrame) -> Floats:
        """Return the median money of each moment if it ends in a purchase.

        Raises:
            UsageError: the model was fitted without amounts.
        """
        if self.amount_ is None:
            raise UsageError("the sequence model was fitted without amounts.")
        said = [
            exported.line(w, "amount", exported.purchase(w, s, self._features(X))[1])[:, 0]
            for w, s in self._states(X)
        ]
        centre, spread = self.amount_
        return np.asarray(np.exp(centre + spread * np.mean(said, axis=0)), dtype=np.float64)

    def predict_next(self, X: pd.DataFrame, name: str = "event_type") -> pd.DataFrame:
        """Return the probability of each value of a category at the next event of each moment.

        Columns are the values; `null` and `other` (all values without a code) come first.

        Raises:
            UsageError: no such category is read.
        """
        if name not in self.levels_:
            raise UsageError(f"the sequence model does not read {name!r}.")
        at = Reader(self.levels_, self.scale_).slices[name]
        odds = np.mean(
            [exported.line(w, "following", s)[:, at] for w, s in self._states(X)], axis=0
        )
        share = np.exp(odds - odds.max(axis=1, keepdims=True))
        share /= share.sum(axis=1, keepdims=True)
        return pd.DataFrame(share, columns=["null", "other", *self.levels_[name]], index=X.index)

    def _features(self, X: pd.DataFrame) -> Floats:
        # A column of ones: there may be no other.
        return np.column_stack([np.ones(len(X)), self.encoder_.transform(X)])

    def _states(self, X: pd.DataFrame) -> Iterator[tuple[exported.Weights, Floats]]:
        """Yield the weights of each network, and its state at each row.

        In double precision, so that a score does not hang on who is scored beside it.
        """
        events = gather(X)
        codes, numbers = Reader(self.levels_, self.scale_).read(events)
        at = events.start[events.session] + events.click
        for single in self.weights_:
            w = {name: value.astype(np.float64) for name, value in single.items()}
            found = np.empty((len(codes), w["state.weight"].shape[1]))
            for place in _together(events):
                found[place] = exported.states(w, codes[place], numbers[place].astype(np.float64))
            yield w, found[at]


def _together(events: Sessions) -> Iterator[NDArray[np.int64]]:
    """Yield the events of sessions of one length side by side, shape (sessions, events)."""
    for length in np.unique(events.length):
        group = np.flatnonzero(events.length == length)
        for some in np.array_split(group, -(-len(group) * length // SCORED)):
            yield events.start[some][:, None] + np.arange(length)
