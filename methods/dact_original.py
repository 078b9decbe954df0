"""DACT with its original regulariser: what Eq. 1 of DACT-BERT is an improvement on."""

from __future__ import annotations

from typing import ClassVar

from methods.dact import Dact


class DactOriginal(Dact):
    """DACT-BERT with the regulariser of C. Eyzaguirre and A. Soto (CVPR 2020): tau * sum_l p_l in place of Eq. 1.

    C. Eyzaguirre et al. (2022) say that Eq. 1 helps convergence and binarises the halting values; this is the same
    training and rule without it, at the middle of their grid of tau alone: enough to compare the two.
    """

    name = "dact-original"
    trains_like = "dact"
    variants = ("tau=0.005",)
    parameters: ClassVar = {**Dact.parameters, "penalty": ("p",)}
