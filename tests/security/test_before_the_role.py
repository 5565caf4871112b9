"""Door: whoever is not signed in, has no role, or no longer holds one. They learn nothing."""

from __future__ import annotations

import pytest
from websockets.exceptions import InvalidStatus

from .conftest import AUTH, serve, write_project

SECRETS = (b"secret-", b"30 events", b"guarded", b"pytest-")
PATHS = ["/", "/training?part=People", "/analysis", "/performance?run=x", "/nowhere", "/segments/",
         "/media/abc.csv", "/_stcore/metrics", "/_stcore/host-config", "/_stcore/agent/schema",
         "/_stcore/script-health-check", "/app/static/x", "/component/a/b", "//_stcore/metrics",
         "/%5fstcore/metrics", "/static/../_stcore/metrics", "/_stcore/bidi-components/a/b"]  # fmt: skip


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("who", [None, "nobody", "expired"])
def test_no_address_tells_anything(guarded, path, who):
    cookie = guarded.cookie("ann", expires=5.0) if who == "expired" else guarded.cookie(who)
    status, _, body = guarded.ask("GET", path, None, Cookie=cookie, Accept="text/html")
    assert status in (400, 401, 403, 404)
    assert not [s for s in SECRETS if s in body]
    assert b"Dashboard" not in body


def test_the_way_in_is_told_and_nothing_else(guarded):
    _, _, body = guarded.ask("GET", "/", None, Accept="text/html")
    assert b"Sign in to see this project." in body
    _, _, body = guarded.ask("GET", "/", "<b>nobody</b>", Accept="text/html")
    assert b"have no role in this project" in body
    assert b"&lt;b&gt;nobody" in body


@pytest.mark.parametrize("who", [None, "nobody", "expired"])
def test_no_socket_is_opened(guarded, who):
    cookie = guarded.cookie("ann", expires=5.0) if who == "expired" else guarded.cookie(who)
    with pytest.raises(InvalidStatus) as refused:
        guarded.connect(None, cookie=cookie)
    assert refused.value.response.status_code == 403


@pytest.mark.parametrize("path", ["", "training", "performance"])
def test_a_page_that_is_open_when_the_role_goes_shows_nothing_more(guarded, path):
    from cartcast.app.access import Access, Person

    from .conftest import ISSUER

    access = Access(guarded.folder, {"admins": [{"issuer": ISSUER, "subject": "boss"}]})
    boss = Person(ISSUER, "boss", "Boss", "admin")
    access.set_role(boss, ISSUER, "tom", "viewer", "Tom")
    with guarded.connect("tom") as socket:
        _, seen = guarded.page(socket, path)
        assert b"secret-shop" in seen
        access.set_role(boss, ISSUER, "tom", None, "Tom")
        _, seen = guarded.page(socket, path, "run=x&part=People")
        assert b"have no role" in seen
        assert not [s for s in SECRETS if s in seen]


def test_a_socket_without_the_page_s_token_is_nobody(guarded):
    """A cookie opens the door of the gate; the framework knows who it is by the token too."""
    from websockets.sync.client import connect

    with connect(
        f"ws://localhost:{guarded.port}/_stcore/stream",
        additional_headers={"Cookie": guarded.cookie("boss")}, subprotocols=["streamlit"],
    ) as socket:  # fmt: skip
        _, seen = guarded.page(socket)
    assert b"Sign in to see this project" in seen
    assert not [s for s in (*SECRETS, b"Dashboard") if s in seen]


def test_metrics_are_the_admins(guarded):
    assert guarded.ask("GET", "/_stcore/metrics", "eve")[0] == 403
    assert guarded.ask("GET", "/_stcore/metrics", "ann")[0] == 403
    assert guarded.ask("GET", "/_stcore/metrics", "boss")[0] == 200


def test_another_name_for_this_machine_is_refused(guarded):
    for host in ("evil.example", "evil.example:80", "localhost.evil.example", "a@localhost", ""):
        status, _, _ = guarded.ask("GET", "/_stcore/health", "boss", Host=host or "x")
        assert status == 403


@pytest.mark.parametrize("path", ["performance", "segments"])
def test_the_first_page_of_a_new_server_has_its_menu(tmp_path, path):
    folder = tmp_path / "shop"
    write_project(folder)
    with serve(folder, AUTH) as made, made.connect("boss") as socket:
        _, seen = made.page(socket, path)
        assert b"Sign out" in seen
        assert b"Data and training" in seen


def test_settings_broken_or_emptied_while_running_open_nothing(tmp_path):
    folder = tmp_path / "shop"
    write_project(folder)
    with serve(folder, AUTH) as made, made.connect("boss") as socket:
        assert b"secret-shop" in made.page(socket, "training")[1]
        kept = (folder / "cartcast.yaml").read_text()
        for broken in ("sources: [secret-shop.csv]\n", "sauces: [secret-shop.csv]\n", "a: [", ""):
            (folder / "cartcast.yaml").write_text(broken)
            assert made.ask("GET", "/", None, Accept="text/html")[0] == 401
            _, seen = made.page(socket, "training")
            assert b"secret-shop" not in seen
            assert b"sauces" not in seen
        (folder / "cartcast.yaml").write_text(kept)
        assert b"secret-shop" in made.page(socket, "training")[1]


def test_neither_environment_nor_file_lets_headers_say_who_it_is(tmp_path):
    folder = tmp_path / "shop"
    write_project(folder)
    told = {
        "STREAMLIT_SERVER_TRUSTED_USER_HEADERS": '{"X-Sub": "sub", "X-Iss": "iss"}',
        "STREAMLIT_SERVER_ENABLE_AGENT_API": "true",
        "STREAMLIT_SERVER_ENABLE_XSRF_PROTECTION": "false",
        "STREAMLIT_SERVER_ENABLE_STATIC_SERVING": "true",
        "STREAMLIT_GLOBAL_DEVELOPMENT_MODE": "true",
    }
    with serve(folder, AUTH, **told) as made:
        status, _, _ = made.ask("GET", "/", None, X_Sub="boss", X_Iss="https://id.example")
        assert status == 401
        assert made.ask("GET", "/_stcore/agent/schema", "boss")[0] == 404
        assert list(folder.glob(".cartcast/app/sign-in-*.toml"))
    assert not list(folder.glob(".cartcast/app/sign-in-*.toml"))
