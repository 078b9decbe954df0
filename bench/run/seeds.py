"""Results while you wait: who is told when all cells of a seed have ended, and when it is worth telling."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from bench.plan.cell import Cell
from bench.run.progress import Progress

if TYPE_CHECKING:
    from bench.run.todo import Todo

#: Seconds: results that are due sooner than this are waited for. To make them takes half a minute of a core at least.
SOON = 120.0


class Refresh(Protocol):
    """Makes what people read from the cells that have ended, while others run; `run` itself knows no tables."""

    #: Seconds that it took the last time; 0 before it has ended once.
    seconds: float

    def start(self, unfinished: frozenset[int]) -> bool:
        """Begin to make it, without the seeds that have unfinished cells; False where it is being made already."""

    def look(self) -> str:
        """What to say about one that has ended since the last look; empty where none has."""

    def pause(self) -> None:
        """Let one that is under way wait."""

    def go_on(self) -> None:
        """Let it go on after `pause`."""

    def close(self) -> None:
        """The last cell has ended: one that is being made now is not needed any more."""


class Seeds:
    """The seeds of a plan whose cells are not all done, and what happens when one has none left.

    Args:
        todo: the plan.
        progress: what is expected of the cells that are left.
        refresh: is told.
    """

    def __init__(self, todo: Todo, progress: Progress, refresh: Refresh) -> None:
        self.progress, self.refresh = progress, refresh
        self.left: dict[int, set[str]] = {}
        for cell in todo.pending:
            self.left.setdefault(cell.spec["seed"], set()).add(cell.key)
        self.is_due = False

    def finish(self, cell: Cell) -> None:
        """Count a cell as done."""
        left = self.left.get(cell.spec["seed"], set())
        left.discard(cell.key)
        if not left and self.left.pop(cell.spec["seed"], None) is not None:
            self.is_due = True

    def look(self) -> None:
        """Say what has been made, and begin where a seed is complete and the next one will take a while."""
        if said := self.refresh.look():
            self.progress.say(said)
        if self.is_due:
            self.is_due = self.is_worth_it() and not self.refresh.start(frozenset(self.left))

    def is_worth_it(self) -> bool:
        """Whether the next seed, or the end, is further away than a refresh takes."""
        # the folder is collected in the end anyway, and work that is overtaken at once is taken from the cells
        least = max(SOON, self.refresh.seconds)
        return bool(self.left) and all(self.progress.seconds_until(keys) > least for keys in self.left.values())
