"""How fast our training is against `transformers.Trainer`: same model, rows, recipe and precision, one thread, in turn.

Always: stage 1 of an embedded task, the Trainer with everything switched off that can be. With a checkpoint
and GLUE's files, also its plain use on real data: the library's classifier and collator, batches in random order,
padded to 128 tokens or to the longest row of each. Needs the extra `speed` (the Trainer wants `accelerate`).
"""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from transformers import (
    AutoModelForSequenceClassification,
    DataCollatorWithPadding,
    Trainer,
    TrainingArguments,
    set_seed,
)

from bench.models.loading import encoded, fresh_backbone, tokenizer
from bench.models.model import EarlyExitModel, build_model
from bench.models.tokens import Encoded
from bench.models.training import train
from bench.plan.suite import Recipe
from bench.plan.suite_file import load_suite
from bench.sources.checkpoints import Checkpoint, find_checkpoint
from bench.sources.generated import Embedded
from bench.sources.tasks import TASKS
from bench.sources.tsv import TsvFolder
from bench.speed.table import Row, Settings
from bench.timing import seconds
from methods.blocks import prediction_loss
from methods.static import Static

TASK, PAIRS = "rte", 3
#: Training rows of a task of GLUE.
LIMIT = 320
#: Goals on real data: examples per second, ours over the Trainer's.
GOALS = {("sst2", "128"): 3.0, ("mrpc", "128"): 1.5, ("sst2", "longest"): 1.15, ("mrpc", "longest"): 1.15}


class Wrapped(torch.nn.Module):
    """Our model as the Trainer calls it: keyword inputs with labels, a dictionary with the loss."""

    def __init__(self, model: EarlyExitModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, labels: torch.Tensor, **batch: torch.Tensor) -> dict[str, torch.Tensor]:
        """Loss of the last layer."""
        return {"loss": prediction_loss(self.model(batch).logits[:, -1], labels)}


def trainer_rows(data: Encoded) -> list[dict]:
    """Rows as the Trainer takes them."""
    columns = {name: np.split(values, data.starts[1:]) for name, values in data.columns.items()}
    return [
        {**{name: values[row].tolist() for name, values in columns.items()}, "labels": label}
        for row, label in enumerate(data.labels.tolist())
    ]


def with_trainer(model: torch.nn.Module, data: Encoded, recipe: Recipe, collator, **options) -> float:
    """Seconds that the library's Trainer takes for a stage."""
    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            output_dir=folder,
            num_train_epochs=recipe.epochs,
            per_device_train_batch_size=recipe.batch_size,
            learning_rate=recipe.learning_rate,
            max_grad_norm=recipe.clip,
            weight_decay=recipe.weight_decay,
            save_strategy="no",
            logging_strategy="no",
            report_to=[],
            use_cpu=True,
            disable_tqdm=True,
            **options,
        )
        return seconds(Trainer(model, arguments, train_dataset=trainer_rows(data), data_collator=collator).train)


def ratio_on_embedded() -> float:
    """The Trainer's time over ours for stage 1 of an embedded task; the Trainer groups by length, too."""
    suite, ratios = load_suite("embedded"), []
    checkpoint, recipe = find_checkpoint(suite.backbones["bert"].checkpoint), suite.recipes["stage1"]
    _, data = encoded(Embedded(), TASKS[TASK], "train", None, checkpoint, suite.max_length)
    for _ in range(PAIRS):
        model = build_model(Static(), fresh_backbone(checkpoint), 2, ("bert", TASK, 0))
        ours = seconds(lambda model=model: train(model, Static(), {}, data, recipe, (TASK, 0)))
        model = Wrapped(build_model(Static(), fresh_backbone(checkpoint), 2, ("bert", TASK, 0)))
        collator = DataCollatorWithPadding(tokenizer(checkpoint))
        theirs = with_trainer(
            model, data, recipe, collator, train_sampling_strategy="group_by_length", remove_unused_columns=False
        )
        ratios.append(theirs / ours)
    return statistics.median(ratios)


def ratios_on_glue(glue: Path, backbone: str, task: str) -> dict[str, float]:
    """The plain Trainer's time over ours for one epoch of stage 1 on real data, by how the Trainer pads."""
    suite, checkpoint = load_suite("glue-local"), Checkpoint(backbone)
    recipe = replace(suite.recipes["stage1"], epochs=1)
    _, data = encoded(TsvFolder(glue), TASKS[task], "train", LIMIT, checkpoint, suite.max_length)
    model = build_model(Static(), fresh_backbone(checkpoint), 2, ("bert", task, 0))
    ours = seconds(lambda: train(model, Static(), {}, data, recipe, (task, 0)))
    found = {}
    for padding in ("128", "longest"):
        set_seed(0)
        classifier = AutoModelForSequenceClassification.from_pretrained(backbone, num_labels=2)
        how = {"padding": "max_length", "max_length": 128} if padding == "128" else {"padding": "longest"}
        collator = DataCollatorWithPadding(tokenizer(checkpoint), **how)
        found[padding] = with_trainer(classifier, data, recipe, collator) / ours
    return found


def measure(settings: Settings) -> Iterator[Row]:
    """The Trainer's time over ours: on an embedded cell, then, where they are given, on real data."""
    torch.set_num_threads(1)  # as our cells compute
    yield Row(f"our training / Trainer grouping by length, embedded {TASK}", ratio_on_embedded(), "times")
    settings.need("glue_dir", "backbone")
    for task in ("sst2", "mrpc"):
        for padding, value in ratios_on_glue(Path(settings.glue_dir), settings.backbone, task).items():
            name = f"fine-tuning / plain Trainer padding to {padding}, {task}, examples per second"
            yield Row(name, value, "times", f">= {GOALS[task, padding]}")
