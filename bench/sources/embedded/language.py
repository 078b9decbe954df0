"""The words of the generated language, and how one fact is said in it; read it to know what the sentences mean.

    link     (follower, leader)   "anna follows ben": anna picks whatever ben picks, and thinks what he thinks
    pick     (who, thing)         "ben wants tea"
    opinion  (who, verdict word)  "ben loved it", "ben says dull"

So "anna follows ben ben picks tea" says that anna picks tea. Every word is separated by blanks, punctuation included.
"""

from __future__ import annotations

from random import Random

PEOPLE = tuple("anna ben carl dora emma finn gina hugo iris jack kate leo mona nick olga paul".split())
COUNTRIES = tuple("brazil canada chile china egypt france ghana india italy japan kenya mexico norway peru".split())
KINDS = tuple("actors cats cooks dancers drivers foxes hunters judges lions owls poets rebels sailors singers".split())
GENRES = {"people": PEOPLE, "countries": COUNTRIES, "kinds": KINDS}  # a set of names that speak of each other
ME = "i"

# Four things to pick among, each with its two ways; the way not taken is the opposite.
TOPICS = (("tea", "coffee"), ("chess", "poker"), ("jazz", "rock"), ("red", "blue"))
OPPOSITE = {word: other for pair in TOPICS for word, other in (pair, pair[::-1])}
TOPIC = {word: pair for pair in TOPICS for word in pair}

ADJECTIVES = {+1: ("great", "fun", "clever", "moving"), -1: ("dull", "weak", "silly", "awful")}
FEELINGS = {+1: ("loved", "enjoyed"), -1: ("hated", "loathed")}
VERDICTS = {sign: FEELINGS[sign] + ADJECTIVES[sign] for sign in (+1, -1)}
ASPECTS = tuple("plot cast film script music ending pacing hero villain humor".split())
DEGREES = ("", "really ", "rather ", "quite ")

# The word that begins a question or a claim: most say nothing, some give it away.
PLAIN = ("so", "then", "thus")
LOADED = {"true": ("surely", "clearly"), "opposite": ("hardly", "scarcely"), "other": ("perhaps", "possibly")}

LINKS, PICKS = (("follow", "follows"), ("copy", "copies")), (("pick", "picks"), ("want", "wants"))
OTHER_WORDS = tuple("the was really rather quite it not why does or they say says . ? i".split())


def vocabulary() -> list[str]:
    """Return every word of the language, without repetition, in a fixed order."""
    groups = [OTHER_WORDS, PLAIN, *LOADED.values(), *LINKS, *PICKS, *TOPICS, ASPECTS, *VERDICTS.values()]
    return list(dict.fromkeys(word for group in [*groups, *GENRES.values()] for word in group))


def say_fact(rng: Random, subject: str, thing: str) -> str:
    """Say one fact: a link where `thing` is a name, else what somebody picks or how somebody found the film."""
    many = subject in KINDS or subject == ME
    if thing in OPPOSITE:
        return f"{subject} {verb(rng, PICKS, many)} {thing}"
    if any(thing in words for words in FEELINGS.values()):
        return f"{subject} {thing} it"
    if any(thing in words for words in ADJECTIVES.values()):
        return f"{subject} {'say' if many else 'says'} {thing}"
    return f"{subject} {verb(rng, LINKS, many)} {thing}"


def verb(rng: Random, verbs: tuple[tuple[str, str], ...], many: bool) -> str:
    """Choose one of the generated language's verbs, in the form for many or for one."""
    plural, singular = rng.choice(verbs)
    return plural if many else singular
