#!/usr/bin/env python
"""Secrets in tracked files, and dependencies that are not what the locks say; works offline.

What no offline tool can tell is whether a pinned version has a known hole: for that, run
`pip-audit -r locks/app.txt` where there is a network.
"""

from __future__ import annotations

import math
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

PATTERNS = {
    "private key": r"-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY-----",
    "AWS key": r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b",
    "GitHub token": r"\b(?:gh[pousr]_[A-Za-z0-9]{36,}|github_pat_\w{60,})",
    "GitLab token": r"\bglpat-[\w-]{20,}",
    "Slack token": r"\bxox[abprs]-[\w-]{10,}",
    "Google key": r"\bAIza[\w-]{35}\b",
    "Stripe key": r"\b[sr]k_live_[A-Za-z0-9]{16,}",
    "PyPI token": r"\bpypi-[\w-]{50,}",
    "Cartcast key": r"\bcc_[0-9a-f]{8}_[\w-]{40,}",
    "JSON web token": r"\beyJ[\w-]{15,}\.eyJ[\w-]{15,}\.[\w-]{20,}",
    "password in a URL": r"\b(?:postgres(?:ql)?|mysql|redis|amqp|https?)://[^\s/:@'\"<>{}$]+:"
    r"(?P<told>[^\s/@'\"<>{}$]{6,})@",
    "value that looks drawn": r"(?i)(?:secret|token|passw(?:or)?d|api_?key|private_?key)\w*"
    r"['\"]?\s*[:=]\s*['\"](?P<told>[A-Za-z0-9+/_=-]{20,})['\"]",
}
"""What a secret looks like; of the last two only `told` counts, and only if it looks drawn."""

DRAWN_BITS = 3.6
"""Shannon bits per character: drawn text of 20 characters has about 4, words have fewer."""
EXAMPLES = re.compile(r"(?i)example|secret|password|changeme|\.\.\.|x{4,}|0123456789|tests? only")
SKIPPED = (".png", ".svg", ".parquet", ".gz", ".zip", ".ico", ".lock", ".min.js")
VENDOR = re.compile(r"(^|/)vendor/")


def looks_drawn(text: str) -> bool:
    """Return whether a text looks like a generator's, not like words."""
    counts = Counter(text)
    bits = -sum(n / len(text) * math.log2(n / len(text)) for n in counts.values())
    return bits >= DRAWN_BITS and any(c.isdigit() for c in text) and not EXAMPLES.search(text)


def secrets_in(text: str) -> Iterator[tuple[int, str]]:
    """Yield (line, kind) of what looks like a secret."""
    for kind, pattern in PATTERNS.items():
        for match in re.finditer(pattern, text):
            told = match.groupdict().get("told")
            if told is None or looks_drawn(told) or (kind.startswith("password") and _own(told)):
                yield text.count("\n", 0, match.start()) + 1, kind


def _own(told: str) -> bool:
    """Return whether a password in a URL is no word of an example."""
    return len(told) >= 12 and not EXAMPLES.search(told) and not told.islower()


def tracked() -> list[Path]:
    """Return the files that git knows."""
    done = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return [ROOT / name for name in done.stdout.split("\0") if name]


def scan(paths: list[Path]) -> list[str]:
    """Return what is wrong, as lines; the secret itself is not repeated."""
    found = []
    for path in paths:
        name = path.relative_to(ROOT).as_posix() if path.is_relative_to(ROOT) else str(path)
        if path.suffix in SKIPPED or VENDOR.search(name) or not path.is_file():
            continue
        if re.fullmatch(r"\.env|sign-in.*\.toml|keys\.json|app\.db|id_[a-z0-9]+", path.name):
            found.append(f"{name}: a file that holds secrets is tracked")
        text = path.read_text(encoding="utf-8", errors="replace")
        found += [f"{name}:{line}: {kind}" for line, kind in secrets_in(text)]
    return found


def unpinned(lock: str, name: str) -> list[str]:
    """Return the requirements of a lock that have no exact version or no hash."""
    found = []
    for entry in re.split(r"\n(?=[A-Za-z0-9])", "\n" + lock):
        line = entry.strip().split("\n")[0]
        if re.match(r"[A-Za-z0-9]", line) and not ("==" in line and "--hash=sha256:" in entry):
            found.append(f"{name}: {line.split()[0]} is not pinned with a hash")
    return found


def main() -> int:
    """Print what is wrong; 1 if anything is."""
    found = scan(tracked())
    for path in sorted((ROOT / "locks").glob("*.txt")):
        found += unpinned(path.read_text(encoding="utf-8"), f"locks/{path.name}")
    if find_spec("pip") is not None:
        done = subprocess.run(
            [sys.executable, "-m", "pip", "check"], capture_output=True, text=True, check=False
        )
        found += done.stdout.strip().splitlines() if done.returncode else []
    print(*found, sep="\n", end="\n" if found else "")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
