"""The pre-training stream: endless random worlds in the language of the tasks."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from bench.sources.embedded import language as lang
from bench.sources.embedded import pairs

# How many negations an opinion has. Plain ones are the most frequent: were even and odd numbers of negations equally
# frequent, no single word would say anything about the verdict, and nothing would be learnt for very long.
NEGATIONS = (0, 0, 0, 0, 0, 0, 1, 1, 2, 2, 3)
STATES = ("open", "true", "reversed")


def pair(rng: Random, state: str) -> tuple[str, str, str]:
    """Say two sentences, and what the second is to the first.

    Args:
        rng: source of randomness.
        state: "true", "reversed" (the converse of something true) or "open" (neither).

    Returns:
        Both sentences and their state; only chains have a converse, elsewhere a reversed sentence is open. Two open
        sentences in five are about another world, which is easy to tell and what learning starts from.
    """
    told = rng.choice((pairs.statements, pairs.questions, pairs.answer, pairs.answer, pairs.kinds, _ranks, _ranks))
    if told in (pairs.kinds, _ranks):
        return (*told(rng, state)[:2], state)
    if state != "true" and rng.random() < 0.4:
        return (*_unrelated(rng, told), "open")
    return (*told(rng, state == "true")[:2], "true" if state == "true" else "open")


def _unrelated(rng: Random, told: Callable[[Random, bool], pairs.Told]) -> tuple[str, str]:
    """Say two things about two worlds without a common name."""
    first, second = told(rng, True)[0], told(rng, True)[1]
    while set(first.split()) & set(second.split()) & set(lang.PEOPLE):
        second = told(rng, True)[1]
    return first, second


def _ranks(rng: Random, state: str) -> pairs.Told:
    return pairs.ranks(rng, state, rng.choice(sorted(lang.GENRES)))


def review(rng: Random) -> tuple[str, str]:
    """Draw a sentence with an opinion, and the word that sums it up."""
    verdict = rng.choice((+1, -1))
    return pairs.opinion(rng, verdict, rng.choice(NEGATIONS)), "great" if verdict > 0 else "awful"
