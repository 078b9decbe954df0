"""What a command does: resolve names, plan, run, collect, draw. Every error of the user's is found before training."""

from __future__ import annotations

import os
import sys
import time
from argparse import Namespace
from dataclasses import replace
from pathlib import Path

from bench.data import Embedded, Folder, Hub, Source
from bench.errors import UserError, check_name, nearest
from bench.plan import Grid, check_seeds, trained_methods
from bench.store import RunFolder
from bench.suite import PRECISIONS, STAGES, Suite, load_suite
from bench.tasks import resolve_tasks
from methods import DEFAULT, discover, from_file
from methods.base import Method


def run(options: Namespace) -> int:
    """Do what the command line asks for; see `run_all.main` for the exit status.

    Raises:
        UserError: anything that the user can mend.
    """
    suite = resolve_suite(options)
    methods, files = resolve_methods(options.methods)
    known = {**discover(), **methods}
    check_suite_methods(suite, known)
    grid = Grid(
        suite=suite,
        tasks=resolve_tasks(options.tasks),
        backbones=resolve_backbones(options.backbones, suite),
        methods=methods,
        seeds=resolve_seeds(options),
        source=resolve_source(suite, options.glue_dir),
        limit=options.limit,
    )
    folder = RunFolder(Path(options.results or Path("results") / suite.name))
    figures = Path(options.figures or Path("figures") / suite.name)
    if options.collect:
        return collect_and_draw(folder, figures, known)
    if options.prepare:
        return prepare(grid)
    return run_grid(grid, folder, figures, known, files, options)


def resolve_suite(options: Namespace) -> Suite:
    """The suite with what the command line changes in it."""
    suite = load_suite(options.suite)
    backbones = {name: path for name, path in pairs("--backbones", options.backbones).items() if path}
    students = pairs("--students", options.students)
    for name, path in students.items():
        if not path:
            raise UserError(f"--students {name}: expected NAME=DIR")
    for name in (*backbones, *students):
        check_name("backbone", name, suite.backbones)
    if options.precision:
        suite = replace(suite, precision=check_name("precision", options.precision, PRECISIONS))
    return suite.with_checkpoints(backbones, students)


def check_suite_methods(suite: Suite, known: dict[str, Method]) -> None:
    """Refuse variants and recipes for methods that do not exist."""
    for table, what, names in (("variants", "method", suite.variants), ("recipes", "stage or method", suite.recipes)):
        choices = [*known, *STAGES] if table == "recipes" else list(known)
        for name in names:
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
    if text is None or text == "all":
        names = DEFAULT if text is None else known
        return {name: known[name] for name in names}, {}
    chosen: dict[str, Method] = {}
    files: dict[str, str] = {}
    for entry in filter(None, (part.strip() for part in text.split(","))):
        if entry.endswith(".py"):
            found = load_method_file(entry)
            files |= {method.name: str(Path(entry).resolve()) for method in found}
            chosen |= {method.name: method for method in found}
        else:
            check_name("method", entry, ["all", *known])
            chosen[entry] = known[entry]
    if not chosen:
        raise UserError("--methods: expected at least one name")
    return chosen, files


def load_method_file(entry: str) -> list[Method]:
    """The methods of a file named on the command line."""
    path = Path(entry)
    if not path.is_file():
        raise UserError(f"method file '{entry}' does not exist")
    try:
        found = from_file(path)
    except Exception as error:
        raise UserError(f"method file '{entry}' cannot be imported: {type(error).__name__}: {error}") from error
    if not found:
        raise UserError(f"method file '{entry}' defines no class derived from methods.base.Method with a name")
    return found


def resolve_seeds(options: Namespace) -> list[int]:
    """Seeds 0..N-1, or the list given."""
    if options.seed_list is None:
        return check_seeds(range(3 if options.seeds is None else options.seeds))
    try:
        return check_seeds(int(part) for part in options.seed_list.split(","))
    except ValueError:
        raise UserError(f"--seed-list: expected whole numbers such as 0,1,2, got '{options.seed_list}'") from None


