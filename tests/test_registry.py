"""The registry: aliases, promotion, rollback, verification, two writers; SQLite and PostgreSQL."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cartcast.config import PROJECT_FILE
from cartcast.errors import NotFoundError, NotTrustedError, StorageError, UsageError
from cartcast.models.baselines import Prevalence
from cartcast.models.persist import save_all
from cartcast.runs.registry import Registry, resolve_run
from cartcast.runs.run import Run


def make_run(project: Path, name: str, target: str = "purchase") -> Path:
    """A run folder as small as one can be: a baseline and what the registry reads of it."""
    folder = project / ".cartcast" / "runs" / name
    folder.mkdir(parents=True)
    model = Prevalence().fit(pd.DataFrame({"a": [1.0, 2.0]}), np.array([0, 1]))
    manifest = save_all({"champion": model}, folder / "model")
    run = {
        "schema": 1,
        "run_id": name,
        "created": f"2024-01-0{len(name)}T00:00:00+00:00",
        "target": {"name": target, "kind": "observed"},
        "champion": "prevalence",
        "metrics": {"prevalence": {"roc_auc": 0.5}},
        "model_manifest": manifest,
    }
    (folder / "run.json").write_text(json.dumps(run))
    return folder


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / PROJECT_FILE).write_text("target: purchase\n")
    return tmp_path


def test_first_run_is_champion_later_ones_challenge(project: Path) -> None:
    registry = Registry(project)
    for name in ("a", "bb", "ccc"):
        registry.add(make_run(project, name))
    assert registry.aliases() == {
        ("purchase", "champion"): "a",
        ("purchase", "challenger"): "ccc",
    }
    assert [e.run_id for e in registry.runs()] == ["ccc", "bb", "a"]
    assert registry.get("champion").run_id == "a"


def test_promotion_and_rollback_keep_history(project: Path) -> None:
    registry = Registry(project)
    for name in ("a", "bb"):
        registry.add(make_run(project, name))
    registry.promote("bb", reason="better at click 3", who="ann")
    assert registry.get("purchase/champion").run_id == "bb"
    assert registry.promotions()[0].reason == "better at click 3"
    assert registry.rollback().run_id == "a"
    assert registry.promotions()[0].reason == "rolled back from bb"
    assert len(registry.promotions()) == 4


def test_nothing_to_roll_back(project: Path) -> None:
    registry = Registry(project)
    registry.add(make_run(project, "a"))
    with pytest.raises(NotFoundError, match="nothing to roll back"):
        registry.rollback()


def test_an_alias_of_two_targets_must_be_told_apart(project: Path) -> None:
    registry = Registry(project)
    registry.add(make_run(project, "a"))
    registry.add(make_run(project, "bb", target="add_to_cart"))
    with pytest.raises(UsageError, match="add_to_cart/champion, purchase/champion"):
        registry.get("champion")
    assert registry.get("add_to_cart/champion").run_id == "bb"


def test_unknown_names_are_refused(project: Path) -> None:
    registry = Registry(project)
    registry.add(make_run(project, "a"))
    with pytest.raises(NotFoundError, match="no run or alias 'champoin'"):
        registry.get("champoin")
    with pytest.raises(UsageError, match="unknown alias 'best'"):
        registry.promote("a", alias="best")


@pytest.mark.parametrize("harm", ["model", "manifest", "run"])
def test_a_changed_run_is_not_promoted(project: Path, harm: str) -> None:
    registry = Registry(project)
    registry.add(make_run(project, "a"))
    second = make_run(project, "bb")
    registry.add(second)
    if harm == "model":
        path = second / "model" / "champion.skops"
        path.write_bytes(path.read_bytes() + b"x")
    elif harm == "manifest":
        (second / "model" / "manifest.json").write_text("{}")
    else:
        run = Run.open(second).data
        (second / "run.json").write_text(json.dumps({**run, "model_manifest": "0" * 64}))
    with pytest.raises(NotTrustedError):
        registry.promote("bb")
    assert registry.get("champion").run_id == "a"


def test_a_run_is_found_by_path_id_and_alias(project: Path, tmp_path: Path) -> None:
    registry = Registry(project)
    folder = make_run(project, "a")
    registry.add(folder)
    assert resolve_run(folder, None) == folder
    assert resolve_run("a", project).resolve() == folder.resolve()
    assert resolve_run("champion", project).resolve() == folder.resolve()
    with pytest.raises(NotFoundError, match="no run folder, and no project"):
        resolve_run("champion", None)
    (tmp_path / "empty").mkdir()
    with pytest.raises(NotFoundError, match=r"not a run \(no run.json\)"):
        resolve_run(tmp_path / "empty", project)


def test_two_writers_lose_nothing(project: Path) -> None:
    names = [f"r{i}" for i in range(8)]
    folders = [make_run(project, n) for n in names]
    code = (
        "import sys\nfrom pathlib import Path\nfrom cartcast.runs.registry import Registry\n"
        "[Registry(Path(sys.argv[1])).add(Path(p)) for p in sys.argv[2:]]\n"
    )
    halves = (folders[:4], folders[4:])
    running = [
        subprocess.Popen([sys.executable, "-c", code, str(project), *map(str, half)])
        for half in halves
    ]
    assert [p.wait() for p in running] == [0, 0]
    registry = Registry(project)
    assert {e.run_id for e in registry.runs()} == set(names)
    assert len(registry.promotions()) == 8


def test_a_damaged_catalogue_is_one_line(project: Path) -> None:
    path = project / ".cartcast" / "catalogue.db"
    path.parent.mkdir()
    path.write_bytes(b"not a database, but long enough to be taken for one" * 50)
    with pytest.raises(StorageError, match="catalogue"):
        Registry(project).runs()


def test_a_damaged_run_is_not_trusted(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text("{half")
    with pytest.raises(NotTrustedError, match="damaged"):
        Run.open(tmp_path)
    (tmp_path / "run.json").write_text('{"schema": 99}')
    with pytest.raises(NotTrustedError, match="another version"):
        Run.open(tmp_path)
