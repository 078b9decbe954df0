"""Published sizes of the hub's data and checkpoints, so that a plan can be made of what is not on this machine.

A plan knows rows, layers and bytes from `known_sizes.toml`, and no fingerprint: cells of such inputs have no key yet.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from bench.sources.checkpoints import Checkpoint
from bench.sources.examples import Source
from bench.sources.hub_checkpoints import has_config, is_commit
from bench.sources.hub_rows import Hub
from bench.sources.tasks import Task

#: Stands in a plan for the fingerprint of data or a checkpoint that is not on this machine.
UNKNOWN = "unknown"
#: Bytes of a row in the library's tables besides its texts: label and number; and for each text, where it ends.
ROW_BYTES, TEXT_BYTES = 12, 4


@dataclass(frozen=True)
class KnownTask:
    """The published size of one task of a data set.

    Attributes:
        download: bytes that come over the network.
        disk: bytes that they and the library's table of them take.
        rows: number of rows by split.
        characters: of an average row's texts together, by split.
    """

    download: int
    disk: int
    rows: dict[str, int]
    characters: dict[str, float]


@dataclass(frozen=True)
class KnownCheckpoint(Checkpoint):
    """A checkpoint on the hub that is not on this machine, but of published size; nothing of it is ever fetched."""

    @property
    def about(self) -> dict:
        """Its table in known_sizes.toml."""
        return known_checkpoints()[self.path]

    def fingerprint(self) -> str:
        """The commit that a results folder keeps to, or that was asked for; else `UNKNOWN`."""
        return self.revision if is_commit(self.revision) else UNKNOWN

    def pinned(self) -> Checkpoint:
        """The checkpoint as it is: which commit its name means now, only the hub knows."""
        return self

    def is_at_hand(self) -> bool:
        """No: see `find_known`."""
        return False

    def file(self, name: str) -> Path | None:
        """None: the small files that change how a checkpoint is read are none of these repositories'."""
        return None

    def config(self) -> dict:
        """What is known of its config.json."""
        return self.about


@cache
def tables() -> dict:
    """The published sizes: the content of known_sizes.toml."""
    return tomllib.loads(Path(__file__).with_name("known_sizes.toml").read_text(encoding="utf8"))


def known_checkpoints() -> dict[str, dict]:
    """The checkpoints of published size, by repository."""
    return tables()["checkpoints"]


def find_known(checkpoint: Checkpoint) -> KnownCheckpoint | None:
    """The checkpoint by its published size; None where none is known, or where its config is on this machine."""
    if checkpoint.is_local or checkpoint.path not in known_checkpoints():
        return None
    if has_config(checkpoint.path, checkpoint.revision):
        return None
    return KnownCheckpoint(checkpoint.path, checkpoint.revision)


def known_task(source: Source, task: Task) -> KnownTask | None:
    """The published size of a task; None where none is known, or where its rows are on this machine."""
    if not isinstance(source, Hub) or source.is_at_hand(task):
        return None
    about = tables()["data"].get(source.repo, {}).get(task.id)
    if about is None:
        return None
    sizes = {split: about[split] for split in task.splits}
    beside = ROW_BYTES + TEXT_BYTES * len(task.texts)
    return KnownTask(
        download=about["download"],
        disk=about["download"] + about["table"],
        rows={split: rows for split, (rows, _) in sizes.items()},
        characters={split: size / rows - beside for split, (rows, size) in sizes.items()},
    )
