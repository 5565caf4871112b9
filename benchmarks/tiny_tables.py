"""The champion beside a plain logistic regression on small, separable and noisy tables.

    python benchmarks/tiny_tables.py [--models default] [--tables NAME,...]

Half of the rows train (shuffled by a seed), half judge. `clearly worse` means that the champion's
mean log loss is behind by more than two standard errors of the paired difference and more than
0.01. Where nothing is there, both lose against always saying the prevalence.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from sklearn import datasets
from sklearn.compose import make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from cartcast.errors import CartcastError
from cartcast.score import predict
from cartcast.train import train


class Result(NamedTuple):
    """Mean log losses on the held-out half, and whether the champion's is clearly worse."""

    table: str
    rows: int
    champion: str
    ours: float
    logistic: float
    prevalence: float
    worse: bool


def tables(seed: int = 0) -> Iterator[tuple[str, pd.DataFrame]]:
    """Yield (name, table with the target `y`)."""
    rng = np.random.default_rng(seed)

    def made(rows: int, columns: int, strength: float, noise: float = 1.0) -> pd.DataFrame:
        X = rng.normal(size=(rows, columns))
        score = strength * X[:, 0] - 0.5 * strength * X[:, min(1, columns - 1)]
        y = score + noise * rng.logistic(size=rows) > 0
        return pd.DataFrame(X, columns=[f"x{i}" for i in range(columns)]).assign(y=y.astype(int))

    for rows in (6, 30, 60, 120, 400):
        yield f"noise {rows}", made(rows, 5, 0.0)
        yield f"signal {rows}", made(rows, 5, 1.5)
    yield "separable 80", made(80, 3, 5.0, 0.0)
    yield "separable 1000", made(1000, 3, 5.0, 0.0)
    yield "weak 2000", made(2000, 20, 0.3)
    rare = made(2000, 5, 1.0)
    yield "rare 2000", pd.concat([rare[rare["y"] == 0], rare[rare["y"] == 1].head(60)])
    wide = made(150, 60, 1.0)
    yield "wide 150", wide
    cancer = datasets.load_breast_cancer(as_frame=True)
    yield "breast cancer", cancer.frame.rename(columns={"target": "y"})
    iris = datasets.load_iris(as_frame=True).frame.rename(columns={"target": "y"})
    yield "iris 1/2", iris[iris["y"] > 0].assign(y=lambda t: t["y"] - 1)
    yield "iris 0/1", iris[iris["y"] < 2]
    wine = datasets.load_wine(as_frame=True).frame.rename(columns={"target": "y"})
    yield "wine 0/1", wine[wine["y"] < 2]
    X, y = datasets.make_moons(300, noise=0.3, random_state=seed)
    yield "moons 300", pd.DataFrame(X, columns=["a", "b"]).assign(y=y)


def loss(y: np.ndarray, p: np.ndarray) -> np.ndarray:
    """Return the log loss of each row."""
    q = np.clip(p, 1e-12, 1 - 1e-12)
    return -np.where(y == 1, np.log(q), np.log1p(-q))


def judged(name: str, table: pd.DataFrame, models: str, seed: int = 0) -> Result | str:
    """Return the result on one table, or why it was refused."""
    table = table.sample(frac=1, random_state=seed).reset_index(drop=True)
    fit, held = table[: len(table) // 2], table[len(table) // 2 :]
    with tempfile.TemporaryDirectory() as folder:
        try:
            waivers = {f"LK{n}": "a benchmark" for n in (401, 402, 403, 404, 405, 406, 407, 507)}
            run = train(
                rows=fit, target="y", models=models, run_dir=Path(folder) / "run", threads=1,
                waivers=waivers,
            )  # fmt: skip
        except CartcastError as error:
            return f"{name}: {type(error).__name__}: {error}"
        said, _ = predict(held.drop(columns="y"), run.dir)
    X, y = fit.drop(columns="y"), fit["y"]
    numbers = list(X.select_dtypes("number"))
    words = [c for c in X if c not in numbers]
    plain = make_pipeline(
        make_column_transformer(
            (make_pipeline(SimpleImputer(), StandardScaler()), numbers),
            (OneHotEncoder(handle_unknown="ignore"), words),
        ),
        LogisticRegression(max_iter=1000),
    ).fit(X, y)
    truth = held["y"].to_numpy()
    ours = loss(truth, said["probability"].to_numpy())
    theirs = loss(truth, plain.predict_proba(held.drop(columns="y"))[:, 1])
    share = np.full(len(truth), y.mean())
    gap = ours - theirs
    error = gap.std(ddof=1) / np.sqrt(len(gap))
    worse = bool(gap.mean() > max(2 * error, 0.01))
    means = (float(v.mean()) for v in (ours, theirs, loss(truth, share)))
    return Result(name, len(table), run.champion, *means, worse)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", default="default")
    parser.add_argument("--tables", default="")
    asked = parser.parse_args()
    print("| table | rows | champion | log loss | logistic | prevalence | clearly worse |")
    print("|---|---|---|---|---|---|---|")
    for name, table in tables():
        if asked.tables and name not in asked.tables.split(","):
            continue
        found = judged(name, table, asked.models)
        if isinstance(found, str):
            print(f"| {found} | | | | | | |", flush=True)
            continue
        print(
            f"| {name} | {found.rows} | {found.champion} | {found.ours:.4f} | "
            f"{found.logistic:.4f} | {found.prevalence:.4f} | {'**yes**' if found.worse else ''} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
