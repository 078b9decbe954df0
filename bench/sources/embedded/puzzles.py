"""Puzzles about events and chains, not yet put into words: what the tasks and the pre-training stream are made of."""

from __future__ import annotations

from itertools import pairwise
from random import Random

from bench.sources.embedded.language import PEOPLE, SYNONYMS, WHO

Event = tuple[str, str, str]
Fact = tuple[str, str]


def events(rng: Random, count: int) -> list[Event]:
    """Draw events among different people; half of the time with one verb, so that only roles tell them apart."""
    names = rng.sample(PEOPLE, 2 * count)
    verbs = rng.sample(sorted(SYNONYMS), count)
    if rng.random() < 0.5:
        verbs = verbs[:1] * count
    return [(names[2 * i], verb, names[2 * i + 1]) for i, verb in enumerate(verbs)]


def distort(rng: Random, known: list[Event]) -> list[Event]:
    """Return `known` with one event changed: roles exchanged, a name from another event, or another verb."""
    while True:
        changed = [list(event) for event in known]
        one = rng.randrange(len(changed))
        kind = rng.choice(("roles", "roles", "names", "verb"))
        if kind == "roles":
            changed[one][0], changed[one][2] = changed[one][2], changed[one][0]
        elif kind == "names" and len(changed) > 1:
            other, end = rng.choice([i for i in range(len(changed)) if i != one]), rng.choice((0, 2))
            changed[one][end], changed[other][end] = changed[other][end], changed[one][end]
        elif kind == "verb":
            changed[one][1] = rng.choice(sorted(SYNONYMS))
        result = [tuple(event) for event in changed]
        if set(result) != set(known):
            return result


def ask(rng: Random, event: Event) -> Event:
    """Turn an event into a question for its agent or its patient."""
    agent, verb, patient = event
    return rng.choice([(WHO, verb, patient), (agent, verb, WHO)])


def answers(question: Event, known: list[Event]) -> bool:
    """Tell whether one of the known events answers the question."""
    return any(all(q in (WHO, e) for q, e in zip(question, event, strict=True)) for event in known)


def chain(rng: Random, nodes: tuple[str, ...], hops: int, state: str) -> tuple[list[Fact], Fact]:
    """Draw transitive facts, and a statement about the two ends of a path of `hops` of them.

    Args:
        rng: source of randomness.
        nodes: names to draw from.
        hops: facts on the path that joins, or would join, the two things of the statement.
        state: "true" (the statement follows), "reversed" (its converse follows) or "open" (neither follows).

    Returns:
        The facts in random order, up to two distractors among them, and the statement.
    """
    names = rng.sample(nodes, hops + 5)
    path, spare = names[: hops + 1], names[hops + 1 :]
    facts = list(pairwise(path))
    ends = (path[0], path[-1])
    if state == "reversed":
        ends = ends[::-1]
    elif state == "open" and hops == 1:
        facts = rng.sample([(path[0], spare[0]), (spare[1], path[1])], rng.choice((1, 2)))
        ends = rng.choice([ends, ends[::-1]])
    elif state == "open":
        facts, ends = _break(rng, facts, spare[0]), rng.choice([ends, ends, ends[::-1]])
    for name in spare[2 : 2 + rng.randrange(3 if len(facts) == 1 else 2)]:
        facts.append(_distractor(rng, facts, name))
    rng.shuffle(facts)
    return facts, ends


def _break(rng: Random, facts: list[Fact], spare: str) -> list[Fact]:
    """Break a path at one place: turn a fact round, or let it start from somewhere else."""
    at = rng.randrange(1, len(facts))
    if rng.random() < 0.5:
        at = rng.randrange(len(facts))
        changed = facts[at][::-1]
    else:
        changed = (spare, facts[at][1])
    return [*facts[:at], changed, *facts[at + 1 :]]


def _distractor(rng: Random, facts: list[Fact], spare: str) -> Fact:
    """Tie a new name to one of the told ones, which joins no two names told before."""
    fact = (rng.choice(rng.choice(facts)), spare)
    return rng.choice([fact, fact[::-1]])
