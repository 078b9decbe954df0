"""The claims of the DACT-BERT paper, each as a number that decides it (docs/statistics.md, "Does it reproduce?")."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from string import ascii_lowercase

import pandas as pd

from bench.tables import effects
from bench.tables.columns import PAPER_METHODS
from bench.tables.effects import Tables

# the smallest effects that matter: in the metric, as a rank correlation, in x, in layers, as a share, in nats
METRIC, RANK, COST, LAYER, SHARE, NATS = 0.02, 0.5, 0.02, 1.0, 0.1, 0.05


@dataclass(frozen=True)
class Claim:
    """One sentence of the paper that a number decides.

    Attributes:
        id: number of the claim, and a letter where it takes several numbers.
        text: what it says.
        quantity: what is measured; the claim says that it is above 0, or, of equality, that it is 0.
        effects: the number per task and seed, from the tables.
        relevant: the smallest effect that matters; the margin of a claim of equality.
        methods: without these it has not been run.
        equal: whether it is a claim of equality.
        by_size: whether it is about the rank correlation of the effect with the rows of training, over tasks.
    """

    id: str
    text: str
    quantity: str
    effects: Callable[[Tables], pd.DataFrame]
    relevant: float
    methods: tuple[str, ...] = PAPER_METHODS
    equal: bool = False
    by_size: bool = False


def claims_against(rival: str, name: str, letters: str) -> list[Claim]:
    """The claims about performance against one of the other methods; `letters` are for claim 1, then for 2 and 3."""
    cheap = partial(effects.in_score, quantity="auc_budget_half", method="dact", rival=rival)
    dear = partial(effects.at_high_x, method="dact", rival=rival)
    area = partial(effects.in_score, quantity="auc_common", method="dact", rival=rival)
    pair, minus = ("dact", rival), f"dact - {rival}"
    better = f"better than {name} with at most half of the layers"
    return [
        Claim(f"1{letters[0]}", better, f"auc_budget_half, {minus}", cheap, METRIC, pair),
        Claim(
            id=f"1{letters[1]}",
            text=f"and more so than {name} with more training data",
            quantity=f"rank correlation over tasks of training rows with 1{letters[0]}",
            effects=cheap,
            relevant=RANK,
            methods=pair,
            by_size=True,
        ),
        Claim(
            id=f"2{letters[0]}",
            text=f"equal to {name} where little is saved",
            quantity=f"value at x_high (at least .75), {minus}",
            effects=dear,
            relevant=METRIC,
            equal=True,
        ),
        Claim(f"3{letters[0]}", f"larger area than {name}", f"auc_common, {minus}", area, METRIC),
    ]


def claims() -> list[Claim]:
    """All claims, in the order of the table."""
    found = [*claims_against("deebert", "DeeBERT", "ac"), *claims_against("pabee", "PABEE", "bd")]
    found += [
        Claim(
            id="4a",
            text="x moves less between seeds than DeeBERT's",
            quantity="x_sd, deebert - dact",
            effects=partial(effects.in_spread, method="dact", rival="deebert"),
            relevant=COST,
        ),
        Claim(
            id="4b",
            text="x is less sensitive to the knob than DeeBERT's",
            quantity="change of x as the knob doubles, deebert - dact",
            effects=effects.in_steepness,
            relevant=COST,
        ),
        Claim(
            id="5a",
            text="the last layers can be pruned",
            quantity="last layers that no example uses, dact",
            effects=partial(effects.in_pruning, against=False),
            relevant=LAYER,
        ),
        Claim(
            id="5b",
            text="and more of them than with DeeBERT at equal cost",
            quantity="last layers that no example uses, dact - deebert",
            effects=partial(effects.in_pruning, against=True),
            relevant=LAYER,
        ),
        Claim(
            id="6",
            text="Eq. 1 makes the halting values more binary",
            quantity="share of h outside .1 to .9, dact - dact-original",
            effects=effects.in_decided,
            relevant=SHARE,
            methods=("dact", "dact-original"),
        ),
        Claim(
            id="7",
            text="the advantage comes from fine-tuning the backbone",
            quantity="auc_budget_half, dact - dact-frozen",
            effects=partial(effects.in_score, quantity="auc_budget_half", method="dact", rival="dact-frozen"),
            relevant=METRIC,
            methods=("dact", "dact-frozen"),
        ),
        Claim(
            id="8",
            text="stops at lower confidence than DeeBERT",
            quantity="entropy at exit at equal x (nats), dact - deebert",
            effects=effects.in_exit_entropy,
            relevant=NATS,
        ),
    ]
    return sorted(found, key=lambda claim: number_and_letter(claim.id))


def number_and_letter(claim: str) -> tuple[int, str]:
    """The two parts of a claim's id, by which claims are sorted and grouped: `10a` is (10, "a")."""
    number = claim.rstrip(ascii_lowercase)
    return int(number), claim[len(number) :]
