"""DACT on a frozen backbone: what is left of its advantage when only heads and gates are trained."""

from __future__ import annotations

from methods.dact import Dact


class DactFrozen(Dact):
    """DACT-BERT with the stage-1 backbone frozen: stage 2 trains the heads and halting units of all layers.

    C. Eyzaguirre et al. (2022) credit DACT-BERT's advantage to its fine-tuning of the backbone; this is the same loss,
    rule and grid of tau without it.
    """

    name = "dact-frozen"

    def trains(self, part: str, layer: int, num_layers: int) -> bool:
        """Every exit, nothing of the backbone."""
        return part == "exit"
