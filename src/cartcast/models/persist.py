"""Models on disk without pickle: skops files, a list of trusted types, a manifest of hashes.

A folder of models holds `NAME.skops` for each, `NAME.arrays/` where `export` can write plain
arrays, and `manifest.json` with the SHA-256 of every file. The hash of the manifest itself is
kept by the caller (in `run.json`), so that neither can be changed without the other.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from cartcast import __version__
from cartcast.atomic import atomic_folder
from cartcast.errors import NotFoundError, NotTrustedError, UsageError

__all__ = ["TRUSTED", "load", "load_all", "read_recorded", "read_verified", "refusal", "save",
           "save_all", "verify"]  # fmt: skip

MANIFEST = "manifest.json"
SCHEMA = 1

TRUSTED: frozenset[str] = frozenset(
    {
        "builtins.object",
        "cartcast.models.baselines.ClickCount",
        "cartcast.models.baselines.MeanAmount",
        "cartcast.models.baselines.Prevalence",
        "cartcast.models.calibrate.Calibrated",
        "cartcast.models.encode.Encoder",
        "cartcast.models.hurdle.Hurdle",
        "cartcast.models.intervals.AmountInterval",
        "cartcast.models.kernel.KernelClassifier",
        "cartcast.models.kernel.KernelRegressor",
        "cartcast.models.own.OwnClassifier",
        "cartcast.models.own.OwnRegressor",
        "cartcast.models.resample.Resampled",
        "cartcast.models.segments.TableSegments",
        "cartcast.models.segments.families.Centres",
        "cartcast.models.segments.families.Density",
        "cartcast.models.segments.families.Mixture",
        "cartcast.models.segments.space.Space",
        "cartcast.models.sequence.model.ClickSequence",
        "cartcast.models.stack.Stack",
        "cartcast.models.table.TableClassifier",
        "cartcast.models.table.TableRegressor",
        "catboost.core.CatBoostClassifier",
        "collections.OrderedDict",
        "lightgbm.basic.Booster",
        "lightgbm.sklearn.LGBMClassifier",
        "lightgbm.sklearn.LGBMRegressor",
        "numpy.dtype",
        "numpy.number",
        "sklearn.calibration._CalibratedClassifier",
        "sklearn.calibration._SigmoidCalibration",
        "sklearn.compose._column_transformer.make_column_selector",
        "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
        "sklearn.metrics._scorer._PassthroughScorer",
        "sklearn.model_selection._split.KFold",
        "sklearn.model_selection._split.StratifiedKFold",
        "sklearn.neighbors._kd_tree.KDTree",
        "sklearn.tree._tree.Tree",
        "sklearn.utils._bunch.Bunch",
        "xgboost.core.Booster",
        "xgboost.sklearn.XGBClassifier",
        "xgboost.sklearn.XGBRegressor",
    }
)
"""Every type beyond those of skops itself that a model file may hold. Nothing else is built."""


def save_all(
    models: Mapping[str, Any], folder: Path | str, beside: Mapping[str, bytes] | None = None
) -> str:
    """Write fitted models by name into `folder`, a new one; return the hash of the manifest.

    `beside` are further files of the same manifest, by their names in the folder.

    Raises:
        UsageError: a model holds a type that `load_all` would not trust.
        StorageError: the place is not writable or exists.
    """
    import skops.io

    from cartcast.models.export import can_export, export

    folder = Path(folder)
    with atomic_folder(folder) as temporary:
        for name, model in models.items():
            path = temporary / f"{name}.skops"
            skops.io.dump(model, path)
            foreign = sorted(set(skops.io.get_untrusted_types(file=path)) - TRUSTED)
            if foreign:
                raise UsageError(
                    f"model {name!r} holds {foreign[0]}, which is not a trusted type; "
                    "use the models that Cartcast declares."
                )
            if can_export(model):
                export(model, temporary / f"{name}.arrays")
        for name, data in (beside or {}).items():
            (temporary / name).parent.mkdir(exist_ok=True)
            (temporary / name).write_bytes(data)
        files = sorted(p for p in temporary.rglob("*") if p.is_file())
        manifest = {
            "schema": SCHEMA,
            "cartcast": __version__,
            "models": sorted(models),
            "files": {p.relative_to(temporary).as_posix(): _sha256(p) for p in files},
        }
        text = json.dumps(manifest, indent=1, sort_keys=True).encode()
        (temporary / MANIFEST).write_bytes(text)
    return hashlib.sha256(text).hexdigest()


class Verified(NamedTuple):
    """The manifest of a folder, and its files by name: the very bytes whose hashes were checked."""

    manifest: dict[str, Any]
    files: dict[str, bytes]


def verify(folder: Path | str, manifest: str | None = None) -> dict[str, Any]:
    """Check every file against its recorded hash and return the manifest; see `read_verified`."""
    return read_verified(folder, manifest).manifest


def read_verified(folder: Path | str, manifest: str | None = None) -> Verified:
    """Return the files of a folder, each read once, and checked against its recorded hash.

    `manifest` is the hash that `save_all` returned; None checks the files against the manifest
    that lies beside them, which finds damage but not a deliberate exchange.

    Raises:
        NotFoundError: the folder holds no models.
        NotTrustedError: a file is missing, was changed, or was added.
    """
    folder = Path(folder)
    path = folder / MANIFEST
    if not path.is_file():
        raise NotFoundError(f"{folder}: no models here (no {MANIFEST}); train first.")
    text = path.read_bytes()
    if manifest is not None and hashlib.sha256(text).hexdigest() != manifest:
        raise NotTrustedError(f"{path}: is not the recorded manifest; restore it or train again.")
    try:
        recorded: dict[str, Any] = json.loads(text)
        files: dict[str, str] = dict(recorded["files"])
        names: list[str] = list(recorded["models"])
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise NotTrustedError(f"{path}: is damaged; restore it or train again.") from error
    read = {name: read_recorded(folder, name, expected) for name, expected in files.items()}
    present = {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}
    added = sorted(present - set(files) - {MANIFEST})
    if added:
        raise NotTrustedError(f"{folder / added[0]}: is not recorded in the manifest; remove it.")
    if not all(f"{name}.skops" in files for name in names):
        raise NotTrustedError(f"{path}: names a model that has no file; train again.")
    return Verified(recorded, read)


def read_recorded(folder: Path, name: str, expected: str) -> bytes:
    """Return a file of `folder` by its recorded name, once its SHA-256 is the recorded one.

    Raises:
        NotTrustedError: the name leads out of the folder; it is missing, or another.
    """
    parts = PurePosixPath(name).parts
    if not parts or ".." in parts or name.startswith("/") or "\\" in name or ":" in name:
        raise NotTrustedError(f"{folder}: records {name!r}, which is not a name inside it.")
    path = folder / name
    try:
        if not path.resolve().is_relative_to(folder.resolve()):
            raise NotTrustedError(f"{path}: is a link that leads out of its folder; remove it.")
        if not path.is_file():
            raise NotTrustedError(f"{path}: is recorded but missing; restore it.")
        data = path.read_bytes()
    except (ValueError, OSError, RuntimeError) as error:
        # A name that no file can have, or a link to itself.
        raise NotTrustedError(f"{folder}: the recorded {name[:80]!r} cannot be read.") from error
    if hashlib.sha256(data).hexdigest() != expected:
        raise NotTrustedError(
            f"{path}: its SHA-256 is not the recorded one; restore it or train again."
        )
    return data


def load_all(
    folder: Path | str, manifest: str | None = None, only: Collection[str] | None = None
) -> dict[str, Any]:
    """Return the models of a folder by name (or `only` those named), after `verify`.

    Raises:
        NotFoundError, NotTrustedError: as `verify`; or a file holds a type not in `TRUSTED`.
    """
    folder = Path(folder)
    recorded, files = read_verified(folder, manifest)
    return {
        name: _load(folder / f"{name}.skops", files[f"{name}.skops"])
        for name in recorded["models"]
        if only is None or name in only
    }


def refusal(model: Any) -> str:
    """Return why a fitted model could not be read back from its file; empty where it could.

    Asked of estimators that somebody gave: a type of theirs is not trusted, a function of theirs
    is no data, and of a tree more is asked than that its type is known.
    """
    import skops.io

    from cartcast.models.own import one_line

    try:
        _load(Path("its file"), skops.io.dumps(model))
    except NotTrustedError as error:
        return str(error).removeprefix("its file: ")
    except Exception as error:  # noqa: BLE001  what it holds is of any kind, and so is what fails
        return f"cannot be written ({type(error).__name__}: {one_line(error, 160)})."
    return ""


def save(model: Any, folder: Path | str) -> str:
    """Write one fitted model into `folder`, a new one; return the hash of the manifest."""
    return save_all({"model": model}, folder)


def load(folder: Path | str, manifest: str | None = None) -> Any:
    """Return the model that `save` wrote.

    Raises:
        NotFoundError, NotTrustedError: as `load_all`.
    """
    models = load_all(folder, manifest)
    if "model" not in models:
        raise NotFoundError(f"{folder}: holds several models; read them with load_all.")
    return models["model"]


def _load(path: Path, data: bytes | None = None) -> Any:
    import zipfile
    import zlib

    import skops.io
    from lightgbm.basic import LightGBMError

    from cartcast.models.structure import require_model, require_schema

    data = path.read_bytes() if data is None else data
    try:
        require_schema(data, str(path))
        found = set(skops.io.get_untrusted_types(data=data))
        foreign = sorted(found - TRUSTED)
        if foreign:
            raise NotTrustedError(f"{path}: holds the type {foreign[0]}, which is not trusted.")
        model = skops.io.loads(data, trusted=sorted(found))
        require_model(model, str(path))
        return model
    except (
        zipfile.BadZipFile, zlib.error, KeyError, ValueError, TypeError, AttributeError, IndexError,
        RecursionError, OverflowError, MemoryError, EOFError, LightGBMError,
    ) as error:  # fmt: skip
        raise NotTrustedError(f"{path}: is not a readable model file: {error}.") from error


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
