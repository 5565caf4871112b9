"""Delivery to a real receiver: signatures, tries, dead letters, kills; `standardwebhooks` agrees."""

from __future__ import annotations

import datetime as dt
import email.utils
import json
import os
import signal
import socket
import socketserver
import ssl
import subprocess
import sys
import threading
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from cartcast import webhook
from cartcast.activation import Outbox, activate, activate_one, deliver
from cartcast.activation.deliver import MOST_TRIES
from cartcast.errors import StorageError, UsageError
from cartcast.webhook import Endpoint, pause

from .conftest import AT, EXPERIMENT, SECRET, Clock, exposed, plan, score


def fill(found, outbox, n: int = 9) -> list[str]:
    """Take in a list; return the ids of its units to contact."""
    activate(found, pa.Table.from_pylist([score(i) for i in range(n)]), outbox, at=AT)
    assign = found.experiment.allocation.assign
    return [f"v-{i}" for i in range(n) if assign(f"v-{i}").arm == "mailed"]


def units(receiver) -> list[str]:
    return [json.loads(body)["data"]["unit"] for _, body in receiver.seen]


def test_messages_are_those_of_the_specification(make, outbox, receiver) -> None:
    oracle = pytest.importorskip("standardwebhooks", reason="needs the package standardwebhooks")
    wanted = fill(make(), outbox)
    done = deliver(make(), outbox)
    assert (done.sent, done.waiting, done.dead, done.said) == (len(wanted), 0, 0, "")
    assert sorted(units(receiver)) == sorted(wanted)
    for headers, body in receiver.seen:
        told = oracle.Webhook(SECRET).verify(body, headers)
        assert told["type"] == "cartcast.activation"
        assert told["timestamp"] == "2026-03-02T08:00:00Z"
        assert told["data"] == {
            "activation": "rescue", "experiment": "rescue", "arm": "mailed",
            "unit": told["data"]["unit"], "unit_column": "visitor_id",
            "values": {"probability": 0.2},
        }  # fmt: skip
        with pytest.raises(oracle.WebhookVerificationError):
            oracle.Webhook(SECRET).verify(body + b" ", headers)
        assert "." not in headers["webhook-id"]
    assert deliver(make(), outbox).sent == 0
    assert len(receiver.seen) == len(wanted)
    kept = outbox.path.read_bytes()
    assert b"probability" not in kept, "the text of what was taken is not kept"


def test_a_receiver_that_fails_is_tried_again_with_growing_pauses(make, outbox, receiver) -> None:
    (unit,), clock = fill(make(), outbox, 1) or [("v-0",)], Clock()
    receiver.answers[:] = [(s, {}) for s in (500, 502, 503, 429, 408)]
    done = deliver(make(), outbox, sleep=clock.sleep, clock=clock)
    assert done.sent == 1
    assert units(receiver) == [unit] * 6
    assert len(set(receiver.ids)) == 1
    for n, rest in enumerate(clock.rests):
        assert 0.5 * 2**n <= rest <= 2**n + 1e-3
    stamps = [int(h["webhook-timestamp"]) for h, _ in receiver.seen]
    assert stamps == sorted(stamps)
    assert stamps[-1] - stamps[0] >= 14


def test_pauses_double_and_part_of_them_is_chance() -> None:
    drawn = [[pause(n) for n in (1, 2, 5, 40, 5000)] for _ in range(200)]
    for whole, rests in zip((1, 2, 16, 3600, 3600), zip(*drawn, strict=True), strict=True):
        assert whole / 2 <= min(rests) < 0.6 * whole
        assert 0.9 * whole < max(rests) <= whole


def test_retry_after_in_every_form() -> None:
    told = {"7": 7, " 7 ": 7, "99999999999999": 86_400, "-7": None, "7.5": None, "soon": None, "": None,
            "Thu, 01 Jan 1970 00:01:40 GMT": 90, "Wed, 31 Dec 1969 23:00:00 GMT": 0,
            "Fri, 31 Dec 9999 23:59:59 GMT": 86_400, "٧": None}  # fmt: skip
    assert {text: webhook._wait(text, now=10.0) for text in told} == told


