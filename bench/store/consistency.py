"""Refuse to mix two runs in one results folder: a command, or finished cells, that do not fit its run.json."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bench.errors import UserError, cut

#: Keys of run.json that hold one entry per task, checkpoint or command: entries may be added, never changed.
GROWING = ("data", "unlabelled", "checkpoints", "commands")
OTHER_FOLDER = "name another folder with --results DIR, or repeat the command that made this one"


def check_shared(folder: Path, known: dict, shared: dict) -> None:
    """Refuse a command whose settings or inputs differ from those that a results folder was made with.

    Args:
        folder: the results folder.
        known: the content of its run.json.
        shared: what the command's cells share, as `Grid.shared` returns it.

    Raises:
        UserError: the line names the key that differs.
    """
    for key in (key for key in shared if key in known):
        check_value(folder, key, known[key], shared[key])


def check_value(folder: Path, key: str, known: object, value: object) -> None:
    """Refuse a value that differs from the one in run.json; where entries may be added, an entry that differs."""
    if key in GROWING:
        different = [name for name in value if known.get(name, value[name]) != value[name]]
        if different:
            name = different[0]
            change = f"for '{name}' ({known[name][:12]}.., not {value[name][:12]}..)"
            raise UserError(f"results folder '{folder}' was made with other {key} {change}; {OTHER_FOLDER}")
    elif known != value:
        raise UserError(f"results folder '{folder}' was made with {key} {known!r}, not {value!r}; {OTHER_FOLDER}")


def check_records(folder: Path, records: Sequence[dict], shared: dict) -> None:
    """Refuse finished cells of another run: shards are merged by copying files, and a wrong one may be among them.

    Args:
        folder: the results folder.
        records: of cells.
        shared: the content of its run.json.

    Raises:
        UserError: the line names the first such cell and the key that differs.
    """
    odd = [record for record in records if record["status"] == "ok" and foreign_key(record["spec"], shared)]
    if not odd:
        return
    spec, count = odd[0]["spec"], f"{len(odd)} cell{'s' if len(odd) > 1 else ''}"
    name = foreign_key(spec, shared)
    expected = cut(" or ".join(map(str, expected_values(spec, shared)[name])) or "none")
    raise UserError(
        f"results folder '{folder}' holds {count} of another run: '{odd[0]['label']}' was made with {name} "
        f"{cut(str(spec[name]))}, and the run's is {expected}; move such records away "
        f"(cells/{odd[0]['key'][:12]}*.json)"
    )


def foreign_key(spec: dict, shared: dict) -> str | None:
    """The first key of a cell's spec whose value is not one of `expected_values`; None where all fit."""
    expected = expected_values(spec, shared)
    return next((name for name, values in expected.items() if name in spec and spec[name] not in values), None)


def expected_values(spec: dict, shared: dict) -> dict[str, list]:
    """The values that a cell's spec may have in the run that run.json describes, by key of the spec."""
    # A cell may have trained the family's backbone or a smaller model of it (`bert`, `bert student`), with any recipe.
    family = [known for name, known in shared["checkpoints"].items() if name.split()[0] == spec["backbone"]]
    by_task = {name: [shared[name].get(spec["task"])] for name in ("data", "unlabelled")}
    same = {name: [shared[name]] for name in ("engine", "compat", "precision", "max_length", "limit")}
    return {**same, **by_task, "checkpoint": family, "recipe": list(shared["recipes"].values())}
