"""Suites: backbones, recipes and the data source of a comparison, in one TOML file each."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from dataclasses import MISSING, dataclass, field, fields, replace
from pathlib import Path

from bench.errors import UserError, check_name, nearest

SUITES = Path(__file__).parent / "suites"
SOURCES = ("embedded", "folder", "hub")
PRECISIONS = ("float32", "bfloat16")
SEED_SCOPES = ("full", "heads")
STAGES = ("stage1", "stage2", "joint")
#: What a method may train (`Method.checkpoint`) -> the key of a family's table that names it.
KINDS = {"backbone": "checkpoint", "student": "student", "tinybert": "tinybert"}


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
            if getattr(self, name) <= 0:
                raise UserError(f"{name} must be positive, got {getattr(self, name)}")
        if self.weight_decay < 0:
            raise UserError(f"weight_decay must not be negative, got {self.weight_decay}")


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
    try:
        table = tomllib.loads(path.read_text(encoding="utf8"))
    except OSError as error:
        raise UserError(f"suite file '{path}' cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"suite file '{path}' is not valid TOML: {error}") from error
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
            raise UserError(f"'{entry.name}' must be of type {entry.type}, got {got!r}")
