"""Compare the times of several functions, measured in turn so that other load on the machine hits all of them alike."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from statistics import median

from torch.utils.benchmark import set_torch_threads, timer

#: Usual number of rounds of measurements; their median counts.
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
    """Seconds of every function in every round, after one call of each to warm up.

    Args:
        functions: what to compare; each item another one goes first.
        items: arguments of the calls of a round. Every function does an item before the next one is taken, so that
            none has a quiet minute to itself; the times of a round are sums over its items.
        rounds: how many.
    """
    for function in functions:
        function(*items[0])
    found = []
    for number in range(rounds):
        times = [0.0] * len(functions)
        for turn, item in enumerate(items):
            for i in range(len(functions)):
                which = (number + turn + i) % len(functions)
                times[which] += seconds(partial(functions[which], *item))
        found.append(tuple(times))
    return found


def ratio(rounds: list[tuple[float, ...]], first: int = 0, second: int = 1) -> float:
    """Time of one function over that of another (`first` and `second` in the tuples): the median over rounds."""
    return median(times[first] / times[second] for times in rounds)
