"""Decisions over HTTP: rules over open sessions, one record of contacts with lists, told once."""

from __future__ import annotations

import asyncio
import dataclasses
import datetime as dt
import sqlite3
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cartcast_test_activation as activation
import httpx
import pyarrow as pa
import pytest
import yaml
from cartcast_test_activation import EXPERIMENT, Receiver, exposed, receiver
from cartcast_test_stand_in import StandIn

from cartcast.access.keys import KeyFile, Keys
from cartcast.activation import Outbox, activate, deliver, judge, read_activation
from cartcast.activation.counts import counts
from cartcast.activation.decisions import Decisions, declared
from cartcast.api import server
from cartcast.errors import UsageError
from cartcast.experiments import Allocation
from cartcast.live.service import Live
from cartcast.live.session import Rules
from cartcast.live.state import MemoryStore
from cartcast.webhook import Endpoint

__all__ = ["receiver"]

MINE = "device-mine-00000001"
BANNER: dict[str, Any] = {
    "experiment": "rescue", "when": "clicks > 1 and probability < 0.4", "consent": "agreed == 'yes'",
    "at_most": {"times": 1, "within": "7d"}, "send": ["spend"], "page": {"text": "10 % off"},
    "without": "gone.txt",
}  # fmt: skip
PLACES = {
    "experiments": {
        "rescue": {**EXPERIMENT, "arms": {"held": 0.3, "shown": 0.7}},
        "mail": {**EXPERIMENT, "unit": "user_id"},
        "past": {**EXPERIMENT, "end": "2020-01-01"},
    }
}


def write(folder: Path, url: str = "https://shop.example/in", **change: Any) -> Path:
    acts: dict[str, Any] = {
        "banner": BANNER,
        "mail": activation.plan(
            url, experiment="mail", when="uplift > 2", consent="newsletter == 'yes'",
            at_most=[{"times": 1, "within": "7d"}, {"times": 1, "within": "1d", "across": "all"}],
            send=["spend", "uplift"],
        ),
        "past": {**BANNER, "experiment": "past"}, **change,
    }  # fmt: skip
    (folder / "gone.txt").touch()
    path = folder / "shop.yaml"
    path.write_text(yaml.safe_dump({"activations": acts, **PLACES}, sort_keys=False))
    return path


@pytest.fixture
def outbox(tmp_path: Path) -> Outbox:
    return Outbox(tmp_path / "activation" / "outbox.db")


@pytest.fixture
def ask(
    serve: Callable[..., str], live: Live, tmp_path: Path, outbox: Outbox, receiver: Receiver
) -> Iterator[Any]:
    decisions = Decisions(write(tmp_path, receiver.url), outbox, live)
    live.gauges.append(decisions.collect)
    with httpx.Client(base_url=serve(live, decisions=decisions)) as http:

        def asking(path: str = "/v1/decide", **body: Any) -> Any:
            return http.post(path, json=body)

        asking.decisions = decisions  # type: ignore[attr-defined]
        yield asking


def view(ask: Any, visitor: str, times: int = 2, **more: Any) -> None:
    event = {"visitor_id": visitor, "event_type": "view_item", "price": 20, **more}
    assert ask("/v1/events", events=[event] * times).status_code == 200


def said(ask: Any, visitor: str, key: str = "banner", **columns: Any) -> dict[str, Any]:
    answer = ask(visitor_id=visitor, columns=columns)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()["decisions"][key]
    return found


def arm_of(visitor: str) -> str | None:
    return Allocation("rescue", ("held", "shown"), (0.3, 0.7)).assign(visitor).arm


def test_what_is_told_is_what_a_list_would_do_and_counts_once(
    ask: Any, tmp_path: Path, outbox: Outbox
) -> None:
    visitors = [f"v-{i}" for i in range(20)]
    for visitor in visitors:
        view(ask, visitor)
        first = said(ask, visitor, agreed="yes")
        arm = arm_of(visitor)
        assert (first["arm"], first["unit"]) == (arm, visitor)
        assert first["reason"] == {"held": "holdout", "shown": "contact"}[arm or ""]
        given = {"page": {"text": "10 % off"}, "values": {"spend": 40.0}}
        assert {k: first.get(k) for k in given} == (
            given if arm == "shown" else dict.fromkeys(given)
        )
        assert first["conditions"] == {
            "clicks > 1": True, "probability < 0.4": True, "fresh": True, "agreed == 'yes'": True,
            "not opted out": True, "not contacted lately": True,
        }  # fmt: skip
        # The page is loaded again: the same is told, and it was one contact.
        view(ask, visitor, 1)
        assert said(ask, visitor, agreed="yes")["reason"] == first["reason"]
    assert {e["unit"]: e["arm"] for e in exposed(outbox)} == {v: arm_of(v) for v in visitors}
    shown = [v for v in visitors if arm_of(v) == "shown"]
    assert outbox.states("banner") == {"written": len(shown)}
    # A list of today leaves those alone whom the page has told, and the other way round.
    banner = read_activation(tmp_path / "shop.yaml", "banner")
    hook = Endpoint("https://a.example/", "$SHOP_WEBHOOK")
    listed = dataclasses.replace(banner, page=None, webhook=hook)
    now = dt.datetime.now(dt.UTC)
    rows = [{"visitor_id": v, "clicks": 2, "probability": 0.1, "agreed": "yes", "spend": 1}
            for v in [*visitors, "v-90", "v-91", "v-92"]]  # fmt: skip
    done = activate(listed, pa.Table.from_pylist(rows), outbox, at=now)
    assert done.reasons["contacted lately"] == len(shown)
    new = [v for v in ("v-90", "v-91", "v-92") if arm_of(v) == "shown"]
    assert done.messages == len(new) > 0
    view(ask, new[0])
    again = said(ask, new[0], agreed="yes")
    assert (again["arm"], again["reason"]) == (None, "contacted lately")
    assert again["conditions"]["not contacted lately"] is False


