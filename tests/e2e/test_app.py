"""The real app in a real browser: server, access, uploads, training, predictions, a phone."""

from __future__ import annotations

import io
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pandas as pd
import pytest

sync_api = pytest.importorskip("playwright.sync_api")
# Conditions, not times: what must come may take long on a busy machine.
sync_api.expect.set_options(timeout=120_000)
CHROMIUM = os.environ.get("CARTCAST_CHROMIUM") or shutil.which("chromium")

pytestmark = [
    pytest.mark.chromium,
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.skipif(CHROMIUM is None, reason="needs chromium, which is not installed here"),
]
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
HEADER = "visitor_id,session_id,event_time,event_type,item_id,category,price,quantity,currency\n"


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


def shop(path: Path, sessions: int = 60) -> None:
    steps = ["view_item", "view_item", "add_to_cart", "purchase"]
    with path.open("w") as out:
        out.write(HEADER)
        for s in range(sessions):
            for k, kind in enumerate(steps[: 1 + s % 4]):
                at = f"2024-03-{1 + s % 28:02d}T10:{k:02d}:00"
                out.write(f"v{s % 40},s{s},{at},{kind},i{s % 5},c{s % 2},{10 + s % 5},1,EUR\n")


@contextmanager
def served(folder: Path, port: int, **environment: str) -> Iterator[str]:
    """Run `cartcast app` for a project until the block ends."""
    log = (folder / "server.log").open("wb")
    process = subprocess.Popen(
        [sys.executable, "-m", "cartcast", "app", "--project", str(folder), "--port", str(port)],
        stdout=log,
        stderr=subprocess.STDOUT,
        env={**os.environ, **environment},
    )
    url = f"http://localhost:{port}"
    try:
        for _ in range(900):
            try:
                with urllib.request.urlopen(f"{url}/_stcore/health", timeout=1):
                    break
            except OSError:
                assert process.poll() is None, (folder / "server.log").read_text()
                time.sleep(0.2)
        yield url
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(120)
        log.close()


@pytest.fixture(scope="module")
def browser():
    with sync_api.sync_playwright() as p:
        made = p.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield made
        made.close()


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("shop")
    shop(folder / "shop.csv")
    (folder / "cartcast.yaml").write_text("sources: [shop.csv]\nupload_megabytes: 3\n")
    return folder


@pytest.fixture
def ready(project) -> None:
    """The project's own log has been read, whichever tests ran before."""
    from cartcast.app.state import Project

    made = Project.open(project)
    made.read(made.source_paths())


@pytest.fixture(scope="module")
def app(project):
    with served(project, free_port()) as url:
        yield url


@pytest.fixture
def page(browser, app):
    """Open a page; afterwards nothing may have been asked of anybody else."""
    context = browser.new_context(viewport={"width": 1366, "height": 900})
    context.set_default_timeout(120_000)
    made = context.new_page()
    outside: list[str] = []
    here = (app, app.replace("http", "ws"), "data:", "blob:")
    made.on("request", lambda r: None if r.url.startswith(here) else outside.append(r.url))
    yield made
    context.close()
    assert outside == []


def title(page, text: str | re.Pattern[str]) -> None:
    sync_api.expect(page.locator("h1").first).to_contain_text(text)


STILL = """() => {
  const app = document.querySelector('[data-testid=stApp]');
  const busy = '[data-stale=true], [data-testid=stSpinner], [data-testid=stSkeleton]';
  const grey = document.querySelector('[data-testid=stCaptionContainer]');
  const styled = !grey || getComputedStyle(grey).opacity < 1;
  return app && styled && app.dataset.testScriptState === 'notRunning' && !document.querySelector(busy)
    && document.getAnimations().every(a => a.playState !== 'running'
      || a.effect.getComputedTiming().endTime === Infinity);
}"""


def settled(page) -> None:
    """Wait until the page's script has run to its end and everything is drawn and still."""
    page.wait_for_function(STILL, timeout=120_000)


