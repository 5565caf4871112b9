"""Door: another account of the same machine. Nothing kept is readable by it, not for a moment."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from cartcast.atomic import atomic_folder, atomic_path, file_mode, make_folder, touch, write_text
from cartcast.config import settings_from
from cartcast.errors import UsageError

pytestmark = pytest.mark.skipif(os.name == "nt", reason="modes are those of POSIX")

WATCH = """
import os, stat, sys
from pathlib import Path
os.umask(0)
root = Path(sys.argv[1])
loose, busy = set(), []
FILE, FOLDER = int(sys.argv[2], 8), int(sys.argv[3], 8)

def scan():
    for top, folders, files in os.walk(root):
        if ".cartcast" not in Path(top).parts:
            continue
        hidden = [p for p in Path(top).parts if p.startswith(".") and p != ".cartcast"]
        for name, most in [*((f, FILE) for f in files), (".", FOLDER)]:
            try:
                mode = stat.S_IMODE(os.stat(os.path.join(top, name)).st_mode)
            except OSError:
                continue
            if mode & 0o7777 & ~most and not hidden:
                loose.add(f"{oct(mode)} {os.path.relpath(os.path.join(top, name), root)}")

def hook(event, told):
    # Whatever was made before this call must be closed by now: also what is made closed later.
    if event in ("open", "os.rename", "os.chmod", "sqlite3.connect") and not busy:
        busy.append(1)
        try:
            scan()
        finally:
            busy.pop()

sys.addaudithook(hook)
"""

USE = """
from cartcast.app.access import Access, Person
from cartcast.app.files import save_upload
from cartcast.app.jobs import start
from cartcast.app.launch import sign_in_file
from cartcast.app.state import Project
from cartcast.runs.registry import Registry
import io, time
project = Project.open(root)
project.read(project.source_paths())
save_upload(root, "up.csv", io.BytesIO(b"a,b\\n1,2\\n"), 5)
access = Access(root, {"client_id": "x", "metadata_url": "http://x", "admins": []})
boss = Person("i", "a", "A", "admin")
access.set_role(boss, "i", "b", "viewer", "B")
Registry(root).runs()
settings = project.settings
signed = Project(root, type(settings)(auth={"client_id": "x", "metadata_url": "http://x"}))
sign_in_file(signed, {"CARTCAST_CLIENT_SECRET": "s"}, 8501)
owner = Person("local", "o", "o", "admin")
job = start(Project(root), owner, [], rows=str(root / "none.csv"), options={"target": "y"})
from cartcast.app.jobs import get
end = time.monotonic() + 300
while get(project, job.id).state in ("waiting", "running") and time.monotonic() < end:
    time.sleep(0.1)
scan()
print(*sorted(loose), sep="\\n")
"""

KEYS = """
from cartcast.access.keys import KeyFile
for place in (root / ".cartcast" / "keys.json", root / "other" / ".cartcast" / "keys.json"):
    made = KeyFile(place)
    made.add("shop", ("ingest",))
    made.rotate("shop", 60.0)
scan()
print(*sorted(loose), sep="\\n")
"""


def shop(folder: Path, settings: str = "") -> Path:
    folder.mkdir()
    lines = [f"v{s},s{s},2024-03-01T10:00:{s:02d},view_item,i1,1\n" for s in range(30)]
    (folder / "shop.csv").write_text(
        "visitor_id,session_id,event_time,event_type,item_id,price\n" + "".join(lines)
    )
    (folder / "cartcast.yaml").write_text("sources: [shop.csv]\n" + settings)
    return folder


def watched(folder: Path, what: str, file: str = "600", top: str = "700") -> list[str]:
    """Run `what` with umask 0 and return what was open to others at any step."""
    done = subprocess.run(
        [sys.executable, "-c", WATCH + what, str(folder), file, top],
        capture_output=True, text=True, check=False, timeout=450,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout.split("\n")[:-1] if done.stdout.strip() else []


def test_all_that_the_app_keeps_is_the_owner_s_from_its_first_byte(tmp_path):
    pytest.importorskip("streamlit")
    folder = shop(tmp_path / "shop")
    assert watched(folder, USE) == []
    kept = {p.name for p in (folder / ".cartcast").rglob("*")}
    assert {
        "app.db",
        "catalogue.db",
        "sign-in-8501.toml",
        "events.parquet",
        "up.csv",
        "log.txt",
    } <= kept


def test_keys_of_the_live_service_are_the_owner_s_too(tmp_path):
    pytest.importorskip("msgspec")
    folder = shop(tmp_path / "shop")
    assert watched(folder, KEYS) == []
    assert (folder / "other" / ".cartcast" / "keys.json").is_file()


def test_the_watch_sees_a_file_that_is_open_for_a_moment(tmp_path):
    careless = """
make = root / ".cartcast"
make.mkdir(mode=0o700)
(make / "x").write_text("1")
os.chmod(make / "x", 0o600)
scan()
print(*sorted(loose), sep="\\n")
"""
    assert watched(shop(tmp_path / "shop"), careless) == ["0o666 .cartcast/x"]


def test_a_shared_group_has_it_and_others_do_not(tmp_path):
    pytest.importorskip("streamlit")
    folder = shop(tmp_path / "shop", "access: shared_group\n")
    assert watched(folder, USE, "660", "2770") == []
    modes = {p.name: stat.S_IMODE(p.stat().st_mode) for p in (folder / ".cartcast").rglob("*")}
    assert modes["events.parquet"] == modes["app.db"] == modes["log.txt"] == 0o660
    assert modes["logs"] == 0o2770
    assert modes["sign-in-8501.toml"] == 0o600
    with pytest.raises(UsageError, match="Did you mean 'shared_group'"):
        settings_from({"access": "shared_groups"})


def test_a_folder_of_an_earlier_version_is_closed_at_the_next_write(tmp_path):
    old = tmp_path / ".cartcast" / "app"
    old.mkdir(parents=True)
    (old / "app.db").write_text("")
    (tmp_path / ".cartcast").chmod(0o755)
    write_text(old / "x.json", "{}")
    assert stat.S_IMODE((tmp_path / ".cartcast").stat().st_mode) == 0o700


@pytest.mark.parametrize("mask", [0o000, 0o022, 0o027, 0o077])
def test_what_somebody_names_elsewhere_follows_the_umask(tmp_path, mask):
    before = os.umask(mask)
    try:
        write_text(tmp_path / "out" / "a.csv", "x")
        with atomic_folder(tmp_path / "run") as made:
            (made / "f").write_text("x")
        write_text(tmp_path / ".cartcast" / "deep" / "b", "x")
        with atomic_path(tmp_path / "keys", secret=True) as temporary:
            temporary.write_text("x")
        touch(tmp_path / ".cartcast" / "c.db")
        make_folder(tmp_path / ".cartcast" / "w" / "v")
    finally:
        os.umask(before)
    mode = {p.name: stat.S_IMODE(p.stat().st_mode) for p in tmp_path.rglob("*")}
    assert mode["a.csv"] == mode["f"] == 0o666 & ~mask
    assert mode["run"] == mode["out"] == 0o777 & ~mask
    assert mode["keys"] == mode["b"] == mode["c.db"] == 0o600
    assert mode[".cartcast"] == mode["deep"] == mode["w"] == mode["v"] == 0o700


def test_settings_that_cannot_be_read_open_nothing(tmp_path):
    for text in ("access: [", "access: everybody\n", "accesses: shared_group\n", "- a\n"):
        (tmp_path / "cartcast.yaml").write_text(text)
        assert file_mode(tmp_path / ".cartcast" / "x") == 0o600