def resolve_source(suite: Suite, glue_dir: str | None) -> Source:
    """Where the suite's data comes from."""
    if glue_dir is not None and suite.source != "folder":
        raise UserError(f"--glue-dir: suite '{suite.name}' reads {suite.source} data; use --suite glue-local")
    if suite.source == "folder":
        if glue_dir is None:
            raise UserError(f"suite '{suite.name}' reads GLUE from a folder: name it with --glue-dir DIR")
        if not Path(glue_dir).is_dir():
            raise UserError(f"--glue-dir: '{glue_dir}' is not a folder")
        return Folder(Path(glue_dir))
    return Embedded() if suite.source == "embedded" else Hub()


def run_grid(
    grid: Grid, folder: RunFolder, figures: Path, known: dict[str, Method], files: dict[str, str], options: Namespace
) -> int:
    """Plan; then, unless only the plan was asked for, run and collect."""
    from bench.runner import find_todo

    if grid.limit is not None and grid.limit < 1:
        raise UserError(f"--limit: expected at least 1 row, got {grid.limit}")
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
    check_loadable(todo)
    folder.create()
    make_figures_folder(figures)
    reported = {**grid.methods, **{method.name: method for method in trained_methods(grid.methods)}}
    folder.share(shared, {name: files.get(name) for name in reported})
    failed = run_todo(todo, folder, grid, device, jobs, files, options.fail_fast)
    collect_and_draw(folder, figures, known)
    return 1 if failed else 0


def run_todo(todo, folder, grid, device, jobs, files, fail_fast) -> int:
    """Run what is left and say how it went; returns the number of failed cells."""
    from bench.cell import Work
    from bench.runner import run as run_cells

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


def resolve_workers(options: Namespace) -> tuple[int, str]:
    """Number of worker processes and the device they compute on."""
    import torch

    if options.device == "cuda" and not torch.cuda.is_available():
        raise UserError("--device cuda: no CUDA device is available here")
    device = options.device
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    if options.jobs is not None and options.jobs < 1:
        raise UserError(f"--jobs: expected at least 1, got {options.jobs}")
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return options.jobs or (1 if device == "cuda" else cores), device


def check_loadable(todo) -> None:
    """Load every checkpoint and tokenizer that training will need, so that a bad one is refused before it starts."""
    from bench.backbones import load_encoder, load_tokenizer

    for checkpoint in dict.fromkeys(cell.checkpoint for cell in todo.pending):
        load_tokenizer(checkpoint)
        load_encoder(checkpoint)


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


def collect_and_draw(folder: RunFolder, figures: Path, known: dict[str, Method]) -> int:
    """Write every table and figure of a run folder; status 1 where a cell has failed."""
    from bench.collect import collect
    from bench.figures import draw_all

    shared = folder.shared()
    if not shared:
        raise UserError(f"results folder '{folder.path}' holds no run: run.json is missing")
    for file in sorted({file for file in shared["methods"].values() if file}):
        known |= {method.name: method for method in load_method_file(file)}
    tables = collect(folder, known)
    make_figures_folder(figures)
    drawn = draw_all(folder.path, figures) if len(tables["points"]) else []
    failures = tables["failures"]
    print(f"{len(tables['points'])} points in {folder.path}, {len(drawn)} figure files in {figures}")
    for status, rows in failures.groupby("status"):
        print(f"{len(rows)} cells {status}, see {folder.path / 'failures.csv'}", file=sys.stderr)
    return int((failures["status"] == "failed").any())


def prepare(grid: Grid) -> int:
    """Fetch data and checkpoints into the libraries' caches, and say what was fetched."""
    from bench.backbones import load_encoder, load_tokenizer
    from bench.checkpoints import resolve

    shared = grid.shared()
    for family in grid.backbones:
        for path in filter(None, (grid.suite.backbones[family].checkpoint, grid.suite.backbones[family].student)):
            load_tokenizer(resolve(path))
            load_encoder(resolve(path))
    for kind in ("data", "checkpoints"):
        for name, fingerprint in shared[kind].items():
            print(f"{kind} {name}: {fingerprint}")
    return 0
