"""GLUE's splits from three sources behind one function, `load_split`: the generator, a folder of TSV files, the hub.

Every source gives the same `Examples`: texts stripped of surrounding white space (SST-2's sentences end in a space,
which RoBERTa's tokenizer would see), labels mapped by *name* to the class ids of `bench.tasks`, never by a source's
own order.
"""

from __future__ import annotations

import hashlib
import json
import re
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from operator import itemgetter
from pathlib import Path
from typing import ClassVar

import numpy as np

from bench.errors import UserError, check_name, nearest
from bench.tasks import TASKS, Task


@dataclass(frozen=True, eq=False)
class Examples:
    """Rows of one split; n is their number.

    Attributes:
        text_a: n sentences.
        text_b: n second sentences; None for single-sentence tasks.
        labels: [n] int64 class ids, or float32 scores for regression.
        index: [n] int64 row numbers in the full split.
        difficulty: [n] int64, known for generated data only.
    """

    text_a: list[str]
    text_b: list[str] | None
    labels: np.ndarray
    index: np.ndarray
    difficulty: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.text_a)


@dataclass(frozen=True)
class Embedded:
    """The generated tasks of `bench.embedded`."""

    kind: ClassVar[str] = "embedded"

    def read(self, task: Task, split: str) -> Examples:
        """Generate every row of a split."""
        from bench.embedded import generate

        rows = generate(task.id, split)
        columns = [rows["text_a"]] if rows["text_b"] is None else [rows["text_a"], rows["text_b"]]
        place = f"generated {task.id}/{split}, row {{}}".format
        return _examples(task, columns, rows["labels"], place, rows["difficulty"])


@dataclass(frozen=True)
class Folder:
    """A folder in the benchmark's own layout, such as `path`/SST-2/train.tsv: one row a line, tabs between fields.

    Columns are found by header name, so files with fewer or more columns than the official ones will do. Quotes are
    plain characters, a byte-order mark is ignored, and lines may end in LF or CR LF.
    """

    path: Path
    kind: ClassVar[str] = "folder"

    def read(self, task: Task, split: str) -> Examples:
        """Read every row of a split.

        Raises:
            UserError: the file is missing, empty, not UTF-8, lacks a column, or has a malformed line.
        """
        file = Path(self.path) / task.folder / task.splits[split]
        lines = _lines(file)
        names, first = _header(file, task, lines[0])
        pick = itemgetter(*(names.index(name) for name in (*task.texts, task.label)))
        rows = []
        for number, line in enumerate(lines[first:], first + 1):
            fields = line.split("\t")
            if len(fields) != len(names):
                expected = f"expected {len(names)} tab-separated fields ({', '.join(names)})"
                raise UserError(f"{file}, line {number}: got {len(fields)}, {expected}; mend or remove that line")
            rows.append(pick(fields))
        if not rows:
            raise UserError(f"{file}, line 1: expected rows after the header, got none")
        *texts, labels = zip(*rows, strict=True)
        return _examples(task, texts, labels, lambda row: f"{file}, line {row + first + 1}")


@dataclass(frozen=True)
class Hub:
    """A data set on the hub, or a local folder in its parquet layout (`repo`/sst2/train-*.parquet).

    `revision` is a commit, tag or branch; None takes the newest. Without network the library's cache is used.
    """

    repo: str = "nyu-mll/glue"
    revision: str | None = None
    kind: ClassVar[str] = "hub"

    def read(self, task: Task, split: str) -> Examples:
        """Download, or read from the cache, every row of a split.

        Raises:
            UserError: the data set cannot be had, or a column is missing or carries no class names.
        """
        local = Path(self.repo).expanduser()
        data = _parquet(local, task, split) if local.is_dir() else _builder(self, task.id).as_dataset(split=split)
        columns = (*(task.hub_texts or task.texts), "label")
        for name in columns:
            if name not in data.column_names:
                found = ", ".join(data.column_names)
                raise UserError(f"{self.repo} {task.id}/{split}: no column '{name}', found {found}")
        *texts, labels = (data[name][:] for name in columns)
        place = f"{self.repo} {task.id}/{split}, row {{}}".format
        if not task.regression:
            labels = _class_names(data.features["label"], labels, task, place)
        return _examples(task, texts, labels, place)


Source = Embedded | Folder | Hub


def load_split(source: Source, task: Task, split: str, limit: int | None = None) -> Examples:
    """Load one split of a task.

    Args:
        source: where the rows come from.
        task: which task.
        split: "train", "validation", or for MNLI "validation_matched" and "validation_mismatched".
        limit: at most this many rows, the first of one shuffle, back in file order. The shuffle is
            `numpy.random.default_rng(crc32(task.id)).permutation(rows)`: the same rows for every seed and method, and
            those of a smaller limit are among those of a larger one.

    Raises:
        UserError: no such split, a limit below 1, or rows that cannot be read (see the sources).
    """
    check_name(f"split of {task.id}", split, task.splits)
    if limit is not None and limit < 1:
        raise UserError(f"invalid limit {limit}: expected at least 1 row")
    examples = source.read(task, split)
    if limit is None or limit >= len(examples):
        return examples
    shuffle = np.random.default_rng(zlib.crc32(task.id.encode())).permutation(len(examples))
    return _take(examples, np.sort(shuffle[:limit]))


