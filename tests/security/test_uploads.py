"""Door: the framework's upload endpoint. Nothing is read of a body that nobody may send."""

from __future__ import annotations

import contextlib

import pytest

from .conftest import LIMIT

MB = 1 << 20
REFUSED_GROWTH = 24 * MB


@pytest.fixture(scope="module")
def ann(guarded):
    """An analyst's open page: its session."""
    with guarded.connect("ann") as socket:
        session, _ = guarded.page(socket)
        yield session


@pytest.mark.parametrize("subject", [None, "nobody", "eve"])
def test_files_of_those_who_may_not_upload_are_not_read(guarded, ann, subject):
    before = guarded.memory()
    for k in range(6):
        status, taken = guarded.upload(ann, 60 * MB, subject, file=f"f{k}")
        assert status == (401 if subject is None else 403)
        assert taken < MB
    assert guarded.memory() - before < REFUSED_GROWTH


def test_an_expired_or_forged_sign_in_uploads_nothing(guarded, ann, monkeypatch):
    for made in (
        guarded.cookie("ann", expires=1.0),
        guarded.cookie("ann", secret="another secret of forgery 0123456789"),
        guarded.cookie("ann")[:-4],
        guarded.cookie("ann").replace("_streamlit_user", "_streamlit_user_1"),
    ):
        monkeypatch.setattr(guarded, "cookie", lambda _subject, made=made: made)
        assert guarded.upload(ann, 1000, "ann") == (401, 0)


def test_an_analyst_uploads_into_the_own_session_only(guarded, ann):
    assert guarded.upload(ann, MB, "ann", file="mine")[0] == 204
    with guarded.connect("boss") as socket:
        other, _ = guarded.page(socket)
        assert guarded.upload(other, 1000, "ann") == (403, 0)
        assert guarded.ask("DELETE", f"/_stcore/upload_file/{other}/f", "ann")[0] == 403
    assert guarded.upload("no-such-session", 1000, "ann") == (400, 0)
    delete = f"/_stcore/upload_file/{ann}/mine"
    token = guarded.xsrf()
    cookie = f"_streamlit_xsrf={token}; {guarded.cookie('ann')}"
    assert guarded.ask("DELETE", delete, None)[0] == 401
    assert guarded.ask("DELETE", delete, None, Cookie=cookie, X_Xsrftoken=token)[0] == 204


@pytest.mark.parametrize(
    ("size", "told", "status"),
    [((LIMIT + 2) * MB, None, 413), (1000, -1, 411), (1000, 10**12, 413)],
    ids=["too large", "chunked", "a lie about the length"],
)
def test_a_body_without_an_honest_length_is_not_read(guarded, ann, size, told, status):
    assert guarded.upload(ann, size, "ann", told=told) == (status, 0)


def test_what_a_session_and_all_sessions_hold_is_bounded(guarded):
    before, held, told = guarded.memory(), 0, []
    with contextlib.ExitStack() as stack:
        for _ in range(4):
            session, _ = guarded.page(stack.enter_context(guarded.connect("ann")))
            for k in range(4):
                status, _ = guarded.upload(session, (LIMIT - 1) * MB, "ann", file=f"f{k}")
                held += (status == 204) * (LIMIT - 1)
                told.append(status)
    assert set(told) == {204, 413, 503}
    assert told[:4] == [204, 204, 413, 413]
    assert held <= 4 * (LIMIT + 1)
    assert guarded.memory() - before < 3 * held * MB + REFUSED_GROWTH


def test_many_small_files_are_bounded_too(guarded):
    with guarded.connect("ann") as socket:
        session, _ = guarded.page(socket)
        told = [guarded.upload(session, 0, "ann", file=f"s{k}")[0] for k in range(22)]
    assert told == [204] * 20 + [413] * 2
