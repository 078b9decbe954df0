"""The pre-training stream: endless random worlds, each told by a first sentence and a true or a false second one."""

from __future__ import annotations

from random import Random

from bench.embedded import language as lang
from bench.embedded import puzzles

# How many negations an opinion has. Plain ones are the most frequent: were even and odd numbers of negations equally
# frequent, no single word would say anything about the verdict, and nothing would be learnt for very long.
NEGATIONS = (0, 0, 0, 0, 0, 0, 1, 1, 2, 2, 3)
NEGATIONS_AGAIN = (0, 0, 0, 0, 1)

Pair = tuple[str, str, str]  # first sentence, a true second one, a false second one


def pair(rng: Random) -> Pair:
    """Draw a world and say it: what follows from the first sentence, and something that does not.

    Half of the false sentences are about another world, which is easy to tell and what learning starts from.
    """
    tell = rng.choice((_statements, _questions, _answer, _kinds, _ranks, _ranks, _opinions))
    first, true, false = tell(rng)
    if tell is not _opinions and rng.random() < 0.5:
        false = tell(rng)[1]
    return first, true, false


def review(rng: Random) -> tuple[str, str]:
    """Draw a sentence with an opinion, and the word that sums it up."""
    verdict = rng.choice((+1, -1))
    text = lang.sentence([lang.say_opinion(rng, rng.choice(lang.ASPECTS), verdict, rng.choice(NEGATIONS))])
    return text, lang.ADJECTIVES[verdict][0 if verdict > 0 else -1]


def _tell(rng: Random, known: list[puzzles.Event], end: str) -> str:
    clauses = [lang.say_event(rng, event, rng.random() < 0.5) for event in known]
    rng.shuffle(clauses)
    return lang.sentence(clauses, end)


def _statements(rng: Random) -> Pair:
    known = puzzles.events(rng, rng.choice(lang.CLAUSES))
    return _tell(rng, known, "."), _tell(rng, known, "."), _tell(rng, puzzles.distort(rng, known), ".")


def _questions(rng: Random) -> Pair:
    asked = [puzzles.ask(rng, event) for event in puzzles.events(rng, rng.choice(lang.CLAUSES))]
    return _tell(rng, asked, "?"), _tell(rng, asked, "?"), _tell(rng, puzzles.distort(rng, asked), "?")


def _answer(rng: Random) -> Pair:
    known = puzzles.events(rng, rng.choice((*lang.CLAUSES, 2, 3)))
    question = puzzles.ask(rng, rng.choice(known))
    other = puzzles.distort(rng, known)
    while puzzles.answers(question, other):
        other = puzzles.distort(rng, known)
    return _tell(rng, [question], "?"), _tell(rng, known, "."), _tell(rng, other, ".")


def _kinds(rng: Random) -> Pair:
    facts, true, false = _chain(rng, lang.KINDS)
    return tuple(lang.sentence([lang.say_kind(fact) for fact in told]) for told in (facts, [true], [false]))


def _ranks(rng: Random) -> Pair:
    genre = rng.choice(sorted(lang.GENRES))
    facts, true, false = _chain(rng, lang.GENRES[genre][0])
    told = (facts, [true], [false])
    return tuple(lang.sentence([lang.say_rank(rng, fact, genre) for fact in facts]) for facts in told)


def _chain(rng: Random, nodes: tuple[str, ...]) -> tuple[list[puzzles.Fact], puzzles.Fact, puzzles.Fact]:
    """Draw facts, one that follows from them (mostly through all of the path) and one that does not."""
    facts, ends = puzzles.chain(rng, nodes, rng.choice((1, 2, 3)), "true")
    known = lang.closure(facts)
    names = sorted({name for fact in facts for name in fact})
    true = ends if rng.random() < 0.7 else rng.choice(sorted(known))
    false = true[::-1] if rng.random() < 0.4 else tuple(rng.sample(names, 2))
    while false in known:
        false = tuple(rng.sample(names, 2))
    return facts, true, false


def _opinions(rng: Random) -> Pair:
    aspect, verdict = rng.choice(lang.ASPECTS), rng.choice((+1, -1))
    first = lang.say_opinion(rng, aspect, verdict, rng.choice(NEGATIONS))
    true, false = (lang.say_opinion(rng, aspect, sign * verdict, rng.choice(NEGATIONS_AGAIN)) for sign in (1, -1))
    return lang.sentence([first]), lang.sentence([true]), lang.sentence([false])
