"""How long cells will take, judged by those that have run: for the progress display and for `--plan`."""

from __future__ import annotations

from collections import defaultdict


class Estimator:
    """Predicts seconds from measured cells, the most similar ones that there are.

    Cells of one method and panel take about as long. Where none has run, those of the method on other tasks count,
    then those of the method on other backbones, then all.
    """

    def __init__(self) -> None:
        self.seconds: dict[tuple, float] = defaultdict(float)
        self.amounts: dict[tuple, float] = defaultdict(float)

    def learn(self, spec: dict, seconds: float, amount: float = 1.0) -> None:
        """Take in a cell that has run.

        Args:
            spec: the cell's.
            seconds: what it took.
            amount: its work in any unit, for example multiply-adds; 1 counts cells.
        """
        for group in self._groups(spec):
            self.seconds[group] += seconds
            self.amounts[group] += amount

    def predict(self, spec: dict, amount: float = 1.0) -> float | None:
        """Seconds that a cell of so much work will take; None before anything was measured."""
        known = (group for group in self._groups(spec) if group in self.seconds)
        return next((amount * self.seconds[group] / self.amounts[group] for group in known), None)

    @staticmethod
    def _groups(spec: dict) -> list[tuple]:
        """What a cell has in common with others, the closest first."""
        panel = (spec["method"], spec["backbone"], spec["task"])
        return [panel, panel[:2], panel[:1], ()]
