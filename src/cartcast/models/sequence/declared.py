"""The declarations of the models that read events, apart from those that read features only."""

from __future__ import annotations

from types import MappingProxyType
from typing import Any

from cartcast.models.classifiers import CLASSIFIERS, MEMBERS
from cartcast.models.declaration import Declaration

__all__ = ["SEQUENCES"]


def _sequence(seed: int, n_jobs: int, categorical: tuple[str, ...] | None) -> Any:
    from cartcast.models.sequence.model import ClickSequence

    return ClickSequence(categorical=categorical, seed=seed)


def _deep_blend(seed: int, n_jobs: int, categorical: tuple[str, ...] | None) -> Any:
    from cartcast.models.stack import Stack

    known = {**CLASSIFIERS, **SEQUENCES}
    parts = tuple((m, known[m].build(seed, n_jobs, categorical)) for m in MEMBERS["deep_blend"])
    return Stack(parts, seed=seed)


SEQUENCES: MappingProxyType[str, Declaration] = MappingProxyType(
    {
        "sequence": Declaration(
            "sequence", "Sequence of events", "classifier", "sequence", _sequence,
            simplicity=8, reads="events", extra="deep", requires="torch",
            notes="A causal network over the events of a session, the features beside them. "
            "Not for live scoring.",
        ),
        "deep_blend": Declaration(
            "deep_blend", "Deep blend", "classifier", "ensemble", _deep_blend,
            simplicity=9, reads="events", extra="deep", requires="torch",
            notes="LightGBM, logistic regression and the sequence model, weighted on rows they "
            "had not seen. Not for live scoring.",
        ),
    }
)  # fmt: skip
"""Models that read events beside features; trained when named, never by `all`."""