def open_part(page, url: str, part: str) -> None:
    page.goto(f"{url}/training?part={part}")
    page.get_by_role("radio", name=part, exact=True).wait_for()


def test_from_a_file_to_the_answer(page, app):
    page.goto(app)
    title(page, "This page will show")
    page.get_by_role("button", name="Read the project's data").click()
    title(page, "of sessions buy")
    sync_api.expect(page.locator("[data-testid=stMetric]")).to_have_count(5)
    settled(page)
    assert page.locator("[data-testid=stException]").count() == 0
    for path, words in (("analysis", "reach"), ("training", "60 sessions")):
        page.goto(f"{app}/{path}")
        title(page, words)


def test_a_bar_leads_to_its_sessions(page, app, ready):
    page.goto(f"{app}/?device=mobile")
    title(page, "of sessions buy")
    settled(page)
    bar = page.locator(".st-key-funnel_chart_0 .bars .point path").first
    bar.hover(force=True)
    bar.click(force=True)
    page.wait_for_url(re.compile("topic=Sessions"))
    title(page, "sessions of")
    sync_api.expect(page.get_by_label("Usual funnel")).to_have_value("reached product page")
    # On the page of the sessions itself, and back to all of them.
    page.goto(f"{app}/analysis?topic=Funnel")
    title(page, "reach")
    settled(page)
    bar = page.locator(".st-key-funnel_0 .bars .point path").first
    bar.hover(force=True)
    bar.click(force=True)
    page.wait_for_url(re.compile("topic=Sessions"))
    page.get_by_role("button", name="All sessions").click()
    title(page, "60 sessions of")
    page.goto(f"{app}/analysis?topic=Paths")
    title(page, "sessions with")
    settled(page)
    flow = page.locator(".st-key-paths_0 .scatterlayer .point").nth(3)
    flow.hover(force=True)
    flow.click(force=True)
    page.wait_for_url(re.compile("topic=Sessions"))
    page.get_by_text("Only: step 1 after the first product page").wait_for()


def test_the_state_of_a_view_is_in_its_address(page, app, browser, ready):
    page.goto(f"{app}/analysis")
    title(page, "reach")
    page.get_by_role("radio", name="Paths").click()
    title(page, "sessions with")
    page.wait_for_url(re.compile("topic=Paths"))
    other = browser.new_context().new_page()
    other.goto(page.url)
    title(other, "sessions with")
    other.context.close()


def test_a_huge_upload_is_refused_and_a_bad_one_named(page, app):
    open_part(page, app, "Data")
    chooser = page.locator("input[type=file]").first
    chooser.set_input_files(
        {"name": "huge.csv", "mimeType": "text/csv", "buffer": b"x" * 3_500_000}
    )
    page.get_by_text(re.compile("must be 3(.0)? ?MB or smaller", re.I)).wait_for()
    chooser.set_input_files({"name": "bad.csv", "mimeType": "text/csv", "buffer": b"a;b\n1;2\n"})
    page.get_by_role("button", name="Read and validate").click()
    alert = page.locator("[data-testid=stAlert]").filter(has_text="bad.csv")
    alert.first.wait_for()
    assert "Traceback" not in page.content()


def test_upload_of_a_real_log_is_understood(page, app, rees46_file):
    open_part(page, app, "Data")
    page.locator("input[type=file]").first.set_input_files(str(rees46_file))
    page.get_by_role("button", name="Read and validate").click()
    title(page, "17,434 events in 5,066 sessions, 200 of them buy")


def test_the_eshop_file_has_no_outcome_and_the_app_says_so(page, app, eshop_file):
    open_part(page, app, "Data")
    page.locator("input[type=file]").first.set_input_files(str(eshop_file))
    page.get_by_role("button", name="Read and validate").click()
    title(page, "165,474 events in 24,026 sessions, no purchases")
    page.get_by_role("radio", name="Train", exact=True).click()
    page.get_by_text("records no outcome").wait_for()


