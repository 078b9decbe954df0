"""`--shard I/N`: one of N parts of the plan, for machines that share no folder."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from bench.errors import UserError
from bench.plan.cell import Cell


@dataclass(frozen=True)
class Shard:
    """Part `index` (1..`count`) of the plan."""

    index: int
    count: int

    def of(self, cells: Sequence[Cell]) -> list[Cell]:
        """The cells of this part, in the order of the plan.

        Cells that start from one model stay together, so that each model is trained once. The groups are dealt,
        largest first, to the part that has least: the same deal on every machine.
        """
        groups: dict[str, list[Cell]] = {}
        for cell in cells:
            groups.setdefault(cell.start or cell.key, []).append(cell)
        parts: list[list[Cell]] = [[] for _ in range(self.count)]
        for group in sorted(groups.values(), key=len, reverse=True):
            min(parts, key=len).extend(group)
        mine = {cell.key for cell in parts[self.index - 1]}  # filtered, not returned: dealing has changed the order
        return [cell for cell in cells if cell.key in mine]


def resolve_shard(text: str | None) -> Shard:
    """The part that "I/N" names; None is the whole plan.

    Raises:
        UserError: anything else.
    """
    match = re.fullmatch(r"(\d{1,6})/(\d{1,6})", text or "1/1", re.ASCII)
    index, count = (int(number) for number in match.groups()) if match else (0, 0)
    if not 1 <= index <= count:
        raise UserError(f"--shard: expected I/N with I from 1 to N, such as 1/3, got '{text}'")
    return Shard(index, count)
