"""Write a bundle (`bench.store.bundle`): traces by panel, records, tables, and the checksums of all of it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bench.store.bundle import CARD, CELL_COLUMNS, CELLS, ENVIRONMENTS, FORMAT, MANIFEST, RUN, columns_of, panel_file
from bench.store.files import sealed, sha256_of, write_bytes, write_json, write_text
from bench.store.folder import RunFolder
from bench.store.packed import NAMES, packed

if TYPE_CHECKING:
    import pyarrow

#: Slow to write and quick to read; a twentieth smaller than the next best.
COMPRESSION = {"compression": "brotli", "compression_level": 11}


def write_bundle(
    path: Path,
    folder: RunFolder,
    records: Sequence[dict],
    tables: dict[str, pyarrow.Table],
    about: dict,
    card: str,
    classes: dict[str, int],
) -> None:
    """Write a bundle into an empty folder, bundle.json last.

    Args:
        path: the folder.
        folder: the run.
        records: of the cells to share, in the order of their panels.
        tables: by name.
        about: what bundle.json says beside `files`, `schema` and `classes`; `logits` is the precision.
        card: README.md.
        classes: outputs of each task.
    """
    for part in ("tables", "traces", "methods"):
        (path / part).mkdir()
    precision, files = about["logits"], {}
    for name, rows in panels_of(folder, records, precision):
        files[name] = write_traces(path / name, rows)
    shared = folder.shared()
    methods = {name: file and f"methods/{Path(file).name}" for name, file in shared["methods"].items()}
    for name, file in shared["methods"].items():
        if file:
            files[methods[name]] = write_bytes(path / methods[name], Path(file).read_bytes())
    for name, table in tables.items():
        files[f"tables/{name}.parquet"] = write_parquet(path / f"tables/{name}.parquet", table)
    files[CELLS] = write_parquet(path / CELLS, cell_table(records, files))
    about_run = {name: value for name, value in shared.items() if not name.startswith("against")}  # all is in here
    write_json(path / RUN, {**about_run, "methods": methods})
    environments = {name: folder.environment(name) for name in environments_of(records)}
    write_json(path / ENVIRONMENTS, {name: about for name, about in environments.items() if about is not None})
    write_text(path / CARD, card)
    files |= {name: sha256_of(path / name) for name in (RUN, ENVIRONMENTS, CARD)}
    schemas = {name: columns_of(path / name) for name in sorted(files) if name.endswith(".parquet")}
    parts = {"classes": classes, "schema": schemas, "files": dict(sorted(files.items()))}
    write_text(path / MANIFEST, sealed({"format": FORMAT, **about, **parts}))


def environments_of(records: Sequence[dict]) -> list[str]:
    """The ids of the environments that cells ran in."""
    return sorted({record["environment"] for record in records if "environment" in record})


def panels_of(folder: RunFolder, records: Sequence[dict], precision: str) -> Iterator[tuple[str, pyarrow.Table]]:
    """The file name and the rows of every panel, from the records of its cells, which stand together."""
    import pyarrow as pa

    by_file: dict[str, list[tuple[dict, str]]] = {}
    for record in records:
        for split in record.get("traces", {}):
            by_file.setdefault(panel_file(record["spec"], split), []).append((record, split))
    for name, cells in by_file.items():
        parts = (packed(names_of(*cell), folder.trace(cell[0]["key"], cell[1]), precision) for cell in cells)
        yield name, pa.concat_tables(parts)


def names_of(record: dict, split: str) -> dict[str, object]:
    """The columns that say which model and split a row is of."""
    return {"cell": record["key"], "split": split, **{n: record["spec"][n] for n in NAMES if n in record["spec"]}}


def cell_table(records: Sequence[dict], files: dict[str, str]) -> pyarrow.Table:
    """cells.parquet: what each cell was, and its record with the checksums of where its traces stand now."""
    import pyarrow as pa

    rows = []
    for record in records:
        kept = {name: value for name, value in record.items() if name not in ("checksum", "traceback", "model")}
        if "traces" in record:
            kept["traces"] = {split: files[panel_file(record["spec"], split)] for split in record["traces"]}
        named = {**record, **record["spec"]}
        rows.append({name: named[name] for name in CELL_COLUMNS} | {"record": json.dumps(kept, ensure_ascii=False)})
    return pa.Table.from_pylist(rows)


def write_traces(path: Path, rows: pyarrow.Table) -> str:
    """Write a panel's traces; numbers with their first bytes together, which is what makes them small."""
    inside = [f"{field.name}{'.list.element' * depth_of(field.type)}" for field in rows.schema if is_number(field.type)]
    return write_parquet(path, rows, column_encoding=dict.fromkeys(inside, "BYTE_STREAM_SPLIT"), row_group_size=2**26)


def depth_of(kind: pyarrow.DataType) -> int:
    """How many lists are around a column's values, for writing a bundle's traces."""
    return 1 + depth_of(kind.value_type) if hasattr(kind, "value_type") else 0


def is_number(kind: pyarrow.DataType) -> bool:
    """Whether a column holds floating-point numbers, in lists or not, for writing a bundle's traces."""
    import pyarrow.types as types

    return is_number(kind.value_type) if hasattr(kind, "value_type") else types.is_floating(kind)


def write_parquet(path: Path, table: pyarrow.Table, **how: object) -> str:
    """Write a table of a bundle as Parquet, whole or not at all, and give the sha256 of the file."""
    import pyarrow as pa
    import pyarrow.parquet as parquet

    buffer = pa.BufferOutputStream()
    # hardly a number stands twice, so a dictionary of them would only be in the way
    repeated = [field.name for field in table.schema if not depth_of(field.type) and not is_number(field.type)]
    parquet.write_table(table, buffer, use_dictionary=repeated, **COMPRESSION, **how)
    return write_bytes(path, buffer.getvalue().to_pybytes())
