"""TinyBERT, as a static reference point."""

from __future__ import annotations

from methods.static import Static


class TinyBert(Static):
    """X. Jiao et al., "TinyBERT: Distilling BERT for Natural Language Understanding", Findings of EMNLP 2020.

    A generally distilled checkpoint, which the suite or --tinybert names, fine-tuned like the static backbone; the
    paper's second distillation, on the task, is left out. Its layer fraction divides by the depth of its panel's
    backbone.
    """

    name = "tinybert"
    checkpoint = "tinybert"