def start_training(page, app) -> None:
    open_part(page, app, "Train")
    page.get_by_role("button", name="Train", exact=True).last.click()
    page.get_by_text("has begun").wait_for()


def hold(project: Path) -> None:
    """Stop the clock of all trainings under way: none may end before it is looked at."""
    from cartcast.app import jobs
    from cartcast.app.state import Project

    for job in jobs.jobs(Project.open(project)):
        if job.state in jobs.OPEN:
            os.kill(jobs._process(job.folder)["pid"], signal.SIGSTOP)


def test_two_trainings_outlive_their_pages_and_are_cancelled(
    browser, app, page, project, rees46_file
):
    open_part(page, app, "Data")
    page.locator("input[type=file]").first.set_input_files(str(rees46_file))
    page.get_by_role("button", name="Read and validate").click()
    title(page, "17,434 events")
    for _ in range(2):
        one = browser.new_context()
        tab = one.new_page()
        tab.set_default_timeout(120_000)
        start_training(tab, app)
        hold(project)
        one.close()
    open_part(page, app, "Trainings")
    sync_api.expect(page.get_by_role("button", name="Cancel")).to_have_count(2)
    for left in (1, 0):
        page.get_by_role("button", name="Cancel").first.click()
        sync_api.expect(page.get_by_role("button", name="Cancel")).to_have_count(left)
    ended = page.locator("summary").filter(has_text="cancelled")
    sync_api.expect(ended).to_have_count(2)


@pytest.fixture(scope="module")
def provider():
    """A local OIDC provider with three people."""
    oidc = pytest.importorskip("oidc_provider_mock")
    people = [oidc.User(sub=name) for name in ("boss", "ann", "eve", "nobody")]
    with oidc.run_server_in_thread(user_claims=people) as server:
        yield f"http://localhost:{server.server_port}"


@pytest.fixture(scope="module")
def guarded(tmp_path_factory, provider):
    folder = tmp_path_factory.mktemp("guarded")
    shop(folder / "shop.csv")
    (folder / "cartcast.yaml").write_text(
        "sources: [shop.csv]\nauth:\n"
        f"  metadata_url: {provider}/.well-known/openid-configuration\n"
        f"  client_id: app\n  admins: [{{issuer: '{provider}', subject: boss}}]\n"
    )
    from cartcast.app.access import Access, Person

    access = Access(folder, {"admins": []})
    boss = Person(provider, "boss", "Boss", "admin")
    access.set_role(boss, provider, "ann", "analyst", "Ann")
    access.set_role(boss, provider, "eve", "viewer", "Eve")
    port = free_port()
    settings = folder / "cartcast.yaml"
    settings.write_text(
        settings.read_text() + f"  redirect_uri: http://localhost:{port}/oauth2callback\n"
    )
    with served(folder, port, CARTCAST_CLIENT_SECRET="secret") as url:
        yield url, folder


def sign_in(browser, url: str, subject: str):
    page = browser.new_context().new_page()
    page.set_default_timeout(120_000)
    page.goto(url)
    page.get_by_role("button", name="Sign in").click()
    page.locator("input[name=sub]").wait_for()
    page.locator("input[name=sub]").fill(subject)
    page.get_by_role("button", name="Authorize").click()
    page.get_by_role("button", name="Sign out").first.wait_for()
    return page


def test_nothing_is_shown_before_signing_in(browser, guarded):
    url, _ = guarded
    page = browser.new_context().new_page()
    for path in ("", "training", "performance", "segments", "analysis", "predictions"):
        page.goto(f"{url}/{path}")
        title(page, "Sign in to see this project")
        # A page of the gate's own: nothing of the framework runs yet.
        assert page.locator("[data-testid=stApp]").count() == 0
    page.context.close()


