"""Cartcast: from a shop's raw click log to decisions, honest by construction."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    # What the names below are, for type checkers and editors; nothing is loaded by it.
    from cartcast import moments as moments
    from cartcast.datasets import simulate as simulate
    from cartcast.events import Log as Log
    from cartcast.events import open_log as open_log
    from cartcast.events.load import load as load
    from cartcast.features import FeatureSet as FeatureSet
    from cartcast.findings import Finding as Finding
    from cartcast.insights.cohorts import cohorts as cohorts
    from cartcast.insights.funnel import funnel as funnel
    from cartcast.insights.paths import paths as paths
    from cartcast.leakage import audit as audit
    from cartcast.runs.run import Run as Run
    from cartcast.score.predict import predict as predict
    from cartcast.targets import AddToCart as AddToCart
    from cartcast.targets import Checkout as Checkout
    from cartcast.targets import Proxy as Proxy
    from cartcast.targets import Purchase as Purchase
    from cartcast.targets import Revenue as Revenue

if sys.version_info < (3, 11):  # noqa: UP036 - a checkout on the path is not pip's to refuse
    raise ImportError(f"Cartcast needs Python 3.11 or newer; this is {sys.version.split()[0]}.")

# A thread that spins while it waits for another holds it up where cores are shared, and a fit of
# two seconds takes forty. Sleeping, it does not. The libraries read this when they are loaded.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

__version__ = "0.1.0"

# Public name -> module that holds it. Resolved on first use, so that importing cartcast,
# and `cartcast --help`, load nothing heavy. `train` is a module, and its function of that name is
# imported from it: `from cartcast.train import train`.
_PUBLIC: dict[str, str] = {
    "AddToCart": "cartcast.targets",
    "Checkout": "cartcast.targets",
    "FeatureSet": "cartcast.features",
    "Finding": "cartcast.findings",
    "Log": "cartcast.events",
    "Proxy": "cartcast.targets",
    "Purchase": "cartcast.targets",
    "Revenue": "cartcast.targets",
    "Run": "cartcast.runs.run",
    "audit": "cartcast.leakage",
    "cohorts": "cartcast.insights",
    "funnel": "cartcast.insights",
    "load": "cartcast.events",
    "open_log": "cartcast.events",
    "paths": "cartcast.insights",
    "predict": "cartcast.score",
    "simulate": "cartcast.datasets",
}
_MODULES = ("features", "findings", "insights", "leakage", "moments", "targets", "train")
"""Modules whose names are public too: `cartcast.features.Count`, `cartcast.moments.table`."""

__all__ = ["__version__", "moments", *_PUBLIC]


def _get(name: str) -> Any:
    from importlib import import_module

    if name in _PUBLIC:
        return getattr(import_module(_PUBLIC[name]), name)
    if name in _MODULES:
        return import_module(f"cartcast.{name}")
    if name.startswith("__"):
        raise AttributeError(f"module 'cartcast' has no attribute {name!r}")
    from cartcast.errors import did_you_mean

    raise AttributeError(
        f"module 'cartcast' has no attribute {name!r}.{did_you_mean(name, [*__all__, *_MODULES])}"
    )


if not TYPE_CHECKING:
    # Unseen by checkers, so that they find a name that is not there.
    __getattr__ = _get


def __dir__() -> list[str]:
    return sorted({*__all__, *_MODULES})
