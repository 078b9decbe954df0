"""Read a suite from its TOML file, by name or path, with every key and value checked."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable
from dataclasses import MISSING, fields, replace
from pathlib import Path

from bench.errors import UserError, check_choice, cut, nearest, one_line
from bench.plan.own_tasks import parse_tasks
from bench.plan.suite import (
    COMPATS,
    DATA_SOURCES,
    EXIT_NORMS,
    LARGEST,
    POOLINGS,
    PRECISIONS,
    SEED_SCOPES,
    STAGES,
    Family,
    Limits,
    Recipe,
    Suite,
)
from bench.sources.tasks import TASKS

SUITES = Path(__file__).parents[1] / "suites"
RECIPES = Path(__file__).parents[1] / "recipes.toml"
FAMILY = re.compile("[A-Za-z0-9][A-Za-z0-9_-]{0,39}")


def available() -> list[str]:
    """Names of the suites whose files come with the project."""
    return sorted(path.stem for path in SUITES.glob("*.toml"))


def load_suite(name: str) -> Suite:
    """Read a suite by name, or from a file that ends in .toml.

    Raises:
        UserError: no such suite, no valid TOML, an unknown or missing key, or a value out of range.
    """
    path = Path(name) if name.endswith(".toml") else SUITES / f"{check_choice('suite', name, available())}.toml"
    table = read_toml(path)
    try:
        if "extends" in table:  # one level: a suite that extends another cannot be extended itself
            base = check_choice("suite to extend", table.pop("extends"), available())
            table = merged(read_toml(SUITES / f"{base}.toml"), table)
        return parse_suite(path.stem, table, path)
    except UserError as error:
        raise UserError(f"suite '{path.stem}': {error}") from error


def read_toml(path: Path) -> dict:
    """The content of a suite file, unchecked.

    Raises:
        UserError: it cannot be read, or is no TOML.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))  # some editors begin a file with a byte-order mark
    except OSError as error:
        raise UserError(f"suite file '{path}' cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:  # no UTF-8, no TOML, a number of 5,000 digits, 1,000 brackets
        raise UserError(f"suite file '{path}' is not valid TOML: {one_line(error)}") from error


def merged(base: dict, change: dict) -> dict:
    """A suite's table with another's keys over its own (`extends`); tables inside are merged the same way."""
    both = {
        key: merged(base[key], value)
        for key, value in change.items()
        if isinstance(value, dict) and isinstance(base.get(key), dict)
    }
    return {**base, **change, **both}


def parse_suite(name: str, table: dict, path: Path | None = None) -> Suite:
    """The suite that a TOML table describes, every key and value checked; `path` is the file that it was read from.

    Raises:
        UserError: naming the first key or value that is wrong, and the nearest valid one.
    """
    if not name.replace("-", "").replace("_", "").isalnum():
        raise UserError("a suite's file name may hold letters, digits, '-' and '_' only")
    check_keys(table, Suite, "key", leave_out=("name",))
    check_complete(table)
    families = {
        family: build_entry(Family, f"backbones.{family}", value) for family, value in subtables(table, "backbones")
    }
    recipes = parse_recipes(table, families)
    variants = table.get("variants", {})
    if not isinstance(variants, dict) or not all(is_list_of_text(names) for names in variants.values()):
        raise UserError('[variants] must hold lists of text, such as dact = ["tau=0.005"]')
    variants = {method: tuple(names) for method, names in variants.items()}
    given = {"name": name, "backbones": families, "recipes": recipes, "variants": variants}
    if "tasks" in table:
        given["tasks"] = parse_tasks(dict(subtables(table, "tasks")), table["source"], path)
    known = [*TASKS, *given.get("tasks", {})]
    given["limits"] = {
        check_choice("task in [limits]", task, known): build_entry(Limits, f"limits.{task}", value)
        for task, value in subtables({"limits": {}, **table}, "limits")
    }
    suite = Suite(**{**table, **given})
    # All types first: the checks of values below would fail on a wrong type in Python's words.
    check_types(suite)
    if not suite.title.isprintable() or not 0 < len(suite.title) <= 200:
        raise UserError(f"'title' must be one line of at most 200 characters, got {cut(repr(suite.title))}")
    if not 0 < suite.max_length <= LARGEST:
        raise UserError(f"max_length must be positive, got {cut(suite.max_length)}")
    for family in families:
        if not FAMILY.fullmatch(family):
            raise UserError(
                f"[backbones] names a family with letters, digits, '-' and '_', at most 40, got {cut(repr(family))}"
            )
    check_choice("source", suite.source, DATA_SOURCES)
    if suite.source == "embedded" and not name.startswith("embedded"):
        # the suite's name stands in every row of every table
        raise UserError(f"generated data must say so in every row: name the file embedded-{name}.toml")
    for pooling in (suite.pooling, *(family.pooling for family in families.values())):
        check_choice("pooling", pooling, ("", *POOLINGS))
    check_choice("exit_norm", suite.exit_norm, ("", *EXIT_NORMS))
    check_choice("precision", suite.precision, PRECISIONS)
    check_choice("seed_scope", suite.seed_scope, SEED_SCOPES)
    check_choice("compat", suite.compat, COMPATS)
    return with_recipe(suite, suite.recipe) if suite.recipe else suite


def with_recipe(suite: Suite, name: str) -> Suite:
    """The suite with a set of recipes.toml (`--recipe`) in place of its own recipes of the same names."""
    sets = tomllib.loads(RECIPES.read_text(encoding="utf8"))
    check_choice("recipe", name, sets)
    recipes = parse_recipes({"recipes": sets[name]}, suite.backbones)
    return replace(suite, recipe=name, recipes=suite.recipes | recipes)


def parse_recipes(table: dict, families: dict[str, Family]) -> dict[str, Recipe]:
    """The recipes of a table: `[recipes.NAME]` for every family, `[recipes.FAMILY.NAME]` for one."""
    recipes = {}
    for name, value in subtables(table, "recipes"):
        if name in families:
            parts = subtables({f"recipes.{name}": value}, f"recipes.{name}")
            recipes |= {f"{name}/{part}": build_entry(Recipe, f"recipes.{name}.{part}", entry) for part, entry in parts}
        else:
            recipes[name] = build_entry(Recipe, f"recipes.{name}", value)
    return recipes


def is_list_of_text(value: object) -> bool:
    """Whether a value in a suite file is a list of strings with at least one entry."""
    return isinstance(value, list) and bool(value) and all(isinstance(entry, str) for entry in value)


def subtables(table: dict, key: str) -> Iterable[tuple[str, dict]]:
    """The tables `[KEY.NAME]` of a key of a suite file, by name."""
    value = table[key]
    if not isinstance(value, dict) or not all(isinstance(entry, dict) for entry in value.values()):
        raise UserError(f"'{key}' must hold tables [{key}.NAME]")
    return value.items()


def build_entry(kind: type, where: str, table: dict) -> object:
    """A `Family` or `Recipe` from its TOML table; errors start with `where` in brackets."""
    check_keys(table, kind, f"key in [{where}]")
    try:
        value = kind(**table)
        check_types(value)
    except (UserError, TypeError) as error:
        raise UserError(f"[{where}]: {error}") from error
    return value


def check_keys(table: dict, kind: type, what: str, leave_out: tuple[str, ...] = ()) -> None:
    """Refuse keys in a suite file that a dataclass has no field for, with the nearest that it has."""
    known = [f.name for f in fields(kind) if f.name not in leave_out]
    for key in table:
        if key not in known:
            raise UserError(f"unknown {what} '{key}'{nearest(key, known)}")


def missing_keys(table: dict, kind: type, leave_out: tuple[str, ...] = ()) -> list[str]:
    """The keys that a suite file leaves out: fields of a dataclass without a default that a table does not have."""
    needed = (f.name for f in fields(kind) if f.default is MISSING and f.default_factory is MISSING)
    return [name for name in needed if name not in table and name not in leave_out]


def check_complete(table: dict) -> None:
    """Refuse a suite that lacks keys, all of them in one line: its own, recipes of stages, keys of recipes.

    Raises:
        UserError: something is missing, or `recipes` is no table of tables.
    """
    missing = [f"'{key}'" for key in missing_keys(table, Suite, leave_out=("name",)) if key != "recipes"]
    recipes = dict(subtables({"recipes": {}, **table}, "recipes"))
    families = dict(subtables({"backbones": {}, **table}, "backbones"))
    missing += [f"a table [recipes.{stage}]" for stage in STAGES if stage not in recipes]
    for name, recipe in recipes.items():
        of_family = bool(recipe) and all(isinstance(entry, dict) for entry in recipe.values())
        if of_family:
            check_choice("backbone in [recipes]", name, families)
        parts = {f"{name}.{part}": entry for part, entry in recipe.items()} if of_family else {name: recipe}
        for where, entry in parts.items():
            check_keys(entry, Recipe, f"key in [recipes.{where}]")
            missing += [f"'{key}' in [recipes.{where}]" for key in missing_keys(entry, Recipe)]
    if missing:
        raise UserError(f"missing: {', '.join(missing)}")


def check_types(value: object) -> None:
    """Refuse text and numbers of the wrong type in a suite file, naming the field."""
    # Annotations are text here (`from __future__ import annotations`); TOML writes 1.0 as 1, so a float may be an int.
    expected = {"str": str, "int": int, "float": (int, float)}
    for entry in fields(value):
        wanted = expected.get(entry.type)
        got = getattr(value, entry.name)
        if wanted and (not isinstance(got, wanted) or isinstance(got, bool)):  # to Python, True is a number
            raise UserError(f"'{entry.name}' must be of type {entry.type}, got {cut(repr(got))}")
