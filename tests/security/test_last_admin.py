"""Door: the role table. It can neither lock everybody out nor let a removed admin stay."""

from __future__ import annotations

import itertools
import random
import subprocess
import sys

import pytest

from cartcast.app.access import ROLES, Access, Person, RefusedError
from cartcast.errors import UsageError

from .conftest import ISSUER

AUTH = {"client_id": "x", "admins": [{"issuer": ISSUER, "subject": "boss"}]}


def admin(subject: str) -> Person:
    return Person(ISSUER, subject, subject.title(), "admin")


@pytest.mark.parametrize("role", [None, "viewer", "analyst"])
def test_the_last_admin_stays(tmp_path, role):
    access = Access(tmp_path, AUTH)
    with pytest.raises(RefusedError, match="last admin"):
        access.set_role(admin("boss"), ISSUER, "boss", role, "")
    assert access.role(ISSUER, "boss") == "admin"
    assert access.audit()[0].allowed is False
    access.set_role(admin("boss"), ISSUER, "ann", "admin", "")
    access.set_role(admin("boss"), ISSUER, "boss", role, "")
    assert access.role(ISSUER, "boss") == role
    with pytest.raises(RefusedError, match="last admin"):
        access.set_role(admin("ann"), ISSUER, "ann", role, "")
    assert access.admins() == {(ISSUER, "ann")}


def test_none_wins_over_the_file_and_over_the_default(tmp_path):
    access = Access(tmp_path, {**AUTH, "default_role": "analyst"})
    access.set_role(admin("boss"), ISSUER, "ann", "admin", "Ann")
    access.set_role(admin("ann"), ISSUER, "boss", None, "Boss")
    access.set_role(admin("ann"), ISSUER, "tom", None, "Tom")
    assert access.role(ISSUER, "boss") is None
    assert access.role(ISSUER, "tom") is None
    assert access.role(ISSUER, "new") == "analyst"
    assert {(p.subject, p.role) for p in access.people()} == {
        ("ann", "admin"), ("boss", None), ("tom", None)
    }  # fmt: skip


def test_the_file_is_the_floor_when_nobody_else_is_left(tmp_path):
    access = Access(tmp_path, AUTH)
    access.set_role(admin("boss"), ISSUER, "ann", "admin", "")
    access.set_role(admin("ann"), ISSUER, "boss", None, "")
    two = [*AUTH["admins"], {"issuer": ISSUER, "subject": "cat"}]
    both = Access(tmp_path, {**AUTH, "admins": two})
    both.set_role(admin("cat"), ISSUER, "ann", None, "")
    assert both.admins() == {(ISSUER, "cat")}
    # cat goes from the file: whoever keeps the file says who is admin.
    assert access.admins() == {(ISSUER, "boss")}


def test_a_removed_admin_with_an_open_page_gives_no_roles(tmp_path):
    access = Access(tmp_path, AUTH)
    access.set_role(admin("boss"), ISSUER, "ann", "admin", "")
    access.set_role(admin("ann"), ISSUER, "boss", "viewer", "")
    with pytest.raises(RefusedError, match="needs the role admin"):
        access.set_role(admin("boss"), ISSUER, "boss", "admin", "")


REMOVE = """
import sys
from pathlib import Path
from cartcast.app.access import Access, Person, RefusedError
me, other = sys.argv[2:]
access = Access(Path(sys.argv[1]), {"client_id": "x"})
print("ready", flush=True)
sys.stdin.readline()
try:
    access.set_role(Person("i", me, me, "admin"), "i", other, None, "")
    print("removed")
except RefusedError:
    print("refused")
"""


def test_two_admins_who_remove_each_other_leave_one(tmp_path):
    for attempt in range(3):
        folder = tmp_path / str(attempt)
        folder.mkdir()
        access = Access(folder, {"client_id": "x"})
        for name in ("a", "b"):
            access.set_role(Person("i", "a", "a", "admin"), "i", name, "admin", "")
        both = [
            subprocess.Popen(
                [sys.executable, "-c", REMOVE, str(folder), *pair],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            )
            for pair in (("a", "b"), ("b", "a"))
        ]  # fmt: skip
        for one in both:
            assert one.stdout is not None
            one.stdout.readline()
        for one in both:
            assert one.stdin is not None
            one.stdin.write("go\n")
            one.stdin.flush()
        told = sorted(one.communicate(timeout=240)[0].strip() for one in both)
        assert told == ["refused", "removed"]
        assert len(access.admins()) == 1


def test_no_walk_of_role_changes_ends_without_an_admin(tmp_path):
    people = ["boss", "ann", "tom"]
    for seed in range(8):
        folder = tmp_path / str(seed)
        folder.mkdir()
        rng, access = random.Random(seed), Access(folder, AUTH)
        moves = itertools.product(people, people, [None, *ROLES])
        for by, whom, role in rng.sample(list(moves), 30):
            try:
                access.set_role(admin(by), ISSUER, whom, role, "")
            except RefusedError:
                continue
            finally:
                assert access.admins()
            assert access.role(ISSUER, whom) == role


@pytest.mark.parametrize("listed", ["boss", ["boss"], [{"issuer": ISSUER}], [{}], {"subject": "x"}])
def test_a_list_that_names_nobody_is_refused_with_the_rule(tmp_path, listed):
    with pytest.raises(UsageError, match="auth: a"):
        Access(tmp_path, {"client_id": "x", "admins": listed}).role(ISSUER, "boss")
