from __future__ import annotations

import pytest

from cartcast.app.access import ACTIONS, ROLES, Access, Person, RefusedError, check
from cartcast.errors import UsageError

ISSUER = "https://id.example"
AUTH = {"client_id": "x", "admins": [{"issuer": ISSUER, "subject": "boss"}]}


def claims(subject: str, expires: float = 2_000.0, **more: object) -> dict:
    return {"iss": ISSUER, "sub": subject, "exp": expires, "name": subject.title(), **more}


@pytest.mark.parametrize("role", [None, *ROLES])
@pytest.mark.parametrize("action", ACTIONS)
def test_a_role_covers_what_lower_roles_may(role, action):
    allowed = role is not None and ROLES.index(role) >= ROLES.index(ACTIONS[action])
    person = Person(ISSUER, "x", "X", role)
    assert person.may(action) is allowed
    if allowed:
        check(person, action)
    else:
        with pytest.raises(RefusedError, match=f"needs the role {ACTIONS[action]}"):
            check(person, action)


def test_a_viewer_cannot_train_nor_promote_and_the_attempt_is_kept(tmp_path):
    access = Access(tmp_path, AUTH)
    viewer = Person(ISSUER, "eve", "Eve", "viewer")
    for action in ("train", "promote"):
        with pytest.raises(RefusedError):
            access.require(viewer, action, "purchase")
    access.require(viewer, "view")
    assert [(x.action, x.allowed) for x in access.audit()] == [
        ("view", True),
        ("promote", False),
        ("train", False),
    ]


def test_roles_are_keyed_by_issuer_and_subject(tmp_path):
    access = Access(tmp_path, AUTH)
    boss = access.person(claims("boss"), now=1_000)
    assert boss.role == "admin"
    access.set_role(Person(ISSUER, "boss", "B", "admin"), ISSUER, "ann", "analyst", "Ann")
    assert access.person(claims("ann"), now=1_000).role == "analyst"
    other = access.person({**claims("ann"), "iss": "https://other.example"}, now=1_000)
    assert other.role is None
    assert [(p.subject, p.role) for p in access.people()] == [("ann", "analyst")]
    access.set_role(Person(ISSUER, "boss", "B", "admin"), ISSUER, "ann", None, "")
    assert access.role(ISSUER, "ann") is None


def test_only_an_admin_gives_roles(tmp_path):
    access = Access(tmp_path, AUTH)
    with pytest.raises(RefusedError):
        access.set_role(Person(ISSUER, "ann", "Ann", "analyst"), ISSUER, "ann", "admin", "")
    admin = Person(ISSUER, "boss", "B", "admin")
    with pytest.raises(UsageError, match="Did you mean 'viewer'"):
        access.set_role(admin, ISSUER, "ann", "viewr", "")
    with pytest.raises(UsageError, match="needs the issuer"):
        access.set_role(admin, " ", "ann", "viewer", "")


def test_expiry_is_checked_at_the_door_and_at_every_action(tmp_path):
    access = Access(tmp_path, AUTH)
    with pytest.raises(RefusedError, match="expired"):
        access.person(claims("boss"), now=2_000)
    with pytest.raises(RefusedError, match="expired"):
        access.person({"iss": ISSUER, "sub": "boss"}, now=1_000)
    with pytest.raises(RefusedError, match="no issuer"):
        access.person({"sub": "boss", "exp": 9e9}, now=1_000)
    person = access.person(claims("boss"), now=1_000)
    check(person, "train", now=1_999)
    with pytest.raises(RefusedError, match="expired"):
        check(person, "train", now=2_000)
    with pytest.raises(RefusedError, match="expired"):
        access.require(person, "train")


def test_off_means_the_owner_and_on_means_never_the_owner(tmp_path):
    off = Access(tmp_path)
    owner = off.owner()
    assert owner.role == "admin"
    off.require(owner, "promote")
    on = Access(tmp_path, AUTH)
    with pytest.raises(RefusedError):
        on.owner()
    with pytest.raises(RefusedError, match="sign-in"):
        on.require(owner, "train")


def test_a_default_role_must_exist(tmp_path):
    assert Access(tmp_path, {**AUTH, "default_role": "viewer"}).role(ISSUER, "new") == "viewer"
    with pytest.raises(UsageError):
        Access(tmp_path, {**AUTH, "default_role": "king"}).role(ISSUER, "new")
    with pytest.raises(UsageError, match="unknown action"):
        Person(ISSUER, "x", "x", "admin").may("fly")
