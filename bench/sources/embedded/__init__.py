"""The embedded suite: six generated GLUE-like tasks and four tiny pre-trained encoders, usable without network or GPU.

Everything here is *generated data*: it says how the methods compare in miniature, not how they do on GLUE. One thing is
held to GLUE on BERT-base: how much of what a task can give each layer gives (`bench.acceptance`, depth.csv).
"""

from __future__ import annotations

from pathlib import Path

from bench.errors import check_choice
from bench.sources.embedded.tasks import TASKS, generate

CHECKPOINTS = ("bert-nano", "roberta-nano", "distilbert-nano", "distilroberta-nano")

__all__ = ["CHECKPOINTS", "TASKS", "checkpoint", "generate"]


def checkpoint(name: str) -> Path:
    """Return the folder of an embedded checkpoint, loadable with `AutoModel.from_pretrained` without network.

    Raises:
        UserError: no such checkpoint.
    """
    return Path(__file__).parent / "weights" / check_choice("embedded checkpoint", name, CHECKPOINTS)
