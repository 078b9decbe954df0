"""The nine GLUE tasks: names, columns, labels, splits and metrics of each (Wang et al. 2019, "GLUE", table 1).

A class id is a position in `Task.labels`, whatever order a source has. The order is that of the hub's `nyu-mll/glue`.
"""

from __future__ import annotations

from dataclasses import dataclass, field

#: Splits of a task -> their TSV files.
ONE_SPLIT = {"train": "train.tsv", "validation": "dev.tsv"}
TWO_SPLITS = {
    "train": "train.tsv",
    "validation_matched": "dev_matched.tsv",
    "validation_mismatched": "dev_mismatched.tsv",
}
#: What a suite says of a task of its own.
OWN_TASK_KEYS = ("columns", "label", "labels", "metric")
BINARY_METRICS = ("accuracy", "f1", "matthews")
SENTENCES = ("sentence1", "sentence2")
ENTAILMENT = ("entailment", "not_entailment")


@dataclass(frozen=True)
class Task:
    """What the benchmark knows about one task, GLUE's or a suite's own.

    Attributes:
        id: the name used on the command line and in every file; also the hub's configuration name.
        title: GLUE's own spelling, which is the name of the task's folder in its TSV layout too.
        texts: the one or two text columns of the TSV files.
        label: the label column of the TSV files (the hub always calls it `label`).
        labels: names of the classes, class id = position; empty for regression (scores from 0 to 5).
        digits: whether the TSV files write the class id instead of the name.
        metric: the metric that is drawn.
        metrics: every metric that is stored. F1's positive class is 1, as in GLUE.
        splits: name of each split -> its TSV file.
        hub_texts: the text columns on the hub, where they differ from `texts`.
        headerless: columns of a TSV file without a header line (CoLA); empty: the header is required.
        short_lines: whether the published files have lines with too few fields (QQP), which are left out and counted,
            as the hub's own loader leaves them out.
        is_own: whether a suite defines it; its title is its id.
    """

    id: str
    title: str
    texts: tuple[str, ...]
    label: str
    labels: tuple[str, ...]
    metric: str = "accuracy"
    metrics: tuple[str, ...] = BINARY_METRICS
    digits: bool = False
    splits: dict[str, str] = field(default_factory=lambda: ONE_SPLIT, hash=False)
    hub_texts: tuple[str, ...] = ()
    headerless: tuple[str, ...] = ()
    short_lines: bool = False
    is_own: bool = False

    def spec(self) -> dict:
        """What of a suite's own task stands in the spec of a cell, for `task_of`; nothing for GLUE's."""
        table = (list(self.texts), self.label, list(self.labels), self.metric)
        return {"own_task": dict(zip(OWN_TASK_KEYS, table, strict=True))} if self.is_own else {}

    @property
    def validation_splits(self) -> list[str]:
        """The splits that are traced and scored: all but `train`; MNLI has two."""
        return [split for split in self.splits if split != "train"]

    @property
    def regression(self) -> bool:
        """Whether the labels are scores instead of classes."""
        return not self.labels

    @property
    def num_labels(self) -> int:
        """Number of classes; 1 for regression."""
        return len(self.labels) or 1

    @property
    def class_ids(self) -> dict[str, int]:
        """Every accepted spelling of a label -> class id: the names, and the digits where GLUE documents them."""
        names = {name: i for i, name in enumerate(self.labels)}
        return names | {str(i): i for i in names.values()} if self.digits else names


TASKS = {
    task.id: task
    for task in (
        Task("sst2", "SST-2", ("sentence",), "label", ("negative", "positive"), digits=True),
        Task(
            "mrpc",
            "MRPC",
            ("#1 String", "#2 String"),
            "Quality",
            ("not_equivalent", "equivalent"),
            metric="f1",
            digits=True,
            hub_texts=SENTENCES,
        ),
        Task("qnli", "QNLI", ("question", "sentence"), "label", ENTAILMENT),
        Task("rte", "RTE", SENTENCES, "label", ENTAILMENT),
        Task(
            "qqp",
            "QQP",
            ("question1", "question2"),
            "is_duplicate",
            ("not_duplicate", "duplicate"),
            metric="f1",
            digits=True,
            short_lines=True,
        ),
        Task(
            "mnli",
            "MNLI",
            SENTENCES,
            "gold_label",
            ("entailment", "neutral", "contradiction"),
            metrics=("accuracy", "matthews"),
            splits=TWO_SPLITS,
            hub_texts=("premise", "hypothesis"),
        ),
        Task(
            "cola",
            "CoLA",
            ("sentence",),
            "label",
            ("unacceptable", "acceptable"),
            metric="matthews",
            digits=True,
            headerless=("source", "label", "star", "sentence"),
        ),
        Task("stsb", "STS-B", SENTENCES, "score", (), metric="pearson", metrics=("pearson", "spearman")),
        # WNLI's digits: 1 is entailment, unlike the class order of QNLI and RTE.
        Task("wnli", "WNLI", SENTENCES, "label", ("not_entailment", "entailment"), digits=True),
    )
}
PAPER_TASKS = ("sst2", "mrpc", "qnli", "rte", "qqp", "mnli")


def own_task(name: str, table: dict) -> Task:
    """A `Task` like GLUE's nine from a suite's table: `columns`, `label`, `labels` (none: scores) and `metric`."""
    labels = tuple(table.get("labels", ()))
    metrics = {0: ("pearson", "spearman"), 2: BINARY_METRICS}.get(len(labels), ("accuracy", "matthews"))
    metric, label = table.get("metric", metrics[0]), table.get("label", "label")
    return Task(name, name, tuple(table["columns"]), label, labels, metric, metrics, is_own=True)


def task_of(spec: dict) -> Task:
    """The task of a cell, or of a saved model, by what its spec says: one of GLUE's, or a suite's own."""
    return own_task(spec["task"], spec["own_task"]) if "own_task" in spec else TASKS[spec["task"]]
