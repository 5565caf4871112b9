"""Audiences: what platforms compare, hashed as `hashlib` does; the verb; the way to an analysis."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import re
import signal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from cartcast.activation import Outbox, activate, activation_from, read_activations
from cartcast.activation.address import email_of, hashed, phone_of
from cartcast.cli import main
from cartcast.errors import UsageError
from cartcast.forget import forget

from .conftest import AT, EXPERIMENT, exposed, plan, score

ROOT = Path(__file__).resolve().parents[2]
MAIL = [" Ann@Shop.Example ", "bob@shop.example", "not a mail", None, "=cmd@shop.example"]
PHONE = ["+44 844 412 4653", "0844 412 4653", "+1 (657) 777-0000", None, "'+49-30-1234567"]


def sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def rows(n: int = 60) -> list[dict]:
    return [score(i, email=MAIL[i % 5], phone=PHONE[i // 5 % 5]) for i in range(n)]


def audience(make, **change):
    return make(webhook=None, audience={"for": "google", "email": "email", "phone": "phone", **change})  # fmt: skip


def test_addresses_of_published_examples() -> None:
    # Meta's and TikTok's documents; E.164 numbers of TikTok's.
    assert hashed(email_of("John_Smith@gmail.com ")) == "62a14e44f765419d10fea99367361a727c12365e2520f32218d505ed9aa0f62f"  # fmt: skip
    assert hashed(email_of("janedoe@gmail.com")) == "d6117306485ed0e50afab3ac871e98f81699151f30281527d63ff5f233656c69"  # fmt: skip
    assert phone_of("+1 (657)777-0000") == "+16577770000"
    assert phone_of("+374-93-828222") == "+37493828222"
    for none in ("657 777 0000", "0016577770000", "+", "+0123456789", "+1234", "+1" + "2" * 15, 7):
        assert phone_of(none) is None
    for none in ("a@b", "a b@c.d", "@c.d", "a@@c.d", "a@c..d", "", None, 3, "a" * 250 + "@c.de"):
        assert email_of(none) is None


@pytest.mark.parametrize(("form", "heading"), [("google", ["Email", "Phone"]), ("meta", ["email", "phone"])])  # fmt: skip
def test_platforms_get_hashes_and_nothing_else(make, outbox, tmp_path, form, heading) -> None:
    found = audience(make, **{"for": form})
    out = tmp_path / "a.csv"
    done = activate(found, pa.Table.from_pylist(rows()), outbox, at=AT, out=out)
    assert done.files == {"mailed": out}
    head, *lines = csv.reader(out.read_text().splitlines())
    assert head == heading
    mails = {
        "v": [sha("ann@shop.example"), sha("bob@shop.example"), "", "", sha("=cmd@shop.example")]
    }["v"]
    phones = ["+448444124653", None, "+16577770000", None, None]
    phones = [p and (p if form == "google" else p[1:]) for p in phones]
    assign = found.experiment.allocation.assign
    wanted, unreachable = [], 0
    for i in range(60):
        line = [mails[i % 5], sha(phones[i // 5 % 5]) if phones[i // 5 % 5] else ""]
        unreachable += line == ["", ""]
        if line != ["", ""] and assign(f"v-{i}").arm == "mailed":
            wanted.append(line)
    assert sorted(lines) == sorted(wanted)
    assert done.reasons["no address"] == unreachable > 0
    again = out.read_bytes()
    assert activate(found, pa.Table.from_pylist(rows()), outbox, at=AT, out=out).messages == 0
    assert out.read_bytes() == again, "the same list makes the same file"


def test_each_arm_to_contact_has_a_file_of_its_own(receiver, outbox, tmp_path) -> None:
    arms = {**EXPERIMENT, "arms": {"held": 0.2, "10 %": 0.4, "=free": 0.4}}
    told = plan(webhook=None, audience={"for": "google", "email": "email"})
    found = activation_from("rescue", told, {"rescue": arms})
    table = pa.Table.from_pylist(rows())
    done = activate(found, table, outbox, at=AT, out=tmp_path / "a.csv")
    assert {a: p.name for a, p in done.files.items()} == {"10 %": "a-10__.csv", "=free": "a-_free.csv"}  # fmt: skip
    assert [len(p.read_text().splitlines()) - 1 for p in done.files.values()] == [
        done.arms["10 %"], done.arms["=free"]]  # fmt: skip
    for out in (None, tmp_path / "a.json", tmp_path / "a.txt"):
        with pytest.raises(UsageError, match="--out FILE.csv"):
            activate(found, table, outbox, at=AT, out=out)


def test_mail_tools_get_addresses_and_the_arm(make, outbox, tmp_path) -> None:
    found, out = audience(make, **{"for": "mail"}), tmp_path / "a.json"
    done = activate(found, pa.Table.from_pylist(rows()), outbox, at=AT, out=out)
    people = json.loads(out.read_text())["people"]
    assert len(people) == done.arms["mailed"] > 20
    assert {p["arm"] for p in people} == {"mailed"}
    assert {p["email"] for p in people} <= {"ann@shop.example", "bob@shop.example", "=cmd@shop.example", None}  # fmt: skip
    assert people[0]["values"] == {"probability": 0.2}


@pytest.fixture
def call(capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)

    def run(*words: object) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as stopped:
            main([*map(str, words)])
        out, err = capsys.readouterr()
        return stopped.value.code or 0, out, err

    return run


def write(**activations: dict) -> None:
    told = {"activations": activations, "experiments": {"rescue": EXPERIMENT}}
    Path("shop.yaml").write_text(yaml.safe_dump(told))


def test_the_verb_sends_tells_and_goes_on(call, receiver) -> None:
    write(rescue=plan(receiver.url), other=plan(receiver.url))
    pq.write_table(pa.Table.from_pylist(rows()), "s.parquet")
    Path("gone.txt").write_text("v-1\nv-2\n")
    words = ("activate", "shop.yaml", "s.parquet", "--name", "rescue", "--at", "2026-03-02T09:00+01:00",
             "--without", "gone.txt")  # fmt: skip
    status, out, _ = call(*words, "--dry-run", "--json")
    assert status == 0
    told = json.loads(out)
    assert told["reasons"]["opted out"] == 2
    assert told["arms"]["held"] + told["arms"]["mailed"] == 58
    assert not receiver.seen
    receiver.answers[:] = [(404, {}), (410, {})]
    status, out, _ = call(*words, "--json")
    assert status == 1
    told = json.loads(out)
    assert {f["code"] for f in told["findings"]} == {"AC104", "AC105"}
    assert told["delivered"]["dead"] == 1
    assert Path(".cartcast/activation/rescue.dead.jsonl").read_text().count("\n") == 1
    status, out, _ = call("activate", "shop.yaml", "--name", "rescue", "--again")
    assert status == 0
    assert f"sent {told['arms']['mailed']}, waiting 0, dead 0" in out
    assert len(receiver.seen) == told["arms"]["mailed"] + 2
    assert len(exposed(Outbox(".cartcast/activation/outbox.db"))) == 58


def test_the_verb_stays_and_sends_all_that_comes(call, receiver) -> None:
    write(rescue=plan(receiver.url), other=plan(receiver.url), page={
        **plan(webhook=None), "page": {"text": "hi"}})  # fmt: skip
    outbox, table = Outbox(".cartcast/activation/outbox.db"), pa.Table.from_pylist(rows())
    acts = read_activations("shop.yaml")
    wanted = activate(acts["rescue"], table, outbox, at=AT).messages
    receiver.answers[:] = [(503, {})]  # tried again after a second, by a later round
    late: list[int] = []

    def come() -> None:
        if len(receiver.seen) == wanted:
            late.append(activate(acts["other"], table, outbox, at=AT).messages)
        if late and len(receiver.seen) == wanted + 1 + late[0]:
            os.kill(os.getpid(), signal.SIGTERM)

    receiver.before = come
    usual = {n: signal.getsignal(n) for n in (signal.SIGTERM, signal.SIGINT)}
    try:
        status, out, err = call("activate", "shop.yaml", "--every", "0.05s")
    finally:
        for number, handler in usual.items():
            signal.signal(number, handler)
    assert (status, err) == (0, "")
    assert f"rescue: sent {wanted - 1}, waiting 1, dead 0 (status 503)" in out
    assert len(set(receiver.ids)) == wanted + late[0] == len(receiver.ids) - 1
    assert set(outbox.states("other")) == {"sent"}
    assert call("activate", "shop.yaml", "s.parquet", "--every", "1s")[0] == 2


def test_a_forgotten_person_is_in_no_file(call, receiver) -> None:
    write(rescue=plan(receiver.url))
    Path("cartcast.yaml").touch()
    pq.write_table(pa.Table.from_pylist(rows()), "s.parquet")
    receiver.answers[:] = [(404, {})] * 60
    told = json.loads(
        call("activate", "shop.yaml", "s.parquet", "--at", "2026-03-02T08:00", "--json")[1]
    )
    held = [
        json.loads(x)["unit"]
        for x in Path(".cartcast/activation/rescue.dead.jsonl").read_text().splitlines()
    ]
    assert len(held) == told["arms"]["mailed"]
    who = max(held, key=len)
    done = forget(Path.cwd(), who)
    assert len(done.removed) == 2
    assert done.remains == ()
    for path in Path(".cartcast/activation").iterdir():
        assert not re.search(rf"{who}\b".encode(), path.read_bytes()), path
    assert len(exposed(Outbox(".cartcast/activation/outbox.db"))) == 59


@pytest.mark.parametrize(
    ("words", "status", "says"),
    [
        ((), 5, "several activations; choose with --name"),
        (("--name", "rescu"), 5, "Did you mean 'rescue'?"),
        (("--name", "rescue", "--at", "noon"), 2, "--at must look like"),
        (("--name", "rescue", "--out", "a.csv"), 2, "--out is for audiences"),
        (("--name", "rescue", "--without", "none.txt"), 5, "no such file of ids"),
        (("--name", "rescue", "--with", "none.csv"), 5, "no such file"),
        (("--name", "file"), 2, "--out FILE.csv"),
        (("--name", "rescue", "--at", "2026-01-01"), 3, "after the decision"),
    ],
)
def test_bad_words_get_one_line(call, receiver, words, status, says) -> None:
    write(
        rescue=plan(receiver.url),
        file=plan(webhook=None, audience={"for": "meta", "email": "email"}),
    )
    pq.write_table(pa.Table.from_pylist(rows(5)), "s.parquet")
    code, _, error = call("activate", "shop.yaml", "s.parquet", *words)
    assert (code, error.count("\n")) == (status, 1), error
    assert says in error
    assert not receiver.seen
