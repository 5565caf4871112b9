"""Settings are read, checked by name and rule, and have defaults that work."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cartcast.config import DEFAULTS, find_project, parse_duration, parse_size, read_settings
from cartcast.demo import init_project
from cartcast.errors import NotFoundError, UsageError
from cartcast.targets import Proxy, parse_target


@given(st.integers(1, 10_000), st.sampled_from([("s", 1), ("m", 60), ("h", 3600), ("d", 86400)]))
def test_durations(number: int, unit: tuple[str, int]) -> None:
    assert parse_duration(f"{number}{unit[0]}") == number * unit[1]


@pytest.mark.parametrize("text", ["", "5x", "-5m", "0", "m", "1h30m", "nan"])
def test_bad_durations(text: str) -> None:
    with pytest.raises(UsageError, match="duration must look like"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("text", "size"), [("2GB", 2 * 10**9), ("500 MB", 5 * 10**8), ("1.5g", 1.5 * 10**9), (7, 7)]
)
def test_sizes(text: str, size: float) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["2XB", "", "-1GB", "0"])
def test_bad_sizes(text: str) -> None:
    with pytest.raises(UsageError, match="size must look like"):
        parse_size(text)


def test_the_template_gives_the_defaults(tmp_path: Path) -> None:
    init_project(tmp_path, ("log.csv",))
    settings = read_settings(tmp_path)
    assert settings.sources == ("log.csv",)
    for name in ("session_gap", "target", "features", "anchors", "models", "split", "seed"):
        assert getattr(settings, name) == getattr(DEFAULTS, name), name
    with pytest.raises(UsageError, match="exists already"):
        init_project(tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("targt: purchase", "Did you mean 'target'"),
        ("split: [0.5, 0.5, 0.5]", "add up to 1"),
        ("anchors: [0, 1]", "anchors must be"),
        ("max_reject_share: 2", "0 <= share <= 1"),
        ("zone: Europe/Berln", "unknown time zone .*Did you mean 'Europe/Berlin'"),
        ("zone: 1", "unknown time zone 1"),
        ("session_gap: soon", "duration must look like"),
        ("a: [", "not valid YAML"),
        ("- a\n- b", "name: value"),
    ],
)
def test_bad_settings_are_one_line(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "cartcast.yaml").write_text(text)
    with pytest.raises(UsageError, match=message) as caught:
        read_settings(tmp_path)
    assert "\n" not in str(caught.value)


def test_the_project_is_found_from_below(tmp_path: Path) -> None:
    assert find_project(tmp_path) is None
    init_project(tmp_path)
    below = tmp_path / "a" / "b"
    below.mkdir(parents=True)
    assert find_project(below) == tmp_path
    with pytest.raises(NotFoundError, match="cartcast init"):
        read_settings(below)


def test_proxies_are_declared_by_name(tmp_path: Path) -> None:
    (tmp_path / "cartcast.yaml").write_text("targets:\n  keen:\n    at_least: 3\n")
    declared = read_settings(tmp_path).targets
    assert parse_target("proxy:keen", dict(declared)) == Proxy("keen", at_least=3)


def test_plans_of_experiments_lie_beside_the_settings_and_are_backed_up(tmp_path: Path) -> None:
    from cartcast.backup.contents import items

    (tmp_path / "cartcast.yaml").write_text("experiments: [shop.yaml, plans]\n")
    (tmp_path / "plans").mkdir()
    for name in ("shop.yaml", "plans/more.yml"):
        (tmp_path / name).write_text("{}\n")
    settings = read_settings(tmp_path)
    assert settings.experiments == (str(tmp_path / "shop.yaml"), str(tmp_path / "plans"))
    kept = {item.name for item in items(tmp_path, settings, {}, ())}
    assert kept == {"cartcast.yaml", "shop.yaml", "plans/more.yml"}
