"""Tasks that a suite file adds to GLUE's: `[tasks.NAME]`, read from TSV files in GLUE's layout."""

from __future__ import annotations

import re
from pathlib import Path

from bench.errors import UserError, cut, nearest
from bench.sources.tasks import OWN_TASK_KEYS, TASKS, Task, own_task

TASK_NAME = re.compile("[A-Za-z0-9][A-Za-z0-9_-]{0,39}")


def parse_tasks(tables: dict, source: str, path: Path | None) -> dict[str, Task]:
    """The tasks of a suite's tables `[tasks.NAME]`, every key and value checked.

    Args:
        tables: table by name.
        source: where the suite's data come from.
        path: the suite's file, for the line of whatever is wrong.

    Raises:
        UserError: naming the file, and the line of the key.
    """
    tasks = {}
    for name, table in tables.items():
        try:
            tasks[name] = parse_task(name, table, source)
        except OwnTaskError as error:
            raise UserError(f"{place(path, name, error.key)}[tasks.{cut(name)}] {error}") from None
    return tasks


class OwnTaskError(UserError):
    """What is wrong with one key of a task's table (empty: with the table itself)."""

    def __init__(self, key: str, line: str) -> None:
        super().__init__(line)
        self.key = key


def parse_task(name: str, table: object, source: str) -> Task:
    """One task; see `parse_tasks`."""
    if not TASK_NAME.fullmatch(name):
        raise OwnTaskError("", "must be named with letters, digits, '-' and '_', at most 40")
    if name in TASKS or name == "all":
        raise OwnTaskError("", f"has the name of one of GLUE's tasks ({', '.join(TASKS)}, or all)")
    if source != "folder":
        raise OwnTaskError("", f'needs TSV files: expected source = "folder", got "{source}"')
    if not isinstance(table, dict):
        raise OwnTaskError("", f"must be a table, got {cut(repr(table))}")
    for key in table:
        if key not in OWN_TASK_KEYS:
            raise OwnTaskError(key, f"has no key '{key}'{nearest(key, OWN_TASK_KEYS)}")
    columns, labels = table.get("columns"), table.get("labels", [])
    if not is_list_of_names(columns) or len(columns) > 2:
        raise OwnTaskError("columns", f"columns: expected the one or two columns of texts, got {cut(repr(columns))}")
    if labels != [] and (not is_list_of_names(labels) or len(labels) < 2):
        line = f"labels: expected two classes or more, each once, or none for scores, got {cut(repr(labels))}"
        raise OwnTaskError("labels", line)
    if not isinstance(table.get("label", ""), str):
        raise OwnTaskError("label", f"label: expected the column of the labels, got {cut(repr(table['label']))}")
    task = own_task(name, table)
    if task.metric not in task.metrics:
        kind = f"{len(labels)} classes" if labels else "scores"
        line = f"metric: {kind} have {', '.join(task.metrics)}, got {cut(repr(task.metric))}"
        raise OwnTaskError("metric", f"{line}{nearest(str(task.metric), task.metrics)}")
    return task


def is_list_of_names(value: object) -> bool:
    """Whether a value of a suite's own task is a list of different strings that are not empty, one at least."""
    named = isinstance(value, list) and all(isinstance(entry, str) and entry.strip() for entry in value)
    return named and 0 < len(value) == len(set(value))


def place(path: Path | None, name: str, key: str) -> str:
    """Where a key of a task's table is, "FILE, line N: "; the header's line where the key is not written there.

    Empty where the file does not have that table: the suite that it extends has it.
    """
    if path is None:
        return ""
    header = re.compile(rf"\s*\[\s*tasks\s*\.\s*[\"']?{re.escape(name)}[\"']?\s*\]")
    lines = path.read_text(encoding="utf8").splitlines()
    start = next((i for i, line in enumerate(lines) if header.match(line)), None)
    if start is None:
        return ""
    for i, line in enumerate(lines[start + 1 :], start + 1):
        if line.lstrip().startswith("["):
            break
        if key and re.match(rf"\s*[\"']?{re.escape(key)}[\"']?\s*=", line):
            return f"{path}, line {i + 1}: "
    return f"{path}, line {start + 1}: "
