"""The rows of a measurement, with goals; the settings it gets; and the table for print or as CSV."""

from __future__ import annotations

import csv
import io
import operator
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.errors import UserError
from bench.store.files import write_text

COLUMNS = ("name", "value", "unit", "goal", "met")
SIDES = {"<=": operator.le, ">=": operator.ge}


@dataclass(frozen=True)
class Row:
    """One measurement.

    Attributes:
        name: what was measured, against what.
        value: what came out.
        unit: of the value: "times", "s", "of the time".
        goal: "<= 1.1" or ">= 40"; empty for a number that is only told.
    """

    name: str
    value: float
    unit: str
    goal: str = ""

    @property
    def met(self) -> str:
        """Whether the goal was met: "yes" or "no", empty without one."""
        if not self.goal:
            return ""
        side, bound = self.goal.split()
        return "yes" if SIDES[side](self.value, float(bound)) else "no"

    def cells(self) -> tuple[str, ...]:
        """The row as text, in the order of `COLUMNS`."""
        return self.name, f"{self.value:.4g}", self.unit, self.goal, self.met


@dataclass(frozen=True)
class Settings:
    """What measurements may need beside the project itself.

    Attributes:
        glue_dir: GLUE in TSV files.
        backbone: folder of a checkpoint, a 6-layer MiniLM for the goals as they are written.
        results: run folder with records of finished cells.
    """

    glue_dir: str | None = None
    backbone: str | None = None
    results: str | None = None

    def need(self, *names: str) -> None:
        """Refuse a measurement that lacks something.

        Raises:
            NotMeasured: naming the options that are missing.
        """
        missing = [f"--{name.replace('_', '-')}" for name in names if getattr(self, name) is None]
        if missing:
            raise NotMeasured(f"needs {' and '.join(missing)}")


class NotMeasured(UserError):
    """A measurement cannot be made here; the text says what it lacks."""


def table(rows: Sequence[Row]) -> str:
    """The rows as text in aligned columns."""
    lines = [COLUMNS, *(row.cells() for row in rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(COLUMNS))]
    return "\n".join("  ".join(map(str.ljust, line, widths)).rstrip() for line in lines)


def write(rows: Sequence[Row], path: Path) -> None:
    """Write rows as CSV, whole or not at all."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([COLUMNS, *(row.cells() for row in rows)])
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, text.getvalue())
