"""Is our static model as good as plain fine-tuning by the library? Both sides on the same rows, seed by seed.

    python -m bench.speed.anchor --glue-dir DIR --backbone DIR

The library's side is its own sequence classifier, tokenizer, collator and Trainer, at the Trainer's own defaults, which
are the paper's recipe; only the rows come from our loader, so that both sides see the same. Both read the first token,
as the library's classifier does. Our side is the command line, or what it has left behind (`--points`, of a run with
the same seeds, limit, recipe and pooling). Both run on one machine, one after the other. Exit status 1 where the
interval of the mean difference over seeds excludes zero by more than a point. Needs the extra `speed` (the Trainer
wants `accelerate`).
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    DataCollatorWithPadding,
    Trainer,
    TrainingArguments,
    set_seed,
)

from bench.errors import UserError, command
from bench.plan.options import resolve_tasks
from bench.plan.suite import Recipe
from bench.plan.suite_file import load_suite
from bench.sources.examples import Examples, load_split
from bench.sources.tasks import Task
from bench.sources.tsv import TsvFolder
from bench.speed.starting import PROGRAM
from bench.statistics.intervals import t_interval
from bench.statistics.metrics import evaluate_predictions
from bench.store.csv_files import read_table

#: A suite file of both sides.
SUITE = 'extends = "glue-local"\nrecipe = "trainer-defaults"\npooling = "first"\n'
#: By how many points an interval may exclude zero.
POINTS = 1.0


def rows_of(tokenizer, examples: Examples, max_length: int) -> list[dict]:
    """A split as the Trainer takes it that our static model is held against: token lists and a label for each row."""
    texts = (examples.text_a,) if examples.text_b is None else (examples.text_a, examples.text_b)
    columns = tokenizer(*texts, truncation=True, max_length=max_length)
    return [
        {**{name: values[i] for name, values in columns.items()}, "labels": int(examples.labels[i])}
        for i in range(len(examples))
    ]


def library(
    task: Task, source: TsvFolder, backbone: str, recipe: Recipe, max_length: int, limit: int, seed: int
) -> float:
    """The metric of a classifier that the library's Trainer fine-tuned."""
    set_seed(seed)
    tokenizer = AutoTokenizer.from_pretrained(backbone)
    model = AutoModelForSequenceClassification.from_pretrained(backbone, num_labels=task.num_labels)
    train, validation = (load_split(source, task, split, limit) for split in ("train", task.validation_splits[0]))
    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            output_dir=folder,
            num_train_epochs=recipe.epochs,
            per_device_train_batch_size=recipe.batch_size,
            per_device_eval_batch_size=128,
            learning_rate=recipe.learning_rate,
            train_sampling_strategy="group_by_length",
            seed=seed,
            save_strategy="no",
            logging_strategy="no",
            report_to=[],
            disable_tqdm=True,
        )
        rows = rows_of(tokenizer, train, max_length)
        trainer = Trainer(model, arguments, train_dataset=rows, data_collator=DataCollatorWithPadding(tokenizer))
        trainer.train()
        found = trainer.predict(rows_of(tokenizer, validation, max_length))
    # with its own labels: grouped by length, the rows come back in another order
    return float(evaluate_predictions(task, found.label_ids, found.predictions.argmax(axis=1)[None])[task.metric][0])


def ours(task: Task, options: argparse.Namespace, seeds: list[int], suite: Path) -> np.ndarray:
    """Our static model against the Trainer's: its metric for each seed, by the command line or from its points.csv.

    Args:
        task: to train on.
        options: of the command line.
        seeds: to train.
        suite: the suite file.

    Raises:
        UserError: the table has other seeds of the task.
    """
    if options.points:
        return static_values(read_table(Path(options.points)), task, seeds)
    with tempfile.TemporaryDirectory() as folder:
        command = ["--suite", str(suite), "--glue-dir", options.glue_dir, "--backbones", f"bert={options.backbone}"]
        command += ["--tasks", task.id, "--methods", "static", "--limit", str(options.limit)]
        command += ["--seed-list", ",".join(map(str, seeds)), "--jobs", "1"]
        command += ["--results", f"{folder}/results", "--figures", f"{folder}/figures"]
        subprocess.run([sys.executable, str(PROGRAM), *command], check=True)
        return static_values(read_table(Path(folder) / "results" / "points.csv"), task, seeds)


