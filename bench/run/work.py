"""Where cells run: what a worker gets beside the cell itself. Every process that handles cells imports this file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench.store.folder import RunFolder

if TYPE_CHECKING:
    from pathlib import Path

    from bench.sources.examples import Source


@dataclass(frozen=True)
class Work:
    """What a worker needs to know to run any cell of a run; nothing here changes a number.

    Attributes:
        folder: where records and traces go.
        source: where the rows come from.
        device: "cpu" or "cuda".
        method_files: files of methods from outside the project.
        save_models: whether trained models are kept in a form that others can load.
        unlabelled: folder of the rows without labels, for the cells that train on them.
    """

    folder: RunFolder
    source: Source
    device: str
    method_files: tuple[str, ...] = ()
    save_models: bool = False
    unlabelled: Path | None = None
