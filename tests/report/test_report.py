"""The report and the card: self-contained, escaped, honest about proxies, blocks and waivers."""

from __future__ import annotations

import importlib.util
import json
import math
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from cartcast.charts.theme import recolour
from cartcast.errors import NotFoundError, NotTrustedError
from cartcast.report import write_card, write_report
from cartcast.report.answers import headline, next_steps, trust
from cartcast.report.evidence import Evidence
from cartcast.runs.run import Run

_spec = importlib.util.spec_from_file_location("make_run", Path(__file__).parent / "make_run.py")
assert _spec is not None
assert _spec.loader is not None
_module = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_module)
make_run = _module.make_run

EVIL = '</script><script>alert(1)</script>"><img src=x onerror=alert(2)>'
BLOCK = (("LK401", "block", "feature x alone tells the label", "Drop it.", None),)
SMALL = {"n_sessions": 700}


class Page(HTMLParser):
    """What a browser would see: tags with attributes, the words, the scripts."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.scripts: list[str] = []
        self._inside = ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self._inside = tag if tag in ("script", "style") else self._inside

    def handle_endtag(self, tag):
        self._inside = "" if tag == self._inside else self._inside

    def handle_data(self, data):
        if self._inside == "script":
            self.scripts.append(data)
        elif not self._inside:
            self.words.append(data.replace("\u00a0", " "))

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    base = tmp_path_factory.mktemp("runs")
    kinds = {
        "plain": {},
        "proxy": {"proxy": True, "findings": ()},
        "ready": {"ready": True, "revenue": False, "segments": False},
        "money": {"kind": "regressor"},
        "blocked": {"findings": BLOCK},
        "evil": {"evil": EVIL},
        "clean": {"findings": (), "n_sessions": 4000},
    }
    return {name: make_run(base / name, **{**SMALL, **o}) for name, o in kinds.items()}


KINDS = ("plain", "proxy", "ready", "money", "blocked", "evil", "clean")


@pytest.fixture(scope="module")
def pages(runs):
    return {name: write_report(runs[name]).read_text(encoding="utf-8") for name in KINDS}


@pytest.mark.parametrize("name", KINDS)
def test_nothing_is_fetched(pages, name):
    for tag, attributes in Page(pages[name]).tags:
        for key in ("src", "href", "action", "data", "srcset"):
            value = attributes.get(key) or ""
            assert not re.match(r"(https?:)?//", value), (tag, value)
    assert "default-src 'none'" in pages[name]


@pytest.mark.parametrize("name", KINDS)
def test_the_order_is_answer_trust_quality_drivers_money_segments_next(pages, name):
    page = Page(pages[name])
    ids = [a["id"] for t, a in page.tags if t == "section"]
    usual = ["asked", "trust", "good", "drivers", "revenue", "segments", "next"]
    assert ids == [i for i in usual if i in ids]
    assert {"asked", "trust", "good", "next"} <= set(ids)
    assert [t for t, _ in page.tags].count("h1") == 1


@pytest.mark.parametrize("name", KINDS)
def test_every_chart_is_json_with_words_and_numbers(pages, name):
    page = Page(pages[name])
    charts = [a for t, a in page.tags if t == "script" and "data-chart" in a]
    boxes = {a["id"]: a for t, a in page.tags if a.get("class") == "chart"}
    assert {a["data-chart"] for a in charts} == set(boxes)
    assert all(box["aria-label"] for box in boxes.values())
    assert len(boxes) == len([1 for t, _ in page.tags if t == "figure"])
    everything = [a["id"] for _, a in page.tags if "id" in a]
    assert len(everything) == len(set(everything))
    found = re.findall(r'data-chart="[^"]*">(.*?)</script>', pages[name], re.DOTALL)
    for text in found:
        assert json.loads(text)["data"]


def test_text_of_the_data_never_becomes_markup(pages):
    page = Page(pages["evil"])
    assert not [t for t, _ in page.tags if t == "img"]
    assert not [a for _, a in page.tags if any(k.startswith("on") for k in a)]
    harmless = Page(pages["plain"])
    assert len([t for t, _ in page.tags if t == "script"]) == len(
        [t for t, _ in harmless.tags if t == "script"]
    )
    assert "alert(1)" in page.text


def test_text_of_the_data_stays_text_in_the_card(runs):
    text = write_card(runs["evil"]).read_text(encoding="utf-8")
    assert "<script" not in text
    assert "<img" not in text
    html = (runs["evil"] / "card.html").read_text(encoding="utf-8")
    assert not [t for t, _ in Page(html).tags if t in ("script", "img")]


def test_a_proxy_is_said_in_the_title(runs, pages):
    title = re.search(r"<title>(.*?)</title>", pages["proxy"])
    assert title is not None
    assert "proxy" in title[1]
    assert "No outcome is recorded here" in Page(pages["proxy"]).text
    card = write_card(runs["proxy"]).read_text(encoding="utf-8")
    assert "proxy" in card.splitlines()[0]
    assert "does not" not in card.splitlines()[0]


def test_a_block_is_the_headline(runs, pages):
    assert "Do not use these figures" in Page(pages["blocked"]).text
    assert 'class="banner block"' in pages["blocked"]
    e = Evidence(Run.open(runs["blocked"]))
    assert headline(e) == "Do not use these figures: the audit blocks them (LK401)."
    assert next_steps(e)[0] == "LK401: Drop it."
    assert "Not to be used" in write_card(runs["blocked"]).read_text(encoding="utf-8")


def test_a_waiver_stays_on_the_page_and_the_card(runs, pages):
    reason = "kept for the comparison with last year's report"
    assert reason in Page(pages["plain"]).text
    assert reason in write_card(runs["plain"]).read_text(encoding="utf-8")
    e = Evidence(Run.open(runs["plain"]))
    assert headline(e).startswith("Trained under a waiver of LK401")
    assert "Waived although it blocks" in trust(e)
    assert not any("LK401" in step for step in next_steps(e))


def test_a_model_no_better_than_its_baseline_is_not_recommended(tmp_path):
    folder = make_run(tmp_path / "run", n_sessions=700, findings=())
    data = json.loads((folder / "run.json").read_text())
    data["champion"] = "prevalence"
    data["baselines"] = ["click_count"]
    (folder / "run.json").write_text(json.dumps(data))
    e = Evidence(Run.open(folder))
    assert e.beats is False
    assert "do not act on the scores" in headline(e)
    assert next_steps(e)[0].startswith("Use the baseline")
    data["baselines"] = ["prevalence"]  # the best baseline is the champion itself
    (folder / "run.json").write_text(json.dumps(data))
    assert "the same average for all" in headline(Evidence(Run.open(folder)))


def test_figures_in_words_are_those_of_the_run(runs):
    from cartcast.charts.theme import number

    run = Run.open(runs["clean"])
    e = Evidence(run)
    test = run.test.sort_values("p__lightgbm", ascending=False, kind="stable")
    test = test.drop_duplicates("session_id")  # a session is acted on once
    taken = test["weight"].cumsum() <= 0.1 * test["weight"].sum()
    share = (test["weight"] * test["label"])[taken].sum() / (test["weight"] * test["label"]).sum()
    assert e.reached(0.1)[0] == pytest.approx(share, abs=0.02)
    assert f"{number(118 / 4000, 'share')} of sessions buy" in headline(e)
    assert number(e.reached(0.1)[0], "share") in headline(e)


def test_a_ready_table_has_no_click_chart(pages):
    assert "chart-by-click" not in pages["ready"]
    assert "chart-gain" in pages["ready"]
    assert "chart-deciles" not in pages["ready"]


def test_every_light_colour_has_a_dark_one():
    pairs = recolour()
    assert len(set(pairs)) == len(pairs)
    assert pairs["#0b62a8"] != pairs["#0b62a9"]
    assert not set(pairs) & set(pairs.values())


def test_no_light_colour_is_left_when_the_page_recolours(pages):
    found = re.findall(r'data-chart="[^"]*">(.*?)</script>', pages["plain"], re.DOTALL)
    pairs = recolour()
    for text in found:
        for colour in re.findall(r"#[0-9a-f]{6}\b", text):
            assert colour in pairs, colour


@pytest.mark.parametrize("name", ["run.json", "findings.json", "metrics.parquet"])
def test_a_missing_file_is_named(tmp_path, name):
    folder = make_run(tmp_path / "run", n_sessions=200)
    (folder / name).unlink()
    with pytest.raises(NotFoundError, match=re.escape(name)):
        write_report(folder)


def test_a_damaged_run_is_not_trusted(tmp_path):
    with pytest.raises(NotFoundError, match="no run folder"):
        write_report(tmp_path / "nowhere")
    folder = make_run(tmp_path / "run", n_sessions=200)
    (folder / "predictions.parquet").write_bytes(b"PAR1 not at all")
    with pytest.raises(NotTrustedError, match="not valid Parquet"):
        write_report(folder)
    (folder / "run.json").write_text("{")
    with pytest.raises(NotTrustedError, match="not valid JSON"):
        write_report(folder)
    (folder / "run.json").write_text('{"schema": 99}')
    with pytest.raises(NotTrustedError, match="schema must be 1, got 99"):
        write_report(folder)
    assert not list(folder.glob(".*"))


def test_the_card_holds_what_a_card_must(runs):
    text = write_card(runs["plain"]).read_text(encoding="utf-8")
    needed = "Use and limits,Findings and waivers,Figures,Calibration,Slices,Data and split,"
    needed += "Licence of the data,feature fingerprint,seed"
    for words in needed.split(","):
        assert words in text
    assert re.search(r"\| ROC AUC \| 0\.\d+ \(0\.\d+ to 0\.\d+\)", text)


def test_what_counts_is_told_by_click(pages, runs):
    assert "What counts changes: “clicks” most after click 1, “carts” after click 8." in (
        Page(pages["plain"]).text
    )
    assert "chart-importance-by-click" not in pages["ready"]


def test_effects_of_revenue_are_money(pages):
    page = Page(pages["money"]).text
    assert "Carts, all else as it was: the mean prediction goes from €0.02 at 0 to €0.14 at 4" in (
        page
    )
    assert "predicted revenue" in pages["money"]
    assert "predicted share" in pages["plain"]


def test_money_is_ranked_by_expected_revenue_and_by_probability(pages, runs):
    e = Evidence(Run.open(runs["plain"]))
    table = e.revenue_gain.set_index(["model", "contacted"])["reached"]
    t = e.test.sort_values("r__hurdle", ascending=False, kind="stable")
    t = t.drop_duplicates("session_id")  # a session is acted on once
    taken = t["weight"].cumsum() / t["weight"].sum()
    money = t["weight"] * t["amount"]
    assert table["expected revenue", 0.1] == pytest.approx(
        money[taken <= 0.1].sum() / money.sum(), abs=0.02
    )
    assert "chart-revenue-gain" in pages["plain"]
    assert "chart-revenue-gain" not in pages["money"], "its own gain chart is already money"
    assert "chart-revenue-gain" not in pages["ready"]


def test_the_card_says_how_the_champion_was_chosen(runs):
    card = write_card(runs["plain"]).read_text(encoding="utf-8")
    assert "## How it was chosen" in card
    assert "has the lowest loss (0.1021)" in card
    assert "12 trials, 0.110 to 0.100" in card


def test_the_verb_writes_both(runs):
    import subprocess
    import sys

    done = subprocess.run(
        [sys.executable, "-m", "cartcast", "report", str(runs["clean"]), "--json"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert Path(json.loads(done.stdout)["report"]).is_file()
    missing = subprocess.run(
        [sys.executable, "-m", "cartcast", "report", "nowhere"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert missing.returncode == 5
    assert "no run folder" in missing.stderr


def test_segments_show_the_interval_of_their_conversion(runs):
    table = Evidence(Run.open(runs["plain"])).segments.set_index("name")
    assert table.loc["Early leavers", ["low", "high"]].tolist() == [0.002, 0.007]
    assert math.isnan(table.loc["Comparers", "low"])
