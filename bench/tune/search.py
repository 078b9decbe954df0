"""The search itself: stage 1 first, then every other method; the best again with more seeds, further at an edge."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import pandas as pd

from bench.errors import UserError
from bench.plan.cell import Cell
from bench.plan.grid import Grid
from bench.plan.suite import Recipe
from bench.sources.examples import load_split
from bench.store.csv_files import write_table
from bench.store.files import write_text
from bench.store.folder import RunFolder
from bench.tune.space import AXES, beyond, draw, steps_of
from bench.tune.trials import Trial, cells_of, judge, recipe_key
from methods.base import Method

TRIALS = ["suite", "backbone", "method", "trial", "origin", *AXES, "steps", "seeds", "models", "seconds"]
TRIALS += ["score", "standard_error", "status"]
#: Seeds outside those that runs report, the first for every trial, the others for the best.
SEEDS = (1000, 1001, 1002)
#: How many of the best are tried with more seeds, and how often the search is widened where the winner is on an edge.
BEST, WIDER = 3, 2
#: Recipes of up to so many times the steps that may be chosen are drawn, too: they show what the limit costs.
LONGER = 2


@dataclass
class Search:
    """One search.

    Attributes:
        grid: the tasks and the backbone, with a source that holds rows out.
        shared: what `Grid.shared` says of it.
        folder: where cells, trials.csv and recipes.toml go.
        run_cells: runs what is not finished of some cells.
        count: trials of every method.
        most_steps: longer recipes are not chosen.
        trials: made so far, by method.
        chosen: the winners so far.
    """

    grid: Grid
    shared: dict
    folder: RunFolder
    run_cells: Callable[[list[Cell]], None]
    count: int
    most_steps: int
    trials: dict[str, list[Trial]] = field(default_factory=dict)
    chosen: dict[str, Trial] = field(default_factory=dict)

    def __post_init__(self) -> None:
        grid = self.grid
        self.rows = [len(load_split(grid.source, task, "train", grid.limit)) for task in grid.tasks]

    def search(self, methods: Sequence[Method]) -> dict[str, Trial]:
        """The winner of every method; stage 1's is fixed before the others begin."""
        stage_1 = [method for method in methods if method.name == "static"]
        for together in (stage_1, [method for method in methods if method not in stage_1]):
            self.search_together(together)
        return self.chosen

    def search_together(self, methods: Sequence[Method]) -> None:
        """The same phases for some methods, so that workers always have cells of all of them."""
        fixed = {"stage1": self.chosen["static"].recipe} if self.chosen else {}
        for method in methods:
            self.draw(method)
        names = [method.name for method in methods]
        self.run([trial for name in names for trial in self.trials[name]], SEEDS[:1], fixed)
        best = [sorted(self.short_enough(method), key=lambda trial: -trial.score)[:BEST] for method in methods]
        self.run([trial for some in best for trial in some], SEEDS, fixed)
        for _ in range(WIDER):
            further = [trial for method in methods for trial in self.wider(method)]
            self.run(further, SEEDS, fixed)
        winners = {method.name: winner(self.short_enough(method)) for method in methods}
        self.chosen |= {name: best for name, best in winners.items() if not best.reason}
        self.write()
        if "static" in names and "static" not in self.chosen:
            raise UserError(f"every trial of stage 1 has failed: {winners['static'].reason}")

    def draw(self, method: Method) -> None:
        """The first trials of a method.

        Raises:
            UserError: the limit of the steps leaves none.
        """
        own, most = self.grid.suite.recipe_of(method, self.grid.backbones[0]), self.most_allowed(method)
        self.trials[method.name] = []
        for recipe in draw(own, self.count, LONGER * most, self.rows, method.name):
            self.add(method, recipe, "suite" if recipe == own else "drawn")
        if not self.short_enough(method):
            takes = f"the suite's own takes {steps_of(own, self.rows)} steps"
            raise UserError(f"--most-steps {self.most_steps}: no recipe of '{method.name}' is so short, {takes}")

    def most_allowed(self, method: Method) -> int:
        """The steps that a method may take: twice as many where it has no stage 1 before it."""
        return self.most_steps if method.starts_from or method.recipe != "joint" else 2 * self.most_steps

    def short_enough(self, method: Method) -> list[Trial]:
        """The trials of a method that may be chosen."""
        return [trial for trial in self.trials[method.name] if not self.is_too_long(trial)]

    def is_too_long(self, trial: Trial) -> bool:
        """Whether a trial only shows what the limit of the steps costs."""
        return trial.steps > self.most_allowed(trial.method)

    def add(self, method: Method, recipe: Recipe, origin: str) -> Trial:
        """One more trial of a method."""
        trials = self.trials[method.name]
        trials.append(Trial(method, len(trials) + 1, origin, recipe, steps_of(recipe, self.rows)))
        return trials[-1]

    def wider(self, method: Method) -> list[Trial]:
        """New trials beyond what was tried, where the winner stands on the edge of it."""
        tried = self.trials[method.name]
        best = winner(self.short_enough(method))
        recipes = [trial.recipe for trial in tried]
        if best.reason:
            return []
        found = beyond(best.recipe, recipes, self.most_allowed(method), self.rows)
        return [self.add(method, recipe, "edge") for recipe in found]

    def run(self, trials: Sequence[Trial], seeds: Sequence[int], fixed: dict[str, Recipe]) -> None:
        """Train and judge some trials, and write what is known."""
        parts = [cells_of(trial, self.grid, fixed, seeds, self.shared) for trial in trials]
        if parts:
            self.run_cells(list({cell.key: cell for cells in parts for cell in cells}.values()))
        for trial, cells in zip(trials, parts, strict=True):
            judge(trial, cells, self.folder, self.grid.suite.name)
        self.write()

    def write(self) -> None:
        """trials.csv, and recipes.toml of the winners so far."""
        write_table(self.folder.path / "trials.csv", self.table())
        write_text(self.folder.path / "recipes.toml", self.toml())

    def table(self) -> pd.DataFrame:
        """trials.csv: every trial, by method."""
        where = {"suite": self.grid.suite.name, "backbone": self.grid.backbones[0]}
        rows = []
        for name, trials in self.trials.items():
            for trial in trials:
                values = {axis: getattr(trial.recipe, axis) for axis in AXES}
                status = "chosen" if self.chosen.get(name) is trial else ""
                too_long = "longer than may be chosen" if self.is_too_long(trial) else ""
                row = {
                    **where,
                    "method": name,
                    "trial": trial.number,
                    "origin": trial.origin,
                    **values,
                    "steps": trial.steps,
                    "seeds": len(trial.scores),
                    "models": trial.models,
                    "seconds": round(trial.seconds, 1),
                    "score": trial.score if trial.score > -1e9 else None,
                    "standard_error": trial.standard_error if len(trial.scores) > 1 else None,
                    "status": trial.reason or too_long or status,
                }
                rows.append(row)
        return pd.DataFrame(rows, columns=TRIALS)

    def toml(self) -> str:
        """The winners' recipes, to be put into a suite."""
        tasks = ", ".join(task.id for task in self.grid.tasks)
        where = f"{self.grid.backbones[0]}, {tasks}"
        lines = [f"# one search for all methods: {self.count} trials each on {where}, rows held out of training"]
        usual = Recipe(1, 1.0, 1).spec()
        for trial in self.chosen.values():
            values = trial.recipe.spec()
            lines += ["", f"[recipes.{recipe_key(trial.method)}]"]
            lines += [f"{key} = {value!r}" for key, value in values.items() if key in AXES or value != usual.get(key)]
        return "\n".join(lines) + "\n"


def winner(trials: Sequence[Trial]) -> Trial:
    """Of the search: the best mean among the trials with most seeds; within its standard error the fewest steps."""
    most = max(len(trial.scores) for trial in trials)
    judged = [trial for trial in trials if len(trial.scores) == most]
    best = max(judged, key=lambda trial: trial.score)
    tied = [trial for trial in judged if trial.score >= best.score - best.standard_error]
    return min(tied, key=lambda trial: (trial.steps, -trial.score))


def say(found: dict[str, Trial]) -> None:
    """A line per winner of the search."""
    for name, trial in found.items():
        recipe = ", ".join(f"{axis} {getattr(trial.recipe, axis):g}" for axis in AXES)
        print(f"{name}: {recipe}: {trial.score:.4f} (trial {trial.number}, {trial.steps} steps)", file=sys.stderr)
