"""Pictures of pages of the site that `make docs` built, on a laptop and a phone, in build/site.

    python scripts/site_pictures.py [PAGE ...]

Every page of the site is looked at; exit status 1 names those that are wider than the screen.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

ROOT = Path(__file__).resolve().parents[1]
SIZES = {"laptop": (1366, 860), "phone": (390, 844)}
SHOWN = [
    "",
    "glossary",
    "reference/cli",
    "reference/python/cartcast.leakage",
    "tutorials/experiment",
]
WIDER = "document.documentElement.scrollWidth > document.documentElement.clientWidth"


def main() -> int:
    """Take the pictures and look for what does not fit."""
    site, out = ROOT / "site", ROOT / "build" / "site"
    out.mkdir(parents=True, exist_ok=True)
    chromium = os.environ.get("CARTCAST_CHROMIUM") or shutil.which("chromium")
    wanted = {name.strip("/") for name in sys.argv[1:] or SHOWN}
    wide = []
    with sync_playwright() as p:
        browser = p.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        for size, (width, height) in SIZES.items():
            page = browser.new_page(viewport={"width": width, "height": height})
            for path in sorted(site.rglob("index.html")):
                name = path.parent.relative_to(site).as_posix().strip(".")
                page.goto(path.as_uri())
                if page.evaluate(WIDER):
                    wide.append(f"{size}: {name} is wider than the screen")
                if name in wanted:
                    page.screenshot(path=out / f"{name.replace('/', '-') or 'start'}-{size}.png")
        browser.close()
    print(*wide, sep="\n", end="\n" if wide else "")
    return bool(wide)


if __name__ == "__main__":
    sys.exit(main())
