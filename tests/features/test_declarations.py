"""Declarations: printing, fingerprints, units, lineage, and refusal of wrong ones."""

from __future__ import annotations

import pickle

import pytest

from cartcast import features as F
from cartcast.errors import DefinitionError, NotFoundError, UsageError

SETS = [F.usual, F.default]
ALL = {n: f for s in SETS for n, f in s.features.items()}


@pytest.mark.parametrize("name", ALL)
def test_every_feature_prints_as_its_constructor_and_says_what_it_is(name):
    feature = ALL[name]
    assert eval(repr(feature), vars(F)) == feature
    assert hash(feature) == hash(eval(repr(feature), vars(F)))
    assert feature.null_rule
    assert feature.dtype in ("float", "string")
    assert isinstance(feature.unit, str)
    assert isinstance(feature.lineage, F.Lineage)


@pytest.mark.parametrize("features", SETS)
def test_a_set_prints_as_its_constructor_and_pickles(features):
    again = F.FeatureSet({name: eval(repr(f), vars(F)) for name, f in features.items()})
    assert len(features) > 6 or eval(repr(features), vars(F)) == features
    assert again == features
    assert again.fingerprint == features.fingerprint
    assert pickle.loads(pickle.dumps(features)) == features


def test_the_fingerprint_knows_names_order_and_definitions():
    a = F.FeatureSet(a=F.Count(), b=F.Sum("price"))
    assert a.fingerprint != F.FeatureSet(b=F.Sum("price"), a=F.Count()).fingerprint
    assert a.fingerprint != F.FeatureSet(a=F.Count(), c=F.Sum("price")).fingerprint
    assert a.fingerprint != F.FeatureSet(a=F.Count(), b=F.Min("price")).fingerprint
    assert len(a.fingerprint) == 64


def test_the_usual_set_has_the_agreed_columns():
    assert F.usual.names == (
        "session_length", "total_spend", "avg_price", "price_std", "category_diversity",
        "product_diversity", "color_diversity", "location_diversity", "photo_diversity",
        "page_diversity", "country", "month", "day_of_week", "avg_price_per_click",
        "category_engagement", "product_engagement", "price_sensitivity", "min_price", "max_price",
    )  # fmt: skip
    assert F.usual.categorical == ("country",)


def test_the_default_set_never_reads_the_sessions_own_outcome_as_such():
    for name, feature in F.default.features.items():
        lineage = feature.lineage
        if lineage.window == "visitor before session":
            continue
        assert "order_id" not in lineage.columns, name
        if "event_type" in lineage.columns and lineage.event_types is not None:
            assert not lineage.event_types & {"purchase", "refund"}, name


@pytest.mark.parametrize(
    ("feature", "columns", "types", "window"),
    [
        (F.Count(), set(), None, "session so far"),
        (F.Sum("price", where=F.Eq("event_type", "search")), {"price", "event_type"}, {"search"},
         "session so far"),
        (F.Ratio(F.Count(where=F.Eq("event_type", "search")), F.Count()), {"event_type"}, None,
         "session so far"),
        (F.Count(where=F.And(F.In("event_type", ["search", "purchase"]),
                             F.Not(F.Eq("event_type", "purchase")))), {"event_type"}, {"search"},
         "session so far"),
        (F.Hour(), {"event_time", "utc_offset"}, None, "session so far"),
        (F.EarlierPurchases(), {"visitor_id", "session_id", "event_time", "event_type"},
         {"purchase"}, "visitor before session"),
    ],
)  # fmt: skip
def test_lineage(feature, columns, types, window):
    assert feature.lineage == F.Lineage(
        frozenset(columns), None if types is None else frozenset(types), window
    )


@pytest.mark.parametrize(
    ("feature", "unit"),
    [
        (F.Mean("price"), "currency"),
        (F.Ratio(F.Sum("price"), F.Count()), "currency/event"),
        (F.Share(F.Eq("event_type", "search")), ""),
        (F.Ratio(F.Std("price"), F.Mean("price")), ""),
        (F.Max(F.Gap()), "s"),
        (F.Sum(F.Times("price", "quantity")), "currency"),
        (F.DaysSinceLastSession(), "day"),
    ],
)
def test_units(feature, unit):
    assert feature.unit == unit


WRONG = {
    "a string summed": (lambda: F.Sum("category"), "needs a column of numbers"),
    "a time averaged": (lambda: F.Mean("event_time"), "holds time"),
    "no such event type": (lambda: F.Count(where=F.Eq("event_type", "add_to_card")), "add_to_cart"),
    "a number for text": (lambda: F.Eq("category", 5), "holds text"),
    "text for a number": (lambda: F.Eq("price", "5"), "holds numbers"),
    "no condition": (lambda: F.Count(where="search"), "where= needs a condition"),
    "an empty In": (lambda: F.In("category", []), "at least one value"),
    "a lone And": (lambda: F.And(F.Eq("category", "a")), "two or more"),
    "a negative half-life": (lambda: F.DecayedCount(-1), "0 < half_life"),
    "an odd decay": (lambda: F.DecayedCount(1, by="days"), "'seconds' or 'clicks'"),
    "an empty window": (lambda: F.CountWithin(0), "0 < seconds"),
    "text in a ratio": (lambda: F.Ratio(F.Last("category"), F.Count()), "is text"),
    "a name for a feature": (lambda: F.Ratio("clicks", F.Count()), "needs features"),
    "a mode of an expression": (lambda: F.Mode(F.Gap()), "needs a column"),
    "time kept": (lambda: F.Last("event_time"), "use SecondsSince"),
    "nothing": (lambda: F.FeatureSet(), "at least one"),
    "no feature": (lambda: F.FeatureSet(a=5), "feature 'a'"),
    "a key's name": (lambda: F.FeatureSet(click=F.Count()), "key column"),
    "twice": (lambda: F.FeatureSet.of([("a", F.Count())] * 2), "'a' is declared twice"),
    "taken": (lambda: F.FeatureSet.of([*F.usual.items(), ("country", F.Count())]), "'country' is declared twice"),
    "unknown name": (lambda: F.usual.only(["contry"]), "Did you mean 'country'"),
    "nothing to drop": (lambda: F.usual.without(["prise"]), "Did you mean 'price'"),
    "all dropped": (lambda: F.usual.without(F.usual.names), "no feature is left"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_wrong_declarations_are_refused_by_name(name):
    make, words = WRONG[name]
    with pytest.raises(DefinitionError, match=words.replace("(", r"\(")):
        make()


def test_unknown_sets():
    with pytest.raises(UsageError, match="Did you mean 'shop'"):
        F.load_set("shpo")
    with pytest.raises(NotFoundError):
        F.load_set("mine.yaml")


def test_declaring_loads_no_compiler():
    import subprocess
    import sys

    code = (
        "import sys; from cartcast import features as F; F.load_set('default').fingerprint; "
        "print([m for m in ('numba', 'pyarrow', 'pandas') if m in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
