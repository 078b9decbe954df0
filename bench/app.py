"""Do what a command line asks for: plan, prepare, run, collect, compare.

Whatever a user can have got wrong is found before training starts.
"""

from __future__ import annotations

import sys
import time
from argparse import Namespace
from dataclasses import dataclass, replace
from pathlib import Path

from bench.against import Published, adopt
from bench.errors import UserError
from bench.plan.grid import Grid
from bench.plan.methods import known_methods, resolve_methods, trained_methods
from bench.plan.options import command_of, resolve_grid
from bench.plan.shards import resolve_shard
from bench.plan.suite_file import load_suite
from bench.report.outputs import collect_and_draw, compare_and_draw, status_of
from bench.report.refresh import Refresher
from bench.report.uptodate import is_collected
from bench.run.backends import open_backend
from bench.run.devices import check_backend, check_device, resolve_devices
from bench.run.environment import other_versions
from bench.run.runner import run as run_cells
from bench.run.todo import Todo, find_todo, tidy
from bench.run.work import Work
from bench.sources import embedded
from bench.sources.tsv import left_out
from bench.store.consistency import check_records, check_shared, merged, outdated, outdated_lines, recalled
from bench.store.files import make_writable
from bench.store.folder import PLATEAU_FOLDER, RunFolder
from bench.store.locks import exclusive
from bench.store.revisions import read_pins, write_pins
from methods.base import Methods

#: Seeds of the run with twice the steps, paired with the first of the run.
PLATEAU_SEEDS = 3


@dataclass(frozen=True)
class Asked:
    """What a command asks to run, and where it goes.

    Attributes:
        grid: its cells.
        files: of its methods from outside the project.
        folder: its results.
        figures: the folder for its figures.
        options: of the command line.
        published: the run that its results stand beside, if any.
    """

    grid: Grid
    files: dict[str, str]
    folder: RunFolder
    figures: Path
    options: Namespace
    published: Published | None


def run(options: Namespace) -> int:
    """Do what the command line asks for and give the exit status: 0, or 1 if cells have failed.

    Raises:
        UserError: anything that the user can mend.
    """
    if options.check_method:
        from bench.conformance import report_checks

        return report_checks(resolve_methods(options.check_method)[0])
    if options.check_bundle:
        from bench.report.export import report_bundle

        return report_bundle(Path(options.check_bundle))
    check_device(options)
    name = "compare" if options.compare else load_suite(options.suite).name
    folder = RunFolder(Path(options.results or Path("results") / name))
    figures = Path(options.figures or Path("figures") / name)
    if options.compare:
        return compare_and_draw(options.compare, folder, figures)
    published = Published.of_command(options, folder)
    if options.export:
        from bench.report.export import export

        return export(folder, Path(options.export), options.logits)
    if options.collect:
        if published:
            adopt(published, folder)
        return collect_and_draw(folder, figures, options.focus)
    # From here on the data and checkpoints must be there; collecting, above, does without them.
    if published and options.methods is None:
        options.methods = ",".join(published.project_methods())
    # a plan goes by published sizes, except where rows are compared with those of another run, or added to
    offline = options.plan and not published and not options.unlabelled
    grid, files = resolve_grid(options, read_pins(folder.path), offline)
    if options.measure_latency:
        from bench.report.latency import measure_latency

        return measure_latency(grid, folder, figures, resolve_devices(options))
    if options.prepare:
        return prepare(grid, folder)
    act = check_plateau if options.check_plateau else run_grid
    return act(Asked(grid, files, folder, figures, options, published))


def run_grid(asked: Asked) -> int:
    """Run the cells that are not finished yet and collect the results; with --plan, only list the cells."""
    grid, folder, options = asked.grid, asked.folder, asked.options
    check_backend(options)
    shard = resolve_shard(options.shard)
    known = folder.shared()
    shared = recalled(known, grid.shared())
    for line in left_out():
        print(line, file=sys.stderr)
    cells, methods, sources = grid.cells(shared), {}, {}
    if asked.published:
        cells, shared, methods, sources = asked.published.beside(grid, cells, shared, asked.files)
    check_shared(folder.path, known, shared)
    cells = shard.of(cells)
    todo = find_todo(cells, folder, options.force, options.retry == "failed", options.save_models)
    check_loadable(todo, grid.suite.max_length, download=not options.plan)
    if options.plan:
        from bench.report.planned import print_plan

        return print_plan(cells, todo, grid, folder, options)
    # Nothing has been written yet, so that a command that is refused up to here leaves no folder behind.
    folder.create()
    make_writable(asked.figures, "figures")
    # models that were trained only for others to start from are reported, too: they cost nothing more
    reported = [*grid.methods, *(method.name for method in trained_methods(grid.methods))]
    shared = {**shared, "commands": {command_of(options): list(grid.seeds)}}
    with exclusive(folder, "run.json"):  # two runs that start together would lose one's entries
        if todo.pending:  # else collecting makes the same check
            check_finished(folder, shared, known_methods(grid.methods))
        folder.share(shared, methods | {name: asked.files.get(name) for name in reported}, sources)
        write_pins(folder.path, grid.revisions())
    tidy(todo, folder)
    run_todo(todo, asked)
    if is_collected(folder, asked.figures, options.focus):
        print(f"tables in {folder.path} and figures in {asked.figures} are up to date")
        return status_of(folder)
    return collect_and_draw(folder, asked.figures, options.focus)


