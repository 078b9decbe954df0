"""Errors that a user can cause, each told in one line that says what was got, what was expected and what is nearest."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class UserError(Exception):
    """Wrong usage, configuration or input; its text is the one line the user sees (exit status 2)."""


class FolderError(UserError):
    """The results folder cannot be written (disk full, read-only, gone): it ends the run instead of failing a cell."""


def nearest(name: str, choices: Iterable[str]) -> str:
    """A hint at the valid choice closest to a wrong name, to end a message with.

    Returns:
        "; did you mean 'X'?" or, where nothing is close, the empty string.
    """
    close = difflib.get_close_matches(cut(name), list(choices), n=1)
    return f"; did you mean '{close[0]}'?" if close else ""


def check_choice(kind: str, name: str, choices: Iterable[str]) -> str:
    """The name itself, if it is one of the choices.

    Raises:
        UserError: it is not; the line names what was expected and the nearest choice.
    """
    choices = list(choices)
    if name not in choices:
        raise UserError(f"unknown {kind} '{cut(name)}': expected one of {', '.join(choices)}{nearest(name, choices)}")
    return name


def cut(text: object) -> str:
    """What a user wrote, shortened to what fits a message."""
    text = str(text)
    return text if len(text) <= 80 else f"{text[:80]}.. ({len(text)} characters)"


def printable(text: str) -> str:
    """A text with control characters escaped, so that no file name or setting can send commands to a terminal."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def one_line(error: BaseException) -> str:
    """The first line of an error's text, shortened to what fits a message; its type where it has no text."""
    lines = str(error).strip().splitlines()
    return lines[0][:200] if lines else type(error).__name__