@pytest.mark.parametrize("date", [False, True])
def test_retry_after_is_obeyed_for_all_messages(make, outbox, receiver, date) -> None:
    wanted, clock = fill(make(), outbox), Clock()
    asked = email.utils.formatdate(clock() + 30, usegmt=True) if date else "30"
    receiver.answers[:] = [(429, {"retry-after": asked})]
    started = clock()
    done = deliver(make(), outbox, sleep=clock.sleep, clock=clock)
    assert done.sent == len(wanted)
    assert clock() - started >= 29
    first, *others = [int(h["webhook-timestamp"]) for h, _ in receiver.seen]
    assert len(others) == len(wanted)
    assert min(others) >= first + 29
    receiver.answers[:] = [(503, {"retry-after": "90000"})]
    activate_one(
        make(), score(999, visitor_id=wanted[0]), Outbox(outbox.path.with_name("b.db")), at=AT
    )
    done = deliver(make(), Outbox(outbox.path.with_name("b.db")), sleep=clock.sleep, clock=clock)
    assert (done.sent, done.waiting) == (0, 1), "a day is longer than one call waits"


@pytest.mark.parametrize("status", [400, 404, 307])
def test_a_refusal_is_a_dead_letter_that_can_be_sent_again(
    make, outbox, receiver, tmp_path, status
) -> None:
    wanted = fill(make(), outbox)
    receiver.answers[:] = [(status, {"location": receiver.url})]
    done = deliver(make(), outbox)
    assert (done.sent, done.dead, done.said) == (len(wanted) - 1, 1, f"status {status}")
    assert len(receiver.seen) == len(wanted), "no redirect is followed"
    assert outbox.write_dead("rescue", tmp_path / "dead.jsonl") == 1
    (dead,) = [json.loads(x) for x in (tmp_path / "dead.jsonl").read_text().splitlines()]
    assert dead["id"] == receiver.ids[0]
    assert dead["body"] == json.loads(receiver.seen[0][1])
    assert outbox.revive("rescue") == 1
    assert deliver(make(), outbox).sent == 1
    assert receiver.ids[-1] == dead["id"]
    assert outbox.write_dead("rescue", tmp_path / "dead.jsonl") == 0
    assert (tmp_path / "dead.jsonl").read_text() == ""


def test_a_message_that_always_fails_is_laid_aside_and_holds_up_no_other(
    make, outbox, receiver
) -> None:
    wanted, clock = fill(make(), outbox), Clock()
    poison: list[str] = []

    def fail() -> None:
        poison[:] = poison or [receiver.ids[0]]
        receiver.answers[:] = [(500 if receiver.ids[-1] == poison[0] else 204, {})]

    receiver.before = fail
    done = deliver(make(), outbox, patience=1e6, sleep=clock.sleep, clock=clock)
    assert (done.sent, done.dead) == (len(wanted) - 1, 1)
    assert receiver.ids.count(poison[0]) == MOST_TRIES
    assert receiver.ids[1 : len(wanted)].count(poison[0]) == 0


def test_410_switches_the_endpoint_off(make, outbox, receiver) -> None:
    wanted = fill(make(), outbox)
    receiver.answers[:] = [(410, {})]
    done = deliver(make(), outbox)
    assert (done.sent, done.waiting, done.off) == (0, len(wanted), True)
    assert deliver(make(), outbox).off
    assert len(receiver.seen) == 1
    outbox.switch(receiver.url, None)
    assert deliver(make(), outbox).sent == len(wanted)


