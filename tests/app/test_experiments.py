"""The page Experiments: plan, design, look, decide, record; every look is counted, none twice."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml

import cartcast.app
from cartcast import experiments
from cartcast.app import actions, plans
from cartcast.app.access import Person, RefusedError
from cartcast.app.launch import PROJECT_VARIABLE
from cartcast.app.state import Project
from cartcast.errors import DefinitionError, UsageError
from cartcast.experiments.simulate import START, World, simulate

st = pytest.importorskip("streamlit")
from streamlit.testing.v1 import AppTest  # noqa: E402

from .conftest import sound  # noqa: E402

VIEW = Path(cartcast.app.__file__).parent / "views" / "experiments.py"
KEY = "shipping"
VIEWER = Person("https://id", "eve", "Eve", "viewer")

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


def declared(**more: object) -> dict:
    made = experiments.draft(
        KEY, {"control": 0.5, "free": 0.5}, "revenue", days=7, start=START.date(), margin=0.2
    )
    made["quantities"]["bought"] = {"kind": "any", "event": "purchase", "within": "7d"}
    made["metrics"]["conversion"] = {"proportion": "bought"}
    end = START.date() + dt.timedelta(days=20)
    return {**made, "end": end.isoformat(), "expected_units": 700, **more}


@pytest.fixture(scope="module")
def read(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project whose log holds an experiment with a large lift, read once."""
    folder = tmp_path_factory.mktemp("tested")
    world = World(visitors=900, lift=1.5, chance=0.15, sessions_a_day=0.5, days=28)
    made = simulate(world, experiments.Allocation(KEY, ("control", "free")), seed=3)
    pq.write_table(made.log, folder / "log.parquet")
    lost = simulate(
        World(visitors=900, sessions_a_day=0.5, days=28, lost={"free": 0.5}),
        experiments.Allocation(KEY, ("control", "free")), seed=3,
    )  # fmt: skip
    pq.write_table(lost.exposures, folder / "lost.parquet")
    (folder / "cartcast.yaml").write_text("sources: [log.parquet]\ncurrency: EUR\n")
    project = Project.open(folder)
    project.read(project.source_paths())
    return folder


@pytest.fixture
def shop(read: Path) -> Path:
    """The same, with nothing planned and nothing looked at yet."""
    for path in [*read.glob("*.yml"), *(read / ".cartcast" / "experiments").rglob("*.*")]:
        path.unlink()
    return read


@pytest.fixture
def open_page(monkeypatch: pytest.MonkeyPatch, shop: Path):
    def run(plan: dict | None = None, **query: str) -> AppTest:
        monkeypatch.setenv(PROJECT_VARIABLE, str(shop))
        if plan is not None:
            (shop / "tests.yml").write_text(yaml.safe_dump(plan, sort_keys=False))
        at = AppTest.from_file(str(VIEW), default_timeout=60)
        for key, value in query.items():
            at.query_params[key] = value
        return at.run()

    return run


def said(at: AppTest) -> str:
    return at.title[0].value.replace("\\", "")


def figures(at: AppTest) -> dict[str, str]:
    return {m.label: m.value for m in at.metric}


def journal(shop: Path) -> experiments.Journal:
    return experiments.Journal(shop / ".cartcast" / "experiments" / f"{KEY}.jsonl")


def test_a_plan_is_made_from_the_log_and_kept(open_page, shop: Path) -> None:
    at = sound(open_page())
    assert said(at).startswith("No experiment yet")
    assert figures(at)["Whole weeks"]
    at.text_input(key="new_name").set_value("my test")
    at = sound(at.selectbox(key="new_outcome").set_value("conversion").run())
    at = sound(at.number_input(key="new_change").set_value(60.0).run())
    weeks = int(figures(at)["Whole weeks"])
    at = sound(next(b for b in at.button if b.label == "Keep this plan").click().run())
    kept = plans.read(plans.places(Project.open(shop))["my_test"])
    assert kept.allocation.key == "my test"
    assert kept.end is not None
    assert kept.start is not None
    assert (kept.end - kept.start).days == 7 * weeks
    assert kept.metrics["visits"].margin == 0.02
    # The page goes on with the plan that was kept, at its design.
    assert at.selectbox(key="plan").value == "my_test"
    assert "% " in said(at) or said(at).endswith("%.")


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"arm": 1}, "unknown word 'arm'"),
        ({"arms": {"a": 0.4, "b": 0.4}}, "add up"),
        ({"quantities": {}}, "quantities"),
        ({"design": "switchback"}, "not offered"),
    ],
)
def test_a_bad_plan_is_one_clear_line(open_page, more: dict, words: str) -> None:
    at = open_page(declared(**more))
    assert not at.exception
    (line,) = at.error
    assert words in line.value.replace("\\", "")
    assert "--" not in line.value.replace("\\", "")
    assert "cannot be used" in said(at)


