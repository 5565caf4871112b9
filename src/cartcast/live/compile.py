"""What a run's models become for single rows: amount and segments as arrays, kept beside the run.

    python -m cartcast.live.compile RUN OUT

runs once per model, in a process of its own, so that a server never loads the training libraries.
What cannot be written as arrays is named in `live.json`, and is then null in live answers.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from cartcast.atomic import atomic_folder
from cartcast.errors import NotTrustedError, StorageError
from cartcast.models.persist import read_recorded
from cartcast.scratch import ScratchFolder

__all__ = ["compile_run", "ensure_compiled", "read_compiled"]

SCHEMA = 1
FOLDER = "live"
_PASSING = ScratchFolder()
"""Where a run cannot be written: made only then, and gone with the process."""


def ensure_compiled(run_dir: Path, manifest: str) -> Path:
    """Return the folder of the compiled models of a run, making it when it is not there.

    Where the run cannot be written, a temporary folder is used.

    Raises:
        NotTrustedError: what is there was damaged.
        StorageError: it could not be made.
    """
    folder = run_dir / FOLDER
    if folder.is_dir() and read_compiled(folder).meta["manifest"] == manifest:
        return folder
    name = f"{FOLDER}-{manifest[:12]}"
    for place in (run_dir, None):
        parent = _PASSING.path if place is None else place
        out = parent / (FOLDER if not folder.exists() and parent == run_dir else name)
        if out.is_dir():
            return out
        done = subprocess.run(
            [sys.executable, "-m", "cartcast.live.compile", str(run_dir), str(out)],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode == 0:
            return out
    last = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
    raise StorageError(f"{run_dir}: its models could not be compiled for live use: {last[:200]}")


class Compiled(NamedTuple):
    """What `live.json` says, and the files beside it by name, whose hashes were checked."""

    meta: dict[str, Any]
    files: dict[str, bytes]


def read_compiled(folder: Path) -> Compiled:
    """Return `live.json` and the files beside it, each read once and checked.

    Raises:
        NotTrustedError: a file is not the recorded one.
    """
    try:
        meta: dict[str, Any] = json.loads((folder / "live.json").read_text(encoding="utf-8"))
        files = {n: read_recorded(folder, n, told) for n, told in meta["files"].items()}
        _require_constants(meta)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise NotTrustedError(
            f"{folder}: damaged ({error}); remove it, and it is rebuilt."
        ) from error
    if meta.get("schema") != SCHEMA:
        raise NotTrustedError(f"{folder}: of schema {meta.get('schema')}; remove it to renew it.")
    return Compiled(meta, files)


def _require_constants(meta: Mapping[str, Any]) -> None:
    """Check the numbers of `live.json`: of the amount, and of the segments.

    Raises:
        ValueError, KeyError, TypeError: one is not there, or no number.
    """
    if (amount := meta.get("amount")) is not None:
        numbers = [amount["mean"]] if "mean" in amount else [amount["smearing"]]
        _floats(numbers, (1,))
    if (told := meta.get("segments")) is None:
        return
    read = [*told["counts"], *told["shares"]]
    values = sum(len(v) for v in told["categories"].values())
    _floats(told["centres"], (len(told["centres"]), len(read) + values))
    _floats([told["fill"][n] for n in read], (len(read),))
    _floats([told["count_weight"], told["share_weight"]], (2,))
    for name in ("centre", "spread"):
        _floats(list(told[name].values()), (len(told[name]),))


def _floats(values: Any, shape: tuple[int, ...]) -> None:
    found = np.array(values, dtype=np.float64)
    if found.shape != shape or not np.isfinite(found).all():
        raise ValueError(f"numbers of shape {found.shape}, not {shape}, or not finite")


def compile_run(run_dir: Path, out: Path) -> None:
    """Write the amount and the segments of a run as arrays into `out`, a new folder.

    Raises:
        NotFoundError, NotTrustedError: the run is not there, or not as recorded.
    """
    from cartcast.models.persist import load_all
    from cartcast.registry import read_run

    run = read_run(run_dir)
    models = load_all(run_dir / "model", run["model_manifest"])
    meta: dict[str, Any] = {"schema": SCHEMA, "manifest": run["model_manifest"], "missing": {}}
    with atomic_folder(out) as folder:
        if "amount" in models:
            meta["amount"] = _amount(models["amount"], folder, meta["missing"])
        if "segments" in models:
            meta["segments"] = _segments(models["segments"], run, meta["missing"])
        files = sorted(p for p in folder.rglob("*") if p.is_file())
        meta["files"] = {
            p.relative_to(folder).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest()
            for p in files
        }
        (folder / "live.json").write_text(json.dumps(meta, indent=1), encoding="utf-8")


def _amount(model: Any, folder: Path, missing: dict[str, str]) -> dict[str, Any] | None:
    """Write the amount given a purchase; return its constants."""
    inner = getattr(model, "amount_", None)
    if not hasattr(model, "smearing_"):
        missing["amount"] = f"a {type(model).__name__} cannot be written as arrays"
        return None
    if inner is None:
        return {"mean": float(model.mean_amount_)}
    found = _regressor(inner)
    if found is None:
        name = type(getattr(inner, "model_", inner)).__name__
        missing["amount"] = f"a {name} cannot be written as arrays"
        return None
    arrays, meta = found
    stream = BytesIO()
    np.savez_compressed(stream, **arrays)
    (folder / "amount.arrays").mkdir()
    (folder / "amount.arrays" / "arrays.npz").write_bytes(stream.getvalue())
    (folder / "amount.arrays" / "arrays.json").write_text(json.dumps(meta), encoding="utf-8")
    return {"smearing": float(model.smearing_)}


def _regressor(model: Any) -> tuple[dict[str, Any], dict[str, Any]] | None:
    from cartcast.models import export

    core: Any = getattr(model, "model_", None)
    kind = type(core).__name__
    if kind == "LGBMRegressor":
        arrays, base = export._read_lightgbm(core)
    elif kind == "HistGradientBoostingRegressor":
        arrays, base = export._read_histogram(core)
    elif kind in ("Ridge", "Lasso", "LinearRegression"):
        arrays = export._Nodes().arrays()
        arrays["weights"] = np.ravel(np.asarray(core.coef_, dtype=np.float64))
        base = float(np.ravel(core.intercept_)[0])
    else:
        return None
    encoder = export._encoder(model.encoder_)
    return arrays, {"schema": 1, "model": kind, "base": base, "steps": [], **encoder}


def _segments(model: Any, run: Mapping[str, Any], missing: dict[str, str]) -> dict[str, Any] | None:
    centres = getattr(model.model_, "centres_", None)
    declared = (run.get("segmentation") or {}).get("yaml")
    if centres is None or not declared:
        missing["segments"] = f"{type(model.model_).__name__} needs the finished session"
        return None
    space = model.space_
    return {
        "yaml": declared,
        "counts": list(space.counts_),
        "shares": list(space.shares_),
        "categories": {k: list(v) for k, v in space.categories_.items()},
        "fill": dict(space.fill_),
        "centre": dict(space.centre_),
        "spread": dict(space.spread_),
        "count_weight": float(space.count_weight),
        "share_weight": float(space.share_weight),
        "centres": np.asarray(centres, dtype=np.float64).tolist(),
        "names": {str(p["label"]): p["name"] for p in run["segments"]},
    }


if __name__ == "__main__":
    compile_run(Path(sys.argv[1]), Path(sys.argv[2]))
