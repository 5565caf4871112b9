"""The declaration of the sequence model, apart from the models that read features."""

from __future__ import annotations

from types import MappingProxyType
from typing import Any

from cartcast.models.declaration import Declaration

__all__ = ["SEQUENCES"]


def _sequence(seed: int, n_jobs: int, categorical: tuple[str, ...] | None) -> Any:
    from cartcast.models.sequence.model import ClickSequence

    return ClickSequence(seed=seed)


SEQUENCES: MappingProxyType[str, Declaration] = MappingProxyType(
    {
        "sequence": Declaration(
            "sequence", "Sequence of events", "classifier", "sequence", _sequence,
            simplicity=8, reads="events",
            notes="A recurrent network over the events of a session; it sees no features, and "
            "nothing of the visitor's earlier sessions. Not for live scoring.",
        )
    }
)  # fmt: skip
"""Models that read events instead of features; trained when named, never by `all`."""
