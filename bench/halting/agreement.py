"""Whether live early exit and its replay decided alike, up to rounding: what "identical decisions" means here.

Shape symbols: n examples, L layers, C classes.
"""

from __future__ import annotations

import numpy as np

from bench.halting.live import Decisions
from bench.halting.replay import Replay
from methods.base import Knob
from methods.pabee import REGRESSION_THRESHOLD

#: Live and replayed scores differ in their last bits; decisions this close to a tie may differ with them.
TOLERANCE = 1e-4


def disagreements(result: Replay, knob: Knob, value: float, live: Decisions) -> tuple[np.ndarray, int]:
    """The examples that live early exit and its replay decide differently at one knob value.

    Returns:
        Positions of the examples that differ without excuse (in layer, or by more than 1e-4 in their answer), and
        the number of those that differ but may: see `may_differ`.
    """
    layers = result.exit_layers(knob, (value,))[0]
    answers = result.answers[np.arange(len(layers)), layers - 1]
    close = np.isclose(live.answers.cpu().numpy(), answers, rtol=0, atol=TOLERANCE, equal_nan=True).all(axis=1)
    differs = (live.layers.cpu().numpy() != layers) | ~close
    excused = may_differ(result, knob, value)
    return np.flatnonzero(differs & ~excused), int((differs & excused).sum())


def may_differ(result: Replay, knob: Knob, value: float) -> np.ndarray:
    """Which examples [n] live exit and replay may decide differently: so close to a tie that rounding decides.

    Those with a score within 1e-4 of the threshold; where layer L answers with the exit of the highest score, also
    those that come to it with the two highest within 1e-4; where scores are counts of equal predictions, those with two
    best answers within 1e-4 at some layer (regression: a step between layers within 1e-4 of what counts as equal). None
    where scores do not depend on what is computed.
    """
    scores, answers = result.scores[:, :-1], result.answers
    if result.score_kind == "fixed":
        return np.zeros(len(scores), dtype=bool)
    if result.score_kind in ("measure", "best"):
        close = (np.abs(scores - knob.sign * value) <= TOLERANCE).any(axis=1)
        if result.score_kind == "best":
            best = np.sort(result.scores, axis=1)
            at_last = result.exit_layers(knob, (value,))[0] == best.shape[1]
            close |= at_last & (best[:, -1] - best[:, -2] <= TOLERANCE)
        return close
    if answers.shape[2] == 1:
        distance = np.abs(np.abs(np.diff(answers[:, :, 0], axis=1)) - REGRESSION_THRESHOLD)
    else:
        top = np.sort(answers, axis=2)
        distance = top[:, :, -1] - top[:, :, -2]
    return (distance <= TOLERANCE).any(axis=1)
