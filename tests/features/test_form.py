"""Feature sets as YAML: round trips, and refusal by name and rule."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from cartcast import features as F
from cartcast.errors import DefinitionError, NotFoundError

sys.path.insert(0, str(Path(__file__).parent))
from logs import EVERYTHING, logs, table  # noqa: F401


@pytest.mark.parametrize("features", [F.usual, F.default, EVERYTHING])
def test_yaml_reads_back_as_the_same_set(features, tmp_path):
    path = tmp_path / "set.yaml"
    features.to_yaml(path)
    assert F.FeatureSet.from_yaml(path) == features
    assert F.load_set(path).fingerprint == features.fingerprint


def test_short_forms_and_references_in_any_order(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(
        """features:
  cart_share: {ratio: [carts, clicks]}
  clicks: count
  carts: {count: {where: {event_type: add_to_cart}}}
  price: {mean: price}
  dear: {count: {where: {above: {price: 3}, event_type: [search, view_item]}}}
  items: {distinct: item_id}
  dwell: {mean: {gap: }}
  fading: {decayed_count: {half_life: 60, where: {not: {event_type: search}}}}
"""
    )
    cart = F.Eq("event_type", "add_to_cart")
    assert F.FeatureSet.from_yaml(path) == F.FeatureSet(
        cart_share=F.Ratio(F.Count(where=cart), F.Count()),
        clicks=F.Count(),
        carts=F.Count(where=cart),
        price=F.Mean("price"),
        dear=F.Count(where=F.And(F.Above("price", 3), F.In("event_type", ("search", "view_item")))),
        items=F.NUnique("item_id"),
        dwell=F.Mean(F.Gap()),
        fading=F.DecayedCount(60, where=F.Not(F.Eq("event_type", "search"))),
    )


WRONG = {
    "features: {a: {sum: category}}": "feature 'a'.*needs a column of numbers",
    "features: {a: {ratio: [b, c]}, b: {ratio: [a, c]}, c: count}": "cycle: a -> b -> a",
    "features: {a: {cuont: }}": "feature 'a'.*Did you mean 'count'",
    "features: {a: {count: {were: 1}}}": "unknown parameter 'were'",
    "features: {a: count, a: count}": "'a' is declared twice",
    "features: {a: {count: {where: {event_type: serch}}}}": "Did you mean 'search'",
    "features: {a: {ratio: [b, count]}}": "'b'",
    "features: []": "needs `features:`",
    "feature: {a: count}": "needs `features:`",
    "features: {a: count}\nmore: 1": "unknown key 'more'",
    "features: {a: {count: {where: [1]}}}": "where needs",
    "features: {a: {decayed_count: {}}}": "half_life",
    "features: {a: {earlier_words: [price, x]}}": "'a'.*needs a column of text",
    "features: {a: [": "not valid YAML",
    "features: {a: {sum: [price, null, 3, 4]}}": "takes 2 values",
}


@pytest.mark.parametrize("text", WRONG)
def test_wrong_yaml_is_refused_with_the_file_and_the_rule(text, tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(DefinitionError, match=WRONG[text]) as error:
        F.FeatureSet.from_yaml(path)
    assert str(error.value).startswith(str(path))
    assert "\n" not in str(error.value)


def test_missing_file():
    with pytest.raises(NotFoundError):
        F.FeatureSet.from_yaml("none.yaml")
