"""GLUE's metrics of one prediction, as a module of the `evaluate` library: each model's values at full depth.

Built here because nothing may be downloaded at run time. Computed independently of `bench.statistics.metrics`, so that
each checks the other: rates from boolean arrays, correlations from scipy, Matthews as a correlation of one-hot vectors
(Gorodkin 2004).
"""

from __future__ import annotations

import tempfile
import uuid
from collections.abc import Callable
from functools import partial

import datasets
import evaluate
import numpy as np
from scipy import stats

from bench.errors import check_choice
from bench.sources.tasks import TASKS, Task

CITATION = (
    "Alex Wang, Amanpreet Singh, Julian Michael, Felix Hill, Omer Levy, Samuel R. Bowman. GLUE: A Multi-Task Benchmark "
    "and Analysis Platform for Natural Language Understanding. ICLR 2019."
)


class GlueMetric(evaluate.Metric):
    """`GlueMetric("mrpc").compute(predictions=[n], references=[n])` -> {metric name: float} for `Task.metrics`.

    Differs from the library's own GLUE module in three ways: every metric of the task is given, under this suite's
    names; scores stay double precision; undefined correlations are 0 instead of nan.

    Args:
        task: the task, or the name of one of GLUE's; its name is the module's configuration name.

    Raises:
        UserError: no such task.
    """

    def __init__(self, task: str | Task):
        self.task = task if isinstance(task, Task) else TASKS[check_choice("task", task, TASKS)]
        # In memory, with an id of its own: processes share no file and no lock. The library makes a folder all the
        # same and then leaves it empty, so it gets one that can be written anywhere and is gone at once.
        with tempfile.TemporaryDirectory() as folder:
            super().__init__(self.task.id, keep_in_memory=True, experiment_id=uuid.uuid4().hex, cache_dir=folder)

    def _info(self) -> evaluate.MetricInfo:
        kind = datasets.Value("float64" if self.task.regression else "int64")
        return evaluate.MetricInfo(
            description="The metrics of one GLUE task.",
            citation=CITATION,
            inputs_description="predictions and references: class ids, or scores for stsb",
            features=datasets.Features({"predictions": kind, "references": kind}),
            format=None,  # plain lists: the library's numpy format rounds scores to single precision
        )

    def _compute(self, predictions: list, references: list) -> dict[str, float]:
        true, predicted = np.array(references), np.array(predictions)
        return {name: float(FUNCTIONS[name](true, predicted)) for name in self.task.metrics}


def _accuracy(true: np.ndarray, predicted: np.ndarray) -> float:
    return (true == predicted).mean()


def _f1(true: np.ndarray, predicted: np.ndarray) -> float:
    hits = ((true == 1) & (predicted == 1)).sum()
    if hits == 0:
        return 0.0
    precision, recall = hits / (predicted == 1).sum(), hits / (true == 1).sum()
    return 2 * precision * recall / (precision + recall)


def _matthews(true: np.ndarray, predicted: np.ndarray) -> float:
    if _constant(true) or _constant(predicted):
        return 0.0
    classes = np.union1d(true, predicted)
    x, y = ((ids[:, None] == classes) - (ids[:, None] == classes).mean(0) for ids in (true, predicted))  # (n, C)
    return (x * y).sum() / np.sqrt((x * x).sum() * (y * y).sum())


def _correlation(by: Callable, true: np.ndarray, predicted: np.ndarray) -> float:
    return 0.0 if _constant(true) or _constant(predicted) else by(predicted, true)[0]


def _constant(values: np.ndarray) -> bool:
    return bool((values == values[0]).all())


FUNCTIONS = {
    "accuracy": _accuracy,
    "f1": _f1,
    "matthews": _matthews,
    "pearson": partial(_correlation, stats.pearsonr),
    "spearman": partial(_correlation, stats.spearmanr),
}
