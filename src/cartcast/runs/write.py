"""A run on disk: its folder, whole or not there."""

from __future__ import annotations

import json
import math
import secrets
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import pandas as pd

from cartcast import __version__
from cartcast.atomic import atomic_folder
from cartcast.errors import UsageError
from cartcast.findings import Finding, by_severity
from cartcast.runs.run import SCHEMA, Run

__all__ = ["new_run_id", "versions", "write_run"]

_LIBRARIES = ("numpy", "pandas", "pyarrow", "duckdb", "scikit-learn", "lightgbm", "xgboost-cpu")


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
    pages: Sequence[Callable[[Path], Any]] = (),
) -> Run:
    """Write the run folder atomically, and return the run.

    `models` are saved by name below `model/`; the manifest's hash goes into `run.json`, and so does
    the run's id, which is the folder's name. `pages` write what people read into the folder.

    Raises:
        UsageError: `run_dir` exists.
        StorageError: the disk is full or the place is not writable.
    """
    from cartcast.models.exported import forms
    from cartcast.models.persist import save_all

    if run_dir.exists() and any(run_dir.iterdir()):
        raise UsageError(f"{run_dir}: exists already; give another --run-dir, runs are kept.")
    if run_dir.exists():
        run_dir.rmdir()
    ordered = by_severity(findings)
    with atomic_folder(run_dir) as folder:
        manifest = save_all(models, folder / "model", forms(models, data))
        plain = _plain(
            {
                "schema": SCHEMA,
                "run_id": run_dir.absolute().name,
                **data,
                "model_manifest": manifest,
            }
        )
        _json(folder / "run.json", plain)
        _json(folder / "findings.json", _plain([f.as_dict() for f in ordered]))
        metrics.to_parquet(folder / "metrics.parquet", index=False)
        predictions.to_parquet(folder / "predictions.parquet", index=False)
        for write in pages:
            write(folder)
    return Run(run_dir, plain)


def _json(path: Path, data: Any) -> None:
    path.write_text(
        json.dumps(data, indent=1, ensure_ascii=False, allow_nan=False), encoding="utf-8"
    )
