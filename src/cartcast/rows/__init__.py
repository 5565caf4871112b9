"""Rows: the training table, made of a log's moments or read from a ready table."""

from cartcast.rows.moments import from_log
from cartcast.rows.ready import from_table
from cartcast.rows.rows import KEYS, Rows, typed
from cartcast.rows.table import read_as_trained, read_table

__all__ = ["KEYS", "Rows", "from_log", "from_table", "read_as_trained", "read_table", "typed"]
