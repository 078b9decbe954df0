"""Read GLUE from the hub, from the hub library's cache, or from a local folder in the hub's parquet layout."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from bench.errors import UserError, one_line
from bench.sources.examples import Examples, Source, make_examples
from bench.sources.hub_checkpoints import is_commit
from bench.sources.tasks import Task


@dataclass(frozen=True)
class Hub:
    """A data set on the hub, or a local folder in its parquet layout (`repo`/sst2/train-*.parquet).

    `revision` is a commit, tag or branch; None takes the newest. Without network the library's cache is used.
    """

    repo: str = "nyu-mll/glue"
    revision: str | None = None

    def is_at_hand(self, task: Task) -> bool:
        """Whether the rows of a task are on this machine, so that reading them downloads nothing."""
        from datasets import config

        if Path(self.repo).expanduser().is_dir():
            return True
        cached = Path(config.HF_DATASETS_CACHE) / self.repo.replace("/", "___") / task.id
        return any(cached.glob(f"*/{self.revision if is_commit(self.revision) else '*'}/dataset_info.json"))

    def read(self, task: Task, split: str) -> Examples:
        """Download, or read from the cache, every row of a split.

        Raises:
            UserError: the data set cannot be had, or a column is missing or carries no class names.
        """
        local = Path(self.repo).expanduser()
        data = _parquet(local, task, split) if local.is_dir() else _builder(self, task.id).as_dataset(split=split)
        columns = (*(task.hub_texts or task.texts), "label")
        for name in columns:
            if name not in data.column_names:
                found = ", ".join(data.column_names)
                raise UserError(f"{self.repo} {task.id}/{split}: no column '{name}', found {found}")
        *texts, labels = (data[name][:] for name in columns)
        locate = f"{self.repo} {task.id}/{split}, row {{}}".format
        if not task.regression:
            labels = _class_names(data.features["label"], labels, task, locate)
        return make_examples(task, texts, labels, locate)


def data_commit(source: Source, task: Task) -> str | None:
    """The commit of the hub's data set that is in use; None for sources that have none.

    Args:
        source: where the rows come from.
        task: any task that is used: all share the commit, but without network only those in the cache know it.

    Raises:
        UserError: the data set cannot be had.
    """
    if not isinstance(source, Hub) or Path(source.repo).expanduser().is_dir():
        return None
    return _builder(source, task.id).hash


def _parquet(folder: Path, task: Task, split: str):
    """Read a split of a local folder in the hub's layout.

    Not with the library's own loader: that would copy every file into its cache.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq
    from datasets import Dataset

    pattern = f"{split}-*.parquet"
    files = sorted((folder / task.id).glob(pattern))
    if not files:
        raise UserError(f"cannot find {folder / task.id / pattern}: expected the hub's parquet layout")
    try:
        return Dataset(pa.concat_tables([pq.read_table(file) for file in files]))
    except (OSError, pa.ArrowException) as error:
        raise UserError(f"cannot read {folder / task.id / pattern}: {one_line(error)}") from None


@cache
def _builder(source: Hub, config: str):
    """The hub library's builder of one task, its data downloaded; kept, because every call would ask the network."""
    from datasets import load_dataset_builder

    try:
        builder = load_dataset_builder(source.repo, config, revision=source.revision)
        builder.download_and_prepare()
    except Exception as error:  # the HTTP client's own errors come through, and which client it is changes
        reason = f"cannot load {config} of '{source.repo}', neither from the hub nor from its cache"
        ways = "--suite glue-local --glue-dir DIR reads a folder, --prepare on a machine with network fills the cache"
        raise UserError(f"{reason} ({one_line(error)}): {ways}") from None
    # Without network the library serves its newest copy, whatever revision was asked for.
    if is_commit(source.revision) and builder.hash != source.revision:
        raise UserError(f"the cache holds {config} of '{source.repo}' at {builder.hash}, expected {source.revision}")
    return builder


def _class_names(feature, ids: Sequence, task: Task, locate: Callable[[int], str]) -> list:
    """The names of a hub column's class ids; an id without one (-1: unlabelled) stays, to be refused later."""
    names = getattr(feature, "names", None)
    if names is None:
        raise UserError(f"{locate(0)}: column 'label' carries no class names, expected {', '.join(task.labels)}")
    return [names[i] if i is not None and 0 <= i < len(names) else i for i in ids]