def test_each_reason_names_its_condition(ask: Any, tmp_path: Path, outbox: Outbox) -> None:
    def why(visitor: str, key: str = "banner", **columns: Any) -> tuple[str, list[str]]:
        told = said(ask, visitor, key, **columns)
        assert "page" not in told
        return told["reason"], [c for c, holds in told["conditions"].items() if not holds]

    view(ask, "v-1", 1)
    assert why("v-1", agreed="yes") == ("rule", ["clicks > 1"])
    view(ask, "v-1", 1)
    assert why("v-1", agreed="no") == ("no consent", ["agreed == 'yes'"])
    assert said(ask, "v-1")["conditions"]["agreed == 'yes'"] is None
    assert why("v-1", "mail", newsletter="no", uplift=3) == (
        "no consent", ["newsletter == 'yes'"])  # fmt: skip
    assert why("v-1", "mail", newsletter="yes", uplift=3) == ("no id", [])
    guest = {"visitor_id": "v-7", "user_id": "guest", "event_type": "view_item",
             "extra": {"newsletter": "yes", "uplift": 3}}  # fmt: skip
    told = ask("/v1/events?decide=1", **guest).json()["decisions"]["mail"]
    assert (told["arm"], told["reason"]) == (None, "no id")
    assert said(ask, "v-1", "past") == {"arm": None, "reason": "ended"}
    told = said(ask, "v-1", "mail", newsletter=True)
    assert (told["reason"], "but it is a text" in told["why"]) == ("does not fit", True)
    assert exposed_of(outbox) == 0
    # Who is unlike what was declared is told so in a line; who has no session, nothing.
    for body, field in (
        ({}, "visitor_id"), ({"visitor_id": "guest"}, "visitor_id"),
        ({"visitor_id": "v-1", "activations": ["baner"]}, "activations[0]"),
        ({"visitor_id": "v-1", "columns": {"probability": 0.1}}, "columns.probability"),
        ({"visitor_id": "v-1", "columns": {"clicks": 9}}, "columns.clicks"),
        ({"visitor_id": "v-1", "columns": {"a": [1]}}, "columns[...]"),
        ({"visitor_id": "v-1", "columns": {f"c{i}": 1 for i in range(101)}}, "columns"),
        ({"visitor_id": "v-1", "expose": True}, "expose"),
    ):  # fmt: skip
        answer = ask(**body)
        assert (answer.status_code, answer.json()["field"]) == (422, field)
        assert "\n" not in answer.json()["detail"]
    assert ask(visitor_id="nobody").json() == {"session_id": None, "decisions": {}}


def exposed_of(outbox: Outbox) -> int:
    with outbox.looking() as con:
        return int(con.execute("SELECT count(*) FROM exposures").fetchone()[0])


