"""The cells of a run: every backbone, task, method, variant and seed that a command asks for, as one list."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

from bench.plan.cell import Cell
from bench.plan.methods import known_methods, parse_variant, trained_methods, variant_name
from bench.plan.suite import KINDS, Suite
from bench.sources.checkpoints import Checkpoint, find_checkpoint, lost_segments
from bench.sources.examples import Source, fingerprint
from bench.sources.hub_rows import data_commit
from bench.sources.known_sizes import UNKNOWN, find_known, known_task
from bench.sources.tasks import Task
from bench.sources.tsv import WithUnlabelled
from methods.base import Method, Methods

#: Raise it when a change of the benchmark itself (training, traces) changes numbers; a method has its own version.
ENGINE_VERSION = 1
#: What keys and run.json say of checkpoints whose pairs were once read as one segment: cells of then are others.
MENDED = "0 and 1"


@dataclass(frozen=True)
class Grid:
    """What a command asks for, with every name resolved: the axes along which `cells` multiplies out.

    Attributes:
        suite: with the command line's checkpoints, recipe and precision in place.
        tasks: to train on.
        backbones: names of families of the suite.
        methods: to report, by name; `trained_methods` says which must be trained for them.
        seeds: of every method and variant.
        source: where the rows come from.
        limit: at most this many rows of every split, beside the limits of the suite.
        pins: commits of hub repositories that the results folder keeps to, by name.
        unlabelled: the folder with rows without labels.
        offline: whether inputs of published size that are not on this machine stay there: a plan does without them.
    """

    suite: Suite
    tasks: Sequence[Task]
    backbones: Sequence[str]
    methods: Methods
    seeds: Sequence[int]
    source: Source
    limit: int | None = None
    pins: dict[str, str] = field(default_factory=dict)
    unlabelled: Path | None = None
    offline: bool = False

    def checkpoint(self, name: str) -> Checkpoint:
        """A checkpoint by the suite's name for it, at the commit that `pins` or else the hub says."""
        found = find_checkpoint(name, self.pins)
        return (find_known(found) if self.offline else None) or found.pinned()

    def pooling(self, family: str, checkpoint: Checkpoint) -> str:
        """What stands in a cell's spec about how its exits read; empty: as the family's own classification head does.

        The suite's word counts, then that of a sentence model's folder.
        """
        said = self.suite.pooling_of(family) or checkpoint.said_pooling() or ""
        return "" if said == "first" and checkpoint.reads_first() else said

    def paths(self) -> dict[str, str]:
        """The suite's names of the checkpoints that may be trained, by their keys in run.json (`bert student`)."""
        return {
            entry_name(family, kind): path
            for family in self.backbones
            for kind in KINDS
            if (path := self.suite.backbones[family].path(kind))
        }

    def checkpoints(self) -> dict[str, Checkpoint]:
        """The checkpoints that may be trained, by their keys in run.json."""
        return {entry: self.checkpoint(path) for entry, path in self.paths().items()}

    def revisions(self) -> dict[str, str]:
        """The commits of everything that comes from the hub, by its name; data as "datasets/REPOSITORY"."""
        found = {path: commit for path in self.paths().values() if (commit := self.checkpoint(path).revision)}
        return {**found, f"datasets/{self.source.repo}": self.commit} if self.commit else found

    @cached_property
    def commit(self) -> str | None:
        """The commit of the hub's data set that this run reads; None for data from elsewhere."""
        return data_commit(self.source, self.tasks[0])

    def pinned_source(self) -> Source:
        """Where the rows come from, at the very commit that was fingerprinted: what workers read."""
        return replace(self.source, revision=self.commit) if self.commit else self.source

    def shared(self) -> dict:
        """The content of run.json: settings that all cells of a results folder share, and fingerprints of their inputs.

        Raises:
            UserError: a task's data or a checkpoint cannot be read.
        """
        suite = self.suite
        return {
            "suite": suite.name,
            "title": suite.title,
            "compat": suite.compat,
            "precision": suite.precision,
            "seed_scope": suite.seed_scope,
            "max_length": suite.max_length,
            "exit_norm": suite.exit_norm,
            "limit": self.limit,
            "limits": {task: limits.spec() for task, limits in suite.limits.items()},
            "engine": ENGINE_VERSION,
            "recipes": {name: recipe.spec() for name, recipe in suite.recipes.items()},
            "variants": {method.name: self.variants(method) for method in trained_methods(self.methods)},
            "data": {task.id: self.fingerprint(task) for task in self.tasks},
            "unlabelled": {task.id: self.unlabelled_fingerprint(task) for task in self.tasks},
            "checkpoints": {name: checkpoint.fingerprint() for name, checkpoint in self.checkpoints().items()},
            "segments": {name: MENDED for name, checkpoint in self.checkpoints().items() if lost_segments(checkpoint)},
        }

    def fingerprint(self, task: Task) -> str:
        """The hash of a task's rows; `UNKNOWN` where a plan does without them."""
        return UNKNOWN if self.offline and known_task(self.source, task) else fingerprint(self.source, task)

    def unlabelled_fingerprint(self, task: Task) -> str:
        """The hash of a task's rows with the unlabelled ones behind them; "none" where the run has no such rows."""
        return fingerprint(WithUnlabelled(self.source, self.unlabelled), task) if self.unlabelled else "none"

    def cells(self, shared: dict) -> list[Cell]:
        """All cells of the run, each once, seed by seed; a cell that others start from stands before them.

        Args:
            shared: what `shared` returned.
        """
        trained = [(method, self.variants(method)) for method in trained_methods(self.methods)]
        known = known_methods(self.methods)
        panels = [TaskCells(self, backbone, task, shared, known) for backbone in self.backbones for task in self.tasks]
        cells = (
            panel.cell(method, variant, seed)
            for seed in self.seeds  # outermost: every figure can be drawn when the first seed is complete
            for panel in panels
            for method, variants in trained
            for variant in variants
        )
        return list({cell.key: cell for cell in cells}.values())

    def variants(self, method: Method) -> list[str]:
        """The canonical names of the variants of a method that the suite trains."""
        names = self.suite.variants.get(method.name, method.variants)
        return [variant_name(parse_variant(method, name)) for name in names]


