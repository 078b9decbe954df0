"""The language: its words, its four kinds of fact, how a fact is said, and what follows from what.

    event    (agent, verb, patient)   "anna helped ben" = "ben was assisted by anna"
    kind     (narrow, wide)           "cats are hunters", transitive
    rank     (upper, lower)           "anna outranks ben" = "anna leads ben", transitive
    opinion  (aspect, verdict)        "nobody denies that the plot was not dull", verdict +1 or -1

Every word is separated by blanks, punctuation included. A question is an event with `WHO` in place of a name.
"""

from __future__ import annotations

from random import Random

PEOPLE = tuple("anna ben carl dora emma finn gina hugo iris jack kate leo mona nick olga paul".split())
COUNTRIES = tuple(
    "brazil canada chile china egypt france ghana india italy japan kenya mexico norway peru spain".split()
)
KINDS = tuple(
    "actors cats cooks dancers drivers foxes hunters judges liars loners poets rebels sailors singers".split()
)
VERBS = (
    ("helped", "assisted"),
    ("phoned", "called"),
    ("greeted", "welcomed"),
    ("blamed", "accused"),
    ("hired", "employed"),
    ("praised", "lauded"),
    ("chased", "pursued"),
    ("hugged", "embraced"),
)
SYNONYMS = {words[0]: words for words in VERBS}
WHO = "who"

# A genre is a set of names with its own words for "is above".
GENRES = {"people": (PEOPLE, ("outranks", "leads")), "countries": (COUNTRIES, ("outsells", "tops"))}

ASPECTS = tuple("plot cast film script music ending pacing hero villain humor".split())
ADJECTIVES = {
    +1: ("great", "fun", "clever", "fresh", "moving", "sharp"),
    -1: ("dull", "weak", "silly", "stale", "flat", "awful"),
}
FEELINGS = {+1: ("liked", "loved", "enjoyed"), -1: ("hated", "loathed", "despised")}
FRAMES = (  # by the number of negations they add
    ("", "i think that", "we know that", "critics say that"),
    ("i doubt that", "nobody thinks that", "it is false that"),
    ("nobody doubts that", "nobody denies that", "it is not false that"),
)

FUNCTION_WORDS = tuple("the a was were is are by and , . ? that so it i we who whom critics".split())
OTHER_WORDS = tuple("not never nobody doubt doubts denies false think thinks know say really rather".split())


def vocabulary() -> list[str]:
    """Return every word of the language, without repetition, in a fixed order."""
    words = [*FUNCTION_WORDS, *OTHER_WORDS, *PEOPLE, *COUNTRIES, *KINDS, *ASPECTS]
    words += [word for group in VERBS for word in group]
    words += [word for _, above in GENRES.values() for word in above]
    words += [word for table in (ADJECTIVES, FEELINGS) for group in table.values() for word in group]
    return list(dict.fromkeys(words))


def say_event(rng: Random, event: tuple[str, str, str], passive: bool) -> str:
    """Say an event or, with `WHO` as agent or patient, ask for it; the verb is any of its synonyms."""
    agent, verb, patient = event
    verb = rng.choice(SYNONYMS[verb])
    subject, middle, other = (patient, f"was {verb} by", agent) if passive else (agent, verb, patient)
    return f"{subject} {middle} {'whom' if other == WHO else other}"


def say_kind(fact: tuple[str, str]) -> str:
    """Say that everything of one kind is of another."""
    return f"{fact[0]} are {fact[1]}"


def say_rank(rng: Random, fact: tuple[str, str], genre: str) -> str:
    """Say who is above whom, with any of the genre's words for it."""
    return f"{fact[0]} {rng.choice(GENRES[genre][1])} {fact[1]}"


def say_opinion(rng: Random, aspect: str, verdict: int, negations: int) -> str:
    """Say that the speaker holds `verdict` (+1 or -1) of `aspect`, through 0 to 3 negations."""
    inside = rng.choice([n for n in (0, 1) if 0 <= negations - n < len(FRAMES)])
    polarity = verdict * (-1) ** negations
    if rng.random() < 0.6:
        middle = ["the", aspect, "was"] + ["not"] * inside
        core = [*middle, *rng.choice([[], ["really"], ["rather"]]), rng.choice(ADJECTIVES[polarity])]
    else:
        core = [*rng.choice([["i", "never"], ["nobody"]] if inside else [["i"], ["we"]])]
        core += [rng.choice(FEELINGS[polarity]), "the", aspect]
    return frame(rng, " ".join(core), negations - inside)


def frame(rng: Random, clause: str, negations: int) -> str:
    """Put a clause behind words such as "nobody denies that", which negate it 0 to 2 times."""
    return f"{rng.choice(FRAMES[negations])} {clause}".strip()


def sentence(text: str, end: str = ".") -> str:
    """End a sentence."""
    return f"{text} {end}"
