"""Read GLUE from a folder of TSV files, as GLUE itself publishes it; errors name the file and the line."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bench.errors import UserError, cut, nearest
from bench.sources.examples import Examples, Source, make_examples, stripped
from bench.sources.tasks import Task


@dataclass(frozen=True)
class TsvFolder:
    """A folder in GLUE's own layout, such as `path`/SST-2/train.tsv: one row a line, tabs between fields.

    Columns are found by header name, so files with fewer or more columns than the official ones will do. Quotes are
    plain characters, a byte-order mark is ignored, and lines end in LF, CR LF or, where there is neither, CR.
    """

    path: Path

    def read(self, task: Task, split: str) -> Examples:
        """Read every row of a split.

        Raises:
            UserError: the file is missing, empty, not UTF-8, lacks a column, or has a malformed line.
        """
        file = Path(self.path) / task.title / task.splits[split]
        (*texts, labels), lines = _columns(file, (*task.texts, task.label), task.headerless, task.short_lines)
        examples = make_examples(task, texts, labels, _locator(file, lines))
        if task.is_own and split == "train":
            _check_all_labels(task, labels, f"{file}, lines {lines[0]} to {lines[-1]}")
        return examples


def _check_all_labels(task: Task, labels: Sequence[str], where: str) -> None:
    """Refuse a class of a suite's own task that no training row has: it could not be learnt, and is likely misspelt."""
    found = sorted(set(labels))
    for name in task.labels:
        if name not in found:
            raise UserError(f"{where}: no row has the label '{name}' of [tasks.{task.id}], found {', '.join(found)}")


@dataclass(frozen=True)
class WithUnlabelled:
    """Another source with more training rows behind its own, from a file without labels (`--unlabelled`).

    The file is `folder`/SST-2/unlabelled.tsv, with a header line and the task's text columns (`Task.texts`). Its rows
    have the label -1, for regression NaN.
    """

    labelled: Source
    folder: Path

    def read(self, task: Task, split: str) -> Examples:
        """Read every row of a split, as `TsvFolder.read` does."""
        rows = self.labelled.read(task, split)
        if split != "train":
            return rows
        file = self.folder / task.title / "unlabelled.tsv"
        texts, lines = _columns(file, task.texts, short_lines=task.short_lines)
        columns = stripped(texts, _locator(file, lines))
        none = np.full(len(columns[0]), np.nan if task.regression else -1, dtype=rows.labels.dtype)
        labels = np.concatenate([rows.labels, none])
        return Examples(
            text_a=rows.text_a + columns[0],
            text_b=None if rows.text_b is None else rows.text_b + columns[1],
            labels=labels,
            index=np.arange(len(labels), dtype=np.int64),
        )


#: How many lines with too few fields were left out of each file that has been read by this process.
LEFT_OUT: dict[Path, int] = {}


def left_out() -> list[str]:
    """What a command says about the lines that it has left out, a line per file."""
    return [
        f"{file}: {count} lines with too few fields, as the published file has them, are left out"
        for file, count in LEFT_OUT.items()
        if count
    ]


def _locator(file: Path, lines: Sequence[int]) -> Callable[[int], str]:
    """A function from row number (0..) to "FILE, line N", for rows on these lines."""
    return lambda row: f"{file}, line {lines[row]}"


def _columns(
    file: Path, wanted: Sequence[str], headerless: Sequence[str] = (), short_lines: bool = False
) -> tuple[list[Sequence[str]], list[int]]:
    """The wanted columns of a file, and the line number of each row."""
    lines = _lines(file)
    names, first = _header(file, wanted, headerless, lines[0])
    positions = [names.index(name) for name in wanted]
    rows, numbers, odd = [], [], {}
    for number, line in enumerate(lines[first:], first + 1):
        fields = line.split("\t")
        if len(fields) == len(names):
            rows.append([fields[position] for position in positions])
            numbers.append(number)
        else:
            odd[number] = len(fields)
    LEFT_OUT[file] = sum(count < len(names) for count in odd.values()) if short_lines else 0
    if LEFT_OUT[file] < len(odd):
        wrong = {number: count for number, count in odd.items() if not short_lines or count > len(names)}
        raise UserError(_odd_lines(file, wrong, names))
    if not rows:
        raise UserError(f"{file}, line 1: expected rows after the header, got none")
    return list(zip(*rows, strict=True)), numbers


def _odd_lines(file: Path, odd: dict[int, int], names: Sequence[str]) -> str:
    """The message about all lines of a file that have another number of fields than its header."""
    first, *others = odd
    expected = f"expected {len(names)} tab-separated fields ({cut(', '.join(names))})"
    also = f"; so have lines {cut(', '.join(map(str, others)), 60)} another number" if others else ""
    return (
        f"{file}, line {first}: got {odd[first]}, {expected}{also}; mend or remove {'them' if others else 'that line'}"
    )


def _lines(file: Path) -> list[str]:
    """Read a text file; only line feeds end a line, if there are any, and empty lines at the end do not count."""
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
    if "\n" not in text:  # as old spreadsheets on a Mac write them
        text = text.replace("\r", "\n")
    return [line.removesuffix("\r") for line in text.rstrip("\r\n").split("\n")]


def _header(file: Path, wanted: Sequence[str], headerless: Sequence[str], line: str) -> tuple[Sequence[str], int]:
    """The column names of a file and its number of header lines: 1 or, where the task allows it (CoLA), 0."""
    found = line.split("\t")
    missing = [name for name in wanted if name not in found]
    if not missing:
        return found, 1
    if headerless:
        return headerless, 0
    raise UserError(
        f"{file}, line 1: no column '{missing[0]}', found {cut(', '.join(found))}{nearest(missing[0], found)}"
    )
