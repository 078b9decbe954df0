"""What all figures of one drawing share: which methods ran, how wide the page is, whether words stand around panels."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path

import matplotlib.style

from bench.errors import UserError

STYLE = Path(__file__).parents[1] / "style.mplstyle"
#: Inches that a figure may take where no width is asked for: both columns of a two-column paper.
TEXT_WIDTH = 7.0
#: Inches of the widths that one may ask for: 7.7 cm and 16 cm.
WIDTHS = {"column": 7.7 / 2.54, "text": 16 / 2.54}


@dataclass(frozen=True)
class Setting:
    """How the figures of one drawing are made.

    Attributes:
        methods: every method of the run, so that colours are the same in all of its figures.
        width: inches of every figure; None: what its panels need, up to `TEXT_WIDTH`.
        words: whether headings and fine print are part of the picture; papers have captions of their own.
        published: the methods that were not trained in this run -> where they come from, for the fine print.
    """

    methods: frozenset[str] = frozenset()
    width: float | None = None
    words: bool = True
    published: dict[str, str] = field(default_factory=dict)


class TooNarrow(UserError):
    """A figure has more panels side by side than its width has room for."""


_CURRENT: ContextVar[Setting | None] = ContextVar("setting", default=None)


@contextmanager
def set_to(setting: Setting) -> Iterator[None]:
    """Make captions by a setting, until the block ends."""
    token = _CURRENT.set(setting)
    try:
        yield
    finally:
        _CURRENT.reset(token)


@contextmanager
def drawn_with(setting: Setting) -> Iterator[None]:
    """Draw in the project's style and by a setting; both end with the block."""
    with set_to(setting), matplotlib.style.context(str(STYLE), after_reset=True):
        yield


def current() -> Setting:
    """The setting that figures are drawn by now."""
    return _CURRENT.get() or Setting()


def page_width() -> float:
    """Inches that a figure may take."""
    return current().width or TEXT_WIDTH


def fitted_width(wanted: float) -> float:
    """The width of a figure that would like so many inches: what was asked for, else between half a page and a page."""
    return current().width or max(TEXT_WIDTH / 2, min(TEXT_WIDTH, wanted))


def column_width() -> float:
    """The width of a figure that fits one column of a paper, unless another was asked for."""
    return current().width or WIDTHS["column"]


def check_room(panels: int, least: float) -> None:
    """Refuse more panels side by side than are readable.

    Args:
        panels: how many.
        least: inches that each needs.

    Raises:
        TooNarrow: the line says how many there is room for.
    """
    room = max(1, int(page_width() / least))
    if current().width and panels > room:
        raise TooNarrow(f"{panels} panels side by side, room for {room}: name fewer with --panels")
