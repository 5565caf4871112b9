"""Starting the app's server: settings of the framework, and when it may be reached."""

from __future__ import annotations

import ipaddress
import os
import secrets
import signal
import subprocess
import sys
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from cartcast.app import framework
from cartcast.app.state import Project
from cartcast.atomic import atomic_path
from cartcast.charts.theme import PALETTES
from cartcast.errors import NotFoundError, UsageError

__all__ = [
    "ACCESS_VARIABLE",
    "PROJECT_VARIABLE",
    "command",
    "is_loopback",
    "launch",
    "sign_in_file",
]

PROJECT_VARIABLE = "CARTCAST_APP_PROJECT"
"""Environment variable that tells the server process its project folder."""

ACCESS_VARIABLE = "CARTCAST_APP_ACCESS"
"""Environment variable that is `on` when the server was started with access on."""

_SERVER = Path(__file__).with_name("server.py")


def is_loopback(host: str) -> bool:
    """Return whether only this machine can reach `host`.

    >>> is_loopback("127.0.0.1"), is_loopback("localhost"), is_loopback("0.0.0.0")
    (True, True, False)
    """
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def command(
    project: Project, host: str, port: int, *, allow_remote_without_access: bool = False
) -> list[str]:
    """Return the server's command line.

    Raises:
        UsageError: the app would be reachable from elsewhere while access is off, the port does
            not exist, or the extra `app` is not installed.
    """
    settings = project.settings
    if find_spec("streamlit") is None:
        raise UsageError("the app needs the extra 'app': pip install 'cartcast[app]'.")
    if not 1 <= port <= 65_535:
        raise UsageError(f"port must fulfil 1 <= port <= 65535, got {port}.")
    if settings.auth and (lacking := framework.missing()):
        raise UsageError(
            f"access is on, but the installed streamlit lacks {', '.join(lacking)}, without which "
            "uploads and downloads have no door: pip install 'cartcast[app]'."
        )
    local = is_loopback(host)
    if not local and not settings.auth and not allow_remote_without_access:
        raise UsageError(
            f"the app on {host} could be used by anybody on the network, since access is off: set "
            "auth: in cartcast.yaml, or say --allow-remote-without-access."
        )
    options: dict[str, Any] = {
        "server.address": "127.0.0.1" if host == "localhost" else host,
        "server.port": port,
        "server.headless": True,
        "server.fileWatcherType": "none",
        "server.maxUploadSize": settings.upload_megabytes,
        "server.runOnSave": False,
        "browser.gatherUsageStats": False,
        "client.showErrorDetails": "none",
        # The tables' own download knows neither formulas nor roles; ours (ui.export) does.
        "client.disableDataExport": True,
        "client.toolbarMode": "minimal",
        "runner.magicEnabled": False,
        # Said outright, so that neither the environment nor a file beside the project opens them.
        "global.developmentMode": False,
        "server.enableAgentApi": False,
        "server.enableCORS": True,
        "server.enableStaticServing": False,
        "server.enableXsrfProtection": True,
        "server.scriptHealthCheckEnabled": False,
        "server.trustedUserHeaders": "{}",
        **_themes(),
    }
    if local:
        # A page on the web cannot point its own name at this machine and read the app.
        options["server.allowedHosts"] = ["localhost", "127.0.0.1", "[::1]"]
    made = [sys.executable, "-P", "-m", "streamlit", "run", str(_SERVER)]
    for name, value in options.items():
        for one in value if isinstance(value, list) else [value]:
            made += [f"--{name}", str(one).lower() if isinstance(one, bool) else str(one)]
    return made


def _themes() -> dict[str, Any]:
    made: dict[str, Any] = {
        "theme.font": "sans-serif",
        "theme.baseRadius": "6px",
        "theme.baseFontSize": 15,
        "theme.metricValueFontSize": "1.5rem",
    }
    for name, p in PALETTES.items():
        made |= {
            f"theme.{name}.primaryColor": p.accent,
            f"theme.{name}.backgroundColor": p.paper,
            f"theme.{name}.secondaryBackgroundColor": "#f3f5f8" if name == "light" else "#1d232b",
            # The framework's grey is this at 60 %: dark enough before our own style arrives.
            f"theme.{name}.textColor": "#0f1720" if name == "light" else p.ink,
            f"theme.{name}.linkColor": p.accent,
            f"theme.{name}.redColor": p.block,
        }
    return made


def sign_in_file(project: Project, environment: Mapping[str, str], port: int) -> Path | None:
    """Write the framework's sign-in settings from `auth:` and return the file; None when off.

    `auth:` has `metadata_url`, `client_id`, and the names of environment variables that hold the
    secrets: `client_secret_env` (default CARTCAST_CLIENT_SECRET). The cookie is signed with
    CARTCAST_COOKIE_SECRET, or with a key made for this start.

    Raises:
        UsageError: a setting is missing.
    """
    auth = project.settings.auth
    if not auth:
        return None
    missing = [k for k in ("metadata_url", "client_id") if not auth.get(k)]
    if missing:
        raise UsageError(f"auth: in cartcast.yaml lacks {', '.join(missing)}.")
    variable = str(auth.get("client_secret_env", "CARTCAST_CLIENT_SECRET"))
    secret = environment.get(variable)
    if not secret:
        raise UsageError(f"auth: needs the client's secret in the environment variable {variable}.")
    values = {
        "redirect_uri": auth.get("redirect_uri", f"http://localhost:{port}/oauth2callback"),
        "cookie_secret": environment.get("CARTCAST_COOKIE_SECRET") or secrets.token_hex(32),
        "client_id": auth["client_id"],
        "client_secret": secret,
        "server_metadata_url": auth["metadata_url"],
    }
    path = project.state / "app" / f"sign-in-{port}.toml"
    lines = ["[auth]", *(f"{k} = {_toml(v)}" for k, v in values.items())]
    with atomic_path(path, secret=True) as temporary:
        temporary.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def _toml(value: Any) -> str:
    import json

    return json.dumps(str(value))


def launch(
    folder: Path,
    host: str = "127.0.0.1",
    port: int = 8501,
    *,
    allow_remote_without_access: bool = False,
) -> int:
    """Run the server until it is stopped; return its exit status.

    Raises:
        NotFoundError: there is no such folder.
        UsageError: see `command` and `sign_in_file`.
    """
    if not folder.is_dir():
        raise NotFoundError(f"{folder}: no such folder; make a project with `cartcast init`.")
    project = Project.open(folder)
    line = command(project, host, port, allow_remote_without_access=allow_remote_without_access)
    secret = sign_in_file(project, os.environ, port)
    if secret is not None:
        if not project.access.admins() and project.settings.auth.get("default_role") != "admin":
            print("auth: names no admin, so nobody can give roles; set admins:.", file=sys.stderr)
        line += ["--secrets.files", str(secret)]
    environment = {
        **os.environ,
        PROJECT_VARIABLE: str(project.folder),
        ACCESS_VARIABLE: "on" if project.access.on else "off",
    }
    process = subprocess.Popen(line, env=environment)
    # Whoever stops this process means the server; it must not be left behind.
    before = signal.signal(signal.SIGTERM, lambda *_: process.terminate())
    try:
        return process.wait()
    except KeyboardInterrupt:
        process.terminate()
        return process.wait()
    finally:
        signal.signal(signal.SIGTERM, before)
        if secret is not None:
            secret.unlink(missing_ok=True)
