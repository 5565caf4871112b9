"""The result of a training: a run folder, whole or not there."""

from __future__ import annotations

import json
import math
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import pandas as pd

from cartcast import __version__
from cartcast.atomic import atomic_folder
from cartcast.errors import UsageError
from cartcast.findings import Finding, by_severity

__all__ = ["Run", "new_run_id", "versions", "write_run"]

_LIBRARIES = ("numpy", "pandas", "pyarrow", "duckdb", "scikit-learn", "lightgbm", "xgboost-cpu")


@dataclass(frozen=True)
class Run:
    """One training with its evidence.

    Attributes:
        dir: the run folder.
        data: what `run.json` holds.
        findings: what a reader must know before trusting a figure, `block` first.
    """

    dir: Path
    data: Mapping[str, Any]
    findings: tuple[Finding, ...]

    @property
    def champion(self) -> str:
        """Name of the model that was chosen on validation."""
        return str(self.data["champion"])

    @property
    def metrics(self) -> dict[str, dict[str, float]]:
        """Figures on test: model, then metric, then value (None where undefined)."""
        return dict(self.data["metrics"])

    @property
    def report(self) -> Path:
        """Path of the report."""
        return self.dir / "report.html"

    def as_dict(self) -> dict[str, Any]:
        """Return what `cartcast train --json` prints."""
        return {
            "run_dir": str(self.dir),
            "run_id": self.data["run_id"],
            "target": self.data["target"]["name"],
            "target_kind": self.data["target"]["kind"],
            "champion": self.data["champion"],
            "metrics": self.data["metrics"],
            "intervals": self.data["intervals"],
            "by_click": self.data["by_click"],
            "baselines": self.data["baselines"],
            "findings": [f.as_dict() for f in self.findings],
            "seconds": self.data["seconds"]["total"],
            "report": str(self.report),
        }


def new_run_id(target: str) -> str:
    """Return a run id: time, target, and a random end that keeps runs of one second apart."""
    stamp = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
    word = "".join(c if c.isalnum() else "_" for c in target)[:24]
    return f"{stamp}-{word}-{secrets.token_hex(2)}"


def versions() -> dict[str, str]:
    """Return the versions of what the figures depend on."""
    found = {"cartcast": __version__}
    for name in _LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    if hasattr(value, "as_dict"):
        return _plain(value.as_dict())
    if hasattr(value, "isoformat"):
        return None if value is pd.NaT else value.isoformat()
    if hasattr(value, "tolist"):
        return _plain(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def write_run(
    run_dir: Path,
    data: Mapping[str, Any],
    findings: Sequence[Finding],
    metrics: pd.DataFrame,
    predictions: pd.DataFrame,
    models: Mapping[str, Any],
) -> Run:
    """Write the run folder atomically, with report and card, and return the run.

    `models` are saved by name below `model/`; the manifest's hash goes into `run.json`.

    Raises:
        UsageError: `run_dir` exists.
        StorageError: the disk is full or the place is not writable.
    """
    from cartcast.models.persist import save_all
    from cartcast.report import write_card, write_report

    if run_dir.exists() and any(run_dir.iterdir()):
        raise UsageError(f"{run_dir}: exists already; give another --run-dir, runs are kept.")
    if run_dir.exists():
        run_dir.rmdir()
    ordered = by_severity(findings)
    with atomic_folder(run_dir) as folder:
        manifest = save_all(models, folder / "model")
        plain = _plain({**data, "model_manifest": manifest})
        _json(folder / "run.json", plain)
        _json(folder / "findings.json", _plain([f.as_dict() for f in ordered]))
        metrics.to_parquet(folder / "metrics.parquet", index=False)
        predictions.to_parquet(folder / "predictions.parquet", index=False)
        write_report(folder)
        write_card(folder)
    return Run(run_dir, plain, tuple(ordered))


def _json(path: Path, data: Any) -> None:
    path.write_text(
        json.dumps(data, indent=1, ensure_ascii=False, allow_nan=False), encoding="utf-8"
    )
