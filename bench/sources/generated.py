"""Read the generated tasks of `bench.sources.embedded` as a source of examples."""

from __future__ import annotations

from dataclasses import dataclass

from bench.sources.embedded.tasks import SEED, VALIDATION_ROWS, generate
from bench.sources.examples import Examples, make_examples
from bench.sources.tasks import Task


@dataclass(frozen=True)
class Embedded:
    """The generated tasks.

    Attributes:
        seed: of the generator; another one gives other rows of the same tasks.
        validation_rows: of each validation split.
    """

    seed: int = SEED
    validation_rows: int = VALIDATION_ROWS

    def read(self, task: Task, split: str) -> Examples:
        """Generate every row of a split."""
        rows = generate(task.id, split, self.seed, self.validation_rows)
        columns = [rows["text_a"]] if rows["text_b"] is None else [rows["text_a"], rows["text_b"]]
        locate = f"generated {task.id}/{split}, row {{}}".format
        return make_examples(task, columns, rows["labels"], locate, rows["difficulty"])