def static_values(points: pd.DataFrame, task: Task, seeds: list[int]) -> np.ndarray:
    """Our static model against the Trainer's: its metric [S] on the first validation split of a task.

    Raises:
        UserError: rows of points.csv that have other seeds.
    """
    split = task.validation_splits[0]
    rows = points[(points["method"] == "static") & (points["task"] == task.id) & (points["split"] == split)]
    if sorted(rows["seed"]) != seeds:
        raise UserError(f"points of static on {task.id}: expected seeds {seeds}, got {sorted(rows['seed'])}")
    return rows.sort_values("seed")["value"].to_numpy()


def main(argv: list[str] | None = None) -> int:
    """Print our static model's and the Trainer's metric and time for each task; see the module for the exit status."""
    parser = argparse.ArgumentParser(description="Our static model against plain fine-tuning by the library.")
    parser.add_argument("--glue-dir", required=True, metavar="DIR")
    parser.add_argument("--backbone", required=True, metavar="DIR")
    parser.add_argument("--tasks", default="sst2,mrpc", metavar="T,..")
    parser.add_argument("--limit", type=int, default=10_000, metavar="N")
    parser.add_argument("--seeds", type=int, default=3, metavar="N", help="at least 2, for an interval (default: 3)")
    parser.add_argument("--points", metavar="FILE.csv", help="our side: points.csv of a finished run")
    return command("bench.speed.anchor", lambda: compare_with_trainer(parser.parse_args(argv)))


def compare_with_trainer(options: argparse.Namespace) -> int:
    """Print both sides; 1 where an interval lies too far from zero. Ours comes first: it finds what is wrong.

    Raises:
        UserError: fewer than two seeds, or something is wrong with the options.
    """
    if options.seeds < 2:
        raise UserError(f"--seeds: an interval needs at least 2, got {options.seeds}")
    if not torch.cuda.is_available():
        torch.set_num_threads(1)  # as our cells compute
    source, seeds = TsvFolder(Path(options.glue_dir)), list(range(options.seeds))
    tasks, apart = resolve_tasks(options.tasks), 0
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "anchor.toml"
        file.write_text(SUITE)
        suite = load_suite(str(file))
        sides = [timed(ours, task, options, seeds, file) for task in tasks]
    how = (options.backbone, suite.recipes["stage1"], suite.max_length, options.limit)
    for task, (mine, took) in zip(tasks, sides, strict=True):
        theirs, seconds = timed(lambda task=task: [library(task, source, *how, seed) for seed in seeds])
        mean, low, high = t_interval(100 * (mine - np.array(theirs)))
        apart += low > POINTS or high < -POINTS
        both = (("Trainer", theirs, seconds), ("static", mine, None if options.points else took))
        difference = f"difference {mean:+.2f} points [{low:+.2f}, {high:+.2f}]"
        print(f"{task.id} {task.metric}: {', '.join(said(*side) for side in both)}, {difference}", flush=True)
    return int(apart > 0)


def said(name: str, values: Sequence[float], seconds: float | None) -> str:
    """Our static model, or the Trainer's, for print: mean, seeds, and the time that it took (None: it was there)."""
    by_seed = " ".join(f"{value:.4f}" for value in values)
    return f"{name} {np.mean(values):.4f} ({by_seed}{'' if seconds is None else f', {seconds:.0f} s'})"


def timed(function: Callable, *arguments: object) -> tuple[Any, float]:
    """What a call gives, and its seconds."""
    start = time.perf_counter()
    return function(*arguments), time.perf_counter() - start


if __name__ == "__main__":
    sys.exit(main())
