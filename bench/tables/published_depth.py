"""What layers of BERT-base are worth on GLUE, as published: the numbers that depth.csv is held against.

Profiles are shares of the gain over the constant answer (`bench.statistics.depth`), by fraction of the layers.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from bench.statistics.curves import Points, interpolate
from bench.statistics.depth import gain_shares

#: What depth.csv calls the three profiles.
FROZEN, JOINT, FINE_TUNED = "frozen", "joint", "fine-tuned"
#: Two of them, on validation sets: scores of layers 1 to 12 in per cent of the frozen model's last layer's; F1 for MRPC
#: and QQP, else accuracy. Frozen: DeeBERT's exits on the frozen fine-tuned model (series "2stg"). Joint: one that was
#: trained with all its exits, by the sum of their losses (series "joint"). Read off a figure (error about .3), a seed:
#: castorini/berxit, plotting/plot.ipynb at b55fb82, output of cell 3, model bert-base (J. Xin et al., "BERxiT", EACL
#: 2021).
PERCENT = {
    FROZEN: {
        "sst2": (80.4, 85.0, 85.5, 86.0, 86.8, 91.5, 93.7, 95.7, 98.9, 99.7, 99.6, 100),
        "mrpc": (88.8, 88.8, 88.8, 90.0, 90.9, 91.8, 92.8, 93.4, 96.9, 98.3, 99.4, 100),
        "qnli": (64.5, 65.0, 77.7, 86.3, 88.6, 90.1, 90.8, 91.2, 91.2, 91.5, 98.8, 100),
        "rte": (80.5, 79.4, 77.4, 85.7, 85.8, 94.7, 93.0, 92.6, 89.9, 89.5, 95.8, 100),
        "qqp": (54.7, 61.5, 77.7, 86.2, 91.6, 93.3, 94.8, 95.2, 96.4, 97.1, 99.5, 100),
        "mnli": (51.6, 52.9, 61.9, 70.4, 79.2, 86.2, 89.2, 91.3, 94.7, 95.2, 98.6, 100),
    },
    JOINT: {
        "sst2": (90.9, 91.5, 93.5, 95.7, 95.7, 96.6, 97.1, 97.7, 97.9, 97.8, 97.8, 97.6),
        "mrpc": (88.8, 89.1, 89.5, 91.6, 92.8, 93.4, 94.5, 95.2, 95.7, 96.1, 96.2, 96.6),
        "qnli": (67.3, 69.5, 91.4, 93.4, 93.9, 95.7, 96.3, 97.1, 97.5, 98.0, 98.9, 99.0),
        "rte": (68.9, 79.9, 81.6, 95.1, 92.1, 94.7, 95.2, 96.7, 96.2, 95.2, 95.2, 97.9),
        "qqp": (76.6, 88.3, 95.8, 97.0, 98.4, 98.7, 99.1, 99.4, 99.4, 99.5, 99.7, 99.9),
        "mnli": (72.7, 84.7, 90.0, 92.6, 94.1, 96.5, 97.5, 98.2, 98.5, 98.6, 98.9, 98.8),
    },
}
#: The last layer's score and the constant answer's. RTE and MRPC follow from the figure, the other finals are assumed.
FINAL = {"sst2": 0.925, "mrpc": 0.915, "qnli": 0.912, "rte": 0.686, "qqp": 0.877, "mnli": 0.845}
CONSTANT = {"sst2": 0.509, "mrpc": 0.812, "qnli": 0.505, "rte": 0.527, "qqp": 0.538, "mnli": 0.354}

#: The backbone cut at a layer and fine-tuned there: shares at layers 3 and 6 of 12; accuracy for QQP.
#: Layer 3: BERT3 on GLUE's test sets, S. Sun et al., "Patient Knowledge Distillation", EMNLP 2019, quoted from memory
#: and not checked against the paper. Layer 6: BERT-base on the validation sets, as a talk copies the table of X. Liu
#: et al., "ElasticBERT", NAACL 2022, which does not name the metric of MRPC and QQP.
CUT_AT = (3 / 12, 6 / 12)
CUT = {
    "sst2": (0.84, 0.95),
    "mrpc": (0.0, 0.58),
    "qnli": (0.84, 0.91),
    "rte": (0.18, 0.80),
    "qqp": (0.91, 0.97),
    "mnli": (0.80, 0.93),
}
#: The splits that published numbers are of.
SPLITS = ("validation", "validation_matched")


@cache
def published(task: str, split: str, profile: str) -> Points | None:
    """BERT-base's published numbers: fractions of the layers and shares there; None where nothing is published."""
    if task not in FINAL or split not in SPLITS:
        return None
    if profile == FINE_TUNED:
        return np.array([*CUT_AT, 1.0]), np.array([*CUT[task], 1.0])
    scores = np.array(PERCENT[profile][task]) / 100 * FINAL[task]
    return np.arange(1, len(scores) + 1) / len(scores), gain_shares(scores, FINAL[task], CONSTANT[task])


def published_at(task: str, split: str, profile: str, x: np.ndarray) -> np.ndarray:
    """BERT-base's published shares at fractions x [K] of the layers: between layers by a straight line, NaN without.

    Models cut and fine-tuned are few: nothing is drawn between them, so only those that are published have a value.
    """
    found = published(task, split, profile)
    if found is None:
        return np.full(len(x), np.nan)
    value = interpolate(x, *found)
    return np.where(np.isclose(x[:, None], found[0]).any(axis=1), value, np.nan) if profile == FINE_TUNED else value
