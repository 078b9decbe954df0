"""A trial: one recipe of one method, as cells like any others, and the score that its models reach."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from bench.halting.sweep import sweep
from bench.plan.cell import Cell
from bench.plan.grid import Grid
from bench.plan.suite import Recipe
from bench.store.folder import RunFolder
from bench.tables.contrasts import Compared
from methods.base import Method


@dataclass
class Trial:
    """One recipe of one method.

    Attributes:
        method: whose.
        number: 1 is the suite's own recipe.
        origin: "suite", "drawn" or "edge".
        recipe: what is tried.
        steps: of the recipe, on the task with most.
        scores: seed -> mean over the tasks; NaN where a cell failed.
        seconds: of all its cells so far.
        models: how many were trained so far.
        reason: why a cell failed; empty where none did.
    """

    method: Method
    number: int
    origin: str
    recipe: Recipe
    steps: int
    scores: dict[int, float] = field(default_factory=dict)
    seconds: float = 0.0
    models: int = 0
    reason: str = ""

    @property
    def score(self) -> float:
        """The mean over its seeds; below every other where a cell failed."""
        mean = float(np.mean(list(self.scores.values()))) if self.scores else np.nan
        return mean if np.isfinite(mean) else -np.inf

    @property
    def standard_error(self) -> float:
        """Of that mean; 0 with one seed."""
        values = list(self.scores.values())
        return float(np.std(values, ddof=1) / np.sqrt(len(values))) if len(values) > 1 else 0.0


def recipe_key(method: Method) -> str:
    """Where a trial's recipe stands in a suite: under the method's name; of stage 1, which all share, the stage's."""
    return "stage1" if method.name == "static" else method.name


def with_recipes(grid: Grid, recipes: dict[str, Recipe]) -> Grid:
    """A grid whose suite has other recipes; they go before what it says for one family."""
    named = {f"{family}/{key}": recipe for key, recipe in recipes.items() for family in grid.backbones}
    return replace(grid, suite=replace(grid.suite, recipes={**grid.suite.recipes, **recipes, **named}))


def cells_of(trial: Trial, grid: Grid, fixed: dict[str, Recipe], seeds: Sequence[int], shared: dict) -> list[Cell]:
    """The cells of a trial with the models that they start from.

    Args:
        trial: the trial.
        grid: of the search.
        fixed: recipes that are decided, stage 1's.
        seeds: of the trial.
        shared: what `Grid.shared` returned.
    """
    recipes = {**fixed, recipe_key(trial.method): trial.recipe}
    methods = {trial.method.name: trial.method}
    return replace(with_recipes(grid, recipes), methods=methods, seeds=seeds).cells(shared)


def judge(trial: Trial, cells: Sequence[Cell], folder: RunFolder, suite: str) -> None:
    """Enter what the finished cells of a trial say: score of every seed, cost, and what failed."""
    own = [cell for cell in cells if cell.spec["method"] == trial.method.name]
    records = [folder.record(cell.key) for cell in own]
    if why := next((cell.skip for cell in own if cell.skip), ""):
        trial.reason = f"skipped: {why}"
    failed = [record["reason"] for record in records if record and record["status"] == "failed"]
    trial.reason = failed[0] if failed else trial.reason
    done = [record for record in records if record and record["status"] == "ok"]
    trial.seconds, trial.models = sum(record["seconds"]["all"] for record in done), len(done)
    by_seed: dict[int, dict[str, list[dict]]] = {}
    for record in done:
        by_seed.setdefault(record["spec"]["seed"], {}).setdefault(record["spec"]["task"], []).append(record)
    for seed in {cell.spec["seed"] for cell in own}:
        found = [objective(trial.method, some, folder, suite) for some in by_seed.get(seed, {}).values()]
        complete = not trial.reason and found
        trial.scores[seed] = float(np.mean(found)) if complete else np.nan


def objective(method: Method, records: Sequence[dict], folder: RunFolder, suite: str) -> float:
    """What the models of one seed reach on one task: the method's `auc_budget`, without a knob its main metric.

    Args:
        method: the method.
        records: of its cells, one per variant.
        folder: where their traces are.
        suite: name of the suite.
    """
    split = next(iter(records[0]["traces"]))
    sweeps = [sweep(method, one, split, suite, folder.trace(one["key"], split)) for one in records]
    panel = Compared.under(sweeps, np.ones(len(sweeps[0].trace.labels), np.float32))
    seed = records[0]["spec"]["seed"]
    if len(sweeps) == 1 and len(sweeps[0].knob_values) == 1:
        return float(panel.curve(method.name, seed)[1][-1])
    return panel.quantity("auc_budget", method.name, seed)