@pytest.mark.parametrize(
    ("subject", "upload", "people"),
    [("eve", False, False), ("ann", True, False), ("boss", True, True)],
)
def test_each_role_is_offered_what_it_may_do(browser, guarded, subject, upload, people):
    url, _ = guarded
    page = sign_in(browser, url, subject)
    page.goto(f"{url}/training")
    page.get_by_role("radio", name="Trainings").wait_for()
    settled(page)
    assert (page.get_by_role("button", name="Read and validate").count() == 1) is upload
    assert (page.get_by_role("radio", name="People").count() == 1) is people
    # The direct address shows no more than the menu does.
    page.goto(f"{url}/training?part=People")
    page.get_by_role("radio", name="Trainings").wait_for()
    settled(page)
    assert (page.get_by_text("Audit log").count() == 1) is people
    page.goto(f"{url}/training?part=Train")
    page.get_by_role("radio", name="Trainings").wait_for()
    settled(page)
    assert (page.get_by_text("but not train; ask an analyst").count() == 0) is upload
    page.context.close()


def test_without_a_role_one_is_told_what_to_ask_for(browser, guarded, provider):
    url, _ = guarded
    page = sign_in(browser, url, "nobody")
    title(page, "have no role in this project")
    page.get_by_text(provider).first.wait_for()
    page.context.close()


@pytest.fixture(scope="module")
def simulated(tmp_path_factory):
    """The app of a project with a simulated shop, read but not trained on."""
    from cartcast.app.state import Project
    from cartcast.datasets import simulate

    folder = tmp_path_factory.mktemp("simulated")
    simulate(sessions=3000, seed=2, out=folder / "shop.parquet")
    (folder / "cartcast.yaml").write_text("sources: [shop.parquet]\n")
    project = Project.open(folder)
    project.read(project.source_paths())
    with served(folder, free_port()) as url:
        yield url, project


@pytest.fixture
def desk(browser):
    context = browser.new_context(accept_downloads=True, viewport={"width": 1366, "height": 900})
    context.set_default_timeout(120_000)
    yield context.new_page()
    context.close()


def choose(page, label: str, value: str) -> None:
    """Choose a value of a list with several choices, and close it."""
    box = page.get_by_role("combobox", name=label)
    box.click()
    page.get_by_role("option", name=value, exact=True).click()
    page.keyboard.press("Escape")


@pytest.fixture
def entry(simulated):
    """A run of the simulated project, whichever tests ran before."""
    from cartcast.train import train

    _, project = simulated
    if not project.runs():
        train(project=project.folder, models=("logistic_regression",), segments=3)
    return project.runs()[0]


def test_a_training_is_watched_to_its_end(desk, simulated):
    url, project = simulated
    open_part(desk, url, "Train")
    choose(desk, "Models (baselines always train)", "logistic regression")
    desk.get_by_role("button", name="Train", exact=True).last.click()
    desk.get_by_text("has begun").wait_for()
    open_part(desk, url, "Trainings")
    desk.locator("[data-testid=stProgress]").first.wait_for()
    title(desk, "Training purchase: ")
    done = desk.locator("summary").filter(has_text="done")
    done.first.wait_for(timeout=300_000)
    title(desk, "events in 3,000 sessions")
    done.first.click()
    desk.get_by_role("link", name="See how good it is").click()
    title(desk, "ROC AUC 0.")
    settled(desk)
    assert desk.locator("[data-testid=stAlert]").filter(has_text="Unexpected").count() == 0
    assert [r.champion for r in project.runs()][:1] == ["logistic_regression"]
    assert ("purchase", "champion") in project.registry.aliases()


def test_one_session_is_predicted_click_by_click(desk, simulated, entry):
    url, _ = simulated
    desk.goto(f"{url}/predictions")
    for clicks in (1, 2):
        desk.get_by_role("button", name="Add", exact=True).click()
        desk.get_by_text(f"After {clicks} clicks").wait_for()
        title(desk, "probability of")
    settled(desk)
    desk.get_by_text("What would change it").wait_for()


