"""Errors that a user can cause, each told in one line that says what was got, what was expected and what is nearest."""

from __future__ import annotations

import difflib
import errno
import os
import sys
from collections.abc import Callable, Iterable
from contextlib import suppress

#: The longest line that is shown to a user.
LONGEST_LINE = 300
#: What a shell calls the end of a program whose reader has gone: 128 + SIGPIPE.
PIPE_CLOSED = 141


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


def cut(text: object, length: int = 80) -> str:
    """A text from outside, shortened to what fits a message."""
    text = str(text)
    return text if len(text) <= length else f"{text[:length]}.. ({len(text)} characters)"


def shown(text: str) -> str:
    """A message as it is printed: one printable line, without its middle where it is too long.

    Control characters are escaped, so that no file name or setting can send commands to a terminal.
    """
    text = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
    head, tail = LONGEST_LINE - 104, 100  # the end says what to do
    return text if len(text) <= LONGEST_LINE else f"{text[:head]} .. {text[-tail:]}"


def command(name: str, act: Callable[[], int]) -> int:
    """The exit status of a program: what a user can cause is one line on standard error, and never a traceback.

    A reader of standard output that goes before the end (`| head`) is no error; nor are streams that are closed.

    Args:
        name: of the program, for its messages.
        act: what it does; gives the exit status.
    """
    for stream in ("stdout", "stderr"):
        if getattr(sys, stream) is None:
            setattr(sys, stream, open(os.devnull, "w"))
    try:
        try:
            return act()
        finally:
            sys.stdout.flush()
    except BrokenPipeError:
        with suppress(OSError, ValueError):  # what is left to write when the program ends must not fail again
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return PIPE_CLOSED
    except UserError as error:
        said = str(error)
    except OSError as error:  # a file or folder of the user's that cannot be used
        said = what_failed(error)
    print(shown(f"{name}: {said}"), file=sys.stderr)
    return 2


def what_failed(error: OSError) -> str:
    """The file that an operating system's error is about, and why."""
    if error.filename:
        return f"{error.filename}: {error.strerror}"
    if error.errno in (errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOSYS):  # of a lock, which names no file
        return f"{error.strerror or error}: worker processes need shared memory, so /dev/shm must be writable"
    return reason(error)


def one_line(error: BaseException) -> str:
    """The first line of an error's text, shortened to what fits a message; its type where it has no text."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    said = " ".join(lines[:2]) if lines[0].endswith(":") else lines[0]
    return said[:200]


def reason(error: BaseException) -> str:
    """Why something failed, in a line: an error's text, with its type where the text alone says little ('nope')."""
    says_it = isinstance(error, OSError | ValueError | RuntimeError | UserError) and str(error).strip()
    return one_line(error) if says_it else named(error)


def named(error: BaseException) -> str:
    """An error's type and the first line of its text, if it has one."""
    kind = type(error).__name__
    return f"{kind}: {one_line(error)}" if str(error).strip() else kind
