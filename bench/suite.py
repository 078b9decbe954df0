"""Suites: backbones, recipes and the data source of a comparison, in one TOML file each."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable
from dataclasses import MISSING, asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING

from bench.errors import UserError, check_name, cut, nearest, one_line

if TYPE_CHECKING:
    from methods.base import Method

SUITES = Path(__file__).parent / "suites"
SOURCES = ("embedded", "folder", "hub")
RECIPES = Path(__file__).parent / "recipes.toml"
PRECISIONS = ("float32", "bfloat16", "float16")
SEED_SCOPES = ("full", "heads")
COMPATS = ("equal", "released")
#: What numbers of a recipe may be at most; neither infinity nor "not a number" is.
LARGEST = 10**9
FAMILY = re.compile("[A-Za-z0-9][A-Za-z0-9_-]{0,39}")
STAGES = ("stage1", "stage2", "joint")
#: What a method may train (`Method.checkpoint`) -> the key of a family's table that names it.
KINDS = {"backbone": "checkpoint", "student": "student", "tinybert": "tinybert"}


@dataclass(frozen=True)
class Recipe:
    """How a stage is trained: one table `[recipes.NAME]`, where NAME is a stage or a method.

    `accumulation` is the number of parts that a batch is computed in, one after the other, to save memory; `warmup`
    the share of the steps over which the learning rate rises, before it falls; `schedule_epochs` the number of epochs
    that the learning rate falls over, after which it stays 0 (0: the epochs of the training, which is sane).
    """

    epochs: int
    learning_rate: float
    batch_size: int
    weight_decay: float = 0.0
    clip: float = 1.0
    accumulation: int = 1
    warmup: float = 0.0
    schedule_epochs: int = 0

    def __post_init__(self) -> None:
        for name in ("epochs", "learning_rate", "batch_size", "clip", "accumulation"):
            if not 0 < getattr(self, name) <= LARGEST:
                raise UserError(f"{name} must be positive, got {cut(getattr(self, name))}")
        for name in ("weight_decay", "schedule_epochs"):
            if not 0 <= getattr(self, name) <= LARGEST:
                raise UserError(f"{name} must not be negative, got {cut(getattr(self, name))}")
        if not 0 <= self.warmup < 1:
            raise UserError(f"warmup must be a share of the steps, from 0 to below 1, got {cut(self.warmup)}")

    def spec(self) -> dict:
        """What of it stands in keys: everything but what is as usual in the keys that most recipes leave out."""
        usual = (("accumulation", 1), ("warmup", 0), ("schedule_epochs", 0))
        return {name: value for name, value in asdict(self).items() if (name, value) not in usual}


@dataclass(frozen=True)
class Family:
    """A backbone family of a suite: its checkpoint, and the smaller models that stand beside it."""

    checkpoint: str = ""
    student: str = ""
    tinybert: str = ""

    def path(self, kind: str) -> str:
        """The checkpoint of one of `KINDS`; empty where the suite names none."""
        return getattr(self, KINDS[kind])


@dataclass(frozen=True)
class Suite:
    """One comparison. `source` is where the data comes from; see DESIGN for the other keys.

    Attributes:
        name: the file's name without `.toml`; stands in every row.
        title: what figures call the data.
        source: "embedded", "folder" (needs --glue-dir) or "hub".
        max_length: inputs are cut to this many tokens.
        backbones: families by name, `bert` and `roberta` in the suites that come with the project.
        recipes: by stage ("stage1", "stage2", "joint") or method; "FAMILY/NAME" holds for one backbone family only.
        variants: variants to train instead of a method's own, by method.
        precision: "float32", "bfloat16" or "float16".
        seed_scope: "full" varies everything with the seed; "heads" starts every seed from stage 1 of seed 0.
        compat: "equal" gives every method the same exits and training; "released" the quirks of its released code.
        recipe: name of a set in recipes.toml whose tables go over the suite's; empty: none.
    """

    name: str
    title: str
    source: str
    max_length: int
    backbones: dict[str, Family]
    recipes: dict[str, Recipe]
    variants: dict[str, tuple[str, ...]] = field(default_factory=dict)
    precision: str = "float32"
    seed_scope: str = "full"
    compat: str = "equal"
    recipe: str = ""

    def recipe_of(self, method: Method, family: str) -> Recipe:
        """The recipe of a method on a backbone family.

        Its own where the suite has one, else that of the method that it trains like, else its stage's.
        """
        owners = (method.name, method.trains_like, method.recipe)
        names = [name for owner in owners for name in (f"{family}/{owner}", owner)]
        return next(self.recipes[name] for name in names if name in self.recipes)

    def with_recipe(self, name: str) -> Suite:
        """The suite with the tables of a named set of recipes over its own."""
        sets = tomllib.loads(RECIPES.read_text(encoding="utf8"))
        check_name("recipe", name, sets)
        return replace(self, recipe=name, recipes=self.recipes | parse_recipes({"recipes": sets[name]}, self.backbones))

    def with_checkpoints(self, checkpoints: dict[str, dict[str, str]]) -> Suite:
        """The suite with checkpoints named on the command line, by kind and family.

        Another backbone comes without the smaller models that the suite names beside its own.
        """
        families = dict(self.backbones)
        for kind in KINDS:
            for name, path in checkpoints.get(kind, {}).items():
                base = Family() if kind == "backbone" else families[name]
                families[name] = replace(base, **{KINDS[kind]: path})
        return replace(self, backbones=families)


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
        return tomllib.loads(path.read_text(encoding="utf8"))
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
    return suite.with_recipe(suite.recipe) if suite.recipe else suite


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