def fingerprint(source: Source, task: Task) -> str:
    """Hash every row of every split of a task as loaded: sha256, 64 hexadecimal digits.

    Equal rows from two sources have equal fingerprints.

    Raises:
        UserError: a split cannot be read.
    """
    digest = hashlib.sha256(json.dumps(task.labels).encode())
    for split in task.splits:
        rows = source.read(task, split)
        difficulty = None if rows.difficulty is None else rows.difficulty.tolist()
        for column in (split, rows.text_a, rows.text_b, rows.labels.tolist(), difficulty):
            digest.update(json.dumps(column).encode() + b"\n")
    return digest.hexdigest()


def revision(source: Source, task: Task = TASKS["sst2"]) -> str | None:
    """Name the commit of the hub's data set that is in use; None for sources that have none.

    Args:
        source: where the rows come from.
        task: any task that is used. All tasks of a repository share its commit; without network only those in the
            cache can be asked.

    Raises:
        UserError: the data set cannot be had.
    """
    if not isinstance(source, Hub) or Path(source.repo).expanduser().is_dir():
        return None
    return _builder(source, task.id).hash


def _examples(
    task: Task,
    texts: Sequence[Sequence[str]],
    labels: Sequence,
    place: Callable[[int], str],
    difficulty: Sequence[int] | None = None,
) -> Examples:
    """Strip the texts and map the labels; `place(row)` says where a bad one is."""
    columns = []
    for column in texts:
        if None in column:
            raise UserError(f"{place(list(column).index(None))}: expected a text, got nothing")
        columns.append([text.strip() for text in column])
    return Examples(
        text_a=columns[0],
        text_b=columns[1] if len(columns) == 2 else None,
        labels=_labels(task, labels, place),
        index=np.arange(len(columns[0]), dtype=np.int64),
        difficulty=None if difficulty is None else np.asarray(difficulty, dtype=np.int64),
    )


def _labels(task: Task, spelled: Sequence, place: Callable[[int], str]) -> np.ndarray:
    """Map labels as spelled by a source to class ids or scores, [n]."""
    parse = _score if task.regression else task.class_ids.__getitem__
    values = []
    for row, label in enumerate(spelled):
        try:
            values.append(parse(label))
        except (KeyError, ValueError, TypeError):
            expected = "a score from 0 to 5" if task.regression else f"one of {', '.join(task.class_ids)}"
            hint = nearest(label, task.class_ids)
            raise UserError(f"{place(row)}: unknown label '{label}', expected {expected}{hint}") from None
    return np.array(values, dtype=np.float32 if task.regression else np.int64)


def _score(label: str | float) -> float:
    value = float(label)
    if not 0 <= value <= 5:  # also refuses nan
        raise ValueError
    return value


def _take(examples: Examples, rows: np.ndarray) -> Examples:
    """Keep the given rows, [k]."""
    return Examples(
        text_a=[examples.text_a[row] for row in rows],
        text_b=None if examples.text_b is None else [examples.text_b[row] for row in rows],
        labels=examples.labels[rows],
        index=examples.index[rows],
        difficulty=None if examples.difficulty is None else examples.difficulty[rows],
    )


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


def _header(file: Path, task: Task, line: str) -> tuple[Sequence[str], int]:
    """Return a file's column names and the number of header lines, 1 or (CoLA) 0."""
    found = line.split("\t")
    missing = [name for name in (*task.texts, task.label) if name not in found]
    if not missing:
        return found, 1
    if task.headerless:
        return task.headerless, 0
    raise UserError(f"{file}, line 1: no column '{missing[0]}', found {', '.join(found)}{nearest(missing[0], found)}")


def _parquet(folder: Path, task: Task, split: str):
    """Read a split of a local folder in the hub's layout, with nothing written to the library's cache."""
    import pyarrow as pa
    import pyarrow.parquet as pq
    from datasets import Dataset

    pattern = f"{split}-*.parquet"
    files = sorted((folder / task.id).glob(pattern))
    if not files:
        raise UserError(f"cannot find {folder / task.id / pattern}: expected the hub's parquet layout")
    try:
        return Dataset(pa.concat_tables([pq.read_table(file) for file in files]))
    except (OSError, pa.ArrowException) as error:
        raise UserError(f"cannot read {folder / task.id / pattern}: {_first_line(error)}") from None


@cache
def _builder(source: Hub, config: str):
    """Resolve one task and download it if need be; once per process, because every time asks the network."""
    from datasets import load_dataset_builder

    try:
        builder = load_dataset_builder(source.repo, config, revision=source.revision)
        builder.download_and_prepare()
    except Exception as error:  # the HTTP client's own errors come through, and which client it is changes
        reason = f"cannot load {config} of '{source.repo}', neither from the hub nor from its cache"
        ways = "--suite glue-local --glue-dir DIR reads a folder, --prepare on a machine with network fills the cache"
        raise UserError(f"{reason} ({_first_line(error)}): {ways}") from None
    # Without network the library serves its newest copy, whatever revision was asked for.
    if re.fullmatch("[0-9a-f]{40}", source.revision or "") and builder.hash != source.revision:
        raise UserError(f"the cache holds {config} of '{source.repo}' at {builder.hash}, expected {source.revision}")
    return builder


def _first_line(error: Exception) -> str:
    return ": ".join([type(error).__name__, *str(error).splitlines()[:1]])


def _class_names(feature, ids: Sequence, task: Task, place: Callable[[int], str]) -> list:
    """Turn a source's own class ids into names; ids without a name (-1: unlabelled) are left to be refused."""
    names = getattr(feature, "names", None)
    if names is None:
        raise UserError(f"{place(0)}: column 'label' carries no class names, expected {', '.join(task.labels)}")
    return [names[i] if i is not None and 0 <= i < len(names) else i for i in ids]
