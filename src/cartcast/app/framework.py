"""All that the gate must know of the framework's inside, in one place, checked at start.

None of it is the framework's promise: `missing` names what another version lacks, and then the app
does not start with access on.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from importlib import import_module
from typing import Any

from cartcast.app.state import Project
from cartcast.config import PROJECT_FILE

__all__ = [
    "LOGGER",
    "base",
    "claims",
    "cookies",
    "held",
    "host_allowed",
    "is_download",
    "login_address",
    "missing",
    "reread",
    "session_cookies",
    "without_base",
]

LOGGER = logging.getLogger("cartcast.app")

_WEBSOCKET = "streamlit.web.server.starlette.starlette_websocket"
_NEEDED = {
    "streamlit": ("App",),
    _WEBSOCKET: (
        "_get_signed_cookie_with_chunks",
        "_parse_decoded_user_cookie",
        "is_host_allowed",
        "USER_COOKIE_NAME",
    ),
    "streamlit.auth_util": ("encode_provider_token", "get_origin_from_redirect_uri"),
    "streamlit.runtime": ("get_instance",),
    "streamlit.runtime.runtime": ("Runtime",),
}


def missing() -> list[str]:
    """Return what the installed framework lacks of what the gate needs."""
    lacking = []
    for module, names in _NEEDED.items():
        try:
            found = import_module(module)
        except ImportError:
            lacking.append(module)
            continue
        lacking += [f"{module}.{name}" for name in names if not hasattr(found, name)]
    return lacking


def base() -> str:
    """Return the path that the app is served under, such as /shop; empty for none."""
    from streamlit import config

    told = str(config.get_option("server.baseUrlPath") or "").strip("/")
    return f"/{told}" if told else ""


def without_base(path: str) -> str:
    """Return the path below `base()`."""
    return path.removeprefix(base()) or "/"


def cookies(header: str | None) -> dict[str, str]:
    """Return the cookies of a header."""
    from starlette.requests import cookie_parser

    return dict(cookie_parser(header)) if header else {}


def claims(sent: Mapping[str, str]) -> dict[str, Any] | None:
    """Return who signed in, from the signed cookie; None when nobody did."""
    from streamlit.auth_util import get_origin_from_redirect_uri

    socket = import_module(_WEBSOCKET)
    origin = get_origin_from_redirect_uri()
    if not sent or origin is None:
        return None
    raw = socket._get_signed_cookie_with_chunks(dict(sent), socket.USER_COOKIE_NAME)
    told = socket._parse_decoded_user_cookie(raw, origin) if raw else {}
    return dict(told) if told.get("is_logged_in") is True else None


def host_allowed(host: str | None) -> bool:
    """Return whether the server goes by that name; a page on the web cannot give it its own."""
    return bool(import_module(_WEBSOCKET).is_host_allowed(host))


def login_address() -> str:
    """Return where the sign-in begins; it holds for two minutes."""
    from streamlit.auth_util import encode_provider_token

    return f"{base()}/auth/login?provider={encode_provider_token('default')}"


def session_cookies(session: str) -> dict[str, str] | None:
    """Return the cookies that an open session's socket came with; None when there is none."""
    from streamlit.runtime import get_instance

    client = get_instance().get_client(session)
    return None if client is None else dict(client.client_context.cookies)


def held() -> dict[str, list[int]]:
    """Return the sizes in bytes of the uploads in memory, by session."""
    from streamlit.runtime import get_instance

    kept = get_instance().uploaded_file_mgr.file_storage
    return {s: [len(f.data) for f in list(files.values())] for s, files in list(kept.items())}


def is_download(name: str) -> bool:
    """Return whether a file under /media/ is one to be kept; what is not there counts as one."""
    from streamlit.runtime import get_instance
    from streamlit.runtime.media_file_storage import MediaFileKind, MediaFileStorageError

    try:
        kind = get_instance().media_file_mgr._storage.get_file(name).kind
    except MediaFileStorageError:
        return True
    return bool(kind != MediaFileKind.MEDIA)


def reread(project: Project) -> Project:
    """Return the project with its settings as they are now; access that was on stays on.

    Raises:
        UsageError: the settings are wrong.
    """
    path = project.folder / PROJECT_FILE
    stamp = (path.stat().st_mtime_ns, path.stat().st_size) if path.is_file() else None
    if _READ.get(project.folder) == stamp:
        return project
    now = Project.open(project.folder)
    _READ[project.folder] = stamp
    return project if project.access.on and not now.access.on else now


_READ: dict[Any, tuple[int, int] | None] = {}
