"""Exports to other tools: the tables of a log for a database."""

from cartcast.export.warehouse import Exported, to_duckdb, to_postgres, write_sources

__all__ = ["Exported", "to_duckdb", "to_postgres", "write_sources"]
