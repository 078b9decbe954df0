"""Puzzles not yet put into words: two chains of links, each to one thing, and a question about the start of one.

    anna -> ben -> tea        carl -> dora -> coffee        asked: does anna pick tea?

What a puzzle needs: as many look-ups as there are arrows from the start; the other chain is as long, so that nothing is
gained by following that one. Which words occur never tells more than half, unless `agree` says so: then everything that
is told leads to the same answer.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from random import Random

from bench.sources.embedded.language import OPPOSITE, TOPIC, TOPICS

STATES = ("true", "opposite", "other")


@dataclass(frozen=True)
class Puzzle:
    """Facts in random order and a question about them.

    Attributes:
        facts: pairs (subject, name or thing).
        start: whom the question is about.
        path: what is found look-up by look-up, the thing at last; it ends early where the evidence is removed.
        asked: the thing that the question names.
        state: "true" (the start has that thing), "opposite" (the other of its topic) or "other" (of another topic).
    """

    facts: tuple[tuple[str, str], ...]
    start: str
    path: tuple[str, ...]
    asked: str
    state: str


def draw(
    rng: Random, names: tuple[str, ...], hops: int, things: tuple[str, str], asked: str, state: str, **how
) -> Puzzle:
    """Draw a puzzle: two chains around given things.

    Args:
        rng: source of randomness.
        names: names to draw from, the start first if it is fixed.
        hops: links from the start before the one who has the thing.
        things: what the start's chain and the other chain lead to.
        asked: the thing asked for.
        state: what it is to the first of the things.
        how: `start` fixes it; `evidence=False` gives the last fact of either chain to a stranger: were it one chain
            only, the other would tell by elimination.
    """
    drawn = rng.sample(names, 2 * hops + 4)
    if how.get("start"):
        drawn[0] = how["start"]
    own, rival, strangers = drawn[: hops + 1], drawn[hops + 1 : -2], drawn[-2:]
    facts = [*pairwise([*own, things[0]]), *pairwise([*rival, things[1]])]
    path = (*own[1:], things[0])
    if not how.get("evidence", True):
        facts[hops], facts[-1], path = (strangers[0], things[0]), (strangers[1], things[1]), path[:-1]
    rng.shuffle(facts)
    return Puzzle(tuple(facts), own[0], path, asked, state)


def pick(rng: Random, names: tuple[str, ...], hops: int, state: str, classes: int, **how) -> Puzzle:
    """Draw a puzzle about things to pick; see `draw`.

    Args:
        rng: source of randomness.
        names: names to draw from.
        hops: see `draw`.
        state: what the asked thing is to the one found.
        classes: 3 where the three states are told apart and equally frequent, 2 where "true" is as frequent as both
            others, "topic" where "true" stands against "other". The other chain's thing is drawn accordingly.
        how: `agree=True` lets both chains lead to the same thing; the rest as in `draw`.
    """
    topic, second = rng.sample(TOPICS, 2)
    found = rng.choice(topic)
    asked = {"true": found, "opposite": OPPOSITE[found], "other": rng.choice(second)}[state]
    if how.pop("agree", False):
        rival = found
    elif classes == "topic":
        rival = rng.choice(second if asked in topic else TOPIC[asked])
    elif state == "true":
        rival = rng.choice((OPPOSITE[found], rng.choice(second)))
    elif classes == 2:
        rival = asked
    elif state == "opposite":
        rival = rng.choice((asked, rng.choice(second)))
    else:
        rival = rng.choice((asked, OPPOSITE[asked]))
    return draw(rng, names, hops, (found, rival), asked, state, **how)
