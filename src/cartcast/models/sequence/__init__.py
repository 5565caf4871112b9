"""The sequence model: a small causal network over events.

An option, not the default: it is judged on the same rows and by the same figures as the others.

prefixes(log, moments) -> table: one row a moment, the events up to it in each cell
ClickSequence          -> estimator on such a table
SEQUENCES              -> its declaration, as for the other classifiers
"""

from __future__ import annotations

from cartcast.models.sequence.declared import SEQUENCES
from cartcast.models.sequence.model import ClickSequence
from cartcast.models.sequence.prefixes import CATEGORIES, NUMBERS, prefixes

__all__ = ["CATEGORIES", "NUMBERS", "SEQUENCES", "ClickSequence", "prefixes"]
