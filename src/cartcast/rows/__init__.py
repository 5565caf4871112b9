"""Rows: the training table, whatever it was made of, and ready tables."""

from cartcast.rows.ready import from_table
from cartcast.rows.rows import KEYS, Rows, typed
from cartcast.rows.table import read_as_trained, read_table

__all__ = ["KEYS", "Rows", "from_table", "read_as_trained", "read_table", "typed"]
