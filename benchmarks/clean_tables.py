"""Clean tables that are not ours: logs of real shops as rows, and tables that packages ship.

`clean_tables(data)` yields them; `data` is the folder of the real logs (it is read, never copied).
Rows of a log are made here with pandas, point in time, so that nothing of Cartcast vouches for
them. A label stands for what comes later: more clicks, a purchase, a visit.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd


class Table(NamedTuple):
    """Rows with a column `label`, split in two, and the names of the roles."""

    name: str
    train: pd.DataFrame
    test: pd.DataFrame
    roles: dict[str, str]


def clean_tables(data: Path | None) -> Iterator[Table]:
    """Yield every clean table; those of real logs only where `data` is given."""
    if data is not None:
        yield from _logs(data)
        yield from _rows(data)
    yield from _shipped()


def _logs(data: Path) -> Iterator[Table]:
    with zipfile.ZipFile(
        data / "eshop_clothing_2008/clickstream_data_for_online_shopping.zip"
    ) as z:
        (name,) = [n for n in z.namelist() if n.endswith(".csv")]
        e = pd.read_csv(z.open(name), sep=";")
    day = pd.to_datetime(e[["year", "month", "day"]])
    e = pd.DataFrame(
        {
            "session": e["session ID"], "time": day, "n": e["order"], "price": e["price"],
            "category": e["page 1 (main category)"].astype(str), "item": e["page 2 (clothing model)"],
            "country": e["country"], "colour": e["colour"], "photo": e["model photography"],
            "page": e["page"],
        }
    )  # fmt: skip
    left = e.groupby("session")["n"].transform("max") - e["n"]
    rows = _anchors(e, ("price", "page"), ("category", "item", "colour"), ("country", "photo"))
    rows["label"] = (left >= 5).astype(float)
    rows = rows[rows["click"].isin([1, 2, 3, 5, 8])]
    kept = rows["session"] % 6 == 0
    yield _timed("e-shop, 5 more clicks", rows[kept], "session")
    first = rows[rows["click"] == 1]
    yield _timed("e-shop, first clicks", first[first["session"] % 3 == 0], "session")
    r = pd.read_csv(data / "rees46_oct2019_head/events_2019-10-01_0000-0250.csv.gz")
    r["time"] = pd.to_datetime(r["event_time"], utc=True).dt.tz_localize(None)
    r = r.sort_values(["user_session", "time"], kind="stable", ignore_index=True)
    r["n"] = r.groupby("user_session").cumcount() + 1
    bought = r["event_type"].eq("purchase").groupby(r["user_session"]).cumsum()
    buys = r["event_type"].eq("purchase").groupby(r["user_session"]).transform("sum")
    r["cart"] = r["event_type"].eq("cart").astype(float)
    r = r.rename(columns={"user_session": "session", "user_id": "visitor"})
    r["category"] = r["category_code"].fillna("none").str.split(".").str[0]
    rows = _anchors(r, ("price", "cart"), ("category", "brand", "product_id"), ("visitor",))
    rows["label"] = (buys > 0).astype(float)
    rows = rows[rows["click"].isin([1, 2, 3, 5, 8]) & (bought == 0)]
    yield _timed("REES46, purchase", rows.drop(columns="last_product_id"), "session", "visitor")


def _anchors(
    e: pd.DataFrame, numbers: tuple[str, ...], words: tuple[str, ...], fixed: tuple[str, ...]
) -> pd.DataFrame:
    """Return, for each click, what was known at it."""
    e = e.sort_values(["session", "n"], kind="stable")
    group = e.groupby("session")
    out = {"session": e["session"], "time": e["time"], "click": e["n"].astype(float)}
    for name in numbers:
        out[f"{name}_sum"] = group[name].cumsum()
        out[f"{name}_max"] = group[name].cummax()
        out[f"{name}_last"] = e[name]
    for name in words:
        new = ~e.duplicated(["session", name])
        out[f"{name}_kinds"] = new.groupby(e["session"]).cumsum().astype(float)
        out[f"last_{name}"] = e[name]
    out |= {name: e[name] for name in fixed}
    gap = group["time"].diff().dt.total_seconds()
    if gap.max() > 0:
        out["gap"] = gap
    return pd.DataFrame(out)


def _rows(data: Path) -> Iterator[Table]:
    g = pd.read_parquet(data / "ga360_one_day/ga_sample.parquet")
    device, geo, source = (g[c].map(dict) for c in ("device", "geoNetwork", "trafficSource"))
    totals, hits = g["totals"].map(dict), g["hits"].map(len)
    start = pd.to_datetime(g["visitStartTime"], unit="s")
    pages = totals.map(lambda t: t.get("pageviews") or 0).astype(float)
    rows = pd.DataFrame(
        {
            "visitor": g["fullVisitorId"], "time": start, "visit_number": g["visitNumber"],
            "channel": g["channelGrouping"], "browser": device.map(lambda d: d.get("browser")),
            "system": device.map(lambda d: d.get("operatingSystem")),
            "kind": device.map(lambda d: d.get("deviceCategory")),
            "country": geo.map(lambda d: d.get("country")), "hour": start.dt.hour,
            "medium": source.map(lambda d: d.get("medium")),
            "source": source.map(lambda d: d.get("source")),
            "label": ((pages >= 4) & (hits > 0)).astype(float),
        }
    )  # fmt: skip
    yield _timed("GA360 day, 4 pages", rows, "visitor", "visitor")
    s = pd.read_csv(data / "uci_online_shoppers/online_shoppers_intention.csv")
    s["label"] = s.pop("Revenue").astype(float)
    yield _shuffled("shoppers without PageValues", s.drop(columns="PageValues"))
    words = s[["Month", "Weekend", "VisitorType", "Region", "TrafficType", "Browser", "label"]]
    yield _shuffled("shoppers, words only", words)
    h = pd.read_csv(data / "hillstrom_email/hillstrom.csv.gz").sample(12_000, random_state=0)
    h["label"] = h["visit"].astype(float)
    yield _shuffled("Hillstrom, visit", h.drop(columns=["visit", "conversion", "spend"]))
    # Every customer bought for men or for women: one column does carry this label.
    m = h.drop(columns=["visit", "conversion", "spend", "label", "mens"])
    yield _shuffled("Hillstrom, bought for men", m.assign(label=h["mens"].astype(float)))


def _shipped() -> Iterator[Table]:
    """Yield tables of scikit-learn, Plotly and, where it is installed, statsmodels."""
    from sklearn import datasets

    for name, label in (
        ("breast_cancer", lambda y: y == 1),
        ("wine", lambda y: y == 1),
        ("iris", lambda y: y == 1),
        ("digits", lambda y: y % 2 == 1),
        ("digits", lambda y: y == 8),
        ("diabetes", lambda y: y > 140),
    ):
        found = getattr(datasets, f"load_{name}")(as_frame=True)
        y = label(found.target.to_numpy())
        title = f"{name}, {'odd' if name == 'digits' and y.mean() > 0.3 else 'binary'}"
        yield _shuffled(title, found.data.assign(label=y.astype(float)))
    import plotly.data as shipped

    t = shipped.tips()
    generous = (t.pop("tip") / t["total_bill"] > 0.16).astype(float)
    yield _shuffled("tips, above 16 %", t.assign(label=generous))
    c = shipped.carshare()
    yield _shuffled("car share, above the median", c.assign(label=_high(c.pop("car_hours"))))
    w = shipped.gapminder()
    w = w.drop(columns=[c for c in w if c.startswith("iso")])
    yield _shuffled("gapminder, above the median", w.assign(label=_high(w.pop("lifeExp"))))
    yield from _statsmodels()


def _statsmodels() -> Iterator[Table]:
    try:
        from statsmodels import datasets
    except ModuleNotFoundError:
        return
    for name, column, high in (
        ("fair", "affairs", 0), ("anes96", "vote", 0), ("spector", "GRADE", 0),
        ("modechoice", "choice", 0), ("heart", "censors", 0), ("randhie", "mdvis", 2),
        ("star98", "NABOVE", 100), ("ccard", "AVGEXP", 200),
    ):  # fmt: skip
        table = getattr(datasets, name).load_pandas().data
        if column in table:
            y = (table.pop(column) > high).astype(float)
            yield _shuffled(f"statsmodels {name}", table.assign(label=y))


def _high(values: pd.Series) -> pd.Series:
    return (values > values.median()).astype(float)


def _timed(name: str, rows: pd.DataFrame, group: str, visitor: str | None = None) -> Table:
    """Split at 70 % of the time; what began earlier stays in training."""
    rows = rows.sort_values("time", kind="stable", ignore_index=True)
    owner = visitor or group
    cut = rows["time"].quantile(0.7)
    begins = rows.groupby(owner)["time"].transform("min")
    roles = {"time": "time", "session": group} | ({"visitor": visitor} if visitor else {})
    if "click" in rows:
        roles["click"] = "click"
    train, test = rows[begins <= cut], rows[begins > cut]
    return Table(name, train.reset_index(drop=True), test.reset_index(drop=True), roles)


def _shuffled(name: str, rows: pd.DataFrame, seed: int = 0) -> Table:
    rows = rows.sample(frac=1.0, random_state=seed).reset_index(drop=True)
    cut = int(len(rows) * 0.7)
    return Table(name, rows.iloc[:cut], rows.iloc[cut:].reset_index(drop=True), {})


def features(table: Table) -> list[str]:
    """Return the columns without a role, and the click."""
    apart = {v for k, v in table.roles.items() if k != "click"} | {"label"}
    return [str(c) for c in table.train if c not in apart]


def planted(table: Table, rng: np.random.Generator) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the name of a leak and the input of an audit of the table with it.

    Copies across the split, one class four times over before it, an encoding over the whole
    table, a column from after the outcome, a label that is a rule of features, a lifetime total.
    """
    names, roles = features(table), table.roles
    n = len(table.train)
    both = pd.concat([table.train, table.test], ignore_index=True)
    y = both["label"]

    def parts(rows: pd.DataFrame, add: tuple[str, ...] = (), **more: Any) -> dict[str, Any]:
        use = {"features": [*names, *add], **roles, **more}
        return {"train": rows.iloc[:n], "test": rows.iloc[n:].reset_index(drop=True), **use}

    bare = {"session": None, "visitor": None, "time": None, "click": None}
    copies = table.train.sample(max(len(table.test) // 4, 8), random_state=0)
    yield "copies", parts(pd.concat([both, copies], ignore_index=True), **bare)
    rare = float(y.mean() <= 0.5)
    more = pd.concat([both, *[both[y == rare]] * 3]).sample(frac=1.0, random_state=1)
    cut = int(0.7 * len(more))
    yield (
        "oversampled",
        {"train": more.iloc[:cut], "test": more.iloc[cut:], "features": names, **bare},
    )
    key = rng.integers(0, max(len(both) // 10, 12), len(both))
    rate = y.groupby(key).transform("mean")
    yield "encoded", parts(both.assign(landing=key, rate=rate), ("landing", "rate"))
    after = np.where(y > 0, rng.lognormal(3, 1, len(y)), np.nan)
    yield "after the outcome", parts(both.assign(receipt=after), ("receipt",))
    a, b = rng.normal(size=(2, len(both)))
    rule = ((a > 0.2) & (b > -0.5)).astype(float)
    yield "rule", parts(both.assign(label=rule, spent=a, looked=b), ("spent", "looked"))
    owner = rng.integers(0, max(len(both) // 3, 8), len(both))
    life = y.groupby(owner).transform("sum")
    yield (
        "lifetime",
        parts(both.assign(owner=owner, life=life), ("life",), visitor="owner", session=None),
    )
