"""A page learns the score of its visitor's own session, and of nobody else's."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cartcast_test_tracker_browsers as browsers
import httpx
import pytest
import yaml

from cartcast.access.keys import KeyFile, Keys
from cartcast.activation import Outbox
from cartcast.activation.decisions import Decisions
from cartcast.experiments import Allocation
from cartcast.experiments.exposures import ExposureFile
from cartcast.live.experiments import Experiments
from cartcast.live.service import Live

MINE, YOURS = "device-mine-00000001", "device-yours-0000002"


@pytest.fixture
def shop(
    serve: Callable[..., str], live: Live, key_file: KeyFile
) -> tuple[str, dict[str, str], Live]:
    keys = {scope: key_file.add(scope, [scope]) for scope in ("ingest", "page", "score", "ask")}
    return serve(live, Keys(key_file), origins=(browsers.ORIGIN,)), keys, live


def own(url: str, key: str, device: str) -> Any:
    answer = httpx.get(f"{url}/v1/own", params={"visitor_id": device, "key": key})
    assert answer.status_code == 200
    return answer.json()


def send(url: str, key: str, **event: Any) -> Any:
    answer = httpx.post(f"{url}/v1/events", params={"key": key}, json=event)
    assert answer.status_code == 200
    return answer.json()


NOTHING = {"click": None, "p_buy": None, "segment": None}


def test_what_each_key_is_told(shop: Any) -> None:
    url, keys, live = shop
    event = {"visitor_id": MINE, "event_type": "view_item", "price": 5}
    assert send(url, keys["ingest"], **event).get("p_buy") is None
    told = send(url, keys["page"], **event)
    assert (told["click"], told["segment"]) == (2, "browsers")
    assert told["p_buy"] == pytest.approx(live.scorer.score_row({"clicks": 2}).p_buy)
    # No revenue, features or reasons: what a page needs, and no more.
    more = httpx.post(f"{url}/v1/events", params={"key": keys["page"], "features": "1", "every": 1,
                      "reasons": "3"}, json=event).json()  # fmt: skip
    assert set(more) == {"status", "event_id", "session_id", "click", "p_buy", "segment"}
    assert own(url, keys["page"], MINE) == own(url, keys["score"], MINE)
    assert own(url, keys["page"], MINE)["click"] == 3
    for key, code in ((keys["ingest"], 403), (keys["ask"], 403), ("none", 401)):
        query = {"visitor_id": MINE, "key": key}
        assert httpx.get(f"{url}/v1/own", params=query).status_code == code
    for path in ("/v1/sessions?visitor_id=" + MINE, "/v1/status", "/v1/models", "/metrics"):
        assert httpx.get(url + path, headers={"X-Api-Key": keys["page"]}).status_code == 403
    assert httpx.post(f"{url}/v1/score", headers={"X-Api-Key": keys["page"]}).status_code == 403


@pytest.mark.parametrize("device", ["17", "short-device", "ann@shop.example.org", "a b" * 9])
def test_an_id_that_could_be_guessed_is_told_nothing(shop: Any, device: str) -> None:
    url, keys, _ = shop
    assert "p_buy" not in send(url, keys["page"], visitor_id=device, event_type="page_view")
    assert own(url, keys["page"], device) == NOTHING
    assert own(url, keys["page"], "device-of-nobody-0001") == NOTHING


def test_nobody_is_told_of_a_session_with_a_strangers_part(shop: Any) -> None:
    """Whatever order events come in: what a device is told, its own events alone explain."""
    url, keys, live = shop
    rng, told, refused = random.Random(7), 0, 0
    for story in range(60):
        mine, yours, ann = (f"{word}-{story:012d}" for word in (MINE, YOURS, "ann@shop.example"))
        clicks = 0
        for _ in range(rng.randint(2, 7)):
            # Mine names any login, with any public key; the stranger's device and server name hers.
            who, key = rng.choice(
                [({"visitor_id": mine}, "page"), ({"visitor_id": mine, "user_id": ann}, "page"),
                 ({"visitor_id": mine, "user_id": ann}, "ingest"), ({"visitor_id": mine}, "page"),
                 ({"visitor_id": yours, "user_id": ann}, "ingest"), ({"user_id": ann}, "ingest")]
            )  # fmt: skip
            answer = send(url, keys[key], event_type="view_item", price=3, **who)
            clicks += who.get("visitor_id") == mine
            seen = [own(url, keys["page"], mine)]
            seen += [answer] if who == {"visitor_id": mine} else []
            for one in seen:
                if one.get("p_buy") is None:
                    refused += 1
                    continue
                told += 1
                right = live.scorer.score_row({"clicks": clicks}).p_buy
                assert one["p_buy"] == pytest.approx(right)
            if who != {"visitor_id": mine}:
                assert "p_buy" not in answer
    assert told > 50
    assert refused > 50


TEST = {"unit": "visitor_id", "arms": ["held", "shown"], "metrics": {"m": {"mean": "x"}}}
DECLARED = {
    "experiments": {"free": {**TEST, "arms": ["control", "free"]}, "rescue": TEST},
    "activations": {"banner": {
        "experiment": "rescue", "when": "clicks > 0", "consent": "agreed == 'yes'",
        "at_most": {"times": 1, "within": "7d"}, "page": {"text": "10 % off"},
    }},
}  # fmt: skip
PAGE = """<!doctype html><title>Shop</title>
<script src="%(url)s/v1/cartcast.js" data-key="%(key)s"></script>
<script>cartcast.start({visitor: async () => "%(device)s", consent: %(consent)s});</script>"""
REFUSALS = {
    "no consent": ("() => false", ""),
    "not asked": ("undefined", ""),
    "truthy is no consent": ("'yes'", ""),
    "a broken consent": ("() => { throw 1 }", ""),
    "do not track": ("true", "Object.defineProperty(navigator, 'doNotTrack', {value: '1'})"),
    "privacy control": (
        "true",
        "Object.defineProperty(navigator, 'globalPrivacyControl', {value: true})",
    ),
}


@pytest.mark.slow
@pytest.mark.chromium
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.skipif(browsers.CHROMIUM is None, reason="needs chromium, which is not installed here")
def test_the_snippet_in_a_page(
    serve: Callable[..., str], live: Live, key_file: KeyFile, tmp_path: Path
) -> None:
    sync_api = pytest.importorskip("playwright.sync_api")
    keys = {scope: key_file.add(scope, [scope]) for scope in ("ingest", "page")}
    plan, outbox = tmp_path / "shop.yaml", Outbox(tmp_path / "outbox.db")
    plan.write_text(yaml.safe_dump(DECLARED))
    live.experiments = Experiments([plan], ExposureFile(None))
    free = live.experiments.plans["free"].allocation
    decisions = Decisions(plan, outbox, live)
    url = serve(live, Keys(key_file), decisions, origins=(browsers.ORIGIN,))
    with sync_api.sync_playwright() as p:
        browser = p.chromium.launch(executable_path=browsers.CHROMIUM, args=browsers.FLAGS)

        def opened(consent: str = "true", before: str = "", key: str = "page") -> Any:
            page = browser.new_page()
            if before:
                page.add_init_script(before)
            html = PAGE % {"url": url, "key": keys[key], "device": MINE, "consent": consent}
            page.route(
                f"{browsers.ORIGIN}/**", lambda r: r.fulfill(body=html, content_type="text/html")
            )
            page.goto(f"{browsers.ORIGIN}/")
            return page

        page = opened()
        assert page.evaluate("cartcast.score()") is None
        event = "{event_type: 'view_item', price: 5, visitor_id: 'another-device-00001'}"
        first = page.evaluate(f"cartcast.track({event})")
        assert first["p_buy"] == pytest.approx(live.scorer.score_row({"clicks": 1}).p_buy)
        assert (first["click"], first["segment"]) == (1, "browsers")
        # A function that is a script's value would be called by Playwright.
        page.evaluate(
            "window.seen = []; window.end = cartcast.watch((told) => seen.push(told), 2); 0"
        )
        page.wait_for_function("seen.length == 1")
        send(url, keys["ingest"], visitor_id=MINE, event_type="view_item")
        page.wait_for_function("seen.length == 2", timeout=20_000)
        assert page.evaluate("seen[1].click") == 2
        page.evaluate("end()")
        kept = "[document.cookie, localStorage.length, sessionStorage.length]"
        assert page.evaluate(kept) == ["", 0, 0]
        assert page.context.cookies() == []
        assert opened(key="ingest").evaluate("cartcast.score()") is None
        # What to do: the arm that a rule gives, once; and the arms of a test.
        arm = Allocation("rescue", ("held", "shown")).assign(MINE).arm
        assert page.evaluate("cartcast.arms()") == {"free": free.assign(MINE).arm}
        assert page.evaluate("cartcast.decide()") == {
            "banner": {"arm": None, "reason": "no consent", "unit": MINE}
        }
        told = page.evaluate("cartcast.decide({agreed: 'yes'})")
        assert told == {"banner": {"arm": arm, "reason": "contact", "unit": MINE,
                                   "page": {"text": "10 % off"}}}  # fmt: skip
        assert page.evaluate("cartcast.decide({agreed: 'yes'})") == told
        assert outbox.states("banner") == {"written": 1}
        assert page.evaluate("cartcast.decide({spend: 3})") == {}
        assert opened(key="ingest").evaluate("cartcast.decide()") == {}

        before = live.metrics.requests.copy()
        for consent, script in REFUSALS.values():
            page = opened(consent, script)
            assert page.evaluate("cartcast.score()") is None
            assert page.evaluate("cartcast.track({event_type: 'view_item'})") is None
            assert page.evaluate("cartcast.decide({agreed: 'yes'})") == {}
            assert page.evaluate("cartcast.arms()") == {}
        asked = {path for path, _ in live.metrics.requests - before}
        assert asked <= {"/v1/cartcast.js"}
        assert live.metrics.events == {"accepted": 2}
        browser.close()


def test_the_snippet_is_small_and_anybodys(shop: Any) -> None:
    answer = httpx.get(f"{shop[0]}/v1/cartcast.js")
    assert answer.headers["content-type"].startswith("text/javascript")
    assert "max-age" in answer.headers["cache-control"]
    assert len(answer.content) < 4_000