def check_plateau(asked: Asked) -> int:
    """Run a grid, and beside it the same with twice the steps and three seeds: plateau.csv tells whom that helps."""
    grid, folder = asked.grid, asked.folder
    if asked.published:
        raise UserError("--check-plateau: not beside a published run (--against), whose methods are not trained here")
    if len(grid.seeds) < PLATEAU_SEEDS:
        raise UserError(f"--check-plateau: expected at least {PLATEAU_SEEDS} seeds, got {len(grid.seeds)}")
    known = folder.shared()
    check_shared(folder.path, known, recalled(known, grid.shared()))  # before anything is trained beside it
    twice = replace(grid, suite=grid.suite.longer(2), seeds=grid.seeds[:PLATEAU_SEEDS])
    beside = RunFolder(folder.path / PLATEAU_FOLDER)
    status = run_grid(replace(asked, grid=twice, folder=beside, figures=asked.figures / PLATEAU_FOLDER))
    return max(status, run_grid(asked))


def check_finished(folder: RunFolder, shared: dict, methods: Methods) -> None:
    """Before a command runs: refuse a folder with another run's cells, say which no longer count, or may differ.

    Raises:
        UserError: see `check_records`.
    """
    records = folder.records()
    current = [record for record in records if not outdated(record, methods)]
    check_records(folder.path, current, merged(folder.shared(), shared))
    for line in [*outdated_lines(records, methods), *other_versions(folder.environments())]:
        print(line, file=sys.stderr)


def run_todo(todo: Todo, asked: Asked) -> None:
    """A command's run: the cells that are left, what people read refreshed after each seed, how many failed."""
    grid, folder, options = asked.grid, asked.folder, asked.options
    cells = f"{len(todo.pending)} cells to run, {len(todo.finished)} done or skipped"
    what = f"suite '{grid.suite.name}' ({grid.suite.title}): {cells}"
    if not todo.pending:
        print(what)
        return
    backend = open_backend(options)
    print(f"{what}, {backend.description}")
    started = time.monotonic()
    outside = tuple(sorted(set(asked.files.values())))  # a tuple, because workers cache what they import by it
    work = Work(folder, grid.pinned_source(), backend.device, outside, options.save_models, grid.unlabelled)
    refresher = Refresher(folder, asked.figures, options.focus)
    failed = run_cells(todo, work, backend, options.fail_fast, options.force, refresher)
    print(f"{len(todo.pending)} cells in {time.monotonic() - started:.0f} s, {failed} failed")


def check_loadable(todo: Todo, max_length: int, download: bool) -> None:
    """Before a command runs: load every checkpoint and tokenizer that it will train, so that a bad one is refused.

    Args:
        todo: what is left of the plan.
        max_length: of the suite.
        download: whether to fetch what is not on this machine; a plan looks at what is, and at what a user brings.
    """
    checkpoints = dict.fromkeys((cell.checkpoint, cell.spec.get("pooling")) for cell in todo.pending)
    if not download:
        own = {str(embedded.checkpoint(name)) for name in embedded.CHECKPOINTS}
        checkpoints = [each for each in checkpoints if each[0].path not in own and each[0].is_at_hand()]
    if checkpoints:  # else the library is not imported that would load them
        from bench.models.loading import check_checkpoints

        check_checkpoints(checkpoints, max_length)


def prepare(grid: Grid, folder: RunFolder) -> int:
    """Download data and checkpoints for runs without network, note their commits in the results folder, print both."""
    from bench.report.planned import fetch_lines

    print(*fetch_lines(grid), sep="\n", flush=True)
    shared = grid.shared()  # reads every row, which downloads the data
    check_shared(folder.path, folder.shared(), shared)
    from bench.models.loading import check_checkpoints  # heavy: what is fetched is on the screen by now

    check_checkpoints([(each, None) for each in grid.checkpoints().values()], grid.suite.max_length)
    folder.create()
    with exclusive(folder, "run.json"):
        write_pins(folder.path, grid.revisions())
    for kind in ("data", "checkpoints"):
        for name, fingerprint in shared[kind].items():
            print(f"{kind} {name}: {fingerprint}")
    for name, commit in grid.revisions().items():
        print(f"pinned {name} at {commit}")
    return 0
