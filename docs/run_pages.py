"""Run the pages that are executed, and compare what they show with what is printed.

    python docs/run_pages.py [--write] [PAGE ...]

A page, or a section of one, is executed where `<!-- executed -->` stands under its heading. From
top to bottom, in a new folder and one shell:

- a block whose first line is `# NAME.yaml` or `# NAME.py` is written as that file;
- a `console` block runs the lines that begin with `$ `; below each stands what it prints. A command
  that fails fails the page. `...` stands for anything, such as today's date.

The port 8000 is any free one while a page runs. `--write` puts what was printed into the pages.
"""

from __future__ import annotations

import argparse
import difflib
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

from cartcast.atomic import write_text

DOCS = Path(__file__).resolve().parent
MARK = "<!-- executed -->"
SECONDS = 300
"""How long one command may take."""
_BLOCK = re.compile(r"^```(console|yaml|python)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_HEAD = re.compile(r"^(#+) [^\n]*\n+" + re.escape(MARK), re.MULTILINE)
_PORT = re.compile(r"((?:--port |localhost:|127\.0\.0\.1:))8000\b")
_END = "<<command ended>>"


class Shell:
    """One bash for a page: its folder, variables and background jobs stay from command to command.

    Raises:
        RuntimeError: a command fails, or takes too long.
    """

    def __init__(self, folder: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = str(probe.getsockname()[1])
        own = {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "NO_COLOR": "1", "COLUMNS": "100", "PYTHONDONTWRITEBYTECODE": "1",
        }  # fmt: skip
        self.process = subprocess.Popen(
            ["bash", "--norc", "--noprofile"], cwd=folder, env=os.environ | own, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            start_new_session=True,
        )  # fmt: skip

    def __enter__(self) -> Shell:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        self._kill()
        self.process.communicate()

    def run(self, command: str) -> str:
        """Return what a command prints, errors included."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        late = threading.Timer(SECONDS, self._kill)
        late.start()
        try:
            self.process.stdin.write(f"{self.local(command)}\nprintf '\\n{_END}%s\\n' $?\n")
            self.process.stdin.flush()
            lines: list[str] = []
            for line in self.process.stdout:
                if line.startswith(_END):
                    break
                lines.append(line.rstrip())
            else:
                raise RuntimeError(f"$ {command}\nended the shell, or took over {SECONDS} s")
        finally:
            late.cancel()
        told = "\n".join(lines).strip("\n")
        if line.strip() != f"{_END}0":
            raise RuntimeError(f"$ {command}\n{told}\nfailed")
        return re.sub(rf"\b{self.port}\b", "8000", told)

    def local(self, text: str) -> str:
        """Return a text with the port of this shell."""
        return _PORT.sub(rf"\g<1>{self.port}", text)

    def _kill(self) -> None:
        os.killpg(self.process.pid, signal.SIGKILL)


def executed(text: str) -> Iterator[tuple[int, int]]:
    """Yield begin and end of each executed section of a page."""
    prose = re.sub(r"^```.*?^```$", lambda m: " " * len(m[0]), text, flags=re.DOTALL | re.MULTILINE)
    for head in _HEAD.finditer(prose):
        level = len(head[1])
        after = re.compile(rf"^#{{1,{level}}} ", re.MULTILINE).search(prose, head.end())
        yield head.end(), after.start() if after else len(text)


def run_page(text: str, folder: Path) -> str:
    """Return a page with what its commands print now; what still matches stays as it is.

    Raises:
        RuntimeError: a command fails.
    """
    out, last = [], 0
    with Shell(folder) as shell:
        for begin, end in executed(text):
            for block in _BLOCK.finditer(text, begin, end):
                kind, body = block.groups()
                if kind == "console":
                    out += [text[last : block.start(2)], _run(body, shell)]
                    last = block.end(2)
                elif name := re.match(r"# ([\w.-]+\.(?:yaml|py))\n", body):
                    (folder / name[1]).write_text(shell.local(body), encoding="utf-8")
    return "".join([*out, text[last:]])


def _run(body: str, shell: Shell) -> str:
    done = []
    for part in re.split(r"^\$ ", body, flags=re.MULTILINE)[1:]:
        command, shown = re.match(r"((?:[^\n]*\\\n)*[^\n]*\n)(.*)", part, re.DOTALL).groups()  # type: ignore[union-attr]
        told = shell.run(command.rstrip("\n"))
        same = _matches(shown.strip("\n"), told)
        told = shown if same else _keep(shown.splitlines(), told.splitlines())
        done.append(f"$ {command}{told}")
    return "".join(done)


def _matches(shown: str, told: str) -> bool:
    return re.fullmatch(re.escape(shown).replace(r"\.\.\.", ".*?"), told, re.DOTALL) is not None


def _keep(shown: list[str], told: list[str]) -> str:
    """Return what was printed; lines that match as they were written stay so."""
    old = dict(enumerate(shown))
    kept = (old[k] if k in old and _matches(old[k], line) else line for k, line in enumerate(told))
    return "".join(f"{line}\n" for line in kept)


def pages() -> list[Path]:
    """Return the pages with executed parts."""
    return [p for p in sorted(DOCS.rglob("*.md")) if _HEAD.search(p.read_text(encoding="utf-8"))]


def differences(page: Path, folder: Path) -> str:
    """Return how a page differs from what it prints now; empty where it does not."""
    text = page.read_text(encoding="utf-8")
    now = run_page(text, folder)
    lines = difflib.unified_diff(text.splitlines(), now.splitlines(), page.name, "printed now", n=1)
    return "\n".join(lines)


def main() -> int:
    """Run the pages; return an exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pages", nargs="*", type=Path)
    parser.add_argument("--write", action="store_true")
    told = parser.parse_args()
    wrong = 0
    for page in told.pages or pages():
        with tempfile.TemporaryDirectory() as folder:
            if told.write:
                text = page.read_text(encoding="utf-8")
                write_text(page, run_page(text, Path(folder)))
            elif found := differences(page, Path(folder)):
                print(found)
                wrong = 1
    return wrong


if __name__ == "__main__":
    sys.exit(main())
