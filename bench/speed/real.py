"""Models for the measurements on real data: DeeBERT on a few thousand rows of a GLUE task, trained by our own code."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import torch

from bench.models.loading import encoded, fresh_backbone
from bench.models.model import EarlyExitModel, build_model
from bench.models.tokens import Encoded
from bench.models.training import train
from bench.plan.suite import Recipe
from bench.sources.checkpoints import Checkpoint, find_checkpoint
from bench.sources.examples import Examples
from bench.sources.tasks import TASKS, Task
from bench.sources.tsv import TsvFolder
from bench.speed.table import Settings
from methods.base import Method
from methods.deebert import DeeBert
from methods.static import Static

#: Training rows: few, but enough for exits that are sure of some examples.
ROWS = 1000
#: Validation rows; the released procedure answers far fewer.
EXAMPLES = 400
MAX_LENGTH = 128
STAGE1 = Recipe(epochs=3, learning_rate=2e-4, batch_size=16)
#: As long as it takes until ramps are sure of some examples; on features it is cheap.
RAMPS = Recipe(epochs=20, learning_rate=1e-3, batch_size=32)


@dataclass(frozen=True)
class Problem:
    """The rows of a GLUE task for a checkpoint, ready to train on.

    Attributes:
        task: the task.
        checkpoint: the pre-trained encoder.
        train: the tokens of `ROWS` training rows.
        examples: `EXAMPLES` validation rows.
        data: their tokens.
    """

    task: Task
    checkpoint: Checkpoint
    train: Encoded
    examples: Examples
    data: Encoded

    def model(self, method: Method, seed: int, start: dict[str, torch.Tensor] | None = None) -> EarlyExitModel:
        """An untrained model of a method, from the checkpoint or from the state of a stage-1 model."""
        names = ("speed", self.task.id, seed)
        return build_model(method, fresh_backbone(self.checkpoint), self.task.num_labels, names, start)


@lru_cache(maxsize=2)
def problem(settings: Settings, task: str) -> Problem:
    """The rows of a real task; from here on this process computes on one thread, as cells do.

    Raises:
        NotMeasured: there are no real data or no backbone.
    """
    settings.need("glue_dir", "backbone")
    torch.set_num_threads(1)
    source, checkpoint = TsvFolder(Path(settings.glue_dir)), find_checkpoint(settings.backbone)
    _, rows = encoded(source, TASKS[task], "train", ROWS, checkpoint, MAX_LENGTH)
    examples, data = encoded(source, TASKS[task], "validation", EXAMPLES, checkpoint, MAX_LENGTH)
    return Problem(TASKS[task], checkpoint, rows, examples, data)


@lru_cache(maxsize=2)
def stage1(settings: Settings, task: str) -> dict[str, torch.Tensor]:
    """For models on real data: the state of a fine-tuned backbone with its head."""
    given = problem(settings, task)
    model = given.model(Static(), seed=0)
    train(model, Static(), {}, given.train, STAGE1, (task, 0))
    return model.state_dict()


@lru_cache(maxsize=2)
def deebert(settings: Settings, task: str) -> EarlyExitModel:
    """A DeeBERT model trained on real rows, ready to be measured."""
    model = problem(settings, task).model(DeeBert(), 0, stage1(settings, task))
    train(model, DeeBert(), {}, problem(settings, task).train, RAMPS, (task, 0))
    return model.eval()
