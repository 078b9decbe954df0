"""From the words of a command line to what they mean; every wrong name is refused here, before anything runs."""

from __future__ import annotations

import os
from argparse import Namespace
from dataclasses import replace
from pathlib import Path

from bench.data import Embedded, Source
from bench.errors import UserError, check_name, cut, nearest, one_line
from bench.hub import Hub
from bench.plan import Grid, known_methods
from bench.store import RunFolder
from bench.suite import COMPATS, PRECISIONS, STAGES, Suite, load_suite
from bench.tasks import resolve_tasks
from bench.tsv import Folder
from methods import DEFAULT, LEGAL_NAME, discover, from_file, is_legal_name
from methods.base import Method

#: No machine or cluster runs more cells at a time.
MOST_JOBS = 10_000


def resolve_grid(options: Namespace, pins: dict[str, str]) -> tuple[Grid, dict[str, str]]:
    """The axes of the plan that a command line asks for, and the files of methods from outside the project.

    Args:
        options: the command line.
        pins: commits of hub repositories that the results folder has fixed.

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
        tasks=resolve_tasks(options.tasks),
        backbones=resolve_backbones(options.backbones, suite),
        methods=methods,
        seeds=resolve_seeds(options),
        source=resolve_source(suite, options.glue_dir, pins),
        limit=options.limit,
        pins=pins,
        unlabelled=resolve_unlabelled(options.unlabelled, methods),
    )
    return grid, files


def resolve_suite(options: Namespace) -> Suite:
    """The suite with what the command line changes in it."""
    suite = load_suite(options.suite)
    named = {"backbone": {name: path for name, path in pairs("--backbones", options.backbones).items() if path}}
    for kind, flag, text in (("student", "--students", options.students), ("tinybert", "--tinybert", options.tinybert)):
        named[kind] = pairs(flag, text)
        for name, path in named[kind].items():
            if not path:
                raise UserError(f"{flag} {name}: expected NAME=DIR")
    for name in (name for names in named.values() for name in names):
        check_name("backbone", name, suite.backbones)
    if options.precision:
        suite = replace(suite, precision=check_name("precision", options.precision, PRECISIONS))
    if options.compat:
        suite = replace(suite, compat=check_name("compat", options.compat, COMPATS))
    if options.recipe:
        suite = suite.with_recipe(options.recipe)
    return suite.with_checkpoints(named)


def check_suite_methods(suite: Suite, known: dict[str, Method]) -> None:
    """Refuse variants and recipes for methods that do not exist."""
    for table, what, names in (("variants", "method", suite.variants), ("recipes", "stage or method", suite.recipes)):
        choices = [*known, *STAGES] if table == "recipes" else list(known)
        for name in (name.rpartition("/")[2] for name in names):
            if name not in choices:
                hint = nearest(name, choices)
                raise UserError(f"suite '{suite.name}': [{table}] names no {what} with '{name}'{hint}")


def pairs(flag: str, text: str | None) -> dict[str, str]:
    """NAME or NAME=DIR, separated by commas."""
    entries = [entry.strip().partition("=") for entry in (text or "").split(",") if entry.strip()]
    if text is not None and not entries:
        raise UserError(f"{flag}: expected at least one name")
    return {name: path for name, _, path in entries}


def resolve_backbones(text: str | None, suite: Suite) -> list[str]:
    """The families to run: those named, or all that the suite gives a checkpoint.

    Raises:
        UserError: an unknown name, or a family without a checkpoint.
    """
    named = list(pairs("--backbones", text)) or [name for name, family in suite.backbones.items() if family.checkpoint]
    for name in named:
        check_name("backbone", name, suite.backbones)
        if not suite.backbones[name].checkpoint:
            raise UserError(
                f"suite '{suite.name}' names no checkpoint for '{name}': give one with --backbones {name}=DIR"
            )
    if not named:
        choices = ", ".join(f"{name}=DIR" for name in suite.backbones)
        raise UserError(f"suite '{suite.name}' names no checkpoints: give them with --backbones {choices}")
    return named


def resolve_methods(text: str | None) -> tuple[dict[str, Method], dict[str, str]]:
    """The methods to report, and the files of those from outside the project.

    Raises:
        UserError: an unknown name, or a file that defines no method.
    """
    known = discover()
    chosen: dict[str, Method] = {}
    files: dict[str, str] = {}
    for entry in filter(None, (part.strip() for part in ("default" if text is None else text).split(","))):
        if entry.endswith(".py"):
            found = load_method_file(entry)
            files |= {method.name: str(Path(entry).resolve()) for method in found}
            chosen |= {method.name: method for method in found}
        elif entry in ("default", "all"):
            chosen |= known if entry == "all" else {name: known[name] for name in DEFAULT}
        else:
            check_name("method", entry, ["default", "all", *known])
            chosen[entry] = known[entry]
    if not chosen:
        raise UserError("--methods: expected at least one name")
    return chosen, files


def load_method_file(entry: str, compat: str = "equal") -> list[Method]:
    """The methods of a file named on the command line; `compat` as for `methods.discover`."""
    path = Path(entry)
    if not path.is_file():
        raise UserError(f"method file '{entry}' does not exist")
    try:
        found = from_file(path, compat)
    except Exception as error:
        why = f"{type(error).__name__}: {one_line(error)}"
        raise UserError(f"method file '{entry}' cannot be imported: {why}") from error
    for method in found:
        if not is_legal_name(method.name):
            raise UserError(f"method file '{entry}': a method's name is {LEGAL_NAME}, got {cut(repr(method.name))}")
    if not found:
        raise UserError(f"method file '{entry}' defines no class derived from methods.base.Method with a name")
    return found


def methods_of(folder: RunFolder) -> dict[str, Method]:
    """All methods of the project and those from outside it that a run folder reports."""
    shared = folder.shared()
    compat = shared.get("compat", "equal")
    known = discover(compat)
    for file in sorted({file for file in shared.get("methods", {}).values() if file}):
        known |= {method.name: method for method in load_method_file(file, compat)}
    return known


def resolve_seeds(options: Namespace) -> list[int]:
    """Seeds 0..N-1, or the list given, without repeats."""
    if options.seed_list is None:
        seeds = range(3 if options.seeds is None else options.seeds)
    else:
        try:
            seeds = list(dict.fromkeys(int(part) for part in options.seed_list.split(",")))
        except ValueError:
            line = f"--seed-list: expected whole numbers such as 0,1,2, got '{cut(options.seed_list)}'"
            raise UserError(line) from None
    if not seeds or min(seeds) < 0:
        raise UserError("no seeds: expected --seeds N with N of at least 1, or --seed-list 0,1,2")
    if len(seeds) > 10_000 or max(seeds) >= 2**31:
        raise UserError("too many or too large seeds: expected at most 10000, each below 2147483648")
    return list(seeds)


def resolve_source(suite: Suite, glue_dir: str | None, pins: dict[str, str]) -> Source:
    """Where the suite's data comes from; the hub's at the commit that was pinned."""
    if glue_dir is not None and suite.source != "folder":
        raise UserError(f"--glue-dir: suite '{suite.name}' reads {suite.source} data; use --suite glue-local")
    if suite.source == "folder":
        if glue_dir is None:
            raise UserError(f"suite '{suite.name}' reads GLUE from a folder: name it with --glue-dir DIR")
        if not Path(glue_dir).is_dir():
            raise UserError(f"--glue-dir: '{glue_dir}' is not a folder")
        return Folder(Path(glue_dir))
    return Embedded() if suite.source == "embedded" else Hub(revision=pins.get(f"datasets/{Hub.repo}"))


def resolve_unlabelled(folder: str | None, methods: dict[str, Method]) -> Path | None:
    """The folder of rows without labels, where a method is named that learns from them."""
    if folder is None:
        return None
    if all(method.reads_labels for method in methods.values()):
        learners = ", ".join(name for name, method in discover().items() if not method.reads_labels)
        raise UserError(f"--unlabelled: every method named reads labels, name one that does not: {learners}")
    if not Path(folder).is_dir():
        raise UserError(f"--unlabelled: '{folder}' is not a folder")
    return Path(folder)


def check_backend(options: Namespace) -> None:
    """Refuse what no backend can do, before anything is read.

    Raises:
        UserError: naming the option.
    """
    if options.jobs is not None and options.jobs < 1:
        raise UserError(f"--jobs: expected at least 1, got {options.jobs}")
    if options.jobs is not None and options.jobs > MOST_JOBS:
        raise UserError(f"--jobs: expected at most {MOST_JOBS}, got {cut(options.jobs)}")
    if options.cell_timeout is not None and not 0 < options.cell_timeout < float("inf"):
        raise UserError(f"--cell-timeout: expected seconds above 0, got {options.cell_timeout:g}")
    if options.backend == "dask" and options.address is None:
        raise UserError("--backend dask: name the scheduler with --address tcp://HOST:PORT")
    if options.backend != "dask" and options.address is not None:
        raise UserError("--address: only --backend dask has a scheduler")


def resolve_devices(options: Namespace) -> list[str]:
    """The devices to measure on: the one that is named, or for `auto` all kinds that this machine has."""
    _, device = resolve_workers(options)
    return ["cpu", "cuda"] if options.device == "auto" and device == "cuda" else [device]


def resolve_workers(options: Namespace) -> tuple[int, str]:
    """Number of worker processes on this machine and the device they compute on."""
    import torch

    if options.device == "cuda" and not torch.cuda.is_available():
        raise UserError("--device cuda: no CUDA device is available here")
    device = options.device
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    return options.jobs or places_of(device), device


def places_of(device: str) -> int:
    """How many GPUs, or cores, this process may use."""
    import torch

    if device == "cuda":
        return torch.cuda.device_count()
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
