"""Keep the English plain: words and turns of phrase that readers stumbled over, with what to write.

    python scripts/english.py

Reads what people read: the strings and docstrings of the package and the Markdown pages. Exit
status 1 names each place. The list is in CONTRIBUTING.md, too.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
CONTRIBUTING = ROOT / "CONTRIBUTING.md"
ROW = re.compile(r"^\| (?P<avoid>[^|]+) \| (?P<write>[^|]+) \|$", re.MULTILINE)


def word_list() -> list[tuple[re.Pattern[str], str]]:
    """Return what to avoid, as an expression, and what to write, from the table of CONTRIBUTING."""
    section = CONTRIBUTING.read_text(encoding="utf-8").split("## Words", 1)[1].split("\n## ", 1)[0]
    rows = [r for r in ROW.finditer(section) if set(r["avoid"]) != {"-"}][1:]
    return [
        (
            re.compile(rf"\b{words.strip().replace(' ', chr(92) + 's+')}\b", re.IGNORECASE),
            r["write"],
        )
        for r in rows
        for words in r["avoid"].split(";")
    ]


def texts(path: Path) -> Iterator[tuple[int, str]]:
    """Yield what people read of a file, with its line."""
    text = path.read_text(encoding="utf-8")
    if path.suffix != ".py":
        yield 1, text
        return
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.lineno, node.value


def found(path: Path, listed: list[tuple[re.Pattern[str], str]]) -> Iterator[str]:
    """Yield a line for each place of a file that has words of the list."""
    for line, text in texts(path):
        for avoid, write in listed:
            for match in avoid.finditer(text):
                if match.group().lower() == "go on" and text[match.end() :].startswith(" to"):
                    continue  # people go on to the next page
                at = line + text.count("\n", 0, match.start())
                yield f"{path}:{at}: {' '.join(match.group().split())!r}; write {write.strip()}"


def main() -> int:
    """Check every file that git knows; those with the list in them are left out."""
    done = subprocess.run(
        ["git", "ls-files", "src/cartcast/*.py", "docs/*.md", "README.md", "SECURITY.md"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    listed = word_list()
    lines = [line for name in done.stdout.split() for line in found(ROOT / name, listed)]
    for line in lines:
        print(line.removeprefix(f"{ROOT}/"))
    return bool(lines)


if __name__ == "__main__":
    sys.exit(main())
