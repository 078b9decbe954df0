"""Search the recipes of a suite: `python -m bench.tune --suite NAME --trials N --results FOLDER`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from bench.errors import UserError, command
from bench.plan.cell import Cell
from bench.plan.methods import resolve_methods, trained_methods
from bench.plan.options import resolve_grid
from bench.sources.held_out import SHARE, HeldOut
from bench.store.consistency import check_shared
from bench.store.folder import RunFolder
from bench.store.locks import exclusive
from methods.base import Method, Methods

#: What a grid asks for besides the options of a search.
OTHERS = ("recipe", "compat", "precision", "unlabelled", "tinybert", "seeds", "address")


def build_parser() -> argparse.ArgumentParser:
    """The parser of `python -m bench.tune`."""
    about = "Search recipes: the same number of trials for every method, on rows held out of training."
    parser = argparse.ArgumentParser(prog="python -m bench.tune", description=about, allow_abbrev=False)
    parser.add_argument("--suite", default="embedded", metavar="NAME|FILE.toml", help="default: embedded")
    parser.add_argument("--tasks", default="sst2,qnli", metavar="T,T", help="two tasks; default: sst2,qnli")
    parser.add_argument("--backbone", metavar="NAME|NAME=DIR", help="default: the suite's first")
    parser.add_argument("--students", metavar="NAME=DIR", help="student checkpoint of the family")
    parser.add_argument("--methods", metavar="NAME|FILE.py,..", help="default: those of the paper that train")
    parser.add_argument("--trials", type=int, default=12, metavar="N", help="recipes per method; default: 12")
    parser.add_argument("--most-steps", type=int, default=1000, metavar="N", help="that may be chosen; default: 1000")
    parser.add_argument("--limit", type=int, metavar="N", help="N training and N held-out rows per task")
    parser.add_argument("--glue-dir", metavar="DIR", help="GLUE in TSV files, for suites that read a folder")
    parser.add_argument("--results", metavar="DIR", help="default: results/tuning-SUITE")
    parser.add_argument("--jobs", type=int, metavar="N", help="cells at a time")
    parser.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda"))
    parser.set_defaults(**dict.fromkeys(OTHERS), seed_list="0", backend="local", cell_timeout=None)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """`python -m bench.tune`: search, and give the exit status: 0, 2 for wrong usage, 130 where it was interrupted."""
    try:
        return command("bench.tune", lambda: tune(build_parser().parse_args(argv)))
    except KeyboardInterrupt:
        print("interrupted: what is finished is kept; the same command again goes on", file=sys.stderr)
        return 130


def tune(options: argparse.Namespace) -> int:
    """Search the recipes that the command line of `python -m bench.tune` asks for."""
    from bench.app import check_loadable
    from bench.run.backends import open_backend
    from bench.run.runner import run
    from bench.run.todo import find_todo, tidy
    from bench.run.work import Work
    from bench.tune.search import Search, say

    if options.trials < 1 or options.most_steps < 1:
        raise UserError("--trials and --most-steps: expected at least 1")
    options.backbones = options.backbone
    grid, files = resolve_grid(options, {})
    methods = searched(grid.methods, named=options.methods is not None)
    if len(grid.tasks) != 2:
        raise UserError(f"--tasks: expected two tasks, whose mean is the score, got {len(grid.tasks)}")
    grid = replace(grid, source=HeldOut(grid.pinned_source()), backbones=grid.backbones[:1])
    grid = replace(grid, methods={method.name: method for method in methods})
    shared = grid.shared() | {"held_out": SHARE}
    folder = RunFolder(Path(options.results or f"results/tuning-{grid.suite.name}"))
    check_shared(folder.path, folder.shared(), shared)
    if folder.shared() and "held_out" not in folder.shared():
        raise UserError(f"results folder '{folder.path}' holds a run, not a search: name another with --results DIR")

    def run_cells(cells: list[Cell]) -> None:
        todo = find_todo(cells, folder)
        if todo.pending:
            backend = open_backend(options)
            print(f"{len(todo.pending)} cells to run, {len(todo.finished)} done", file=sys.stderr, flush=True)
            run(todo, Work(folder, grid.source, backend.device, tuple(sorted(set(files.values())))), backend)
        tidy(todo, folder)

    search = Search(grid, shared, folder, run_cells, options.trials, options.most_steps)
    check_loadable(find_todo(grid.cells(shared), folder), grid.suite.max_length, download=True)
    folder.create()
    with exclusive(folder, "run.json"):
        folder.share(shared, {name: files.get(name) for name in grid.methods})
    with exclusive(folder, "search"):
        say(search.search(methods))
    print(f"{folder.path / 'trials.csv'}; to be put into a suite: {folder.path / 'recipes.toml'}")
    return 0


def searched(methods: Methods, named: bool) -> list[Method]:
    """The methods that `python -m bench.tune` searches for, stage 1 first; it belongs to every search.

    Args:
        methods: what the command line asks for.
        named: whether it names them: then one that trains nothing is refused, else left out.

    Raises:
        UserError: a method that trains nothing of its own.
    """
    for method in methods.values():
        if named and method.trained_by:
            raise UserError(f"--methods: '{method.name}' trains nothing, it replays '{method.trained_by}': name that")
    own = {name: method for name, method in methods.items() if not method.trained_by}
    found = {method.name: method for method in (*resolve_methods("static")[0].values(), *trained_methods(own))}
    return list(found.values())


if __name__ == "__main__":
    sys.exit(main())
