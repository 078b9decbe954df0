"""GLUE in its own layout: a folder of TSV files, read line by line, with the file and line of whatever is wrong."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bench.errors import UserError, nearest
from bench.sources.examples import Examples, Source, make_examples, stripped
from bench.sources.tasks import Task


@dataclass(frozen=True)
class Folder:
    """A folder in the benchmark's own layout, such as `path`/SST-2/train.tsv: one row a line, tabs between fields.

    Columns are found by header name, so files with fewer or more columns than the official ones will do. Quotes are
    plain characters, a byte-order mark is ignored, and lines may end in LF or CR LF.
    """

    path: Path

    def read(self, task: Task, split: str) -> Examples:
        """Read every row of a split.

        Raises:
            UserError: the file is missing, empty, not UTF-8, lacks a column, or has a malformed line.
        """
        file = Path(self.path) / task.folder / task.splits[split]
        (*texts, labels), first = _columns(file, (*task.texts, task.label), task.headerless)
        return make_examples(task, texts, labels, _place(file, first))


@dataclass(frozen=True)
class WithUnlabelled:
    """The rows of another source, and behind its training rows those of a file without labels.

    The file is `folder`/SST-2/unlabelled.tsv, with a header line and the task's text columns (`Task.texts`). Its rows
    have the label -1, for regression NaN.
    """

    labelled: Source
    folder: Path

    def read(self, task: Task, split: str) -> Examples:
        """Read every row of a split, as `Folder.read` does."""
        rows = self.labelled.read(task, split)
        if split != "train":
            return rows
        file = self.folder / task.folder / "unlabelled.tsv"
        texts, first = _columns(file, task.texts)
        columns = stripped(texts, _place(file, first))
        none = np.full(len(columns[0]), np.nan if task.regression else -1, dtype=rows.labels.dtype)
        labels = np.concatenate([rows.labels, none])
        return Examples(
            text_a=rows.text_a + columns[0],
            text_b=None if rows.text_b is None else rows.text_b + columns[1],
            labels=labels,
            index=np.arange(len(labels), dtype=np.int64),
        )


def _place(file: Path, first: int) -> Callable[[int], str]:
    """What says where row 0.. of a file with so many header lines is."""
    return lambda row: f"{file}, line {row + first + 1}"


def _columns(file: Path, wanted: Sequence[str], headerless: Sequence[str] = ()) -> tuple[list[Sequence[str]], int]:
    """The wanted columns of a file, and its number of header lines."""
    lines = _lines(file)
    names, first = _header(file, wanted, headerless, lines[0])
    places = [names.index(name) for name in wanted]
    rows = []
    for number, line in enumerate(lines[first:], first + 1):
        fields = line.split("\t")
        if len(fields) != len(names):
            expected = f"expected {len(names)} tab-separated fields ({', '.join(names)})"
            raise UserError(f"{file}, line {number}: got {len(fields)}, {expected}; mend or remove that line")
        rows.append([fields[place] for place in places])
    if not rows:
        raise UserError(f"{file}, line 1: expected rows after the header, got none")
    return list(zip(*rows, strict=True)), first


def _lines(file: Path) -> list[str]:
    """Read a text file; only line feeds end a line, and empty lines at the end do not count."""
    try:
        text = file.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise UserError(f"cannot read {file} ({error.strerror}): expected a folder in GLUE's TSV layout") from None
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise UserError(
            f"{file}, line {line}: expected UTF-8 text, got byte {error.object[error.start]:#04x}"
        ) from None
    if not text.strip():
        raise UserError(f"{file}, line 1: expected rows, got an empty file")
    return [line.removesuffix("\r") for line in text.rstrip("\r\n").split("\n")]


def _header(file: Path, wanted: Sequence[str], headerless: Sequence[str], line: str) -> tuple[Sequence[str], int]:
    """Return a file's column names and the number of header lines, 1 or (CoLA) 0."""
    found = line.split("\t")
    missing = [name for name in wanted if name not in found]
    if not missing:
        return found, 1
    if headerless:
        return headerless, 0
    raise UserError(f"{file}, line 1: no column '{missing[0]}', found {', '.join(found)}{nearest(missing[0], found)}")
