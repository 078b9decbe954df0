"""The backbone cut at a layer and fine-tuned at that depth: what a model made for a budget reaches."""

from __future__ import annotations

from typing import ClassVar

from methods.static import Static


class Shallow(Static):
    """The "limit" curve of J. Xin et al., "BERxiT", EACL 2021: the first layers of the pre-trained backbone alone.

    Each depth is a model of its own, fine-tuned like the static one. One model per `depth`, the share of the layers
    that is kept, rounded to whole layers. A reference: no method here trains as many models.
    """

    name = "shallow"
    reference = True
    parameters: ClassVar = {"depth": 0.5}
    variants = ("depth=0.25", "depth=0.5", "depth=0.75")

    def depth(self, num_layers: int, variant: dict) -> int:
        """That share of the layers, at least one."""
        return min(num_layers, max(1, round(variant["depth"] * num_layers)))
