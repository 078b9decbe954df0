"""Our training loop against `transformers.Trainer` on an embedded stage-1 cell: `python -m bench.speed.trainer`.

Both fine-tune the same model on the same rows with the same batch size, epochs, optimiser and schedule, on one thread
and in turn; the medians of three pairs count. Needs the extra `speed` (the Trainer wants `accelerate`).
"""

from __future__ import annotations

import statistics
import tempfile
import time

import torch
from transformers import DataCollatorWithPadding, Trainer, TrainingArguments

from bench.cell import encoded, fresh_backbone, tokenizer
from bench.checkpoints import resolve
from bench.data import Embedded
from bench.model import EarlyExitModel, build_model
from bench.suite import Recipe, load_suite
from bench.training import train
from methods.base import prediction_loss
from methods.static import Static

TASK, PAIRS = "rte", 3


class Wrapped(torch.nn.Module):
    """The model as the Trainer calls it: keyword inputs with labels, a dictionary with the loss."""

    def __init__(self, model: EarlyExitModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, labels: torch.Tensor, **batch: torch.Tensor) -> dict[str, torch.Tensor]:
        """Loss of the last layer."""
        return {"loss": prediction_loss(self.model(batch).logits[:, -1], labels)}


def main() -> None:
    """Print the medians and their ratio."""
    torch.set_num_threads(1)
    suite = load_suite("embedded")
    checkpoint, recipe = resolve(suite.backbones["bert"].checkpoint), suite.recipes["stage1"]
    _, data = encoded(Embedded(), TASK, "train", None, checkpoint, suite.max_length)
    rows = [
        {**{name: values[i] for name, values in data.columns.items()}, "labels": int(data.labels[i])}
        for i in range(len(data))
    ]
    times = {"plain loop": [], "Trainer": []}
    for _ in range(PAIRS):
        model = build_model(Static(), fresh_backbone(checkpoint), 2, ("bert", TASK, 0))
        start = time.perf_counter()
        train(model, Static(), {}, data, recipe, (TASK, 0))
        times["plain loop"].append(time.perf_counter() - start)
        model = build_model(Static(), fresh_backbone(checkpoint), 2, ("bert", TASK, 0))
        start = time.perf_counter()
        train_with_trainer(model, rows, recipe, tokenizer(checkpoint))
        times["Trainer"].append(time.perf_counter() - start)
    medians = {name: statistics.median(values) for name, values in times.items()}
    for name, seconds in medians.items():
        print(f"{name:12} {seconds:6.2f} s for {recipe.epochs} epochs of {len(data)} rows")
    print(f"ratio        {medians['Trainer'] / medians['plain loop']:6.2f}")


def train_with_trainer(model: EarlyExitModel, rows: list[dict], recipe: Recipe, tokens) -> None:
    """The same stage with the library's Trainer, everything that can be switched off switched off."""
    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            output_dir=folder,
            num_train_epochs=recipe.epochs,
            per_device_train_batch_size=recipe.batch_size,
            learning_rate=recipe.learning_rate,
            lr_scheduler_type="linear",
            optim="adamw_torch_fused",
            max_grad_norm=recipe.clip,
            weight_decay=recipe.weight_decay,
            train_sampling_strategy="group_by_length",
            save_strategy="no",
            logging_strategy="no",
            report_to=[],
            use_cpu=True,
            disable_tqdm=True,
            remove_unused_columns=False,
        )
        trainer = Trainer(Wrapped(model), arguments, train_dataset=rows, data_collator=DataCollatorWithPadding(tokens))
        trainer.train()


if __name__ == "__main__":
    main()
