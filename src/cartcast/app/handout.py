"""Views as one file to send or print: HTML with its charts, which asks nobody for anything."""

from __future__ import annotations

import json
from collections.abc import Sequence

from cartcast.app.headless import Drawn
from cartcast.app.saved_views import SavedView
from cartcast.charts.theme import recolour
from cartcast.report.block import for_script
from cartcast.report.document import environment, read_template

__all__ = ["page"]


def page(
    title: str,
    views: Sequence[SavedView],
    drawn: Sequence[Drawn],
    *,
    links: Sequence[str] = (),
    lead: str = "",
) -> str:
    """Return the page; text of the data is escaped, styles, script and Plotly are inside.

    Args:
        title: what the views are of.
        views: the views.
        drawn: what each says.
        links: where each is in the app, where that is known.
        lead: a sentence before all.
    """
    from plotly.offline import get_plotlyjs

    told = [
        {"name": v.name, "link": links[k] if links else "", "drawn": d, "charts": [
            {"alt": c.alt, "figure": for_script(c.figure)} for c in d.charts]}
        for k, (v, d) in enumerate(zip(views, drawn, strict=True))
    ]  # fmt: skip
    return str(
        environment().get_template("views.html.j2").render(
            title=title, lead=lead, views=told, alone=len(told) == 1,
            style=read_template("style.css"), script=read_template("page.js"),
            plotly=get_plotlyjs(), recolour=json.dumps(recolour()),
        )
    )  # fmt: skip
