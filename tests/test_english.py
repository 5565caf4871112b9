"""The word list of CONTRIBUTING is kept, and the check sees what it should see."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
spec = importlib.util.spec_from_file_location("english", ROOT / "scripts" / "english.py")
assert spec is not None
assert spec.loader is not None
english = importlib.util.module_from_spec(spec)
spec.loader.exec_module(english)


def test_the_list_is_read_from_the_page():
    listed = english.word_list()
    assert len(listed) > 10
    assert all(write.strip() for _, write in listed)


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ('"""Kill it so\n    often."""\n', 1),
        ('print(f"Whoever asks {1} goes on")\n', 2),
        ('x = "people go on to checkout"\n', 0),
        ("# anew: a comment is not for readers\n", 0),
        ('x = "a new one"\n', 0),
    ],
)
def test_planted_words_are_found(tmp_path, text, wrong):
    place = tmp_path / "planted.py"
    place.write_text(text)
    assert len(list(english.found(place, english.word_list()))) == wrong


STUMBLED = (
    "the best so many", "Your role looks only", "How late an event is still put right",
    "The old one goes on so long", "Kill and restart the state so often",
    "no such session table; it is made again from the log",
    "a form without ranges would invite nonsense", "another encoding is said",
    "the parameters of one left alone", "the port or the state cannot be had",
)  # fmt: skip


@pytest.mark.parametrize("sentence", STUMBLED)
def test_sentences_that_readers_stumbled_over_do_not_come_back(tmp_path, sentence):
    place = tmp_path / "page.md"
    place.write_text(f"# Page\n\n{sentence}.\n")
    assert list(english.found(place, english.word_list()))
