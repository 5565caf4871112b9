from __future__ import annotations

import pytest

from cartcast.app import actions
from cartcast.app.access import Person, RefusedError
from cartcast.app.state import Project
from cartcast.errors import NotFoundError, UsageError
from cartcast.insights import overview


def test_a_log_is_read_once_and_found_again(project):
    assert project.get_data(None) is None
    first = project.read(project.source_paths())
    assert project.read(project.source_paths()) == first
    assert [d.key for d in project.data()] == [first.key]
    assert overview(first.log, sessions=first.sessions).sessions == 120
    assert project.get_data("no such key") == first


def test_a_changed_source_is_another_log(project, folder):
    first = project.read(project.source_paths())
    text = (folder / "shop.csv").read_text().splitlines()
    (folder / "shop.csv").write_text("\n".join(text[:50]) + "\n")
    second = project.read(project.source_paths())
    assert second.key != first.key
    assert second.log.summary.events < first.log.summary.events


def test_a_failed_reading_leaves_nothing(project, folder):
    (folder / "bad.csv").write_text("a,b\n1,2\n")
    with pytest.raises(Exception, match=r"bad\.csv"):
        project.read([str(folder / "bad.csv")])
    assert project.data() == []


def test_a_project_needs_a_folder_and_sound_settings(tmp_path):
    with pytest.raises(NotFoundError):
        Project.open(tmp_path / "none")
    assert Project.open(tmp_path).settings.upload_megabytes == 500
    (tmp_path / "cartcast.yaml").write_text("uploads: 3\n")
    with pytest.raises(UsageError):
        Project.open(tmp_path)


def test_a_run_by_id_by_alias_or_the_newest(with_run):
    assert with_run.run().id == "run-1"
    assert with_run.run("run-1").title.startswith("purchase")
    assert with_run.run("gone").id == "run-1"
    assert with_run.run().findings[0].code == "LK401"


@pytest.mark.parametrize("role", ["viewer", None])
def test_every_action_asks_for_the_role(with_run, role):
    person = Person("https://id", "eve", "Eve", role)
    data = with_run.get_data(None)
    for act in (
        lambda: actions.promote(with_run, person, "run-1", "champion", "because"),
        lambda: actions.rollback(with_run, person, "champion", "purchase"),
        lambda: actions.delete_data(with_run, person, data),
        lambda: actions.pick_file(with_run, person, "shop.csv"),
        lambda: actions.read_log(with_run, person, ["shop.csv"]),
        lambda: actions.add_upload(with_run, person, "a.csv", None),
    ):
        with pytest.raises(RefusedError):
            act()
    assert not any(line.allowed for line in with_run.access.audit())
    assert with_run.get_data(None) == data


def test_delete_data_keeps_the_source(with_data, folder):
    owner = with_data.access.owner()
    actions.delete_data(with_data, owner, with_data.get_data(None))
    assert with_data.data() == []
    assert (folder / "shop.csv").is_file()
