"""What somebody sees who is not let in: a page of our own, without the framework."""

from __future__ import annotations

from html import escape

from cartcast.app.access import Person

__all__ = ["page"]

_STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;max-width:40rem;margin:15vh auto;padding:0 1rem;"
    "background:#fff;color:#0f1720}h1{font-size:1.6rem}button{font:inherit;padding:.5rem 1rem;"
    "border:0;border-radius:6px;background:#0b62a8;color:#fff;cursor:pointer}"
    "pre{white-space:pre-wrap}"
    "@media(prefers-color-scheme:dark){body{background:#12171d;color:#e8edf2}}"
)


def page(why: str, person: Person | None, base: str) -> str:
    """Return HTML: why nobody is let in, and the button that helps.

    >>> "<h1>Sign in" in page("Sign in to see this project.", None, "")
    True
    """
    if person is None:
        title, more = why[:1].upper() + why[1:], ""
        form = ("sign-in", "Sign in")
    else:
        title = "You are signed in, but have no role in this project yet."
        more = (
            "<p>Ask an admin to give a role to:</p>"
            f"<pre>issuer   {escape(person.issuer)}\nsubject  {escape(person.subject)}</pre>"
        )
        form = ("auth/logout", "Sign out")
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>Cartcast</title><style>{_STYLE}</style><main><h1>{escape(title)}</h1>{more}"
        f'<form action="{escape(base)}/{form[0]}"><button>{form[1]}</button></form></main></html>'
    )
