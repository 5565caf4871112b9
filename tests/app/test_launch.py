from __future__ import annotations

import itertools
import stat
import tomllib

import pytest

from cartcast.app.launch import command, is_loopback, launch, sign_in_file
from cartcast.app.state import Project
from cartcast.config import Settings
from cartcast.errors import NotFoundError, UsageError

AUTH = {"metadata_url": "http://127.0.0.1:1/.well-known", "client_id": 'a"b'}


@pytest.mark.parametrize(
    ("host", "local"),
    [("127.0.0.1", True), ("127.8.8.8", True), ("::1", True), ("[::1]", True), ("LOCALHOST", True),
     ("0.0.0.0", False), ("::", False), ("192.168.0.2", False), ("example.com", False)],
)  # fmt: skip
def test_loopback(host, local):
    assert is_loopback(host) is local


def test_not_reachable_from_elsewhere_unless_access_is_on_or_told_in_words(tmp_path):
    off = Project(tmp_path)
    with pytest.raises(UsageError, match="allow-remote-without-access"):
        command(off, "0.0.0.0", 8501)
    assert "0.0.0.0" in command(off, "0.0.0.0", 8501, allow_remote_without_access=True)
    assert "0.0.0.0" in command(Project(tmp_path, Settings(auth=AUTH)), "0.0.0.0", 8501)


def test_settings_of_the_server(tmp_path):
    line = command(Project(tmp_path, Settings(upload_megabytes=7)), "127.0.0.1", 8599)
    # Safe path: no module of the folder that it is started in runs.
    assert line[1:3] == ["-P", "-m"]
    told = dict(zip(line[6::2], line[7::2], strict=True))
    assert told["--browser.gatherUsageStats"] == "false"
    assert told["--server.maxUploadSize"] == "7"
    assert told["--server.port"] == "8599"
    assert told["--client.showErrorDetails"] == "none"
    assert told["--client.disableDataExport"] == "true"
    hosts = [b for a, b in itertools.pairwise(line) if a == "--server.allowedHosts"]
    assert hosts == ["localhost", "127.0.0.1", "[::1]"]
    with pytest.raises(UsageError, match="port"):
        command(Project(tmp_path), "127.0.0.1", 0)


def test_sign_in_settings_are_private_and_quoted(tmp_path):
    project = Project(tmp_path, Settings(auth=AUTH))
    with pytest.raises(UsageError, match="CARTCAST_CLIENT_SECRET"):
        sign_in_file(project, {}, 8501)
    with pytest.raises(UsageError, match="lacks metadata_url"):
        sign_in_file(Project(tmp_path, Settings(auth={"client_id": "x"})), {}, 8501)
    path = sign_in_file(project, {"CARTCAST_CLIENT_SECRET": "s"}, 8501)
    assert path is not None
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    told = tomllib.loads(path.read_text())["auth"]
    assert told["client_id"] == 'a"b'
    assert told["redirect_uri"] == "http://localhost:8501/oauth2callback"
    assert len(told["cookie_secret"]) >= 32
    assert sign_in_file(Project(tmp_path), {}, 8501) is None


def test_a_missing_folder_is_not_found(tmp_path):
    with pytest.raises(NotFoundError):
        launch(tmp_path / "none")
