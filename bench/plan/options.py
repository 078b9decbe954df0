"""The options of a command line, resolved to a `Grid`; every wrong name is refused here, before anything runs."""

from __future__ import annotations

import shlex
from argparse import Namespace
from dataclasses import replace
from pathlib import Path

from bench.errors import UserError, check_choice, cut
from bench.plan.grid import Grid
from bench.plan.methods import check_suite_methods, entries_of, known_methods, resolve_methods
from bench.plan.suite import COMPATS, PRECISIONS, Suite
from bench.plan.suite_file import load_suite, with_recipe
from bench.sources.examples import Source
from bench.sources.generated import Embedded
from bench.sources.hub_rows import Hub
from bench.sources.tasks import PAPER_TASKS, TASKS, Task
from bench.sources.tsv import TsvFolder
from methods import discover
from methods.base import Methods


def resolve_grid(options: Namespace, pins: dict[str, str], offline: bool = False) -> tuple[Grid, dict[str, str]]:
    """What a command line asks for, and the files of methods from outside the project, by the methods' names.

    Args:
        options: the command line.
        pins: commits of hub repositories that the results folder has fixed.
        offline: see `Grid`.

    Raises:
        UserError: an unknown name or a value out of range.
    """
    suite = resolve_suite(options)
    methods, files = resolve_methods(options.methods)
    check_suite_methods(suite, known_methods(methods))
    if options.limit is not None and options.limit < 1:
        raise UserError(f"--limit: expected at least 1 row, got {options.limit}")
    grid = Grid(
        suite=suite,
        tasks=resolve_tasks(options.tasks, suite.tasks),
        backbones=resolve_backbones(options.backbones, suite),
        methods=methods,
        seeds=resolve_seeds(options),
        source=resolve_source(suite, options.glue_dir, pins),
        limit=options.limit,
        pins=pins,
        unlabelled=resolve_unlabelled(options.unlabelled, methods),
        offline=offline,
    )
    return grid, files


def resolve_suite(options: Namespace) -> Suite:
    """The suite of `--suite`, with the checkpoints, precision, compat and recipe of other options for its own."""
    suite = load_suite(options.suite)
    named = {"backbone": {name: path for name, path in parse_pairs("--backbones", options.backbones).items() if path}}
    for kind, flag, text in (("student", "--students", options.students), ("tinybert", "--tinybert", options.tinybert)):
        named[kind] = parse_pairs(flag, text)
        for name, path in named[kind].items():
            if not path:
                raise UserError(f"{flag} {name}: expected NAME=DIR")
    # Of --backbones only NAME=DIR changes the suite; a NAME alone selects a family, see `resolve_backbones`.
    for name in (name for names in named.values() for name in names):
        check_choice("backbone", name, suite.backbones)
    for key, choices in (("precision", PRECISIONS), ("compat", COMPATS)):
        if value := getattr(options, key):
            suite = replace(suite, **{key: check_choice(key, value, choices)})
    if options.recipe:
        suite = with_recipe(suite, options.recipe)
    return suite.with_checkpoints(named)


def parse_pairs(flag: str, text: str | None) -> dict[str, str]:
    """Read NAME or NAME=DIR, separated by commas; the folder is empty where none is given.

    Raises:
        UserError: there is nothing but commas.
    """
    entries = [entry.partition("=") for entry in entries_of(text or "")]
    if text is not None and not entries:
        raise UserError(f"{flag}: expected at least one name")
    return {name: path for name, _, path in entries}


def resolve_backbones(text: str | None, suite: Suite) -> list[str]:
    """The families that `--backbones` asks for: those named, or all that the suite gives a checkpoint.

    Raises:
        UserError: an unknown name, or a family without a checkpoint.
    """
    named = list(parse_pairs("--backbones", text)) or [
        name for name, family in suite.backbones.items() if family.checkpoint
    ]
    for name in named:
        check_choice("backbone", name, suite.backbones)
        if not suite.backbones[name].checkpoint:
            raise UserError(
                f"suite '{suite.name}' names no checkpoint for '{name}': give one with --backbones {name}=DIR"
            )
    if not named:
        choices = ", ".join(f"{name}=DIR" for name in suite.backbones)
        raise UserError(f"suite '{suite.name}' names no checkpoints: give them with --backbones {choices}")
    return named


