"""Segments of one's own: saved filters over sessions or visitors, asked of any log.

These are declared by people. The segments that a run finds by clustering (`models.segments`) are
kinds of sessions that nobody named before.
"""

from cartcast.segments.columns import Range, Values
from cartcast.segments.conditions import (
    COHORT,
    Bought,
    Cohort,
    Condition,
    Did,
    Found,
    Reached,
    Scored,
    Seen,
    Walk,
)
from cartcast.segments.segment import Segment, named_segment, segment_from
from cartcast.segments.sql import asked, at_start
from cartcast.segments.store import read_segment, remove_segment, save_segment, segment_names
from cartcast.segments.written import condition_from

__all__ = [
    "COHORT",
    "Bought",
    "Cohort",
    "Condition",
    "Did",
    "Found",
    "Range",
    "Reached",
    "Scored",
    "Seen",
    "Segment",
    "Values",
    "Walk",
    "asked",
    "at_start",
    "condition_from",
    "named_segment",
    "read_segment",
    "remove_segment",
    "save_segment",
    "segment_from",
    "segment_names",
]
