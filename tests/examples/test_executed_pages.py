"""The pages that are executed: every command runs, and prints what is shown."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

DOCS = Path(__file__).resolve().parents[2] / "docs"


def load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("run_pages", DOCS / "run_pages.py")
    assert spec is not None
    assert spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    return made


run_pages = load()


@pytest.mark.slow
@pytest.mark.parametrize("page", run_pages.pages(), ids=lambda p: p.stem)
def test_a_page_prints_what_it_shows(page: Path, tmp_path: Path) -> None:
    assert run_pages.differences(page, tmp_path) == ""


PAGE = """# One

```console
$ false
```

## Two

<!-- executed -->

```yaml
# at.yaml
url: localhost:8000
```

```console
$ cd . && here=at.yaml
$ head -1 $here; date
# at.yaml
...
$ echo a \\
    b
```

# Three

```console
$ false
```
"""


def test_only_what_is_marked_runs_and_what_differs_is_told(tmp_path: Path) -> None:
    now = run_pages.run_page(PAGE, tmp_path)
    assert now == PAGE.replace("    b\n", "    b\na b\n")
    assert run_pages.run_page(now, tmp_path) == now
    assert "localhost:8000" not in (tmp_path / "at.yaml").read_text()
    page = tmp_path / "page.md"
    page.write_text(PAGE)
    assert "+a b" in run_pages.differences(page, tmp_path)
    page.write_text(PAGE.replace("date", "false"))
    with pytest.raises(RuntimeError, match="failed"):
        run_pages.differences(page, tmp_path)
    assert {p.name for p in run_pages.pages()} >= {"experiment.md", "start.md"}
