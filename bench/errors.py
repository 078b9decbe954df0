"""Errors a user can cause: one line each, never a traceback."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class UserError(Exception):
    """Wrong usage, configuration or input; its text is the one line the user sees (exit status 2)."""


class FolderError(UserError):
    """A file of the run cannot be written (disk full, read-only, gone): no cell's fault, and the end of the run."""


def nearest(name: str, choices: Iterable[str]) -> str:
    """Name the valid choice closest to `name`.

    Returns:
        "; did you mean 'X'?" or, where nothing is close, the empty string.
    """
    close = difflib.get_close_matches(cut(name), list(choices), n=1)
    return f"; did you mean '{close[0]}'?" if close else ""


def check_name(kind: str, name: str, choices: Iterable[str]) -> str:
    """Return `name` if it is one of `choices`.

    Raises:
        UserError: it is not; the line names what was expected and the nearest choice.
    """
    choices = list(choices)
    if name not in choices:
        raise UserError(f"unknown {kind} '{cut(name)}': expected one of {', '.join(choices)}{nearest(name, choices)}")
    return name


def cut(text: str, length: int = 80) -> str:
    """A text from outside, shortened to what fits a message."""
    text = str(text)
    return text if len(text) <= length else f"{text[:length]}.. ({len(text)} characters)"


def printable(text: str) -> str:
    """A text with everything but printable characters escaped, so that no name from outside steers a terminal."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def one_line(error: BaseException) -> str:
    """The first line of an error's text, shortened to what fits a message; its type where it has no text."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    said = " ".join(lines[:2]) if lines[0].endswith(":") else lines[0]
    return said[:200]


def reason(error: BaseException) -> str:
    """Why something failed, in a line: the error's text, with its type where the text alone says little ('nope')."""
    plain = isinstance(error, OSError | ValueError | RuntimeError | UserError) and str(error).strip()
    return (
        one_line(error)
        if plain
        else f"{type(error).__name__}: {one_line(error)}".removesuffix(f": {type(error).__name__}")
    )
