"""Write the transcript in docs/agents.md: the protocol's client asks the server about a small shop.

    python docs/generate_agents.py [--check]

`--check` writes nothing and fails when the page is not what the server says.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

from mcp import Client, StdioServerParameters

from cartcast.atomic import write_text
from cartcast.datasets import simulate
from cartcast.demo import init_project
from cartcast.train import train

PAGE = Path(__file__).resolve().parent / "agents.md"
BEGIN, END = "<!-- transcript -->\n", "<!-- end of transcript -->\n"
SHOWN = 3
"""Lines of a run's answer that are shown: a model's own figures differ between machines."""


class Transcript:
    """Asks, and keeps what was asked and answered as Markdown."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.lines: list[str] = []

    async def ask(self, tool: str, lines: int | None = None, **arguments: Any) -> None:
        """Ask one question; `lines` is how much of the answer is shown."""
        result = await self.client.call_tool(tool, arguments)
        told = result.content[0].text.splitlines()  # type: ignore[union-attr]
        shown = told if lines is None or len(told) <= lines else [*told[:lines], "..."]
        given = f" `{json.dumps(arguments, ensure_ascii=False)}`" if arguments else ""
        self.lines += [f"**{tool}**{given}", "", "```text", *shown, "```", ""]


async def talk(folder: Path) -> str:
    """Return the transcript of a talk about the project in `folder`."""
    server = StdioServerParameters(
        command=sys.executable,
        args=["-m", "cartcast", "mcp", "--project", str(folder)],
        env=dict(os.environ),
    )
    async with Client(server) as client:
        t = Transcript(client)
        await t.ask("describe")
        await t.ask("ask", what="funnel")
        await t.ask("run", SHOWN, name="browsers")
        numbers = await _numbers(client)
        cart, proxy = numbers["of the first step: «add_to_cart»"], numbers["rows with the outcome"]
        await t.ask("check_text", text=f"Of the sessions that look at an item, {cart} fill a cart.")
        await t.ask(
            "check_text",
            text=f"Of the moments, {proxy} end in a purchase, twice as many as last year (21 %).",
        )
    return "\n".join(t.lines)


async def _numbers(client: Client) -> dict[str, str]:
    """Return numbers as they may be written, by what they are of."""
    found = {}
    for tool, arguments in (("ask", {"what": "funnel"}), ("run", {"name": "browsers"})):
        result = await client.call_tool(tool, arguments)
        for n in (result.structured_content or {})["numbers"]:
            if n["unit"] == "share":
                found[n["what"]] = f"{100 * n['value']:.1f} % [{n['id']}]"
    return found


def page() -> str:
    """Return the page with a fresh transcript."""
    with tempfile.TemporaryDirectory() as work:
        folder = Path(work) / "shop"
        folder.mkdir()
        init_project(folder, ("shop.parquet",), ("logistic_regression",))
        simulate(sessions=1500, seed=2, out=folder / "shop.parquet")
        train(
            project=folder, run_dir=folder / "browsers", target="proxy:browsing", threads=1,
            features="usual", backtest=False, refit=False,
        )  # fmt: skip
        told = asyncio.run(talk(folder))
    text = PAGE.read_text(encoding="utf-8")
    before, rest = text.split(BEGIN)
    return before + BEGIN + "\n" + told + "\n" + END + rest.split(END)[1]


def main() -> int:
    """Write the page, or check it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true")
    made = page()
    if parser.parse_args().check:
        if made != PAGE.read_text(encoding="utf-8"):
            print(f"{PAGE}: not what the server says; run docs/generate_agents.py", file=sys.stderr)
            return 1
        return 0
    write_text(PAGE, made)
    return 0


if __name__ == "__main__":
    sys.exit(main())