def test_a_webhook_is_sent_once_from_the_same_outbox(
    ask: Any, tmp_path: Path, outbox: Outbox, receiver: Receiver
) -> None:
    oracle = pytest.importorskip("standardwebhooks", reason="needs the package standardwebhooks")
    mail = read_activation(tmp_path / "shop.yaml", "mail")
    people = [f"ann-{i}" for i in range(12)]
    wanted = [p for p in people if mail.experiment.allocation.assign(p).arm == "mailed"]
    extra = {"newsletter": "yes", "uplift": 3.5, "agreed": "yes"}
    for person in people:
        event = {"visitor_id": f"d-{person}", "user_id": person, "event_type": "view_item"}
        # One click: of what is declared, only the mail; the second asks again.
        for _ in range(2):
            answer = ask("/v1/events?decide=1", **event, price=9, extra=extra).json()
            assert answer["decisions"]["mail"]["unit"] == person
    # The mail of a minute ago keeps nobody from the banner, which caps itself; the banner would.
    assert outbox.states("mail") == {"due": len(wanted)}
    metrics = ask.decisions.keeper.collect(["mail"])
    gauges = {(s.name, s.labels.get("state")): s.value for m in metrics for s in m.samples}
    assert gauges["cartcast_outbox_messages", "due"] == len(wanted)
    assert gauges["cartcast_outbox_oldest_seconds", None] > 0
    assert deliver(mail, outbox).sent == len(wanted)
    units = []
    for headers, body in receiver.seen:
        told = oracle.Webhook(activation.SECRET).verify(body, headers)
        units.append(told["data"]["unit"])
        assert told["data"]["values"] == {"spend": 9.0, "uplift": 3.5}
    assert sorted(units) == sorted(wanted)
    ask("/v1/events?decide=1", **{**event, "user_id": wanted[0], "visitor_id": f"d-{wanted[0]}"})
    assert deliver(mail, outbox).sent == 0
    text = httpx.get(str(ask("/v1/decide", visitor_id="x").url.join("/metrics"))).text
    assert 'cartcast_decisions_total{activation="mail",reason="contact"}' in text
    assert 'cartcast_outbox_messages{activation="mail",state="dead"} 0.0' in text
    many = ask("/v1/events?decide=1", events=[event] * 101)
    assert (many.status_code, many.json()["field"]) == (422, "decide")


def test_who_opts_out_and_what_changes_holds_at_once(
    ask: Any, tmp_path: Path, outbox: Outbox
) -> None:
    for visitor in ("v-1", "v-2", "v-3"):
        view(ask, visitor, user_id=f"login-{visitor}")
    (tmp_path / "gone.txt").write_text("v-1\nlogin-v-2\n")
    ask.decisions.declared = declared(tmp_path / "shop.yaml")
    assert said(ask, "v-1", agreed="yes")["reason"] == "opted out"
    assert said(ask, "v-2", agreed="yes")["reason"] == "opted out"
    before = said(ask, "v-3", agreed="yes")["arm"]
    ahead = ask(visitor_id="v-3", columns={"agreed": "yes"}, keep=False)
    assert ahead.json()["decisions"]["banner"]["arm"] == before
    # Weights change: the arm that was seen stays, here and in a list.
    turned = {"held": 0.99, "shown": 0.01} if before == "shown" else {"held": 0.01, "shown": 0.99}
    rescue = {**EXPERIMENT, "arms": turned}
    changed = {**PLACES, "experiments": {**PLACES["experiments"], "rescue": rescue}}
    text = yaml.safe_load((tmp_path / "shop.yaml").read_text())
    (tmp_path / "shop.yaml").write_text(yaml.safe_dump({**text, **changed}))
    ask.decisions.declared = declared(tmp_path / "shop.yaml")
    found = read_activation(tmp_path / "shop.yaml", "banner")
    assert found.experiment.allocation.assign("v-3").arm != before
    assert said(ask, "v-3", agreed="yes")["arm"] == before
    assert judge(found, {"visitor_id": "v-3", "clicks": 2, "probability": 0.1, "agreed": "yes"},
                 at=dt.datetime.now(dt.UTC)).arm != before  # fmt: skip


def test_nobody_is_told_what_cannot_be_kept(ask: Any, outbox: Outbox) -> None:
    view(ask, "v-1")
    view(ask, "v-2")
    assert said(ask, "v-2", agreed="yes")["arm"]
    outbox.path.chmod(0o600)
    blocked = sqlite3.connect(outbox.path, isolation_level=None)
    blocked.execute("PRAGMA user_version = 99")  # of a later version of Cartcast
    answer = ask(visitor_id="v-1", columns={"agreed": "yes"})
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "2")
    assert "10 % off" not in answer.text
    # What needs no record is answered all the same.
    assert said(ask, "v-1", agreed="no")["reason"] == "no consent"
    blocked.execute("PRAGMA user_version = 2")
    blocked.close()
    assert said(ask, "v-1", agreed="yes")["arm"]


