"""Door: the repository itself. A secret that is committed is found, and words are not taken for one."""

from __future__ import annotations

import importlib.util
import random
import string
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
spec = importlib.util.spec_from_file_location("scan", ROOT / "scripts" / "scan.py")
assert spec is not None
assert spec.loader is not None
scan = importlib.util.module_from_spec(spec)
spec.loader.exec_module(scan)

ALL = string.ascii_letters + string.digits


def drawn(rng: random.Random, count: int, of: str = ALL) -> str:
    return "".join(rng.choices(of, k=count))


# Made here, so that no file of the repository holds what the scan looks for.
MADE = {
    "private key": lambda r: (
        f"-----BEGIN {r.choice(['', 'RSA ', 'OPENSSH '])}PRIVATE" + " KEY-----"
    ),
    "AWS key": lambda r: "AK" + "IA" + drawn(r, 16, string.ascii_uppercase + string.digits),
    "GitHub token": lambda r: "gh" + "p_" + drawn(r, 36),
    "GitLab token": lambda r: "gl" + "pat-" + drawn(r, 20),
    "Slack token": lambda r: "xo" + "xb-" + drawn(r, 24),
    "Google key": lambda r: "AI" + "za" + drawn(r, 35),
    "Stripe key": lambda r: "sk_" + "live_" + drawn(r, 24),
    "Cartcast key": lambda r: "cc" + f"_{drawn(r, 8, '0123456789abcdef')}_" + drawn(r, 43),
    "JSON web token": lambda r: "eyJ" + drawn(r, 20) + ".eyJ" + drawn(r, 30) + "." + drawn(r, 43),
    "password in a URL": lambda r: f"postgresql://shop:{drawn(r, 20)}@db.internal/shop",
    "value that looks drawn": lambda r: f'client_secret = "{drawn(r, 32)}"',
}


@pytest.mark.parametrize("kind", MADE)
def test_a_drawn_secret_is_found_and_not_repeated(tmp_path, kind):
    for seed in range(40):
        secret = MADE[kind](random.Random(seed))
        path = tmp_path / "settings.py"
        path.write_text(f"# one\n# two\nx = 1  # {secret}\n")
        found = scan.scan([path])
        assert any(line.endswith(f":3: {kind}") for line in found), secret
        assert not [line for line in found if secret in line]


@pytest.mark.parametrize(
    "text",
    [
        'client_secret = "$CARTCAST_CLIENT_SECRET"',
        "postgresql://me:secret@db/shop",
        'token = "a_word_that_is_no_secret_at_all"',
        'api_key_header = "X-Cartcast-Api-Key-Header"',
        "password: changeme",
    ],
)
def test_words_are_no_secrets(tmp_path, text):
    path = tmp_path / "a.py"
    path.write_text(text)
    assert scan.scan([path]) == []


def test_files_of_secrets_and_unpinned_locks_are_named(tmp_path):
    (tmp_path / "keys.json").write_text("{}")
    assert scan.scan([tmp_path / "keys.json"])
    lock = "a==1 \\\n    --hash=sha256:00\nb>=2\nc==3\n"
    told = scan.unpinned(lock, "x.txt")
    assert [t.split()[1] for t in told] == ["b>=2", "c==3"]


def test_the_repository_is_clean():
    if not (ROOT / ".git").exists():
        pytest.skip("no git here")
    assert scan.scan(scan.tracked()) == []
    for path in (ROOT / "locks").glob("*.txt"):
        assert scan.unpinned(path.read_text(), path.name) == []
