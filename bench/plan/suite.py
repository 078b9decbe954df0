"""A suite: the backbones, recipes and data of one comparison, as values; `suite_file` reads them from TOML."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING

from bench.errors import UserError, cut

if TYPE_CHECKING:
    from bench.sources.tasks import Task
    from methods.base import Method

POOLINGS = ("first", "mean", "last")
EXIT_NORMS = ("standardise",)
DATA_SOURCES = ("embedded", "folder", "hub")
PRECISIONS = ("float32", "bfloat16", "float16")
SEED_SCOPES = ("full", "heads")
COMPATS = ("equal", "released")
#: The largest number that a recipe may hold; comparing with it also refuses infinity and nan.
LARGEST = 10**9
STAGES = ("stage1", "stage2", "joint")
#: Kind of checkpoint that a method trains (`Method.checkpoint`) -> the key of `[backbones.FAMILY]` that names it.
KINDS = {"backbone": "checkpoint", "student": "student", "tinybert": "tinybert"}


@dataclass(frozen=True)
class Recipe:
    """Hyper-parameters of one training: a table `[recipes.NAME]`, where NAME is a stage or a method.

    `accumulation` is the number of parts that a batch is computed in, one after the other, to save memory; `warmup`
    the share of the steps over which the learning rate rises, before it falls; `schedule_epochs` the number of epochs
    that the learning rate falls over, after which it stays 0 (0: the epochs of the training, which is sane);
    `head_learning_rate` the rate of all exits, where they have one of their own (0: the same as the backbone).
    """

    epochs: int
    learning_rate: float
    batch_size: int
    weight_decay: float = 0.0
    clip: float = 1.0
    accumulation: int = 1
    warmup: float = 0.0
    schedule_epochs: int = 0
    head_learning_rate: float = 0.0

    def __post_init__(self) -> None:
        for name in ("epochs", "learning_rate", "batch_size", "clip", "accumulation"):
            if not 0 < getattr(self, name) <= LARGEST:
                raise UserError(f"{name} must be positive, got {cut(getattr(self, name))}")
        for name in ("weight_decay", "schedule_epochs", "head_learning_rate"):
            if not 0 <= getattr(self, name) <= LARGEST:
                raise UserError(f"{name} must not be negative, got {cut(getattr(self, name))}")
        if not 0 <= self.warmup < 1:
            raise UserError(f"warmup must be a share of the steps, from 0 to below 1, got {cut(self.warmup)}")

    def spec(self) -> dict:
        """The recipe as it stands in the specs of cells, and so in their keys.

        Without what most recipes leave out, where it has its default, so that cells trained before there were these
        options keep their keys.
        """
        usual = (("accumulation", 1), ("warmup", 0), ("schedule_epochs", 0), ("head_learning_rate", 0))
        return {name: value for name, value in asdict(self).items() if (name, value) not in usual}


@dataclass(frozen=True)
class Family:
    """One backbone family: the checkpoint, smaller ones that some methods train instead, and how exits read them."""

    checkpoint: str = ""
    student: str = ""
    tinybert: str = ""
    pooling: str = ""

    def path(self, kind: str) -> str:
        """The suite's name for the checkpoint of one of `KINDS`; empty where it has none."""
        return getattr(self, KINDS[kind])


@dataclass(frozen=True)
class Limits:
    """At most so many rows of one task: a table `[limits.TASK]` of a suite; None: all, or what --limit says."""

    train: int | None = None
    validation: int | None = None

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if value is not None and (type(value) is not int or not 0 < value <= LARGEST):
                raise UserError(f"{name} must be a whole number of rows, at least 1, got {cut(repr(value))}")
        if self.train is None and self.validation is None:
            raise UserError("expected train or validation, a number of rows")

    def spec(self) -> dict[str, int]:
        """The limits that are given, as they stand in the specs of cells, and so in their keys."""
        return {name: value for name, value in asdict(self).items() if value is not None}


@dataclass(frozen=True)
class Suite:
    """One comparison: what stands in a suite's TOML file.

    Attributes:
        name: the file's name without `.toml`; stands in every row.
        title: what figures call the data.
        source: "embedded", "folder" (needs --glue-dir) or "hub".
        max_length: inputs are cut to this many tokens.
        backbones: families by name, `bert` and `roberta` in the suites that come with the project.
        recipes: by stage ("stage1", "stage2", "joint") or method; "FAMILY/NAME" holds for one backbone family only.
        variants: variants to train instead of a method's own, by method.
        limits: at most so many rows of a task, by task; a smaller --limit goes before.
        precision: "float32", "bfloat16" or "float16".
        seed_scope: "full" varies everything with the seed; "heads" starts every seed from stage 1 of seed 0.
        compat: "equal" gives every method the same exits and training; "released" the quirks of its released code.
        recipe: name of a set in recipes.toml whose tables go over the suite's; empty: none.
        pooling: what exits read of a layer, "first", "mean" or "last", unless a family's own `pooling` says otherwise;
            empty: what the checkpoint says, see `bench.models.pooling`.
        exit_norm: "standardise" gives every exit its state standardised, see `bench.models.exit_norm`; empty: as it is.
        tasks: tasks besides GLUE's, by name.
    """

    name: str
    title: str
    source: str
    max_length: int
    backbones: dict[str, Family]
    recipes: dict[str, Recipe]
    variants: dict[str, tuple[str, ...]] = field(default_factory=dict)
    limits: dict[str, Limits] = field(default_factory=dict)
    precision: str = "float32"
    seed_scope: str = "full"
    compat: str = "equal"
    recipe: str = ""
    pooling: str = ""
    exit_norm: str = ""
    tasks: dict[str, Task] = field(default_factory=dict)

    def recipe_of(self, method: Method, family: str) -> Recipe:
        """The hyper-parameters of a method on a backbone family.

        The first that the suite has: the method's own, those of the method that it trains like, those of its stage;
        of each, the family's before the general one.
        """
        owners = (method.name, method.trains_like, method.recipe)
        names = [name for owner in owners for name in (f"{family}/{owner}", owner)]
        return next(self.recipes[name] for name in names if name in self.recipes)

    def pooling_of(self, family: str) -> str:
        """What the suite says about how the exits of a family read; empty where it leaves that to the checkpoint."""
        return self.backbones[family].pooling or self.pooling

    def longer(self, times: int) -> Suite:
        """The suite with so many times the steps in every training."""
        recipes = {
            name: replace(recipe, epochs=times * recipe.epochs, schedule_epochs=times * recipe.schedule_epochs)
            for name, recipe in self.recipes.items()
        }
        return replace(self, title=f"{self.title}, {times} times the steps", recipes=recipes)

    def with_checkpoints(self, checkpoints: dict[str, dict[str, str]]) -> Suite:
        """The suite with other checkpoints, given by kind (of `KINDS`) and family.

        Another backbone drops the smaller models that the suite names beside its own: they were made from that one.
        """
        families = dict(self.backbones)
        for kind in KINDS:  # the backbone first, because it clears the rest
            for name, path in checkpoints.get(kind, {}).items():
                base = Family(pooling=families[name].pooling) if kind == "backbone" else families[name]
                families[name] = replace(base, **{KINDS[kind]: path})
        return replace(self, backbones=families)
