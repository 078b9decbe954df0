"""PABEE's rule on frozen backbones: what patience is worth without training for it."""

from __future__ import annotations

from methods.pabee import Pabee


class PabeeFrozen(Pabee):
    """PABEE's rule on DeeBERT's models.

    The reading of C. Eyzaguirre et al. (2022), by whom only DACT-BERT changes the backbone's weights. Trains
    nothing: the patience rule replayed on the traces of `deebert`.
    """

    name = "pabee-frozen"
    trained_by = "deebert"
    needs_classes = "replays deebert, which needs classes; this task is a regression"
