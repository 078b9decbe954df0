"""Suites: backbones, recipes and the data source of a comparison, in one TOML file each."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable
from dataclasses import MISSING, dataclass, field, fields, replace
from pathlib import Path

from bench.errors import UserError, check_name, cut, nearest, one_line

SUITES = Path(__file__).parent / "suites"
SOURCES = ("embedded", "folder", "hub")
PRECISIONS = ("float32", "bfloat16")
SEED_SCOPES = ("full", "heads")
#: What numbers of a recipe may be at most; neither infinity nor "not a number" is.
LARGEST = 10**9
FAMILY = re.compile("[A-Za-z0-9][A-Za-z0-9_-]{0,39}")
STAGES = ("stage1", "stage2", "joint")


@dataclass(frozen=True)
class Recipe:
    """How a stage is trained: one table `[recipes.NAME]`, where NAME is a stage or a method."""

    epochs: int
    learning_rate: float
    batch_size: int
    weight_decay: float = 0.0
    clip: float = 1.0

    def __post_init__(self) -> None:
        for name in ("epochs", "learning_rate", "batch_size", "clip"):
            if not 0 < getattr(self, name) <= LARGEST:
                raise UserError(f"{name} must be positive, got {cut(getattr(self, name))}")
        if not 0 <= self.weight_decay <= LARGEST:
            raise UserError(f"weight_decay must not be negative, got {cut(self.weight_decay)}")


@dataclass(frozen=True)
class Family:
    """A backbone family of a suite: its checkpoint and the student that stands beside it."""

    checkpoint: str = ""
    student: str = ""


@dataclass(frozen=True)
class Suite:
    """One comparison. `source` is where the data comes from; see DESIGN for the other keys.

    Attributes:
        name: the file's name without `.toml`; stands in every row.
        title: what figures call the data.
        source: "embedded", "folder" (needs --glue-dir) or "hub".
        max_length: inputs are cut to this many tokens.
        backbones: families by name, `bert` and `roberta` in the suites that come with the project.
        recipes: by stage ("stage1", "stage2", "joint"); a recipe named like a method goes before its stage's.
        variants: variants to train instead of a method's own, by method.
        precision: "float32" or "bfloat16".
        seed_scope: "full" varies everything with the seed; "heads" starts every seed from stage 1 of seed 0.
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

    def recipe(self, method: str, stage: str) -> Recipe:
        """The recipe of a method: its own where the suite has one, else its stage's."""
        return self.recipes.get(method) or self.recipes[stage]

    def with_checkpoints(self, backbones: dict[str, str], students: dict[str, str]) -> Suite:
        """The suite with checkpoints named on the command line; another backbone comes without the suite's student."""
        families = dict(self.backbones)
        for name, path in backbones.items():
            families[name] = Family(checkpoint=path)
        for name, path in students.items():
            families[name] = replace(families[name], student=path)
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
    try:
        table = tomllib.loads(path.read_text(encoding="utf8"))
    except OSError as error:
        raise UserError(f"suite file '{path}' cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:  # no UTF-8, no TOML, a number of 5,000 digits, 1,000 brackets
        raise UserError(f"suite file '{path}' is not valid TOML: {one_line(error)}") from error
    try:
        return parse(path.stem, table)
    except UserError as error:
        raise UserError(f"suite '{path.stem}': {error}") from error


def parse(name: str, table: dict) -> Suite:
    """Build a suite from its TOML table, checking every key and value."""
    if not name.replace("-", "").replace("_", "").isalnum():
        raise UserError("a suite's file name may hold letters, digits, '-' and '_' only")
    check_keys(table, Suite, "key", leave_out=("name",))
    families = {family: build(Family, f"backbones.{family}", value) for family, value in tables(table, "backbones")}
    recipes = {stage: build(Recipe, f"recipes.{stage}", value) for stage, value in tables(table, "recipes")}
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
    if missing := [stage for stage in STAGES if stage not in recipes]:
        raise UserError(f"no recipe for stage '{missing[0]}': expected a table [recipes.{missing[0]}]")
    return suite


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
