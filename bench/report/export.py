"""`--export BUNDLE`: a finished run as one small folder to share, with what its compact form changes, measured."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import reduce
from operator import or_
from pathlib import Path

import pandas as pd

from bench.errors import UserError, check_choice
from bench.halting.rounding import Changes, changes
from bench.plan.grid import ENGINE_VERSION
from bench.processes import call_all
from bench.report.card import data_card
from bench.report.uptodate import is_current
from bench.run.environment import installed
from bench.sources.tasks import task_of
from bench.store.beside import open_run
from bench.store.bundle_check import check_bundle
from bench.store.bundle_writing import write_bundle
from bench.store.csv_files import read_table
from bench.store.files import make_writable
from bench.store.folder import RunFolder
from bench.store.packed import PRECISIONS
from bench.tables.collect import methods_of, panels, reported
from bench.tables.failures import LEFT_OUT, finished, records_of
from bench.tables.registry import TABLES


def export(folder: RunFolder, target: Path, precision: str) -> int:
    """Write a run folder, with its tables and traces, into a new folder; prints its size and what rounding changed.

    Args:
        folder: of a run whose tables are up to date.
        target: the bundle, which must not be there yet.
        precision: of `PRECISIONS`.

    Raises:
        UserError: there is nothing to share, or it cannot be written.
    """
    check_choice("precision of logits", precision, PRECISIONS)
    check_target(target)
    about_run = folder.needed()
    if not is_current(folder):
        raise UserError(f"the tables in '{folder.path}' are not up to date: --collect first")
    run = open_run(folder.path)  # with the published run that it may stand beside: a bundle is whole by itself
    counting, others = finished(run, records_of(run), methods_of(run))
    shared = [*counting, *(record for record in others if record["status"] != LEFT_OUT)]
    exact = precision == "float32"
    about = {
        "program": installed("early-exit-bench"),
        "engine": ENGINE_VERSION,
        "suite": about_run["suite"],
        "logits": precision,
        "changed": "nothing" if exact else all_changes(run, counting, precision).words(),
    }
    with new_folder(target) as place:
        tables, classes = tables_of(folder), {each["spec"]["task"]: task_of(each["spec"]).num_labels for each in shared}
        card = data_card(about, run, shared, tables)
        write_bundle(place, run, shared, arrow_tables(tables), about, card, classes)
    size = sum(path.stat().st_size for path in target.rglob("*") if path.is_file())
    print(f"{len(shared)} cells in {target}, {size / 1e6:.1f} MB; logits as {precision}: {about['changed']}")
    return 0


@contextmanager
def new_folder(target: Path) -> Iterator[Path]:
    """A folder beside the one that is wanted, which takes its place when the block has ended well."""
    parent = target.resolve().parent
    make_writable(parent, "bundle's")
    place = Path(tempfile.mkdtemp(dir=parent, prefix=f".{target.name}."))
    try:
        yield place
        place.chmod(0o755)  # temporary folders are made for their owner only
        place.rename(target)
    except BaseException:
        shutil.rmtree(place, ignore_errors=True)
        raise


def check_target(target: Path) -> None:
    """Refuse to write a bundle over something."""
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise UserError(f"'{target}' is there already: name a new folder for the bundle, or remove that one")


def all_changes(folder: RunFolder, records: Sequence[dict], precision: str) -> Changes:
    """What rounding changes in the whole run that is exported."""
    calls = [(*panel, precision) for panel in panels(folder, records)]
    return reduce(or_, call_all(panel_changes, calls, "what rounding changes, by panel"), Changes())


def panel_changes(folder: RunFolder, records: list[dict], split: str, precision: str) -> Changes:
    """What rounding changes in a panel of an exported run; runs in a process of its own."""
    found = Changes()
    for record in (record for record in records if split in record["traces"]):
        trace = folder.trace(record["key"], split)
        for method in reported(methods_of(folder), folder.shared()):
            if record["spec"]["method"] == (method.trained_by or method.name):
                found |= changes(method, record, trace, precision)
    return found


def tables_of(folder: RunFolder) -> dict[str, pd.DataFrame]:
    """Every table of a run folder that is exported, by name."""
    return {path.stem: read_table(path) for path in sorted(folder.path.glob("*.csv")) if path.stem in TABLES}


def arrow_tables(tables: dict[str, pd.DataFrame]) -> dict:
    """The tables of a bundle in the library's form that is written."""
    import pyarrow as pa

    return {name: pa.Table.from_pandas(table, preserve_index=False) for name, table in tables.items()}


def report_bundle(path: Path) -> int:
    """`--check-bundle`: say that a bundle is whole, and what it holds.

    Raises:
        UserError: it is not; see `check_bundle`.
    """
    about = check_bundle(path).manifest()
    print(f"bundle '{path}' is whole: suite '{about['suite']}', engine {about['engine']}, logits as {about['logits']}")
    print(f"{len(about['files'])} files; rounding changed: {about['changed']}")
    return 0
