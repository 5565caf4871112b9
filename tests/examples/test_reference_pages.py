"""The pages of the reference: their YAML is taken by the readers, and no key goes undescribed."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml
from mkdocs.exceptions import PluginError

from cartcast.activation import read_activations
from cartcast.config import settings_from
from cartcast.events.layoutfile import from_mapping
from cartcast.experiments import read_plan
from cartcast.features.form import parse
from cartcast.targets import parse_target

DOCS = Path(__file__).resolve().parents[2] / "docs"


def hook(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, DOCS / "hooks" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    return made


def examples(page: str) -> list[Any]:
    text = (DOCS / "reference" / f"{page}.md").read_text(encoding="utf-8")
    return [yaml.safe_load(y) for y in re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)]


def test_the_examples_are_what_the_readers_take(tmp_path: Path) -> None:
    project, proxies = examples("project")
    assert settings_from(project).moment == "day"
    declared = settings_from(proxies).targets
    for name in declared:
        assert parse_target(f"proxy:{name}", dict(declared)).name == name
    assert from_mapping(examples("layouts")[0]).name == "my-shop"
    assert list(parse(examples("feature-sets")[0])) == [
        "clicks", "price_mean", "carts", "cart_share", "pause",
    ]  # fmt: skip
    plan = tmp_path / "plan.yaml"
    plan.write_text(yaml.safe_dump(examples("plans")[0]))
    assert read_plan(plan).metrics
    acts = read_activations(plan, posts=False)
    assert acts["rescue-cart"].experiment.control == "held"


def test_lists_hold_every_key_that_is_read_and_its_default() -> None:
    page = hook("yaml_reference")
    found = page.keys(["cartcast.config.Settings"], "")
    assert "`session_gap`\n:   Seconds without an event" in found
    assert "Default: `30m`." in found
    assert "Default: `[1, 2, 3, 5, 8, 13, 21]`." in found
    value = ["cartcast.events.layouts.Value", "known=cartcast.events.layoutfile._VALUE_KEYS"]
    with pytest.raises(PluginError, match="no description of column"):
        page.keys(value, "")
    assert "`otherwise`" in page.keys(value, "`column`\n:   One.")


def test_doctests_stand_between_fences() -> None:
    fenced = hook("doctests").fenced
    shown = "One.\n\n```pycon\n>>> 1 + 1\n2\n>>> 3\n3\n```\n\nTwo > one."
    assert fenced(shown.replace("```pycon\n", "").replace("```\n", "")) == shown
    assert fenced("None here.") == "None here."


def test_the_command_line_is_told_as_its_help_tells_it() -> None:
    text = hook("cli_reference").page()
    assert "| 4 | The audit stopped the work" in text
    assert "### experiment decide" in text
    assert "`--host <str>`\n:   Address to listen on. *(default: 127.0.0.1)*" in text
