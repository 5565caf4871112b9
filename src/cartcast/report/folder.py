"""A run folder, read for showing."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from cartcast.errors import NotFoundError, NotTrustedError
from cartcast.findings import Finding, by_severity

__all__ = ["RunFolder", "read_run"]

SCHEMA = 1


@dataclass(frozen=True)
class RunFolder:
    """What a run folder holds.

    Attributes:
        dir: the folder.
        data: `run.json`.
        findings: `findings.json`, `block` first, waived last.
        metrics: `metrics.parquet`, tidy.
        predictions: `predictions.parquet`, rows of validation and test.
    """

    dir: Path
    data: Mapping[str, Any]
    findings: tuple[Finding, ...]
    metrics: pd.DataFrame
    predictions: pd.DataFrame

    @property
    def kind(self) -> Literal["classifier", "regressor"]:
        """What the champion predicts: a probability or money."""
        found = self.data["models"].get(self.champion, {}).get("kind", "classifier")
        return "regressor" if found == "regressor" else "classifier"

    @property
    def champion(self) -> str:
        """The model that was chosen on validation."""
        return str(self.data["champion"])

    @property
    def baselines(self) -> list[str]:
        """The models that any other must beat."""
        return [str(name) for name in self.data.get("baselines", [])]

    @property
    def proxy(self) -> bool:
        """Whether the target only stands in for an outcome that the log does not record."""
        return bool(self.data["target"].get("kind") == "proxy")

    @property
    def currency(self) -> str | None:
        """ISO 4217 code of the money, or None."""
        found = self.data.get("source", {}).get("currency")
        return str(found) if found else None

    @property
    def test(self) -> pd.DataFrame:
        """Predictions on test rows."""
        return self.predictions[self.predictions["part"] == "test"].reset_index(drop=True)

    @property
    def blocking(self) -> list[Finding]:
        """Findings that block and were not waived."""
        return [f for f in self.findings if f.severity == "block" and f.waived is None]

    @property
    def waived(self) -> list[Finding]:
        """Findings that were waived, each with its reason."""
        return [f for f in self.findings if f.waived is not None]

    def score(self, model: str, metric: str) -> tuple[Any, Any, Any]:
        """Return (value, low, high) on test; None where undefined."""
        value = self.data["metrics"].get(model, {}).get(metric)
        ends = self.data.get("intervals", {}).get(model, {}).get(metric) or (None, None)
        return value, ends[0], ends[1]

    def groups(self, table: pd.DataFrame) -> pd.Series | None:
        """Return the visitor of each row, its session where unknown; None without both."""
        if "visitor_id" not in table or not table["session_id"].notna().any():
            return None
        visitor = table["visitor_id"].astype("object")
        session = "session:" + table["session_id"].astype("string").astype("object")
        return visitor.where(visitor.notna(), session)


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise NotTrustedError(f"{path}: not valid JSON ({error}); train the run again.") from error


def _table(path: Path) -> pd.DataFrame:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table: pd.DataFrame = pq.read_table(path).to_pandas()
    except pa.ArrowInvalid as error:
        first = str(error).splitlines()[0]
        raise NotTrustedError(f"{path}: not valid Parquet ({first}); train again.") from error
    return table


def read_run(run_dir: Path | str) -> RunFolder:
    """Read a run folder.

    Raises:
        NotFoundError: there is no such folder, or a file of it is missing.
        NotTrustedError: a file is damaged, or written by a later schema.
    """
    folder = Path(run_dir)
    if not folder.is_dir():
        raise NotFoundError(f"{folder}: no such run folder; `cartcast train` makes one.")
    for name in ("run.json", "findings.json", "metrics.parquet", "predictions.parquet"):
        if not (folder / name).is_file():
            raise NotFoundError(f"{folder}: not a whole run, {name} is missing; train it again.")
    data = _json(folder / "run.json")
    if not isinstance(data, dict) or data.get("schema") != SCHEMA:
        got = data.get("schema") if isinstance(data, dict) else type(data).__name__
        raise NotTrustedError(f"{folder}/run.json: schema must be {SCHEMA}, got {got}; update.")
    findings = tuple(by_severity(Finding.from_dict(f) for f in _json(folder / "findings.json")))
    metrics, predictions = (_table(folder / f"{n}.parquet") for n in ("metrics", "predictions"))
    return RunFolder(folder, data, findings, metrics, predictions)
