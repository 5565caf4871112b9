"""What goes with the champion, exported: the amount and the segments as arrays and constants.

It is written once, beside the models and under their manifest, when a run is written; the live
service and `models.scoring` read nothing else. The champion's own arrays are those of
`models.export`. What cannot be written so is named, and is null in live answers.

A run from before lacks these files: `exported_of` makes the same ones of its models in memory, for
which the training libraries are loaded.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from io import BytesIO
from typing import Any, NamedTuple

import numpy as np

from cartcast.errors import NotTrustedError
from cartcast.models.arrays import arrays_from

__all__ = ["AMOUNT", "FILE", "Exported", "exported_of", "forms"]

FILE = "exported.json"
AMOUNT = "amount.arrays"
SCHEMA = 1


class Exported(NamedTuple):
    """Amount and segments of a run.

    Attributes:
        amount: constants: `mean`, or `smearing` beside the arrays; None where there is no amount.
        arrays: meta and arrays of the amount, where there are any.
        interval: edges and ends of the amount's interval; None where there is none, or where it
            asks other models than the run's.
        segments: scales, centres and names; None where there are none.
        missing: what cannot be exported -> why.
    """

    amount: Mapping[str, float] | None
    arrays: tuple[dict[str, Any], dict[str, Any]] | None
    interval: Mapping[str, list[float]] | None
    segments: Mapping[str, Any] | None
    missing: Mapping[str, str]


def forms(models: Mapping[str, Any], facts: Mapping[str, Any]) -> dict[str, bytes]:
    """Return the files of the exported amount and segments by name.

    `models` are those of a run, `facts` what its `run.json` holds.
    """
    files: dict[str, bytes] = {}
    missing: dict[str, str] = {}
    meta: dict[str, Any] = {"schema": SCHEMA, "missing": missing}
    if "amount" in models:
        meta["amount"] = _amount(models["amount"], files, missing)
        meta["interval"] = _interval(models)
    if "segments" in models:
        meta["segments"] = _segments(models["segments"], facts, missing)
    return {FILE: json.dumps(meta, indent=1).encode(), **files}


def exported_of(run: Any) -> Exported:
    """Return the exported amount and segments of a `Run`, once they are found sound.

    Raises:
        NotFoundError, NotTrustedError: a file is not there, not as recorded, or damaged.
    """
    manifest, files = run.verified
    where = f"{run.dir}/model"
    if FILE not in files:
        others = set(manifest["models"]) & {"amount", "segments"}
        files = forms(run.models if others else {}, run.data)
    try:
        meta: dict[str, Any] = json.loads(files[FILE])
        _require_constants(meta)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise NotTrustedError(f"{where}/{FILE}: damaged ({error}); train again.") from error
    if meta.get("schema") != SCHEMA:
        raise NotTrustedError(f"{where}/{FILE}: of schema {meta.get('schema')}, not {SCHEMA}.")
    amount, arrays = meta.get("amount"), None
    if amount is not None and "mean" not in amount:
        arrays = arrays_from(files, AMOUNT, f"{where}/{AMOUNT}")
    return Exported(amount, arrays, meta.get("interval"), meta.get("segments"), meta["missing"])


def _require_constants(meta: Mapping[str, Any]) -> None:
    """Check the numbers of `exported.json`: of the amount, and of the segments.

    Raises:
        ValueError, KeyError, TypeError: one is not there, or no number.
    """
    if not isinstance(meta["missing"], dict):
        raise TypeError("what is missing is not told by name")
    if (amount := meta.get("amount")) is not None:
        numbers = [amount["mean"]] if "mean" in amount else [amount["smearing"]]
        _floats(numbers, (1,))
    if (ends := meta.get("interval")) is not None:
        bins = len(ends["edges"]) + 1
        for name, size in (("edges", bins - 1), ("low", bins), ("high", bins)):
            _floats(ends[name], (size,))
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


def _amount(
    model: Any, files: dict[str, bytes], missing: dict[str, str]
) -> dict[str, float] | None:
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
    np.savez_compressed(stream, allow_pickle=False, **arrays)
    files[f"{AMOUNT}/arrays.npz"] = stream.getvalue()
    files[f"{AMOUNT}/arrays.json"] = json.dumps(meta).encode()
    return {"smearing": float(model.smearing_)}


def _interval(models: Mapping[str, Any]) -> dict[str, list[float]] | None:
    """Return the interval by bins, where it asks the very models that the run holds."""
    interval, amount = models["interval"], models["amount"]
    asked = (interval.amount.amount_, interval.amount.classifier_)
    if asked[0] is not amount.amount_ or asked[1] is not models["champion"]:
        return None
    return {name: getattr(interval, f"{name}_").tolist() for name in ("edges", "low", "high")}


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


def _segments(
    model: Any, facts: Mapping[str, Any], missing: dict[str, str]
) -> dict[str, Any] | None:
    centres = getattr(model.model_, "centres_", None)
    declared = (facts.get("segmentation") or {}).get("yaml")
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
        "names": {str(p["label"]): p["name"] for p in facts["segments"]},
    }