def test_a_batch_equals_the_command_line(desk, simulated, entry, tmp_path):
    url, project = simulated
    out = tmp_path / "cli.csv"
    subprocess.run(
        [sys.executable, "-m", "cartcast", "predict", "shop.parquet", "--model", str(entry.path),
         "--out", str(out)],
        check=True, cwd=project.folder,
    )  # fmt: skip
    desk.goto(f"{url}/predictions?kind=Batch")
    desk.locator("input[type=file]").first.set_input_files(str(project.folder / "shop.parquet"))
    desk.get_by_role("button", name="Score", exact=True).click()
    title(desk, "Sessions that are still open, without it so far: ")
    with desk.expect_download() as got:
        desk.get_by_role("button", name="CSV", exact=False).last.click()
    mine = pd.read_csv(io.BytesIO(Path(got.value.path()).read_bytes()))
    pd.testing.assert_frame_equal(mine, pd.read_csv(out), check_exact=True)


def test_an_experiment_from_the_look_to_the_record(desk, simulated):
    import yaml

    from cartcast.experiments import draft

    url, project = simulated
    log = project.get_data(None).log.summary
    plan = draft("shipping", {"control": 0.5, "free": 0.5}, "revenue")
    plan |= {"start": log.start[:10], "end": log.end[:10]}
    (project.folder / "shipping.yaml").write_text(yaml.safe_dump(plan, sort_keys=False))
    desk.goto(f"{url}/experiments")
    title(desk, "shipping: free against control, judged by revenue.")
    for times in ("once", "2 times"):
        desk.get_by_role("button", name=re.compile("Look (at the results|again)")).click()
        desk.get_by_text(f"You looked {times}").wait_for()
    title(desk, "revenue changes by ")
    sync_api.expect(desk.locator("[data-testid=stPlotlyChart]")).to_have_count(2)
    desk.get_by_role("button", name="Record this decision").click()
    desk.get_by_text("Recorded; see it under Record.").wait_for()
    desk.get_by_role("radio", name="Record", exact=True).click()
    title(desk, re.compile("shipping: .*, decided on"))
    # Drawing the page anew, and going back to the results, was no further look.
    desk.get_by_role("radio", name="Results", exact=True).click()
    desk.get_by_text("You looked 2 times").wait_for()
    settled(desk)
    kept = (project.state / "experiments" / "shipping.jsonl").read_text().splitlines()
    assert len(kept) == 3
    with desk.expect_download() as got:
        desk.get_by_role("button", name="The decision as a page").click()
    page = Path(got.value.path()).read_text()
    assert "You looked 2 times." in page
    assert "within what was expected" in page


def test_an_alarm_is_handled_where_it_is_read(desk, simulated, entry):
    from cartcast.monitoring.alarms import Notice
    from cartcast.monitoring.store import open_store

    url, project = simulated
    store = open_store(project.folder)
    risk = dict.fromkeys(
        ("log_loss", "log_loss_expected", "brier", "brier_expected", "purchases", "revenue"), 0.5
    )
    told = {"days": 9, "last_day": "2026-03-09", "risk": risk, "estimate": None, "drift": [],
            "calibration": [], "findings": []}  # fmt: skip
    store.keep_look(entry.run_id, told)
    day = pd.Timestamp("2026-03-02")
    store.notice(
        entry.run_id, [Notice("MO101", "down", "page", day, day, "purchases were 80%.")], "EUR"
    )
    desk.goto(f"{url}/monitoring")
    title(desk, "Since 2 March 2026: purchases were 80%.")
    settled(desk)
    desk.get_by_role("textbox", name="Reason; it is kept").first.fill("checkout")
    desk.get_by_role("button", name="Resolve").click()
    title(desk, "No alarm: 9 days are watched")
    assert store.alarms()[0].state == "resolved"
    assert store.history(1)[-1][3] == "checkout"


