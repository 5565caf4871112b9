"""A run as a folder that MLflow loads as a Python function; written without MLflow.

The folder holds the run's own files. Its loader is this module, which opens them as any run is
opened: hashes checked, only trusted types, no pickle.

Format: https://mlflow.org/docs/latest/ml/model/#mlmodel-file
"""

from __future__ import annotations

import json
import platform
import shutil
from datetime import datetime
from pathlib import Path
from typing import Any

import pandas as pd

from cartcast.arguments import answered
from cartcast.atomic import atomic_folder
from cartcast.errors import UsageError
from cartcast.runs.run import Run
from cartcast.score import score_rows

__all__ = ["to_mlflow"]

_FILES = ("run.json", "findings.json", "metrics.parquet", "card.md", "card.html")
_RUN = "run"
_EXAMPLE = "input_example.json"


@answered
def to_mlflow(run: Path | str | Run, folder: Path | str) -> Path:
    """Write a run into a new folder for `mlflow.pyfunc.load_model`; return its path.

    The function takes rows of the run's features and returns its scores, as `predict` says them of
    a ready table; MLflow wants its numbers as float64. Predictions of training rows stay behind.

    Raises:
        UsageError: the champion reads events, not features; or the folder exists.
        NotFoundError, NotTrustedError: the run is not there, or not as recorded.
        StorageError: the folder cannot be written.
    """
    opened = Run.open(run).loaded()
    opened.require_features()
    folder = Path(folder)
    if folder.exists():
        raise UsageError(f"{folder}: exists already; name a new folder.")
    example = _example(opened)
    said, _ = score_rows(example, opened)
    with atomic_folder(folder) as made:
        (made / _RUN).mkdir()
        for name in _FILES:
            if (opened.dir / name).is_file():
                shutil.copyfile(opened.dir / name, made / _RUN / name)
        shutil.copytree(opened.dir / "model", made / _RUN / "model")
        (made / "requirements.txt").write_text(
            "".join(f"{name}=={version}\n" for name, version in opened.data["versions"].items())
        )
        _yaml(
            made / "python_env.yaml",
            {
                "python": platform.python_version(),
                "build_dependencies": ["pip"],
                "dependencies": ["-r requirements.txt"],
            },
        )
        split = {"columns": list(example), "data": example.to_numpy(dtype=object).tolist()}
        (made / _EXAMPLE).write_text(json.dumps(split, ensure_ascii=False), encoding="utf-8")
        _yaml(made / "MLmodel", _described(opened, example, said))
    return folder


def _described(run: Run, example: pd.DataFrame, said: pd.DataFrame) -> dict[str, Any]:
    created = datetime.fromisoformat(run.data["created"])
    return {
        "flavors": {
            "python_function": {
                "loader_module": __name__,
                "data": _RUN,
                "env": {"virtualenv": "python_env.yaml"},
                "python_version": platform.python_version(),
            }
        },
        "model_uuid": run.data["model_manifest"][:32],
        "utc_time_created": created.strftime("%Y-%m-%d %H:%M:%S.%f"),
        "signature": {
            "inputs": json.dumps([_field(run, str(name)) for name in example]),
            "outputs": json.dumps(
                [{"name": name, "type": _type(values)} for name, values in said.items()]
            ),
            "params": None,
        },
        "saved_input_example_info": {
            "artifact_path": _EXAMPLE, "type": "dataframe", "pandas_orient": "split",
        },
        "metadata": {
            "run": run.version,
            "asks": run.asks,
            "metrics": {k: v for k, v in run.metrics[run.champion].items() if v is not None},
            "findings": [f"{f.code} {f.severity}: {f.message}" for f in run.findings],
        },
    }  # fmt: skip


def _field(run: Run, name: str) -> dict[str, Any]:
    told = (run.data["features"].get("meanings") or {}).get(name) or {}
    written = told.get("form", "plain") != "plain" or told.get("sign")
    kind = "string" if name in run.data["features"]["categorical"] else "double"
    return {"name": name, "type": "any" if written else kind, "required": True}


def _type(values: pd.Series) -> str:
    if pd.api.types.is_integer_dtype(values):
        return "long"
    return "double" if pd.api.types.is_float_dtype(values) else "string"


def _example(run: Run) -> pd.DataFrame:
    """Return two rows that nobody wrote: the least and the greatest value of each feature."""
    features = run.data["features"]
    ranges = features.get("ranges") or {}
    return pd.DataFrame(
        {
            name: pd.Series([None, None], dtype=object)
            if name in features["categorical"]
            else pd.Series(ranges.get(name, [0.0, 1.0]), dtype="float64")
            for name in features["names"]
        }
    )


def _yaml(path: Path, data: dict[str, Any]) -> None:
    import yaml

    path.write_text(yaml.safe_dump(data, sort_keys=False, allow_unicode=True), encoding="utf-8")


class _Function:
    """What MLflow asks; it reads and scores as `predict` does a ready table."""

    def __init__(self, run: Run) -> None:
        self._run = run

    def predict(self, model_input: Any, params: dict[str, Any] | None = None) -> pd.DataFrame:
        """Return the scores of rows of features."""
        return score_rows(model_input, self._run)[0]


def _load_pyfunc(path: str) -> _Function:
    """Open the run of a folder, verified; MLflow calls this by its name."""
    return _Function(Run.open(Path(path)).loaded())
