"""A new champion, a rollback and a refused challenger are told; what nobody took is told later."""

from __future__ import annotations

import json
from email import message_from_string
from email.policy import default
from pathlib import Path

import pandas as pd
import pytest
import yaml

from cartcast.cli import main
from cartcast.monitoring.changes import Change, announce, prove, refuse, send_changes
from cartcast.monitoring.compare import Comparison
from cartcast.monitoring.paired import Verdict
from cartcast.monitoring.plan import Plan
from cartcast.monitoring.store import open_store
from cartcast.runs.registry import Registry
from cartcast.webhook import verify

NOW = pd.Timestamp("2026-03-02")
FOUND = Comparison(
    "a", "b", NOW, NOW + pd.Timedelta(days=5), 5, 900, 2_000, 50,
    Verdict(0.31, 0.29, 0.001, 0.02, 25.0, 0.1), Verdict(0.09, 0.08, 0.0, 0.01, 3.0, 0.2), 0.95, None,
)  # fmt: skip


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Registry:
    """Two runs that the registry takes as they are: their files are not what is told here."""
    found = Registry(tmp_path)
    monkeypatch.setattr(Registry, "verify", lambda *_: None)
    run = {"path": str(tmp_path), "created": "2026-03-01", "target": "purchase in 7d",
           "target_kind": "observed", "champion": "x", "metrics": "{}", "manifest": ""}  # fmt: skip
    rows = [{**run, "run_id": name} for name in ("run-a", "run-b")]
    given = {"number": 1, "target": "purchase in 7d", "alias": "champion", "run_id": "run-a",
             "at": "2026-03-01", "who": "ann", "reason": "registered"}  # fmt: skip
    found.replace({"runs": rows, "promotions": [given]})
    monkeypatch.chdir(tmp_path)
    (tmp_path / "cartcast.yaml").write_text("currency: EUR\n")
    return found


def configure(registry: Registry, **ways: object) -> None:
    (registry.folder / "cartcast.yaml").write_text(yaml.safe_dump({"monitoring": ways}))


def test_a_promotion_by_hand_and_its_rollback_are_told(registry, receiver, smtp, capsys) -> None:
    webhook, hook = receiver
    email, mail = smtp
    configure(registry, webhook=webhook, email=email)
    for words in (
        ["promote", "run-b", "--reason", "better at click 3"],
        ["rollback"],
        ["promote", "run-b", "--alias", "challenger"],
    ):
        with pytest.raises(SystemExit) as end:
            main(["models", *words])
        assert not end.value.code
    assert capsys.readouterr().out.count("told by webhook, email") == 2
    # A challenger by hand changes nothing that anybody sees.
    (headers, body), (_, later) = hook.seen
    assert verify(str(webhook["secret"]), headers, body)
    told, back = json.loads(body), json.loads(later)
    assert told["type"] == "cartcast.champion"
    assert {k: told["change"][k] for k in ("what", "run", "before", "why", "evidence")} == {
        "what": "promoted", "run": "run-b", "before": "run-a", "why": "better at click 3",
        "evidence": None,
    }  # fmt: skip
    promotion, rollback = registry.promotions()[2], registry.promotions()[1]
    assert (told["change"]["who"], told["change"]["at"]) == (promotion.who, promotion.at)
    assert told["change"]["undo"] == ("cartcast models rollback champion --target 'purchase in 7d'")
    assert back["change"]["what"] == "rolled back"
    assert (back["change"]["run"], back["change"]["why"]) == ("run-a", rollback.reason)
    first = message_from_string(mail.mails[0][2], policy=default)
    assert first["subject"] == "Cartcast: purchase in 7d: run-b is champion"
    text = first.get_content()
    for part in (promotion.who, "better at click 3", "done by hand", told["change"]["undo"]):
        assert part in text
    # What it says takes the rollback back.
    with pytest.raises(SystemExit):
        main(back["change"]["undo"].split()[1:])
    assert registry.get("champion").run_id == "run-b"


def test_a_challenger_that_is_refused_is_told_with_its_figures(registry, receiver) -> None:
    webhook, hook = receiver
    configure(registry, webhook=webhook)
    reason = f"retrain: run-b is dropped, proven worse; {FOUND.describe()}"
    registry.promote("run-a", "challenger", reason)
    assert refuse(registry, "purchase in 7d", "run-b", FOUND) == "told by webhook"
    change = json.loads(hook.seen[0][1])["change"]
    assert (change["what"], change["run"], change["before"]) == ("refused", "run-b", "run-a")
    assert change["why"] == "retrain: run-b is dropped, proven worse"
    assert change["figures"] == FOUND.describe()
    assert change["evidence"]["log_loss"]["better"] == 25
    assert change["evidence"]["moments"] == 2_000


def test_a_challenger_that_is_held_although_proven_is_told_once(registry, receiver) -> None:
    webhook, hook = receiver
    configure(registry, webhook=webhook)
    registry.promote("run-b", "challenger", "retrain: by the settings of run-a")
    assert prove(registry, "purchase in 7d", "run-b", FOUND) == "told by webhook"
    assert prove(registry, "purchase in 7d", "run-b", FOUND) is None
    change = json.loads(hook.seen[0][1])["change"]
    assert len(hook.seen) == 1
    assert (change["what"], change["run"], change["before"]) == ("proven", "run-b", "run-a")
    assert change["figures"] == FOUND.describe()
    text = Change(**change).message("id").text
    assert "  champion: run-a\n" in text
    with pytest.raises(SystemExit):
        main(text.partition("  promote:  cartcast ")[2].split())
    assert registry.get("champion").run_id == "run-b"


def test_what_nobody_took_is_told_later_in_order_under_its_id(registry, receiver) -> None:
    webhook, hook = receiver
    configure(registry, webhook=webhook)
    hook.answers[:] = [503, 503]
    for run in ("run-b", "run-a"):
        registry.promote(run)
        said = announce(registry, "purchase in 7d")
        assert said is not None
        assert said.startswith("not told yet: 127.0.0.1 did not take")
        assert "\n" not in said
    assert registry.get("champion").run_id == "run-a"
    store = open_store(registry.folder)
    assert send_changes(store, Plan(webhook=webhook)) == (["webhook"], None)
    told = [(h["webhook-id"], json.loads(b)["change"]["run"]) for h, b in hook.seen]
    assert [run for _, run in told] == ["run-b", "run-b", "run-b", "run-a"]
    assert len({i for i, _ in told[:3]}) == 1 < len({i for i, _ in told})
    assert send_changes(store, Plan(webhook=webhook)) == ([], None)


@pytest.mark.parametrize(
    ("ways", "said"),
    [
        ({}, None),
        ({"webhook": {"url": "https://example.com/", "secret": "$CARTCAST_NO_SUCH"}}, "NO_SUCH"),
        ({"webhook": "x"}, "must hold"),
        ({"email": {"host": "127.0.0.1"}}, "needs sender, to"),
    ],
)
def test_no_way_or_a_wrong_one_never_fails_the_change(registry, ways, said) -> None:
    configure(registry, **ways)
    registry.promote("run-b")
    told = announce(registry, "purchase in 7d")
    assert (told is None) if said is None else (told is not None and said in told)
    assert registry.get("champion").run_id == "run-b"
    # With nobody to tell there is nothing to keep.
    assert (registry.folder / ".cartcast" / "monitor.db").exists() == (said is not None and said != "must hold")  # fmt: skip
