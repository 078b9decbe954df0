"""Refuse to mix two runs in one results folder: a command, or finished cells, that do not fit its run.json."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bench.errors import UserError, cut
from bench.sources.known_sizes import UNKNOWN

if TYPE_CHECKING:
    from methods.base import Methods

#: Keys of run.json that hold one entry per task, checkpoint, method or command: entries may be added, never changed.
GROWING = ("data", "unlabelled", "checkpoints", "variants", "segments", "commands")
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
    if different := difference(known, shared):
        raise UserError(f"results folder '{cut(folder)}' was made {different}; {OTHER_FOLDER}")


def merged(known: dict, shared: dict) -> dict:
    """The content of a run.json with what another command's cells share entered into it."""
    growing = {key: {**known.get(key, {}), **shared[key]} for key in GROWING if key in shared}
    return {**known, **shared, **growing}


def recalled(known: dict, shared: dict) -> dict:
    """What is held against a folder's run: what a plan's cells share, with run.json's fingerprints of data not here."""
    said = known.get("data", {})
    data = {task: said.get(task, UNKNOWN) if value == UNKNOWN else value for task, value in shared["data"].items()}
    return {**shared, "data": data}


def difference(known: dict, shared: dict) -> str:
    """The first thing in which two runs differ that must be equal, in words after "was made"; empty where none does.

    Args:
        known: the content of the one's run.json.
        shared: that of the other; only keys that both have count.
    """
    # other rows say more than what else differs: a run of an older generator has other recipes, too
    for key in sorted((key for key in shared if key in known), key=lambda key: key != "data"):
        if different := value_difference(key, known[key], shared[key]):
            return different
    return ""


def value_difference(key: str, known: object, value: object) -> str:
    """How one value of run.json differs; where entries may be added, an entry that both have."""
    if key == "engine" and known != value:
        return f"by another version of the program (engine {known}, this one has {value}), whose numbers differ"
    if key in GROWING:
        names = [name for name in value if known.get(name, value[name]) != value[name]]
        if not names:
            return ""
        return f"with other {key} for '{names[0]}' ({brief(known[names[0]])}, not {brief(value[names[0]])})"
    if isinstance(known, dict) and isinstance(value, dict):
        return table_difference(key, known, value)
    return "" if known == value else f"with {key} {cut(repr(known))}, not {cut(repr(value))}"


def table_difference(key: str, known: dict, value: dict) -> str:
    """How a table of tables, the recipes, differs: the number alone."""
    for name in sorted({*known, *value}):
        have, want = known.get(name, {}), value.get(name, {})
        for part in sorted({*have, *want}):
            if have.get(part) != want.get(part):
                got, wanted = (cut(repr(table[part])) if part in table else "none" for table in (have, want))
                return f"with {key} {name} {part} = {got}, not {wanted}"
    return ""


def brief(value: object) -> str:
    """A value in which two runs differ, in short: a hash by its first digits, variants by their names."""
    if isinstance(value, str) and len(value) > 32:
        return f"{value[:12]}.."
    if isinstance(value, list):
        return cut(", ".join(map(str, value)), 40)
    text = str(value)
    return text if len(text) <= 24 else f"{text[:24]}.."


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
    values = list(dict.fromkeys(map(brief, expected_values(spec, shared)[name])))
    expected = " or ".join(values) if 0 < len(values) < 3 else f"one of {len(values)} others"
    raise UserError(
        f"results folder '{cut(folder)}' holds {count} of another run: '{cut(odd[0]['label'], 60)}' was made with "
        f"{name} {brief(spec.get(name))}, the run has {expected}; move such records away "
        f"(cells/{odd[0]['key'][:12]}*.json)"
    )


def foreign_key(spec: dict, shared: dict) -> str | None:
    """The first key of a cell's spec whose value is not one of `expected_values`; None where all fit."""
    expected = expected_values(spec, shared)
    return next((name for name, values in expected.items() if spec.get(name) not in values), None)


def expected_values(spec: dict, shared: dict) -> dict[str, list]:
    """The values that a cell's spec may have in the run that run.json describes, by key; None: it must not have it."""
    # A cell may have trained the family's backbone or a smaller model of it (`bert`, `bert student`), with any recipe.
    family = {name: known for name, known in shared["checkpoints"].items() if name.split()[0] == spec["backbone"]}
    mended = [shared.get("segments", {}).get(name) for name, known in family.items() if known == spec["checkpoint"]]
    expected = {
        **{name: [shared[name]] for name in ("engine", "compat", "precision", "max_length", "limit")},
        "data": [shared["data"].get(spec["task"])],
        "checkpoint": list(family.values()),
        "limits": [shared.get("limits", {}).get(spec["task"])],
        "recipe": list(shared["recipes"].values()),
        "segments": mended or [None],
        "exit_norm": [shared.get("exit_norm") or None],
    }
    if "unlabelled" in spec:
        expected["unlabelled"] = [shared["unlabelled"].get(spec["task"])]
    if spec["method"] in shared.get("variants", {}):
        expected["variant"] = shared["variants"][spec["method"]]
    return expected


def outdated(record: dict, methods: Methods) -> str | None:
    """Why a cell has no rows in the tables though it was trained: its method has changed since; None where it has not.

    Args:
        record: of the cell.
        methods: all known methods.
    """
    spec = record["spec"]
    method = methods.get(spec["method"])
    if method is None:
        return f"unknown method '{spec['method']}': no file of methods/ and none that run.json names defines it"
    if spec["version"] != method.version:
        return f"version {spec['version']} of the method, the program has {method.version}: run again"
    if spec.get("content", "") != method.content:
        return "another content of the method's file: run again"
    return None


def outdated_lines(records: Sequence[dict], methods: Methods) -> list[str]:
    """What a run says about such cells of the methods that it trains, a line per method and reason."""
    reasons = Counter(
        (record["spec"]["method"], why)
        for record in records
        if record["status"] == "ok" and record["spec"]["method"] in methods and (why := outdated(record, methods))
    )
    return [
        f"{count} cells of '{name}' are left out of the tables: {why}" for (name, why), count in sorted(reasons.items())
    ]