def test_nobody_listens_and_nothing_is_lost(make, outbox) -> None:
    closed = socket.create_server(("127.0.0.1", 0))
    port = closed.getsockname()[1]
    closed.close()
    hook = {"url": f"http://127.0.0.1:{port}/", "secret": "$SHOP_WEBHOOK", "allow_private": True}
    found, clock = make(webhook=hook), Clock()
    wanted = fill(found, outbox)
    done = deliver(found, outbox, sleep=clock.sleep, clock=clock)
    assert (done.waiting, done.dead, done.said) == (len(wanted), 0, "ConnectionRefusedError")
    assert deliver(make(), outbox, sleep=clock.sleep, clock=clock).sent == len(wanted)


def test_who_opts_out_while_a_message_waits_is_not_contacted(make, outbox, receiver) -> None:
    wanted = fill(make(), outbox)
    done = deliver(make(), outbox, opt_outs={wanted[0], "nobody"})
    assert (done.withdrawn, done.sent) == (1, len(wanted) - 1)
    assert wanted[0] not in units(receiver)


def test_addresses_inside_the_network_are_refused_by_what_they_resolve_to(monkeypatch) -> None:
    monkeypatch.setenv("SHOP_WEBHOOK", SECRET)
    told = ["10.0.0.7"]
    answer = lambda host, port, **_: [(2, 1, 6, "", (a, port)) for a in told]  # noqa: E731
    monkeypatch.setattr(socket, "getaddrinfo", answer)
    spoken: list[tuple[str, int]] = []

    def connect(address: tuple[str, int], timeout: float) -> None:
        spoken.append(address)
        raise ConnectionRefusedError

    monkeypatch.setattr(socket, "create_connection", connect)
    endpoint = Endpoint("https://hooks.example/", "$SHOP_WEBHOOK")
    for inside in ("10.0.0.7", "127.0.0.1", "169.254.169.254", "::1", "fd00::1", "fe80::1%eth0",
                   "fec0::1", "::ffff:10.0.0.1", "::10.0.0.1", "64:ff9b::a00:1", "2002:a00:1::",
                   "224.0.0.1", "ff02::1", "0.0.0.0", "100.64.0.1"):  # fmt: skip
        for told[:] in ([inside], ["8.8.8.8", inside]):
            with pytest.raises(UsageError, match="inside the network"):
                endpoint.post("msg", b"{}")
    assert spoken == []
    told[:] = ["8.8.8.8"]
    assert endpoint.post("msg", b"{}").status == 0
    assert spoken == [("8.8.8.8", 443)], "the address that was checked is the one spoken to"


