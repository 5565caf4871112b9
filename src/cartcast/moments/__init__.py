"""Moments: when a score is asked for, and the labelled rows that this makes of a log."""

from cartcast.moments.moment import SO_FAR, Moment, whole_clicks, with_horizon
from cartcast.moments.rows import from_log
from cartcast.moments.table import table
from cartcast.rows import Rows

__all__ = ["SO_FAR", "Moment", "Rows", "from_log", "table", "whole_clicks", "with_horizon"]
