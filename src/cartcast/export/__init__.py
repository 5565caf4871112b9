"""Exports to other tools: the tables of a log for a database, and a run as an MLflow model."""

from cartcast.export.mlflow import to_mlflow
from cartcast.export.warehouse import Exported, to_duckdb, to_postgres, write_sources

__all__ = ["Exported", "to_duckdb", "to_mlflow", "to_postgres", "write_sources"]
