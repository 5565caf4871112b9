"""An error as one line and an exit status: what a person sees in place of a trace."""

from __future__ import annotations

import typer

from cartcast.errors import CartcastError

__all__ = ["of", "say"]


def of(error: Exception) -> tuple[str, int]:
    """Return what to say of an error, and the exit status of its class.

    >>> of(ModuleNotFoundError(name="psycopg"))[1]
    2
    """
    if isinstance(error, CartcastError):
        return str(error), error.exit_status
    if isinstance(error, ModuleNotFoundError):
        return (
            f"the library {error.name} is not installed; the page on dependencies tells which "
            "extra brings it: pip install 'cartcast[EXTRA]'."
        ), 2
    if isinstance(error, RecursionError):
        return "something given is nested too deeply to be read; flatten it.", 3
    if isinstance(error, MemoryError):
        return "out of memory; give --memory a smaller size or use a smaller input.", 1
    if isinstance(error, OSError):
        return f"{error.filename or 'system'}: {error.strerror or error}.", 1
    # The last line of defence: a person sees one line, a developer asks for --debug.
    line = " ".join(str(error).split())[:300]
    return f"unexpected {type(error).__name__}: {line} (--debug shows where).", 1


def say(message: str) -> None:
    """Print a complaint as one line on standard error."""
    typer.echo("cartcast: error: " + " ".join(message.split()), err=True)