def test_a_view_is_kept_shown_at_the_start_and_sent(desk, simulated, tmp_path):
    from cartcast.app.saved_views import read_views

    url, project = simulated
    desk.goto(f"{url}/analysis")
    title(desk, "reach")
    # On another topic than the first, too, the filters are in the address.
    desk.get_by_role("radio", name="Paths").click()
    title(desk, "sessions with")
    desk.wait_for_url(re.compile("topic=Paths"))
    settled(desk)
    choose(desk, "Period", "last 28 days")
    desk.wait_for_url(re.compile("days=last"))
    settled(desk)
    said = desk.locator("h1").first.inner_text()
    desk.get_by_role("button", name="Save or share this view").click()
    card = desk.locator("[data-testid=stPopoverBody]")
    sync_api.expect(card.locator("code")).to_have_text(desk.url.replace("%20", "+"))
    card.get_by_role("textbox", name="Name").fill("Paths of a month")
    card.get_by_role("textbox", name="Name").press("Enter")
    card.get_by_role("button", name="Save", exact=True).click()
    card.get_by_text("Saved as Paths of a month").wait_for()
    assert [v.state["days"] for v in read_views(project.folder)] == [["last 28 days"]]
    desk.keyboard.press("Escape")
    desk.locator("[data-testid=stPlotlyChart]").first.hover()
    with desk.expect_download() as got:
        desk.locator(".modebar-btn").first.click()
    assert Path(got.value.path()).read_bytes().startswith(b"\x89PNG")
    # The app opened without an address begins with what was kept.
    desk.goto(url)
    desk.wait_for_url(re.compile("/start"))
    title(desk, said)
    desk.get_by_role("heading", name="Paths of a month").wait_for()
    with desk.expect_download() as got:
        desk.get_by_role("button", name="As a page (HTML)").click()
    got.value.save_as(tmp_path / "views.html")
    asked: list[str] = []
    desk.on("request", lambda r: asked.append(r.url))
    desk.goto((tmp_path / "views.html").as_uri())
    desk.locator(".main-svg").first.wait_for()
    assert said in desk.locator("h1").inner_text().replace("\xa0", " ")
    assert len(asked) == 1
    # It prints: its text is in the document, and the chart is drawn, not a picture.
    assert desk.pdf().startswith(b"%PDF")
    desk.goto(f"{url}/start")
    settled(desk)
    desk.get_by_role("button", name="Open", exact=True).click()
    desk.wait_for_url(re.compile("analysis.*days=last"))
    title(desk, said)


LOOKS = [("light", (1366, 900)), ("dark", (390, 844))]


def test_every_page_in_every_look(desk, simulated, entry):
    """Axe on all pages, light on a laptop and dark on a phone; one load of each."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    from cartcast.app.saved_views import SavedView, save_view
    from cartcast.app.ui import PAGES

    url, project = simulated
    save_view(project.folder, SavedView("The shop", "dashboard"))
    wrong = []
    paths = {name: name for name in PAGES} | {"dashboard": "?days=all"}
    for name, path in paths.items():
        desk.goto(f"{url}/{path}")
        desk.locator("h1").first.wait_for()
        for scheme, (wide, high) in LOOKS:
            desk.emulate_media(color_scheme=scheme)
            desk.set_viewport_size({"width": wide, "height": high})
            settled(desk)
            wrong += [
                (name, scheme, wide, v["id"], v["nodes"][0]["html"][:200])
                for v in axe.run(desk).response["violations"]
                if v["impact"] in ("moderate", "serious", "critical")
            ]
            if desk.evaluate("document.querySelector('[data-testid=stMain]').scrollWidth") > wide:
                wrong.append((name, scheme, wide, "wider than the window", ""))
        # Last on a phone: the answer and its chart come before what it is asked with.
        folded, chart = desk.locator(".st-key-filters"), desk.locator("[data-testid=stPlotlyChart]")
        both = [p.first.bounding_box()["y"] for p in (chart, folded) if p.count()]
        if both != sorted(both):
            wrong.append((name, "phone", 390, "filters before the chart", ""))
    assert wrong == []
