"""effects.csv: the claims of the DACT-BERT paper, each as a number that decides it.

The rules are in docs/statistics.md, "Does it reproduce?".
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from string import ascii_lowercase

from bench.tables import contrasts as effects
from bench.tables.contrasts import Compared, Effects

# the smallest effects that matter: in the metric, as a rank correlation, in x, in layers, as a share, in nats
METRIC, RANK, COST, LAYER, SHARE, NATS = 0.02, 0.5, 0.02, 1.0, 0.1, 0.05
HALF_A_LAYER = 0.5
#: What a claim is about, as one number per seed, from the runs of one panel.
Contrast = Callable[[Compared], Effects]


@dataclass(frozen=True)
class Claim:
    """One sentence of the paper that a number decides.

    Attributes:
        id: number of the claim, and a letter where it takes several numbers.
        text: what it says.
        quantity: what is measured; the claim says that it is above 0, or, of equality, that it is 0.
        effects: the number per seed, from the runs of one panel.
        relevant: the smallest effect that matters; the margin of a claim of equality.
        methods: without these it has not been run; the first is the claim's own, the second, if any, its rival.
        equal: whether it is a claim of equality.
        by_size: whether it is about the rank correlation of the effect with the rows of training, over tasks.
        mixed: the same number by the area that does not reward having many points, which a verdict needs, too.
        layers_read: whether a blind exit of either method would explain the effect: the verdict looks at exit health.
        undecidable: whether it is about examples that nobody can decide: it takes four tasks that have such examples,
            and static models that have not learnt their labels by heart.
    """

    id: str
    text: str
    quantity: str
    effects: Contrast
    relevant: float
    methods: tuple[str, ...] = ("dact", "deebert")
    equal: bool = False
    by_size: bool = False
    mixed: Contrast | None = None
    layers_read: bool = False
    undecidable: bool = False


def claims_against(rival: str, name: str, letters: str) -> list[Claim]:
    """The claims about performance against one of the other methods; `letters` are for claim 1, then for 2 and 3."""
    pair, minus = ("dact", rival), f"dact - {rival}"
    cheap, mixed = in_half(*pair)
    return [
        Claim(
            id=f"1{letters[0]}",
            text=f"better than {name} with at most half of the layers",
            quantity=f"auc_budget_half, {minus}",
            effects=cheap,
            relevant=METRIC,
            methods=pair,
            mixed=mixed,
            layers_read=True,
        ),
        Claim(
            id=f"1{letters[1]}",
            text=f"and more so than {name} with more training data",
            quantity=f"rank correlation over tasks of training rows with 1{letters[0]}",
            effects=cheap,
            relevant=RANK,
            methods=pair,
            by_size=True,
            layers_read=True,
        ),
        Claim(
            id=f"2{letters[0]}",
            text=f"equal to {name} where little is saved",
            quantity=f"value at the highest x of both (at least .75), {minus}",
            effects=partial(effects.at_high_x, method="dact", rival=rival),
            relevant=METRIC,
            methods=pair,
            equal=True,
        ),
        Claim(
            id=f"3{letters[0]}",
            text=f"larger area than {name}",
            quantity=f"mean height over the range of both, {minus}",
            effects=partial(effects.in_area, method="dact", rival=rival),
            relevant=METRIC,
            methods=pair,
            layers_read=True,
        ),
    ]


def in_half(method: str, rival: str) -> tuple[Contrast, Contrast]:
    """A claim's number: method minus rival in what budgets up to half of the layers buy, by steps and by mixtures."""
    bought = partial(effects.in_quantity, method=method, rival=rival)
    return partial(bought, quantity="auc_budget_half"), partial(bought, quantity="auc_mixed_half")


def claims() -> list[Claim]:
    """All claims of the paper, in the order of effects.csv."""
    step, mixed = in_half("dact", "dact-frozen")
    found = [
        *claims_against("deebert", "DeeBERT", "ac"),
        *claims_against("pabee", "PABEE", "bd"),
        Claim(
            id="4a",
            text="x moves less between seeds than DeeBERT's",
            quantity="standard deviation of x at a fixed setting, deebert - dact",
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
            effects=step,
            relevant=METRIC,
            methods=("dact", "dact-frozen"),
            mixed=mixed,
            layers_read=True,
        ),
        Claim(
            id="8",
            text="stops at lower confidence than DeeBERT",
            quantity="entropy at exit at equal x (nats), dact - deebert",
            effects=effects.in_exit_entropy,
            relevant=NATS,
        ),
        Claim(
            id="9a",
            text="stops early on what no layer can answer",
            quantity="mean exit layer, hard decidable examples - undecidable ones, dact",
            effects=partial(effects.in_giving_up, against=False),
            relevant=HALF_A_LAYER,
            layers_read=True,
            undecidable=True,
        ),
        Claim(
            id="9b",
            text="and more so than DeeBERT at equal cost",
            quantity="the same difference, dact - deebert",
            effects=partial(effects.in_giving_up, against=True),
            relevant=HALF_A_LAYER,
            layers_read=True,
            undecidable=True,
        ),
    ]
    return sorted(found, key=lambda claim: number_and_letter(claim.id))


def number_and_letter(claim: str) -> tuple[int, str]:
    """The two parts of a claim's id, by which claims are sorted and grouped: `10a` is (10, "a")."""
    number = claim.rstrip(ascii_lowercase)
    return int(number), claim[len(number) :]
