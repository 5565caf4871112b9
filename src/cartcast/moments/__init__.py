"""Moments: when a score is asked for, and the labelled rows that this makes of a log."""

from cartcast.moments.moment import Moment, whole_clicks
from cartcast.moments.rows import from_log
from cartcast.moments.table import table
from cartcast.rows import Rows

__all__ = ["Moment", "Rows", "from_log", "table", "whole_clicks"]