def test_a_look_is_counted_once_and_decided_as_the_package_does(open_page, shop: Path) -> None:
    at = sound(open_page(declared()))
    assert "not looked at yet" in at.caption[0].value.replace("\\", "")
    assert journal(shop).looked == 0
    at = sound(at.button(key="look").click().run())
    at = sound(at.run())
    assert journal(shop).looked == 1

    project = Project.open(shop)
    data = project.get_data(None)
    assert data is not None
    plan = experiments.plan_from(declared())
    measured = experiments.measure(str(data.log.path), plan)
    analysis = experiments.look(measured, plan)
    found = experiments.decide(analysis, plan, "revenue", units_a_month=measured.units_a_month)
    assert said(at).lower().startswith("roll out free: revenue changes by +")
    assert found.action == "roll out"
    assert found.money is not None
    assert figures(at)["In money a month"] == f"€{found.money[0]:,.0f}"
    assert "You looked once" in at.caption[0].value.replace("\\", "")
    # Guardrails are told before the goal; a share of buyers is no money.
    assert "Visits: a loss of 20 % is ruled out" in " ".join(
        s.value.replace("\\", "") for s in at.success
    )
    at = sound(at.selectbox(key="judged_by").set_value("conversion").run())
    assert "In money a month" not in figures(at)
    assert journal(shop).looked == 1


def test_a_decision_is_kept_and_compared_later(open_page, shop: Path) -> None:
    at = sound(open_page(declared()))
    at = sound(at.button(key="look").click().run())
    at = sound(next(b for b in at.button if b.label == "Record this decision").click().run())
    kept = [e for e in journal(shop).entries() if e["kind"] == "decision"]
    assert [(e["action"], e["arm"], e["looks"]) for e in kept] == [("roll out", "free", 1)]
    assert kept[0]["who"]
    at.session_state["experiment_part"] = "Record"
    at = sound(at.run())
    assert "roll out free" in said(at)
    row = at.dataframe[0].value.iloc[0]
    assert row["holds"] == "yes"
    assert row["change now"] == pytest.approx(row["change then"])
    assert [x.action for x in Project.open(shop).access.audit(2)] == ["experiment"] * 2


def test_an_off_balance_test_is_to_be_fixed_and_gets_no_figure(open_page) -> None:
    at = open_page(declared())
    at = at.selectbox(key="exposures").set_value("lost.parquet").run()
    at = at.button(key="look").click().run()
    assert not at.exception
    assert said(at) == "Fix the test: its data cannot be trusted."
    assert "XP101" in at.error[0].value
    assert not at.metric


def test_a_plan_of_another_time_says_what_the_log_covers(open_page, shop: Path) -> None:
    at = open_page(declared(start="2031-01-01", end=None))
    at = at.button(key="look").click().run()
    assert not at.exception
    (line,) = at.error
    assert "nobody was exposed" in line.value
    assert "1 January 2031" in " ".join(c.value.replace("\\", "") for c in at.caption)
    assert journal(shop).looked == 0


def test_who_may_only_look_at_pages_neither_looks_nor_decides(
    open_page, shop: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cartcast.app.ui.who", lambda project: VIEWER)
    at = sound(open_page(declared()))
    assert at.button(key="look").disabled
    at = sound(open_page(declared(), experiment_part="New plan"))
    assert "ask an analyst" in " ".join(c.value for c in at.caption)
    project = Project.open(shop)
    plan = experiments.plan_from(declared())
    with pytest.raises(RefusedError, match="needs the role analyst"):
        actions.keep_plan(project, VIEWER, "x.yaml", yaml.safe_dump(declared()))
    with pytest.raises(RefusedError, match="needs the role analyst"):
        actions.look(project, VIEWER, plan, None)  # type: ignore[arg-type]
    assert journal(shop).entries() == []


def test_a_plan_that_was_kept_is_not_changed_under_way(shop: Path) -> None:
    project = Project.open(shop)
    first = yaml.safe_dump(declared())
    assert plans.keep(project, "a/../x.yaml", first).path.name == "x.yaml"
    assert plans.keep(project, "x.yaml", first).title == "x"
    with pytest.raises(UsageError, match="another plan"):
        plans.keep(project, "x.yml", yaml.safe_dump(declared(level=0.9)))
    with pytest.raises(DefinitionError, match="holds no experiment"):
        plans.keep(project, "y.yaml", "sources: [a.csv]\n")
