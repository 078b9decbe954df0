"""A distilled student of half the depth, as a static reference point."""

from __future__ import annotations

from methods.static import Static


class DistilBert(Static):
    """V. Sanh et al., "DistilBERT, a distilled version of BERT: smaller, faster, cheaper and lighter", 2019.

    The pre-trained student (DistilRoBERTa on RoBERTa's panels) fine-tuned like the static backbone. Its layer
    fraction divides by the depth of its panel's backbone: 6 of 12 layers are 0.5.
    """

    name = "distilbert"
    checkpoint = "student"