def certificate(folder: Path, name: str) -> Path:
    """Return a file with a key and a certificate that signs itself."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key, now = ec.generate_private_key(ec.SECP256R1()), dt.datetime.now(dt.UTC)
    who = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    made = (
        x509.CertificateBuilder(who, who, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(1))
        .not_valid_after(now + dt.timedelta(1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path, pem = folder / "pair.pem", serialization.Encoding.PEM
    form, open_ = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    path.write_bytes(key.private_bytes(pem, form, open_) + made.public_bytes(pem))
    return path


def test_a_certificate_must_be_of_the_name_though_the_address_is_pinned(
    receiver, tmp_path, monkeypatch
) -> None:
    pair = certificate(tmp_path, "hooks.example")
    ours = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ours.load_cert_chain(pair)
    receiver.server.socket = ours.wrap_socket(receiver.server.socket, server_side=True)
    receiver.server.handle_error = lambda *_: None
    real, port = socket.getaddrinfo, receiver.server.server_port
    here = lambda host, *rest, **named: real("127.0.0.1", *rest, **named)  # noqa: E731
    monkeypatch.setattr(socket, "getaddrinfo", here)

    def post(name: str) -> webhook.Answer:
        return Endpoint(f"https://{name}:{port}/in", SECRET, allow_private=True).post("msg", b"{}")

    assert post("hooks.example").said == "SSLCertVerificationError"
    trusting = ssl.create_default_context(cafile=str(pair))
    monkeypatch.setattr(webhook, "_certificates", lambda: trusting)
    assert post("other.example").said == "SSLCertVerificationError"
    assert receiver.seen == []
    assert post("hooks.example").taken
    assert receiver.seen[0][0]["Host"] == f"hooks.example:{port}"


def test_an_answer_that_drips_is_cut_and_one_without_end_is_not_read(make, monkeypatch) -> None:
    monkeypatch.setattr(webhook, "_DEADLINE", 0.3)

    class Endless(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            self.request.recv(65536)
            try:
                if self.server.drips:
                    while True:
                        self.request.sendall(b"H")
                        time.sleep(0.01)
                self.request.sendall(b"HTTP/1.1 204 fine\r\n\r\n")
                while True:
                    self.request.sendall(b"x" * 65536)
            except OSError:
                return

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Endless) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        endpoint = Endpoint(f"http://127.0.0.1:{server.server_address[1]}/", SECRET, True)
        server.drips = False
        assert endpoint.post("msg", b"{}").taken
        server.drips = True
        answer = endpoint.post("msg", b"{}")
        assert answer.status == 0
        assert answer.again
        server.shutdown()
        thread.join()
    with pytest.raises(UsageError, match="at most"):
        endpoint.post("msg", b"x" * (webhook.LARGEST + 1))


def test_one_process_sends_and_live_scores_come_in_meanwhile(make, outbox, receiver) -> None:
    found = make()
    wanted = fill(found, outbox)
    late: list[str] = []

    def meanwhile() -> None:
        if not late:
            late.append(activate_one(found, score(7, visitor_id="late-1"), outbox, at=AT).reason)
            with pytest.raises(StorageError, match="another process is sending"):
                deliver(found, Outbox(outbox.path))

    receiver.before = meanwhile
    assert deliver(found, outbox).sent == len(wanted) + (late == ["contact"])


def test_killed_at_any_moment_nothing_is_lost_and_nothing_taken_is_sent_again(
    receiver, tmp_path
) -> None:
    told = {"activations": {"rescue": plan(receiver.url)}, "experiments": {"rescue": EXPERIMENT}}
    (tmp_path / "shop.yaml").write_text(yaml.safe_dump(told))
    pq.write_table(pa.Table.from_pylist([score(i) for i in range(60)]), tmp_path / "s.parquet")
    # One process imports and starts another for each life, until one ends by itself.
    code = (
        "import os; from datetime import *; from pathlib import Path; import duckdb, filelock\n"
        "from cartcast.activation import *\n"
        "while True:\n"
        "    if not (pid := os.fork()):\n"
        "        Path('pid').write_text(str(os.getpid()))\n"
        "        a = read_activation('shop.yaml'); o = Outbox('outbox.db')\n"
        "        activate(a, 's.parquet', o, at=datetime(2026, 3, 2, 8, tzinfo=UTC))\n"
        "        deliver(a, o)\n"
        "        os._exit(0)\n"
        "    status = os.waitpid(pid, 0)[1]\n"
        "    print(status)\n"
        "    if status != 9:\n"
        "        break\n"
    )
    kills = [1, 9, 10, 25]

    def kill() -> None:
        if kills and len(receiver.seen) >= kills[0]:
            kills.pop(0)
            os.kill(int((tmp_path / "pid").read_text()), signal.SIGKILL)

    receiver.before = kill
    lives = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert lives.stdout.split() == ["9", "9", "9", "9", "0"], lives.stderr
    outbox = Outbox(tmp_path / "outbox.db")
    sent = outbox.states("rescue")["sent"]
    assert set(outbox.states("rescue")) == {"sent"}
    assert len(set(receiver.ids)) == sent > 30
    twice = [i for i in set(receiver.ids) if receiver.ids.count(i) > 1]
    # Killed before it could note the answer: sent again, under the same id; no other is.
    assert len(receiver.ids) == sent + 4
    assert 1 <= len(twice) <= 4
    assert len(exposed(outbox)) == 60