def resolve_seeds(options: Namespace) -> list[int]:
    """The seeds of `--seeds` (0..N-1) or `--seed-list`, without repeats.

    Raises:
        UserError: none, negative, or more or larger ones than numpy takes.
    """
    if options.seed_list is None:
        seeds = range(3 if options.seeds is None else options.seeds)
    else:
        try:
            seeds = list(dict.fromkeys(int(part) for part in options.seed_list.split(",")))
        except ValueError:
            raise UserError(
                f"--seed-list: expected whole numbers such as 0,1,2, got '{cut(options.seed_list)}'"
            ) from None
    if not seeds or min(seeds) < 0:
        raise UserError("no seeds: expected --seeds N with N of at least 1, or --seed-list 0,1,2")
    if len(seeds) > 10_000 or max(seeds) >= 2**31:
        raise UserError("too many or too large seeds: expected at most 10000, each below 2147483648")
    return list(seeds)


def resolve_source(suite: Suite, glue_dir: str | None, pins: dict[str, str]) -> Source:
    """The source of rows that suite and `--glue-dir` ask for; the hub's at the commit that the folder keeps to.

    Raises:
        UserError: `--glue-dir` is missing, no folder, or of no use to this suite.
    """
    if glue_dir is not None and suite.source != "folder":
        raise UserError(f"--glue-dir: suite '{suite.name}' reads {suite.source} data; use --suite glue-local")
    if suite.source == "folder":
        if glue_dir is None:
            raise UserError(f"suite '{suite.name}' reads GLUE from a folder: name it with --glue-dir DIR")
        if not Path(glue_dir).is_dir():
            raise UserError(f"--glue-dir: '{glue_dir}' is not a folder")
        return TsvFolder(Path(glue_dir))
    return Embedded() if suite.source == "embedded" else Hub(revision=pins.get(f"datasets/{Hub.repo}"))


def resolve_unlabelled(folder: str | None, methods: Methods) -> Path | None:
    """The folder of rows without labels that `--unlabelled` names, if it does.

    Raises:
        UserError: no method of the run would learn from it, or it is no folder.
    """
    if folder is None:
        return None
    if all(method.reads_labels for method in methods.values()):
        learners = ", ".join(name for name, method in discover().items() if not method.reads_labels)
        raise UserError(f"--unlabelled: every method named reads labels, name one that does not: {learners}")
    if not Path(folder).is_dir():
        raise UserError(f"--unlabelled: '{folder}' is not a folder")
    return Path(folder)


def command_of(options: Namespace) -> str:
    """The command line that repeats a run, with defaults spelled out: what was asked for, not where or how it ran."""
    given = {name: value for name in options.asked_for if (value := getattr(options, name)) is not None}
    parts = [part for name, value in given.items() for part in (f"--{name.replace('_', '-')}", str(value))]
    parts += ["--check-plateau"] if options.check_plateau else []
    return f"{options.start} {shlex.join(parts)}"


def resolve_tasks(names: str, own: dict[str, Task] | None = None) -> list[Task]:
    """The tasks that `--tasks` names, each once, in the order given.

    Args:
        names: ids separated by commas; `all` stands for the paper's six.
        own: tasks of a suite besides GLUE's.

    Raises:
        UserError: a name is not a task.
    """
    known, wanted = {**TASKS, **(own or {})}, []
    for name in names.split(","):
        check_choice("task", name.strip(), ("all", *known))
        wanted += PAPER_TASKS if name.strip() == "all" else [name.strip()]
    return [known[name] for name in dict.fromkeys(wanted)]
