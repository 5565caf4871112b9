"""What type checkers see of the public names; mypy checks it with the source, nothing runs it."""

from __future__ import annotations

import cartcast
from cartcast.features import Count, Sum
from cartcast.train import train

log: cartcast.Log = cartcast.load("shop.parquet")
features: cartcast.FeatureSet = cartcast.FeatureSet(n=Count()) | {"mean": Sum("price") / Count()}
rows = cartcast.moments.table(log, cartcast.Purchase("7d"), features, [1, 3])
clicks: int = len(rows.features)
run = train(log, target=cartcast.Purchase(), features=features, models=["lightgbm"], folds=5)
champion: str = run.champion
found: list[cartcast.Finding] = cartcast.audit(log)
train(log, fold=5)  # type: ignore[arg-type]
cartcast.Purchas()  # type: ignore[attr-defined]
cartcast.load(session_gap="x")  # type: ignore[arg-type]
