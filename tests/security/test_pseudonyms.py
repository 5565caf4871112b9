"""Door: a log that left the house. No id that names a person stands in it, nor can be guessed."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import json
import random
import re
import uuid
from urllib.parse import quote

import pytest

from cartcast import events
from cartcast.errors import NotTrustedError, UsageError
from cartcast.events.key_strength import weakness
from cartcast.events.privacy import KEY_VARIABLE, Privacy, privacy_from

KEY = "wP0-mE3v_Qd8zKx1Rt5yLb2NcA7fHg"
WRITINGS = {
    "dash": lambda v, n: f"{v}-{n}",
    "dot before": lambda v, n: f"{n}.{v}",
    "nothing between": lambda v, n: f"{v}{n}",
    "upper": lambda v, n: f"S_{v.upper()}_{n}",
    "url": lambda v, n: f"{quote(v, safe='')}|{n}",
    "no separators": lambda v, n: re.sub(r"\W", "", v) + f"x{n}",
    "reversed": lambda v, n: f"{v[::-1]}:{n}",
    "base64": lambda v, n: base64.b64encode(f"{v}:{n}".encode()).decode(),
    "hex": lambda v, n: f"{v}:{n}".encode().hex(),
    "the id alone": lambda v, n: v,
    "one row in nine": lambda v, n: f"{v}:{n}" if n % 9 == 0 else f"s{n}",
}
VISITORS = {
    "word": lambda r: "".join(r.choices("abcdefghjkmnpqrstuvwxyz", k=9)),
    "number": lambda r: str(r.randrange(10**9, 10**10)),
    "mail": lambda r: f"{''.join(r.choices('abcdefg', k=8))}@shop.example",
    "uuid": lambda r: str(uuid.UUID(int=r.getrandbits(128))),
    "google": lambda r: f"GA1.2.{r.randrange(10**8, 10**9)}.{r.randrange(10**9, 10**10)}",
}


def shop(writing, visitor, rng, sessions=40, login="") -> list[dict]:
    rows = []
    for n in range(sessions):
        who = visitor(rng)
        for k in range(3):
            rows.append(
                {
                    "visitor_id": who,
                    "user_id": f"{login}{who[::-1]}" if login and k else "",
                    "session_id": writing(who, n),
                    "event_time": f"2024-03-01T{n % 24:02d}:{k:02d}:00",
                    "event_type": "purchase" if k == 2 else "view_item",
                    "item_id": f"i{k}",
                    "price": "3.50",
                    "order_id": f"o{n}" if k == 2 else "",
                }
            )
    return rows


def write(path, rows):
    out = io.StringIO()
    made = csv.DictWriter(out, list(rows[0]))
    made.writeheader()
    made.writerows(rows)
    path.write_text(out.getvalue())
    return path


def asked(*columns: str, key: str = KEY) -> Privacy:
    made = privacy_from({"pseudonymise": list(columns)}, {KEY_VARIABLE: key})
    assert made is not None
    return made


def bare(text: object) -> str:
    return re.sub(r"[\W_]", "", str(text)).lower()


@pytest.mark.parametrize("kind", VISITORS)
@pytest.mark.parametrize("form", WRITINGS)
def test_no_writing_of_a_visitor_stands_in_the_log(tmp_path, form, kind):
    rng = random.Random(f"{form}{kind}")
    rows = shop(WRITINGS[form], VISITORS[kind], rng, login="login.")
    path = write(tmp_path / "a.csv", rows)
    log = events.load(path, privacy=asked("visitor_id"))
    ids = {bare(r[c]) for r in rows for c in ("visitor_id", "user_id")} - {""}
    ids |= {bare(i[::-1]) for i in ids} | {bare(r["session_id"]) for r in rows}
    cells = [str(c) for r in log.table().to_pylist() for c in r.values() if c is not None]
    assert not [c for c in set(cells) for i in ids if i in bare(c)]
    found = log.summary
    assert (found.events, found.sessions, found.visitors) == (120, 40, 40)
    assert (found.purchases, found.revenue) == (40, 140.0)
    assert not [f for f in log.findings if f.code == "EV160"]


def test_a_session_of_two_people_or_of_none_keeps_one_name(tmp_path):
    rows = shop(WRITINGS["dash"], VISITORS["word"], random.Random(1), sessions=9)
    for k, row in enumerate(rows):
        row["visitor_id"] = "" if k % 3 == 1 else row["visitor_id"]
    rows[0]["visitor_id"] = rows[5]["visitor_id"]
    path = write(tmp_path / "a.csv", rows)
    plain, log = events.load(path), events.load(path, privacy=asked("visitor_id"))
    assert log.summary.sessions == plain.summary.sessions == 9


def test_files_read_apart_and_clean_logs_give_the_same_names(tmp_path):
    rows = shop(WRITINGS["dash"], VISITORS["mail"], random.Random(2))
    whole = write(tmp_path / "a.csv", rows)
    log = events.load(whole, privacy=asked("visitor_id"))
    apart = [
        events.load(write(tmp_path / f"{k}.csv", rows[k : k + 60]), privacy=asked("visitor_id"))
        for k in (0, 60)
    ]
    names = [{tuple(r.values()) for r in x.table(["visitor_id", "session_id"]).to_pylist()}
             for x in (log, *apart)]  # fmt: skip
    assert names[0] == names[1] | names[2]
    clean = events.load(whole, out=tmp_path / "clean.parquet")
    again = events.load(clean.path, privacy=asked("visitor_id"))
    assert again.table(["visitor_id", "session_id"]).equals(log.table(["visitor_id", "session_id"]))


def test_one_id_has_another_name_in_every_column_that_need_not_join(tmp_path):
    rows = shop(WRITINGS["the id alone"], VISITORS["word"], random.Random(3), sessions=5)
    for row in rows:
        row["user_id"] = row["order_id"] = row["customer"] = row["visitor_id"]
    log = events.load(
        write(tmp_path / "a.csv", rows), privacy=asked("visitor_id", "order_id", "customer")
    )
    for row in log.table().to_pylist():
        assert row["user_id"] == row["visitor_id"]
        others = {row[c] for c in ("visitor_id", "session_id", "customer")}
        others |= {row["order_id"]} - {None}
        assert len(others) >= 3 + (row["order_id"] is not None)


@pytest.mark.parametrize(
    ("column", "cell"),
    [
        ("page", lambda v, n: f"/account/{v}/orders"),
        ("page", lambda v, n: f"https://shop.example/?u={quote(v, safe='')}"),
        ("order_id", lambda v, n: f"{v}/{n}"),
        ("note", lambda v, n: f"called {v.upper()} back"),
        ("campaign", lambda v, n: bare(v)),
    ],
)
@pytest.mark.parametrize("kind", ["word", "mail", "uuid", "number"])
@pytest.mark.parametrize("clean", [False, True])
def test_other_columns_that_tell_who_it_was_are_named(tmp_path, column, cell, kind, clean):
    rows = shop(lambda v, n: f"s{n}", VISITORS[kind], random.Random(4), sessions=12)
    for n, row in enumerate(rows):
        row["page"] = row["note"] = row["campaign"] = ""
        row[column] = cell(row["visitor_id"], n) if n % 2 == 0 or column == "order_id" else "home"
    path = write(tmp_path / "a.csv", rows)
    if clean:
        path = events.load(path, out=tmp_path / "clean.parquet").path
    log = events.load(path, privacy=asked("visitor_id"))
    (found,) = [f for f in log.findings if f.code == "EV160"]
    assert column in found.message
    assert found.severity == "warn"
    again = events.load(path, privacy=asked("visitor_id", column))
    assert not [f for f in again.findings if f.code == "EV160"]


def test_numbers_that_meet_by_chance_are_not_named(tmp_path):
    rng = random.Random(5)
    rows = shop(lambda v, n: f"s{n}", lambda r: str(r.randrange(1000, 9999)), rng, sessions=200)
    for row in rows:
        row["item_id"], row["page"] = str(rng.randrange(1000, 9999)), f"/p/{rng.randrange(10**4)}"
    log = events.load(write(tmp_path / "a.csv", rows), privacy=asked("visitor_id"))
    assert not [f for f in log.findings if f.code == "EV160"]


WEAK = [
    "a" * 16, "a" * 64, "ab" * 16, "abc" * 9, "0123456789abcdef", "passwordpassword",
    "P@ssw0rdP@ssw0rd", "Password12345678", "qwertyuiopasdfgh", "qazwsxedcrfvtgby",
    "1q2w3e4r5t6y7u8i", "deadbeefdeadbeef", "CARTCAST_PRIVACY_KEY", "changeme-changeme",
    "acegikmoqsuwy024", " " * 20, "ä" * 17, "aAaAaAaAaAaAaAaA", "1111222233334444",
    "0102030405060708", "my-secret-key-12345", "testtesttesttest", "key key key key key",
]  # fmt: skip


@pytest.mark.parametrize("key", WEAK)
def test_a_key_that_can_be_guessed_is_refused_with_the_way_to_make_one(key):
    with pytest.raises(UsageError, match=r"secrets.token_urlsafe") as refused:
        asked("visitor_id", key=key)
    assert key.strip() == "" or key not in str(refused.value).replace(KEY_VARIABLE, "")


def test_keys_that_are_drawn_are_accepted():
    rng = random.Random(6)
    hexes = ["".join(rng.choices("0123456789abcdef", k=32)) for _ in range(300)]
    url = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    assert not [k for k in hexes if weakness(k)]
    assert not [k for k in ("".join(rng.choices(url, k=43)) for _ in range(300)) if weakness(k)]


def test_every_stretch_repeated_is_weak():
    rng = random.Random(7)
    for _ in range(300):
        part = "".join(rng.choices("abcdefghijklmnopqrstuvwxyz0123456789", k=rng.randint(1, 5)))
        assert weakness(part * 16)


def test_the_fingerprint_is_none_of_the_quick_ones(tmp_path):
    """Whoever guesses keys by the fingerprint pays for scrypt at every guess."""
    told = asked("visitor_id").fingerprint
    quick = [f(KEY.encode()).hexdigest() for f in (hashlib.sha256, hashlib.sha1, hashlib.blake2b)]
    assert not [q for q in quick if told in q]
    calls = []
    real = hashlib.scrypt

    def counted(*a, **k):
        calls.append(k["n"] * k["r"])
        return real(*a, **k)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hashlib, "scrypt", counted)
        for guess in ("one guess of sixteen letters", "two guesses of sixteen letters"):
            assert Privacy(("visitor_id",), guess.encode()).fingerprint != told
    assert len(calls) == 2
    assert min(calls) >= 1 << 17


def test_pseudonyms_of_the_scheme_before_are_refused_by_name(tmp_path):
    from cartcast.events.privacy import require_same_key

    privacy = asked("visitor_id")
    before = {"columns": ["visitor_id"], "key": "0123456789abcdef"}
    for told in (before, {**before, "key": privacy.fingerprint}, {**before, "scheme": 3}):
        with pytest.raises(NotTrustedError, match=r"of scheme \d, this version makes scheme 2"):
            require_same_key("run x", json.loads(json.dumps(told)), privacy.fingerprint)
