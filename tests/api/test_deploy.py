"""What lies in `deploy/` fits the program: its verbs and options exist, its files are well formed."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from cartcast.cli import app

DEPLOY = Path(__file__).parents[2] / "deploy"
UNITS = sorted((DEPLOY / "systemd").glob("*.service"))


def commands() -> dict[str, list[str]]:
    """The program's arguments in every file."""
    found: dict[str, list[str]] = {}
    for unit in UNITS:
        lines = re.findall(r"^ExecStart=\S+/cartcast (.+)$", unit.read_text(), re.MULTILINE)
        assert lines, unit.name
        found |= {
            f"{unit.name} {n}".removesuffix(" 0"): shlex.split(x) for n, x in enumerate(lines)
        }
    services = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]
    for name in ("serve", "app"):
        found[f"compose {name}"] = services[name]["command"]
    for document in yaml.safe_load_all((DEPLOY / "kubernetes" / "cartcast.yaml").read_text()):
        if document["kind"] == "Deployment":
            for container in document["spec"]["template"]["spec"]["containers"]:
                found[f"kubernetes {container['name']}"] = container["args"]
    text = (DEPLOY / "Containerfile").read_text()
    (last,) = re.findall(r"^CMD (\[.+\])$", text, re.MULTILINE)
    found["Containerfile"] = yaml.safe_load(last)
    return found


@pytest.mark.parametrize(("where", "words"), commands().items())
def test_verbs_and_options_exist(where: str, words: list[str]) -> None:
    program: Any = typer.main.get_command(app)
    verb = program.commands[words[0]]
    context = verb.make_context(words[0], list(words[1:]), resilient_parsing=False)
    if not context.params:  # the verb is a family of verbs
        context = verb.commands[words[1]].make_context(words[1], list(words[2:]), parent=context)
    assert context.params, where


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd-analyze")
@pytest.mark.parametrize("unit", UNITS, ids=lambda u: u.name)
def test_systemd_accepts_the_units(unit: Path, tmp_path: Path) -> None:
    # The program is not installed where the unit has it, so another stands for it.
    text = re.sub(r"^(ExecStart=)\S+", rf"\1{shutil.which('true')}", unit.read_text(), flags=re.M)
    (tmp_path / unit.name).write_text(text)
    done = subprocess.run(
        ["systemd-analyze", "verify", str(tmp_path / unit.name)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
