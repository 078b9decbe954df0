"""`list`: what there is to name on a command line, one line each."""

from __future__ import annotations

import argparse
import inspect
from collections.abc import Callable, Iterator

from bench.errors import check_choice
from bench.plan.suite_file import available, load_suite
from bench.sources.tasks import TASKS
from bench.store.beside import REFERENCES, references
from bench.store.bundle import read_manifest
from methods import DEFAULT, discover

#: What there is of one kind: its name, and what there is to know about it.
Entries = Iterator[tuple[str, str]]


def main(words: list[str]) -> int:
    """Print what `list` was asked for: all kinds, or the one that is named."""
    about = argparse.ArgumentParser(prog="list", description=__doc__.splitlines()[0], allow_abbrev=False)
    about.add_argument("kind", nargs="?", metavar="KIND", help=f"one of {', '.join(KINDS)}; default: all")
    kind = about.parse_args(words).kind
    for name in KINDS if kind is None else [check_choice("kind", kind, KINDS)]:
        print(name)
        for entry, text in KINDS[name]():
            print(f"  {entry:16} {text}")
    return 0


def tasks() -> Entries:
    """Lines of `list`: GLUE's tasks."""
    for task in TASKS.values():
        kind = f"{len(task.labels)} classes" if task.labels else "a score"
        yield task.id, f"{task.title}: {kind}, {task.metric}"


def methods() -> Entries:
    """Lines of `list`: the methods found, those that run by default marked."""
    for name, method in discover().items():
        citation = inspect.getdoc(type(method)).splitlines()[0]
        yield name, f"{'(default) ' if name in DEFAULT else ''}{citation}"


def suites() -> Entries:
    """Lines of `list`: the suites that come with the project."""
    for name in available():
        suite = load_suite(name)
        yield name, f"{suite.title}; {suite.source} data, {', '.join(suite.backbones)}"


def backbones() -> Entries:
    """Lines of `list`: the families of all suites with their checkpoints."""
    found: dict[str, list[str]] = {}
    for name in available():
        for family, about in load_suite(name).backbones.items():
            found.setdefault(family, []).append(f"{name}: {about.checkpoint or 'named by --backbones'}")
    for family, checkpoints in found.items():
        yield family, "; ".join(checkpoints)


def published() -> Entries:
    """Lines of `list`: the published runs that come with the project, for `--against`."""
    for name in references():
        about = read_manifest(REFERENCES / name)
        tasks = ", ".join(about["classes"])
        yield name, f"suite {about['suite']}: {tasks}; engine {about['engine']}, logits as {about['logits']}"


KINDS: dict[str, Callable[[], Entries]] = {
    "tasks": tasks,
    "methods": methods,
    "suites": suites,
    "backbones": backbones,
    "references": published,
}