class TaskCells:
    """The cells of one task on one backbone, made on demand; what does not depend on the seed is worked out once.

    Args:
        grid: what the command asks for.
        backbone: the family.
        task: the task.
        shared: what `Grid.shared` returned.
        known: every method there is, by name: a method of the grid may start from one that is not in it.
    """

    def __init__(self, grid: Grid, backbone: str, task: Task, shared: dict, known: Methods) -> None:
        self.grid, self.backbone, self.task, self.shared, self.known = grid, backbone, task, shared, known
        self.starting = {method.starts_from for method in known.values()}
        self.templates: dict[tuple[str, str], Cell] = {}
        self.made: dict[tuple[str, str, int], Cell] = {}

    def cell(self, method: Method, variant: str, seed: int) -> Cell:
        """The cell of a method, variant and seed; the same object when asked again."""
        # Scope "heads": only exits vary with the seed, so all seeds start from one model, that of seed 0.
        if self.grid.suite.seed_scope == "heads" and method.name in self.starting:
            seed = 0
        if (method.name, variant, seed) not in self.made:
            if (method.name, variant) not in self.templates:
                self.templates[method.name, variant] = self.template(method, variant)
            template = self.templates[method.name, variant]
            start = self.cell(self.known[method.starts_from], "", seed).key if method.starts_from else None
            spec = {**template.spec, "seed": seed, "start": start}
            self.made[method.name, variant, seed] = replace(template, spec=spec, start=start)
        return self.made[method.name, variant, seed]

    def template(self, method: Method, variant: str) -> Cell:
        """A cell with the seed and the starting model left open, for `cell` to fill in."""
        grid, suite, backbone, task, shared = self.grid, self.grid.suite, self.backbone, self.task, self.shared
        family = suite.backbones[backbone]
        path = family.path(method.checkpoint)
        spec = {
            "task": task.id,
            "backbone": backbone,
            "method": method.name,
            "version": method.version,
            "engine": ENGINE_VERSION,
            "variant": variant,
            "seed": None,
            "data": shared["data"][task.id],
            "limit": grid.limit,
            "checkpoint": shared["checkpoints"].get(entry_name(backbone, method.checkpoint)),
            "max_length": suite.max_length,
            "recipe": suite.recipe_of(method, backbone).spec(),
            "precision": suite.precision,
            "compat": suite.compat,
            "start": None,
        }
        skip = method.skip(task.num_labels) or (None if path else no_checkpoint(method.checkpoint, backbone))
        checkpoint, of_family = (grid.checkpoint(name) if name else None for name in (path, family.checkpoint))
        more = {
            "segments": shared["segments"].get(entry_name(backbone, method.checkpoint)),
            "content": method.content,
            "limits": task.id in suite.limits and suite.limits[task.id].spec(),
            "unlabelled": grid.unlabelled and not method.reads_labels and shared["unlabelled"][task.id],
            "pooling": checkpoint and grid.pooling(backbone, checkpoint),
            "exit_norm": suite.exit_norm,
        }
        # Only where it changes numbers: a key more in every spec would make every cell a new one.
        spec |= task.spec() | {name: value for name, value in more.items() if value}
        return Cell(spec, checkpoint, of_family, None, skip)


def entry_name(family: str, kind: str) -> str:
    """The key in run.json of a family's checkpoint of one of `KINDS`: `bert`, `bert student`."""
    return family if kind == "backbone" else f"{family} {kind}"


def no_checkpoint(kind: str, family: str) -> str:
    """The reason for skipping a method whose checkpoint the suite does not name, with the option that names one."""
    flag = {"backbone": "--backbones", "student": "--students", "tinybert": "--tinybert"}[kind]
    return f"no {kind} checkpoint: name one with {flag} {family}=DIR"
