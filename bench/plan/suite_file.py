"""Suite files: one comparison in TOML, read by name or path, every key and value checked."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable
from dataclasses import MISSING, fields, replace
from pathlib import Path

from bench.errors import UserError, check_name, cut, nearest, one_line
from bench.plan.suite import COMPATS, LARGEST, PRECISIONS, SEED_SCOPES, SOURCES, STAGES, Family, Recipe, Suite

SUITES = Path(__file__).parents[1] / "suites"
RECIPES = Path(__file__).parents[1] / "recipes.toml"
FAMILY = re.compile("[A-Za-z0-9][A-Za-z0-9_-]{0,39}")


def available() -> list[str]:
    """Names of the suites that come with the project."""
    return sorted(path.stem for path in SUITES.glob("*.toml"))


def load_suite(name: str) -> Suite:
    """Read a suite by name, or from a file that ends in .toml.

    Raises:
        UserError: no such suite, no valid TOML, an unknown or missing key, or a value out of range.
    """
    path = Path(name) if name.endswith(".toml") else SUITES / f"{check_name('suite', name, available())}.toml"
    table = read_table(path)
    try:
        if "extends" in table:
            base = check_name("suite to extend", table.pop("extends"), available())
            table = merged(read_table(SUITES / f"{base}.toml"), table)
        return parse(path.stem, table)
    except UserError as error:
        raise UserError(f"suite '{path.stem}': {error}") from error


def read_table(path: Path) -> dict:
    """The content of a suite file."""
    try:
        text = path.read_text(encoding="utf-8-sig")  # some editors begin a file with a byte-order mark
        return tomllib.loads(text)
    except OSError as error:
        raise UserError(f"suite file '{path}' cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:  # no UTF-8, no TOML, a number of 5,000 digits, 1,000 brackets
        raise UserError(f"suite file '{path}' is not valid TOML: {one_line(error)}") from error


def merged(base: dict, change: dict) -> dict:
    """A suite's table with what another changes in it, table by table and key by key."""
    both = {key: merged(base[key], value) for key, value in change.items() if is_table(base.get(key), value)}
    return {**base, **change, **both}


def is_table(*values: object) -> bool:
    """Whether all of these are tables."""
    return all(isinstance(value, dict) for value in values)


def parse(name: str, table: dict) -> Suite:
    """Build a suite from its TOML table, checking every key and value."""
    if not name.replace("-", "").replace("_", "").isalnum():
        raise UserError("a suite's file name may hold letters, digits, '-' and '_' only")
    check_keys(table, Suite, "key", leave_out=("name",))
    families = {family: build(Family, f"backbones.{family}", value) for family, value in tables(table, "backbones")}
    recipes = parse_recipes(table, families)
    variants = table.get("variants", {})
    if not isinstance(variants, dict) or not all(is_list_of_text(names) for names in variants.values()):
        raise UserError('[variants] must hold lists of text, such as dact = ["tau=0.005"]')
    variants = {method: tuple(names) for method, names in variants.items()}
    suite = Suite(**{**table, "name": name, "backbones": families, "recipes": recipes, "variants": variants})
    check_types(suite)
    if not suite.title.isprintable() or not 0 < len(suite.title) <= 200:
        raise UserError(f"'title' must be one line of at most 200 characters, got {cut(repr(suite.title))}")
    if not 0 < suite.max_length <= LARGEST:
        raise UserError(f"max_length must be positive, got {cut(suite.max_length)}")
    for family in families:
        if not FAMILY.fullmatch(family):
            got = cut(repr(family))
            raise UserError(f"[backbones] names a family with letters, digits, '-' and '_', at most 40, got {got}")
    check_name("source", suite.source, SOURCES)
    if suite.source == "embedded" and not name.startswith("embedded"):
        raise UserError(f"generated data must say so in every row: name the file embedded-{name}.toml")
    check_name("precision", suite.precision, PRECISIONS)
    check_name("seed_scope", suite.seed_scope, SEED_SCOPES)
    check_name("compat", suite.compat, COMPATS)
    if missing := [stage for stage in STAGES if stage not in recipes]:
        raise UserError(f"no recipe for stage '{missing[0]}': expected a table [recipes.{missing[0]}]")
    return with_recipe(suite, suite.recipe) if suite.recipe else suite


def with_recipe(suite: Suite, name: str) -> Suite:
    """The suite with the tables of a named set of recipes over its own."""
    sets = tomllib.loads(RECIPES.read_text(encoding="utf8"))
    check_name("recipe", name, sets)
    recipes = parse_recipes({"recipes": sets[name]}, suite.backbones)
    return replace(suite, recipe=name, recipes=suite.recipes | recipes)


def parse_recipes(table: dict, families: dict[str, Family]) -> dict[str, Recipe]:
    """The recipes of a table: `[recipes.NAME]` for every family, `[recipes.FAMILY.NAME]` for one."""
    recipes = {}
    for name, value in tables(table, "recipes"):
        if name in families:
            parts = tables({f"recipes.{name}": value}, f"recipes.{name}")
            recipes |= {f"{name}/{part}": build(Recipe, f"recipes.{name}.{part}", entry) for part, entry in parts}
        else:
            recipes[name] = build(Recipe, f"recipes.{name}", value)
    return recipes


def is_list_of_text(value: object) -> bool:
    """Whether a TOML value is a list of strings with at least one entry."""
    return isinstance(value, list) and bool(value) and all(isinstance(entry, str) for entry in value)


def tables(table: dict, key: str) -> Iterable[tuple[str, dict]]:
    """The named sub-tables of a key."""
    value = table[key]
    if not isinstance(value, dict) or not all(isinstance(entry, dict) for entry in value.values()):
        raise UserError(f"'{key}' must hold tables [{key}.NAME]")
    return value.items()


def build(kind: type, where: str, table: dict) -> object:
    """An instance of a dataclass from a TOML table."""
    check_keys(table, kind, f"key in [{where}]")
    try:
        value = kind(**table)
        check_types(value)
    except (UserError, TypeError) as error:
        raise UserError(f"[{where}]: {error}") from error
    return value


def check_keys(table: dict, kind: type, what: str, leave_out: tuple[str, ...] = ()) -> None:
    """Refuse unknown keys with the nearest valid one, and missing ones by name."""
    known = {f.name: f for f in fields(kind) if f.name not in leave_out}
    for key in table:
        if key not in known:
            raise UserError(f"unknown {what} '{key}'{nearest(key, known)}")
    for key, entry in known.items():
        if key not in table and entry.default is MISSING and entry.default_factory is MISSING:
            raise UserError(f"missing {what} '{key}'")


def check_types(value: object) -> None:
    """Refuse plain fields of the wrong type, naming the field."""
    expected = {"str": str, "int": int, "float": (int, float)}
    for entry in fields(value):
        wanted = expected.get(entry.type)
        got = getattr(value, entry.name)
        if wanted and (not isinstance(got, wanted) or isinstance(got, bool)):
            raise UserError(f"'{entry.name}' must be of type {entry.type}, got {cut(repr(got))}")
