"""What a command does: plan, run, collect, draw. What a user can mend is found before training starts."""

from __future__ import annotations

import shlex
import sys
import time
from argparse import Namespace
from pathlib import Path

from bench.cell import Work
from bench.checkpoints import resolve as resolve_checkpoint
from bench.errors import UserError
from bench.plan import Grid, trained_methods
from bench.resolve import load_method_file, resolve_grid, resolve_workers
from bench.runner import Todo, find_todo
from bench.runner import run as run_cells
from bench.store import RunFolder
from bench.suite import load_suite
from methods import discover

#: Options that change no number.
WHERE_AND_HOW = {"results", "figures", "jobs", "fail_fast", "force", "plan", "prepare", "collect", "compare"}


def run(options: Namespace) -> int:
    """Do what the command line asks for; see `run_all.main` for the exit status.

    Raises:
        UserError: anything that the user can mend.
    """
    name = "compare" if options.compare else load_suite(options.suite).name
    folder = RunFolder(Path(options.results or Path("results") / name))
    figures = Path(options.figures or Path("figures") / name)
    if options.compare:
        return compare_and_draw(options.compare, folder, figures)
    if options.collect:
        return collect_and_draw(folder, figures)
    grid, files = resolve_grid(options)
    return prepare(grid) if options.prepare else run_grid(grid, files, folder, figures, options)


def run_grid(grid: Grid, files: dict[str, str], folder: RunFolder, figures: Path, options: Namespace) -> int:
    """Plan; then, unless only the plan was asked for, run and collect."""
    jobs, device = resolve_workers(options)
    shared = grid.shared()
    cells = grid.cells(shared)
    todo = find_todo(cells, folder, options.force)
    if options.plan:
        for cell in cells:
            state = f"skipped: {cell.skip}" if cell.skip else "to run" if cell in todo.pending else "done"
            print(f"{cell.key[:12]}  {cell.label:50}  {state}")
        print(f"{len(cells)} cells, {len(todo.pending)} to run, {len(todo.finished)} done or skipped")
        return 0
    check_loadable(todo, grid.suite.max_length)
    folder.create()
    make_figures_folder(figures)
    reported = {**grid.methods, **{method.name: method for method in trained_methods(grid.methods)}}
    commands = {"commands": {command_of(options): list(grid.seeds)}}
    folder.share({**shared, **commands}, {name: files.get(name) for name in reported})
    failed = run_todo(todo, folder, grid, device, jobs, files, options.fail_fast)
    collect_and_draw(folder, figures)
    return 1 if failed else 0


def command_of(options: Namespace) -> str:
    """The command line that repeats a run, with every default spelled out: what was asked for, not where or how."""
    parts = ["python", "run_all.py"]
    for name, value in vars(options).items():
        if name not in WHERE_AND_HOW and value is not None:
            parts += [f"--{name.replace('_', '-')}", str(value)]
    return shlex.join(parts)


def run_todo(
    todo: Todo, folder: RunFolder, grid: Grid, device: str, jobs: int, files: dict[str, str], fail_fast: bool
) -> int:
    """Run what is left and say how it went; returns the number of failed cells."""
    title = f"suite '{grid.suite.name}' ({grid.suite.title})"
    print(
        f"{title}: {len(todo.pending)} cells to run, {len(todo.finished)} done or skipped, {jobs} at a time on {device}"
    )
    started = time.monotonic()
    work = Work(folder, grid.source, device, tuple(sorted(set(files.values()))))
    failed = run_cells(todo, work, jobs, fail_fast)
    if todo.pending:
        print(f"{len(todo.pending)} cells in {time.monotonic() - started:.0f} s, {failed} failed")
    return failed


def check_loadable(todo: Todo, max_length: int) -> None:
    """Load every checkpoint and tokenizer that training will need, so that a bad one is refused before it starts."""
    from bench.backbones import check_length, load_encoder, load_tokenizer

    for checkpoint in dict.fromkeys(cell.checkpoint for cell in todo.pending):
        load_tokenizer(checkpoint)
        load_encoder(checkpoint)
        check_length(checkpoint, max_length)


def make_figures_folder(figures: Path) -> None:
    """Make the folder for figures.

    Raises:
        UserError: it cannot be written.
    """
    try:
        figures.mkdir(parents=True, exist_ok=True)
        (figures / ".writable").write_text("")
        (figures / ".writable").unlink()
    except OSError as error:
        raise UserError(f"figures folder '{figures}' cannot be written: {error.strerror}") from error


def collect_and_draw(folder: RunFolder, figures: Path) -> int:
    """Write every table and figure of a run folder; status 1 where a cell has failed."""
    from bench.collect import collect
    from bench.figures import draw_all
    from bench.latex import write_latex
    from bench.report import write_report

    shared = folder.shared()
    if not shared:
        raise UserError(f"results folder '{folder.path}' holds no run: run.json is missing")
    known = discover()
    for file in sorted({file for file in shared["methods"].values() if file}):
        known |= {method.name: method for method in load_method_file(file)}
    tables = collect(folder, known)
    write_latex(folder.path / "latex", tables)
    make_figures_folder(figures)
    drawn = draw_all(folder.path, figures) if len(tables["points"]) else []
    report = write_report(folder, known, drawn)
    failures = tables["failures"]
    print(f"{len(tables['points'])} points in {folder.path}, {len(drawn)} figure files in {figures}; read {report}")
    for status, rows in failures.groupby("status"):
        print(f"{len(rows)} cells {status}, see {folder.path / 'failures.csv'}", file=sys.stderr)
    return int((failures["status"] == "failed").any())


def compare_and_draw(runs: list[str], folder: RunFolder, figures: Path) -> int:
    """Write the paired difference of two results folders and draw it."""
    from bench.compare import compare_runs, draw_comparison

    run_a, run_b = (RunFolder(Path(path)) for path in runs)
    found = compare_runs(run_a, run_b, folder)
    make_figures_folder(figures)
    drawn = draw_comparison(run_a, run_b, figures)
    print(f"{len(found)} differences B - A in {folder.path / 'comparison.csv'}, {len(drawn)} figure files in {figures}")
    return 0


def prepare(grid: Grid) -> int:
    """Fetch data and checkpoints into the libraries' caches, and say what was fetched."""
    from bench.backbones import load_encoder, load_tokenizer

    shared = grid.shared()
    for family in grid.backbones:
        for path in filter(None, (grid.suite.backbones[family].checkpoint, grid.suite.backbones[family].student)):
            load_tokenizer(resolve_checkpoint(path))
            load_encoder(resolve_checkpoint(path))
    for kind in ("data", "checkpoints"):
        for name, fingerprint in shared[kind].items():
            print(f"{kind} {name}: {fingerprint}")
    return 0
