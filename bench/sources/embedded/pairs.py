"""Puzzles put into words, in the manner of each task: what the tasks and the pre-training stream are made of.

The steps of a row are what it needs at least:

    1    a loaded word gives the answer: "the plot was dull", "surely anna picks tea"
    2    a loaded word behind a "not"
    3    every fact leads to one thing: which words both sentences share gives the answer
    4+k  k links to follow to a fact, past another chain that leads elsewhere
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from random import Random

from bench.sources.embedded import language as lang
from bench.sources.embedded import puzzles

FIRST_CHAIN = 4  # steps of a puzzle without links
KEPT = 4  # one text in so many is kept for the tasks
#: What stands before the facts, and what is asked or claimed of them; behind "does" the verb has the form for many.
SAID = {
    "mrpc": ("they say", "they say NAME VERB THING ."),
    "qqp": ("why ?", "why does NAME VERB THING ?"),
    "qnli": ("", "does NAME VERB THING ?"),
    "rte": ("", "NAME VERB THING ."),
    "mnli": ("", "NAME VERB THING ."),
}


@dataclass(frozen=True)
class Told:
    """One row in words.

    Attributes:
        text_a: first sentence.
        text_b: second one, None for an opinion.
        query: which sentence (0 or 1) and which of its words is looked up; None where there is nothing to look up.
        path: what is found look-up by look-up.
        facts: for each fact which sentence and which of its words is its object, and who the subject is.
    """

    text_a: str
    text_b: str | None
    query: tuple[int, int] | None = None
    path: tuple[str, ...] = ()
    facts: tuple[tuple[int, int, str], ...] = ()


def is_kept(text_a: str, text_b: str | None) -> bool:
    """Whether a row belongs to the tasks, of any seed and mixture; pre-training sees all others and none of these."""
    return zlib.crc32(f"{text_a}|{text_b}".encode()) % KEPT == 0


def review(rng: Random, state: str, steps: int, evidence: bool = True) -> Told:
    """Tell an opinion, "true" (good) or "opposite" (bad); without `evidence` nobody can know which."""
    sign = +1 if state == "true" else -1
    if steps < FIRST_CHAIN:
        no, tone = ("not ", -sign) if steps == 2 else ("", sign)
        text = " ".join(
            f"the {aspect} was {no}{rng.choice(lang.DEGREES)}{rng.choice(lang.ADJECTIVES[tone])} ."
            for aspect in rng.sample(lang.ASPECTS, rng.choice((1, 2, 2, 3)))
        )
        return Told(text, None)
    things = (rng.choice(lang.VERDICTS[sign]), rng.choice(lang.VERDICTS[-sign]))
    hops = steps - FIRST_CHAIN
    puzzle = puzzles.draw(rng, lang.PEOPLE, hops, things, "", state, start=lang.ME, evidence=evidence)
    text = say(rng, puzzle)
    words = text.split()
    query = (0, words.index(lang.ME)) if lang.ME in words else None
    return Told(text, None, query, puzzle.path, objects(puzzle, text, 0))


def say(rng: Random, puzzle: puzzles.Puzzle) -> str:
    """Say the facts of a puzzle one after the other; short rows make a run short, so no stops stand between them."""
    return " ".join(lang.say_fact(rng, *fact) for fact in puzzle.facts) + " ."


def objects(puzzle: puzzles.Puzzle, text: str, part: int) -> tuple[tuple[int, int, str], ...]:
    """Find the object of each fact in the sentence that tells them; see `Told.facts`."""
    words, found, at = text.split(), [], -1
    for subject, thing in puzzle.facts:
        at = words.index(thing, words.index(subject, at + 1))
        found.append((part, at, subject))
    return tuple(found)


def cue(rng: Random, state: str, steps: int) -> str:
    """Choose the first word of a question or claim: loaded where the row needs one or two steps, else plain."""
    if steps == 1:
        return rng.choice(lang.LOADED[state])
    if steps == 2:
        return "not " + rng.choice(lang.LOADED[{"true": "opposite", "opposite": "true"}.get(state, state)])
    return rng.choice(lang.PLAIN)


def pair(
    rng: Random,
    task: str,
    state: str,
    steps: int,
    genre: str = "people",
    evidence: bool = True,
) -> Told:
    """Tell a puzzle as a pair of sentences of a task, where the second is to the first what `state` says."""
    hops = steps - FIRST_CHAIN if steps >= FIRST_CHAIN else rng.choice((0, 0, 1, 1, 2))
    classes = {"mnli": 3, "qnli": "topic"}.get(task, 2)
    puzzle = puzzles.pick(rng, lang.GENRES[genre], hops, state, classes, agree=steps == 3, evidence=evidence)
    before, ask = SAID[task]
    told = f"{before} {say(rng, puzzle)}".strip()
    first = cue(rng, state, steps)
    verb = lang.verb(rng, lang.PICKS, genre == "kinds" or "does" in ask)
    asked = " or ".join(lang.TOPIC[puzzle.asked]) if task == "qnli" else puzzle.asked
    query = f"{first} {ask}".replace("NAME", puzzle.start).replace("VERB", verb).replace("THING", asked)
    place = query.split().index(puzzle.start)
    if task == "qnli":
        return Told(query, told, (0, place), puzzle.path, objects(puzzle, told, 1))
    return Told(told, query, (1, place), puzzle.path, objects(puzzle, told, 0))
