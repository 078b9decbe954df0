"""Is a bundle whole, of this format, and of one run? What is wrong is one line."""

from __future__ import annotations

from pathlib import Path

from bench.errors import UserError, cut
from bench.store.bundle import CELL_COLUMNS, CELLS, MANIFEST, Bundle, columns_of, panel_file, read_manifest
from bench.store.consistency import check_records
from bench.store.files import read_json, sha256_of
from bench.store.packed import PRECISIONS, schema


def check_bundle(path: Path) -> Bundle:
    """The bundle in a folder, once everything about it has been found in order.

    Raises:
        UserError: it was cut, edited, made by a later program, or holds cells of several runs.
    """
    about, bundle = read_manifest(path), Bundle(path.resolve())
    check_files(path, about["files"])
    if about["logits"] not in PRECISIONS:
        raise UserError(f"bundle '{path}': logits are {about['logits']}, expected one of {', '.join(PRECISIONS)}")
    for name, columns in about["schema"].items():
        check_columns(path, name, columns)
    traced = {name: cells_in(path, name) for name in about["files"] if name.startswith("traces/")}
    records, shared = bundle.records(), read_json(path / "run.json")
    check_records(path, records, shared)
    for record in records:
        for split in record.get("traces", {}):
            if record["key"] not in traced.get(panel_file(record["spec"], split), ()):
                raise UserError(f"bundle '{path}': no traces of '{record['label']}' on {split}")
    return bundle


def check_files(path: Path, files: dict[str, str]) -> None:
    """Refuse a bundle with a file that is missing, changed, or not one of its own."""
    for name, digest in files.items():
        found = sha256_of(path / name)
        if found is None:
            raise UserError(f"bundle '{path}': {name} is missing")
        if found != digest:
            raise UserError(f"bundle '{path}': {name} is not as it was written (cut or edited)")
    for part in ("tables", "traces", "methods"):
        for found in sorted((path / part).glob("*")):
            if f"{part}/{found.name}" not in files:
                raise UserError(f"bundle '{path}': {part}/{cut(found.name)} does not belong to it")


def check_columns(path: Path, name: str, columns: dict[str, str]) -> None:
    """Refuse a table whose columns are not those of the bundle's schema, or of the program's for cells and traces."""
    if columns_of(path / name) != columns:
        raise UserError(f"bundle '{path}': the columns of {name} are not those that {MANIFEST} lists")
    needed = schema(read_manifest(path)["logits"]).names if name.startswith("traces/") else []
    needed = [*CELL_COLUMNS, "record"] if name == CELLS else needed
    if missing := [column for column in needed if column not in columns]:
        raise UserError(f"bundle '{path}': {name} has no column '{missing[0]}'")


def cells_in(path: Path, name: str) -> set[str]:
    """The keys of the cells that a file of traces has rows of."""
    import pyarrow.parquet as parquet

    return set(parquet.read_table(path / name, columns=["cell"])["cell"].unique().to_pylist())
