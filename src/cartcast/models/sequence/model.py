"""The estimator: prefixes in, one probability per moment out."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin

from cartcast.models.sequence import network
from cartcast.models.sequence.inputs import Events, Reader, gather
from cartcast.models.sequence.prefixes import CATEGORIES, NUMBERS
from cartcast.models.table import binary_labels, row_weights

__all__ = ["ClickSequence"]

Floats = NDArray[np.float64]
HELD = 10
"""One session in this many is held back to choose the best pass."""
SCORED = 4096
"""Sessions scored side by side."""


class ClickSequence(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """A gated recurrent unit over the events of a session.

    `X` is a table as `prefixes` makes it: one row a moment, cells hold the events up to it. The
    rows of a session must be prefixes of one another; each event is then read once.

    Args:
        categories: columns that enter by a table of vectors, the `levels` most frequent values.
        numbers: columns that enter as standardised signed logarithms; nulls as 0, and marked.
        networks: number of networks, each from another start; their log-odds are averaged.
        hidden: size of the state.
        epochs: most passes over the sessions; the best one on a tenth of the sessions, another
            one for each network, is kept.
        batch: sessions in a step.
        rate: learning rate.
        longest: clicks of a session used for learning.
        levels: values kept of a category.
        seed: seed of weights and order.
    """

    def __init__(
        self,
        categories: tuple[str, ...] = CATEGORIES,
        numbers: tuple[str, ...] = NUMBERS,
        networks: int = 4,
        hidden: int = 16,
        epochs: int = 20,
        batch: int = 64,
        rate: float = 5e-3,
        longest: int = 64,
        levels: int = 50,
        seed: int = 42,
    ) -> None:
        self.categories = categories
        self.numbers = numbers
        self.networks = networks
        self.hidden = hidden
        self.epochs = epochs
        self.batch = batch
        self.rate = rate
        self.longest = longest
        self.levels = levels
        self.seed = seed

    def fit(self, X: pd.DataFrame, y: Any, sample_weight: Any = None) -> ClickSequence:
        """Fit on moments with the label of each: what comes after it.

        Raises:
            DataError: one class, missing labels, or a missing column.
        """
        labels = binary_labels(y)
        weights = row_weights(sample_weight, len(labels))
        w = np.ones(len(labels)) if weights is None else weights
        events = gather(X, self._names)
        reader = Reader.learn(events, tuple(self.categories), tuple(self.numbers), self.levels)
        codes, numbers = reader.codes(events), reader.numbers(events)
        judged = _judged(events, labels, w)
        self.weights_ = [
            self._network(self.seed + k, events, reader, codes, numbers, judged)
            for k in range(self.networks)
        ]
        self.classes_ = np.array([0, 1])
        self.levels_, self.centre_, self.spread_ = reader.levels, reader.centre, reader.spread
        return self

    def predict_proba(self, X: pd.DataFrame) -> Floats:
        """Return probabilities at every moment, shape (rows, 2).

        Raises:
            DataError: a column is missing.
        """
        events = gather(X, self._names)
        reader = Reader(self.levels_, self.centre_, self.spread_)
        codes, numbers = reader.codes(events), reader.numbers(events).astype(np.float64)
        # In double precision, so that a score does not hang on who is scored beside it.
        exact = [{k: v.astype(np.float64) for k, v in w.items()} for w in self.weights_]
        odds = np.empty(len(codes))
        for group in network.cut(np.arange(len(events.length)), events.length, SCORED):
            place, real = _places(events, group, int(events.length[group].max()))
            said = [network.scores(w, codes[place], numbers[place])[real] for w in exact]
            odds[place[real]] = np.mean(said, axis=0)
        z = odds[events.start[events.session] + events.click]
        p = 0.5 * (1 + np.tanh(0.5 * z))
        return np.column_stack([1 - p, p])

    def predict(self, X: pd.DataFrame) -> NDArray[np.int64]:
        """Return 1 where the probability is at least one half."""
        return (self.predict_proba(X)[:, 1] >= 0.5).astype(np.int64)

    @property
    def _names(self) -> tuple[str, ...]:
        return (*self.categories, *self.numbers)

    def _network(
        self, seed: int, events: Events, reader: Reader, codes: Any, numbers: Any, judged: _Judged
    ) -> network.Weights:
        sessions = np.random.default_rng(seed).permutation(len(events.length))
        held = max(1, len(sessions) // HELD)
        # With one session there is none to hold back.
        parts = (sessions[held:] if len(sessions) > 1 else sessions, sessions[:held])
        length = np.minimum(events.length, self.longest)
        used, kept = (
            [
                _batch(events, group, int(length[group].max()), codes, numbers, judged)
                for group in network.cut(part, length, self.batch)
            ]
            for part in parts
        )
        p = float(np.average(judged.target, weights=judged.weight))
        odds = float(np.log(p / (1 - p)))
        first = network.start(reader.size, reader.width, self.hidden, odds, seed)
        return network.fit(first, used, kept, network.Learning(self.epochs, self.rate, seed))


class _Judged(NamedTuple):
    """The mean label of each event, and its weight: 0 where no row ends."""

    target: Floats
    weight: Floats


def _judged(events: Events, labels: Any, w: Floats) -> _Judged:
    at = events.start[events.session] + events.click
    count = int(events.length.sum())
    weight = np.bincount(at, w, count)
    positive = np.bincount(at, w * labels, count)
    target = np.divide(positive, weight, out=np.zeros(count), where=weight > 0)
    return _Judged(target, weight.astype(np.float64))


def _batch(
    events: Events, group: Any, wide: int, codes: Any, numbers: Any, judged: _Judged
) -> network.Batch:
    place, real = _places(events, group, wide)
    weight = np.where(real, judged.weight[place], 0.0)
    return network.Batch(
        codes[place],
        numbers[place],
        judged.target[place].astype(np.float32),
        weight.astype(np.float32),
    )


def _places(events: Events, group: Any, wide: int) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return the event in each place of a batch, and which places hold one; both (n, wide)."""
    clicks = np.arange(wide)
    real = clicks[None, :] < events.length[group][:, None]
    place = np.where(real, events.start[group][:, None] + clicks[None, :], 0)
    return place, real
