"""The sequence model: a small causal network over events, with the features beside them.

An option, not the default: it is judged on the same rows and by the same figures as the others.

with_events(X, log, moments, features) -> the table with the events up to each row's moment
ClickSequence                          -> estimator on such a table
SEQUENCES                              -> its declarations, as for the other classifiers
"""

from __future__ import annotations

from cartcast.models.sequence.declared import SEQUENCES
from cartcast.models.sequence.model import ClickSequence
from cartcast.models.sequence.prefixes import EVENTS, Prefix, prefixes, with_events

__all__ = ["EVENTS", "SEQUENCES", "ClickSequence", "Prefix", "prefixes", "with_events"]
