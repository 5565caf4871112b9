"""The page Activation: rules in words, figures of the outbox, and a count that keeps nothing."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest
import yaml

import cartcast.app
from cartcast.activation import Outbox, activate, read_activations
from cartcast.app import plans
from cartcast.app.launch import PROJECT_VARIABLE
from cartcast.app.parts import activated
from cartcast.app.state import Project

st = pytest.importorskip("streamlit")
from streamlit.testing.v1 import AppTest  # noqa: E402

VIEW = Path(cartcast.app.__file__).parent / "views" / "activation.py"
TEST = {"unit": "visitor_id", "arms": {"held": 0.2, "mailed": 0.8},
        "quantities": {"money": {"kind": "sum", "event": "purchase", "column": "revenue"}},
        "metrics": {"revenue": {"mean": "money"}}}  # fmt: skip
MAIL = {"when": "carts > 0 and probability < 0.4", "consent": "newsletter == 'yes'",
        "at_most": [{"times": 1, "within": "7d"}, {"times": 3, "within": "30d", "across": "all"}],
        "webhook": {"url": "https://crm.example.com/in", "secret": "$NOT_SET_HERE"}}  # fmt: skip
BANNER = {"experiment": "mail", "when": "carts > 0", "consent": {"not_needed": "it is our page"},
          "at_most": {"times": 1, "within": "1d"}, "page": {"text": "hi"}}  # fmt: skip

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "cartcast.yaml").write_text("currency: EUR\n")
    told = {"experiments": {"mail": TEST}, "activations": {"mail": MAIL, "banner": BANNER}}
    (tmp_path / "shop.yaml").write_text(yaml.safe_dump(told, sort_keys=False))
    monkeypatch.setenv(PROJECT_VARIABLE, str(tmp_path))
    return tmp_path


def rows(n: int = 40) -> pd.DataFrame:
    return pd.DataFrame({"visitor_id": [f"v-{i}" for i in range(n)], "carts": 1, "probability": 0.2,
                         "newsletter": ["yes" if i % 4 else "no" for i in range(n)]})  # fmt: skip


def opened() -> AppTest:
    at = AppTest.from_file(str(VIEW), default_timeout=60).run()
    assert not at.exception
    assert not at.error, [e.value for e in at.error]
    return at


def figures(at: AppTest) -> list[tuple[str, str]]:
    return [(m.label, m.value) for m in at.metric]


def test_rules_in_words_and_what_became_of_them(shop: Path) -> None:
    at = opened()
    assert at.title[0].value.startswith("Nobody was contacted")
    assert not (shop / ".cartcast" / "activation").exists()  # a look makes nothing
    said = [" ".join(m.value.replace("\\", "").split()) for m in at.markdown]
    assert (
        "Contacts visitors of whom this holds: carts > 0, and probability < 0.4. Only who agreed: "
        "newsletter is 'yes'. At most once in 7 days, and 3 times in 30 days over all activations. "
        "20 % of them are held out; the others are sent to crm.example.com." in said
    )
    assert any(s.endswith("the others see it in the page, while they are there.") for s in said)
    mail = read_activations(shop / "shop.yaml", posts=False)["mail"]
    outbox, now = Outbox(shop / ".cartcast" / "activation" / "outbox.db"), dt.datetime.now(dt.UTC)
    done = activate(mail, pa.Table.from_pandas(rows()), outbox, at=now)
    activate(mail, pa.Table.from_pandas(rows().assign(probability=0.1)), outbox, at=now)
    (letter,) = [outbox.next_letter("mail")]
    assert letter is not None
    outbox.settle(letter, "dead", "status 400")
    at = opened()
    assert at.title[0].value.startswith("1 message was refused")
    assert figures(at)[:6] == [
        ("Contacted", str(done.messages)), ("Held out", str(done.reasons["holdout"])),
        ("Capped", str(done.messages)), ("No consent", "20"),
        ("To deliver", str(done.messages - 1)), ("Dead letters", "1"),
    ]  # fmt: skip
    assert figures(at)[6:] == [
        ("Contacted", "0"), ("Held out", str(done.reasons["holdout"])),
        ("Capped", "0"), ("No consent", "0"),
    ]  # fmt: skip
    assert "--name mail --again" in at.warning[0].value.replace("\\", "")
    plan = plans.read(plans.places(Project.open(shop))["mail"])
    place = activated.exposed_by_rule(Project.open(shop), plan)
    assert place == str(outbox.path.relative_to(shop))


def test_a_list_is_counted_and_nothing_is_kept(shop: Path) -> None:
    rows().to_csv(shop / "list.csv", index=False)
    at = opened()
    at = at.button(key="count_mail").click().run()
    assert not at.exception
    assert not at.error, [e.value for e in at.error]
    told = dict(figures(at))
    assert int(told["Would contact"]) + int(told["Would hold out"]) == 30
    assert told["Scored"] == "40"
    assert not (shop / ".cartcast" / "activation").exists()


def test_a_rule_that_cannot_be_read_stands_beside_the_others(shop: Path) -> None:
    told = yaml.safe_load((shop / "shop.yaml").read_text())
    told["activations"]["mail"]["when"] = "carts >"
    other = {"activations": {"second": MAIL}, "experiments": {"second": TEST}}
    (shop / "other.yaml").write_text(yaml.safe_dump(other))
    (shop / "shop.yaml").write_text(yaml.safe_dump(told, sort_keys=False))
    at = AppTest.from_file(str(VIEW), default_timeout=60).run()
    assert not at.exception
    assert len(at.error) == 2  # of one file; the other's is drawn
    assert "cannot be read" in at.error[0].value
    assert ("To deliver", "0") in figures(at)
