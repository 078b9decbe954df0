"""Pairs of sentences about one little world, told in words, with the depth of reasoning that each needs.

Every function takes a source of randomness and what the second sentence shall be to the first, and returns both
sentences and the difficulty: events to match or search, one more for each told in the other voice, one more for each
negation; for chains the hops to follow.
"""

from __future__ import annotations

from random import Random

from bench.sources.embedded import language as lang
from bench.sources.embedded import puzzles

Told = tuple[str, str, int]
HOPS = (1, 1, 2, 3)


def statements(rng: Random, same: bool) -> Told:
    """Report the same events twice, or nearly the same: another event, or one of the two denied."""
    count, first, second = rng.choice(((1, 0, 0), (1, 0, 0), (1, rng.randrange(3), rng.randrange(2)), (2, 0, 0)))
    known = told = puzzles.events(rng, count)
    denied = not same and (first, second) != (0, 0) and rng.random() < 0.5
    second = (first + denied) % 2
    if not same and not denied:
        told = puzzles.distort(rng, known)
    text_a, text_b, difficulty = _twice(rng, known, told)
    if first or second:
        text_a, text_b = lang.frame(rng, text_a, first), lang.frame(rng, text_b, second)
    return lang.sentence(text_a), lang.sentence(text_b), difficulty + first + second


def questions(rng: Random, same: bool) -> Told:
    """Ask for the same twice, or nearly."""
    asked = [puzzles.ask(rng, event) for event in puzzles.events(rng, rng.choice((1, 1, 2)))]
    text_a, text_b, difficulty = _twice(rng, asked, asked if same else puzzles.distort(rng, asked))
    return lang.sentence(text_a, "?"), lang.sentence(text_b, "?"), difficulty


def _twice(rng: Random, first: list[puzzles.Event], second: list[puzzles.Event]) -> Told:
    """Tell two lists of events, each event in a voice of its own, the second list in any order."""
    voices = [(rng.random() < 0.5, rng.random() < 0.5) for _ in first]
    text_a = [lang.say_event(rng, event, voice) for event, (voice, _) in zip(first, voices, strict=True)]
    text_b = [lang.say_event(rng, event, voice) for event, (_, voice) in zip(second, voices, strict=True)]
    rng.shuffle(text_b)
    return " and ".join(text_a), " and ".join(text_b), len(first) + sum(a != b for a, b in voices)


def answer(rng: Random, given: bool) -> Told:
    """Ask for one event, and tell some that answer the question, or do not, or deny the answer."""
    count, negations = rng.choice(((1, 0), (1, 0), (1, 2), (2, 0), (rng.choice((2, 3)), 0)))
    known = puzzles.events(rng, count)
    about = rng.randrange(count)
    question = puzzles.ask(rng, known[about])
    denied = not given and negations > 0 and rng.random() < 0.5
    if negations:
        negations = 1 if denied else 2
    while puzzles.answers(question, known) != (given or denied):
        question = puzzles.ask(rng, puzzles.distort(rng, known)[about])
    voices = [rng.random() < 0.5 for _ in known]
    asked = rng.random() < 0.5
    told = " and ".join(lang.say_event(rng, event, voice) for event, voice in zip(known, voices, strict=True))
    if negations:
        told = lang.frame(rng, told, negations)
    text_a = lang.sentence(lang.say_event(rng, question, asked), "?")
    return text_a, lang.sentence(told), count + (asked != voices[about]) + negations


def kinds(rng: Random, state: str) -> Told:
    """Tell a chain of kinds and a statement that is "true", the "reversed" of a true one, or "open"."""
    hops = rng.choice(HOPS)
    facts, ends = puzzles.chain(rng, lang.KINDS, hops, state)
    text_a, text_b = (" and ".join(lang.say_kind(fact) for fact in told) for told in (facts, [ends]))
    return lang.sentence(text_a), lang.sentence(text_b), hops


def ranks(rng: Random, state: str, genre: str) -> Told:
    """A generated pair of texts about who ranks above whom: a chain of ranks and a statement, as `kinds` makes them."""
    hops = rng.choice(HOPS)
    facts, ends = puzzles.chain(rng, lang.GENRES[genre][0], hops, state)
    text_a, text_b = (" and ".join(lang.say_rank(rng, fact, genre) for fact in told) for told in (facts, [ends]))
    return lang.sentence(text_a), lang.sentence(text_b), hops


def opinion(rng: Random, verdict: int, negations: int) -> str:
    """Tell an opinion (+1 or -1) of something through 0 to 3 negations."""
    return lang.sentence(lang.say_opinion(rng, rng.choice(lang.ASPECTS), verdict, negations))
