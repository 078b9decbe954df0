"""Times of several ways to do the same, taken in turn in one process, so that other work on the machine hits all."""

from __future__ import annotations

from collections.abc import Callable
from statistics import median

from torch.utils.benchmark import set_torch_threads, timer

#: Rounds of measurements whose median counts.
ROUNDS = 5


def seconds(function: Callable[[], object]) -> float:
    """Wall-clock seconds of one call on one thread; the queue of a GPU is empty before and after."""
    with set_torch_threads(1):  # the library's Timer would call twice more to warm up, every time
        start = timer()
        function()
        return timer() - start


def in_turn(*functions: Callable[[], object], rounds: int = ROUNDS) -> list[tuple[float, ...]]:
    """Seconds of every function in every round; another one begins each round, and a call of each is not measured."""
    for function in functions:
        function()
    found = []
    for first in range(rounds):
        times = dict.fromkeys(functions, 0.0)
        for i in range(len(functions)):
            function = functions[(first + i) % len(functions)]
            times[function] = seconds(function)
        found.append(tuple(times.values()))
    return found


def ratio(rounds: list[tuple[float, ...]], first: int = 0, second: int = 1) -> float:
    """How many times as long as the second the first function takes: the median over rounds."""
    return median(times[first] / times[second] for times in rounds)