def test_what_each_key_may(
    serve: Callable[..., str], live: Live, key_file: KeyFile, tmp_path: Path, outbox: Outbox
) -> None:
    keys = {scope: key_file.add(scope, [scope]) for scope in ("ingest", "page", "score", "ask")}
    bare = serve(live, Keys(key_file))
    url = serve(live, Keys(key_file), Decisions(write(tmp_path), outbox, live))

    def post(key: str | None, base: str = url, **body: Any) -> Any:
        headers = {"X-Api-Key": key} if key else {}
        return httpx.post(f"{base}/v1/decide", json={"visitor_id": MINE, **body}, headers=headers)

    assert [post(k).status_code for k in (None, keys["ask"], keys["ingest"])] == [401, 403, 403]
    assert post(keys["page"], bare).status_code == 404
    assert httpx.get(url + "/v1/decide", headers={"X-Api-Key": keys["page"]}).status_code == 405
    event = {"visitor_id": MINE, "event_type": "view_item", "price": 5, "extra": {"agreed": "yes"}}
    send = {"params": {"key": keys["page"], "decide": "1"}, "json": event}
    assert httpx.post(f"{url}/v1/events", **send).json()["decisions"]["banner"]["reason"] == "rule"
    told = httpx.post(f"{url}/v1/events", **send).json()["decisions"]
    # A page is told what is for pages, and no condition; what it says of itself is consent alone.
    assert told.keys() == {"banner", "past"}
    assert told["banner"]["arm"] == arm_of(MINE)
    assert "conditions" not in told["banner"]
    assert post(keys["page"], columns={"agreed": "yes"}).json()["decisions"] == told
    for name in ("uplift", "spend", "user_id"):
        assert post(keys["page"], columns={name: 3}).json()["field"] == f"columns.{name}"
    assert post(keys["score"], columns={"uplift": 3}).json()["decisions"].keys() > told.keys()
    # Of a stranger's session, or one that a login has joined, it is told nothing.
    login = {**event, "user_id": "ann"}
    httpx.post(f"{url}/v1/events", params={"key": keys["ingest"]}, json=login)
    nothing = {"session_id": None, "decisions": {}}
    for who in ({}, {"visitor_id": "17"}, {"visitor_id": None, "user_id": "ann"}):
        assert post(keys["page"], **who).json() == nothing
    assert "decisions" not in httpx.post(f"{url}/v1/events", **send).json()


def test_several_workers_contact_nobody_twice(
    serve: Callable[..., str], tmp_path: Path, outbox: Outbox
) -> None:
    """Each has its own session of a visitor, as the stream of one may end in two places."""
    scorers, path = [StandIn(), StandIn()], write(tmp_path)
    lives = [Live(one, MemoryStore(one, Rules(), durability="none")) for one in scorers]
    urls = [serve(one, decisions=Decisions(path, outbox, one)) for one in lives]
    visitors = [f"v-{i}" for i in range(12)]

    def ask(url: str) -> list[str]:
        with httpx.Client(base_url=url) as http:
            event = {"event_type": "view_item", "extra": {"agreed": "yes"}}
            found = []
            for visitor in visitors:
                body = {"events": [{**event, "visitor_id": visitor}] * 2}
                told = http.post("/v1/events?decide=1", json=body).json()["answers"][-1]
                found.append(told["decisions"]["banner"]["reason"])
            return found

    with ThreadPoolExecutor(2) as pool:
        told = zip(*pool.map(ask, urls), strict=True)
    for visitor, reasons in zip(visitors, told, strict=True):
        once = ["contact", "contacted lately"]
        assert sorted(reasons) == (once if arm_of(visitor) == "shown" else ["holdout"] * 2)
    assert len(exposed(outbox)) == len(visitors)


def test_counts_of_what_was_decided(ask: Any, tmp_path: Path, outbox: Outbox, serve: Any) -> None:
    for i in range(6):
        view(ask, f"v-{i}")
        said(ask, f"v-{i}", agreed="yes" if i > 1 else "no")
    asyncio.run(ask.decisions.keeper._save())
    banner = read_activation(tmp_path / "shop.yaml", "banner")
    since = dt.datetime.now(dt.UTC) - dt.timedelta(days=1)
    found = counts(outbox, banner, since)
    arms = [arm_of(f"v-{i}") for i in range(2, 6)]
    assert (found.contacted, found.held) == (arms.count("shown"), arms.count("held"))
    assert found.left == {"no consent": 2}
    assert counts(outbox, banner, since + dt.timedelta(days=2)).contacted == 0


def test_a_plan_for_lists_alone_is_refused(tmp_path: Path) -> None:
    audience = {**BANNER, "page": None, "audience": {"for": "mail", "email": "email"}}
    (tmp_path / "shop.yaml").write_text(
        yaml.safe_dump({"activations": {"a": {k: v for k, v in audience.items() if v}}, **PLACES})
    )
    with pytest.raises(UsageError, match="needs a list"):
        declared(tmp_path / "shop.yaml")


def test_a_project_of_pseudonyms_is_refused(tmp_path: Path) -> None:
    (tmp_path / "cartcast.yaml").write_text("privacy: {pseudonymise: [visitor_id]}\n")
    with pytest.raises(UsageError, match="pseudonyms"):
        server.serve(
            server.Plan("champion", str(tmp_path), activation=str(write(tmp_path))), lambda _: None
        )
