"""Times of several ways to do the same, taken in turn in one process, so that other work on the machine hits all."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from statistics import median

from torch.utils.benchmark import set_torch_threads, timer

#: Rounds of measurements whose median counts.
ROUNDS = 3


def seconds(function: Callable[[], object]) -> float:
    """Wall-clock seconds of one call on one thread; the queue of a GPU is empty before and after."""
    with set_torch_threads(1):  # the library's Timer would call twice more to warm up, every time
        start = timer()
        function()
        return timer() - start


def in_turn(
    *functions: Callable[..., object], items: Sequence[tuple] = ((),), rounds: int = ROUNDS
) -> list[tuple[float, ...]]:
    """Seconds of every function in every round; a call of each is not measured.

    Args:
        functions: what takes turns; another one begins each time.
        items: arguments of the calls of a round. Every function does an item before the next one is taken, so that no
            way has a quiet minute to itself; the times of a round are sums over its items.
        rounds: how many.
    """
    for function in functions:
        function(*items[0])
    found = []
    for number in range(rounds):
        times = [0.0] * len(functions)
        for place, item in enumerate(items):
            for i in range(len(functions)):
                which = (number + place + i) % len(functions)
                times[which] += seconds(partial(functions[which], *item))
        found.append(tuple(times))
    return found


def ratio(rounds: list[tuple[float, ...]], first: int = 0, second: int = 1) -> float:
    """How many times as long as the second the first function takes: the median over rounds."""
    return median(times[first] / times[second] for times in rounds)
