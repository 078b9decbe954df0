"""From a suite and a command line to cells: what is to be trained, each piece with a key of all that changes it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from bench.plan.cell import Cell
from bench.plan.methods import known_methods, parse_variant, trained_methods, variant_name
from bench.plan.suite import KINDS, Suite
from bench.sources.checkpoints import Checkpoint, lost_segments, resolve
from bench.sources.examples import Source, fingerprint
from bench.sources.hub import revision
from bench.sources.tasks import Task
from bench.sources.tsv import WithUnlabelled
from methods.base import Method

#: Raise it when a change of the benchmark itself (training, traces) changes numbers; a method has its own version.
ENGINE_VERSION = 1
#: What keys and run.json say of checkpoints whose pairs were once read as one segment: cells of then are others.
MENDED = "0 and 1"


@dataclass(frozen=True)
class Grid:
    """What a command asks for, resolved: the axes of the plan."""

    suite: Suite
    tasks: Sequence[Task]
    backbones: Sequence[str]
    methods: dict[str, Method]
    seeds: Sequence[int]
    source: Source
    limit: int | None = None
    pins: dict[str, str] = field(default_factory=dict)
    unlabelled: Path | None = None

    def checkpoint(self, name: str) -> Checkpoint:
        """A checkpoint of the suite, at the commit that `pins` or else the hub says."""
        return resolve(name, self.pins).pinned()

    def paths(self) -> dict[str, str]:
        """What the suite calls the checkpoints of the families that run, by their names in run.json: `bert student`."""
        return {
            entry_name(family, kind): path
            for family in self.backbones
            for kind in KINDS
            if (path := self.suite.backbones[family].path(kind))
        }

    def checkpoints(self) -> dict[str, Checkpoint]:
        """The same checkpoints themselves."""
        return {entry: self.checkpoint(path) for entry, path in self.paths().items()}

    def revisions(self) -> dict[str, str]:
        """The commits of everything that comes from the hub, by its name; data as "datasets/REPOSITORY"."""
        found = {path: commit for path in self.paths().values() if (commit := self.checkpoint(path).revision)}
        commit = revision(self.source, self.tasks[0])
        return {**found, f"datasets/{self.source.repo}": commit} if commit else found

    def pinned_source(self) -> Source:
        """Where the rows come from, at the very commit that was fingerprinted."""
        commit = revision(self.source, self.tasks[0])
        return replace(self.source, revision=commit) if commit else self.source

    def shared(self) -> dict:
        """What all cells of a results folder share, and what may only grow: the content of run.json.

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
            "limit": self.limit,
            "engine": ENGINE_VERSION,
            "recipes": {name: recipe.spec() for name, recipe in suite.recipes.items()},
            "variants": {method.name: self.variants(method) for method in trained_methods(self.methods)},
            "data": {task.id: fingerprint(self.source, task) for task in self.tasks},
            "unlabelled": {task.id: self.unlabelled_fingerprint(task) for task in self.tasks},
            "checkpoints": {name: checkpoint.fingerprint() for name, checkpoint in self.checkpoints().items()},
            "segments": {name: MENDED for name, checkpoint in self.checkpoints().items() if lost_segments(checkpoint)},
        }

    def unlabelled_fingerprint(self, task: Task) -> str:
        """What the rows with and without labels of a task are, for the methods that learn without; or "none"."""
        return fingerprint(WithUnlabelled(self.source, self.unlabelled), task) if self.unlabelled else "none"

    def cells(self, shared: dict) -> list[Cell]:
        """All cells, each once, a starting model right before the cells that need it.

        Args:
            shared: what `shared` returned.
        """
        trained = [(method, self.variants(method)) for method in trained_methods(self.methods)]
        known = known_methods(self.methods)
        cells: dict[str, Cell] = {}
        for backbone in self.backbones:
            for task in self.tasks:
                panel = Panel(self, backbone, task, shared, known)
                for seed in self.seeds:
                    for method, variants in trained:
                        for variant in variants:
                            cell = panel.cell(method, variant, seed)
                            cells[cell.key] = cell
        return list(cells.values())

    def variants(self, method: Method) -> list[str]:
        """The canonical names of the variants of a method that the suite trains."""
        names = self.suite.variants.get(method.name, method.variants)
        return [variant_name(parse_variant(method, name)) for name in names]


class Panel:
    """The cells of one task and backbone. What does not depend on the seed is worked out once.

    Args:
        grid: the plan.
        backbone: the family.
        task: the task.
        shared: what `Grid.shared` returned.
        known: of `known_methods`.
    """

    def __init__(self, grid: Grid, backbone: str, task: Task, shared: dict, known: dict[str, Method]) -> None:
        self.grid, self.backbone, self.task, self.shared, self.known = grid, backbone, task, shared, known
        self.starting = {method.starts_from for method in known.values()}
        self.templates: dict[tuple[str, str], Cell] = {}
        self.made: dict[tuple[str, str, int], Cell] = {}

    def cell(self, method: Method, variant: str, seed: int) -> Cell:
        """The cell of one method and seed."""
        if self.grid.suite.seed_scope == "heads" and method.name in self.starting:
            seed = 0
        if (method.name, variant, seed) not in self.made:
            if (method.name, variant) not in self.templates:
                self.templates[method.name, variant] = self.template(method, variant)
            like = self.templates[method.name, variant]
            start = self.cell(self.known[method.starts_from], "", seed).key if method.starts_from else None
            spec = {**like.spec, "seed": seed, "start": start}
            self.made[method.name, variant, seed] = Cell(spec, like.checkpoint, like.panel_checkpoint, start, like.skip)
        return self.made[method.name, variant, seed]

    def template(self, method: Method, variant: str) -> Cell:
        """The cell of no seed, which starts from nothing."""
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
        if mended := shared["segments"].get(entry_name(backbone, method.checkpoint)):
            spec["segments"] = mended
        if method.content:
            spec["content"] = method.content
        if grid.unlabelled and not method.reads_labels:
            spec["unlabelled"] = shared["unlabelled"][task.id]
        skip = method.skip(task.num_labels) or (None if path else no_checkpoint(method.checkpoint, backbone))
        checkpoint = grid.checkpoint(path) if path else None
        panel = grid.checkpoint(family.checkpoint) if family.checkpoint else None
        return Cell(spec, checkpoint, panel, None, skip)


def entry_name(family: str, kind: str) -> str:
    """Under which name run.json holds a checkpoint of one of `KINDS`: `bert`, `bert student`."""
    return family if kind == "backbone" else f"{family} {kind}"


def no_checkpoint(kind: str, family: str) -> str:
    """Why a method whose checkpoint the suite does not name is skipped, and how to name one."""
    flag = {"backbone": "--backbones", "student": "--students", "tinybert": "--tinybert"}[kind]
    return f"no {kind} checkpoint: name one with {flag} {family}=DIR"
