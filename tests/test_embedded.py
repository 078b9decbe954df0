"""The embedded suite: labels and difficulty re-derived from the text alone, shares, splits, vocabulary, weights."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from random import Random

import pytest

from bench.errors import UserError
from bench.sources.embedded import CHECKPOINTS, TASKS, checkpoint, generate, pairs, stream
from bench.sources.embedded.tasks import MIXTURES, splits
from bench.sources.examples import NOISY, UNDECIDABLE

SPLITS = [(task, split) for task in TASKS for split in splits(task)]
SHARES = {
    "sst2": {"positive": 0.51},
    "mrpc": {"equivalent": 0.68},
    "qqp": {"duplicate": 0.37},
    "qnli": {"entailment": 0.505},
    "rte": {"entailment": 0.527},
    "mnli": {"entailment": 0.354, "neutral": 0.318, "contradiction": 0.328},
}
GOOD, BAD = set("great fun clever moving loved enjoyed".split()), set("dull weak silly awful hated loathed".split())
PAIRS = ("tea", "coffee"), ("chess", "poker"), ("jazz", "rock"), ("red", "blue")
OTHER_WAY = {a: b for pair in PAIRS for a, b in (pair, pair[::-1])}
CUES = {"surely": "true", "clearly": "true", "hardly": "opposite", "scarcely": "opposite"}
CUES |= {"perhaps": "other", "possibly": "other"}
LABELS = {  # of what is true, the opposite of it, and another matter
    "sst2": ("positive", "negative", None),
    "mrpc": ("equivalent", "not_equivalent", "not_equivalent"),
    "qqp": ("duplicate", "not_duplicate", "not_duplicate"),
    "qnli": ("entailment", None, "not_entailment"),
    "rte": ("entailment", "not_entailment", "not_entailment"),
    "mnli": ("entailment", "contradiction", "neutral"),
}


# A second opinion on every label: these functions read the text and share no code with the generator.


def facts_of(words):
    """Who does what, of words without stops: name -> the name or thing at the end of three words, or a feeling."""
    found = {}
    for subject, verb, thing in zip(words[::3], words[1::3], words[2::3], strict=True):
        assert subject not in found
        found[subject] = verb if thing == "it" else thing
    return found


def follow(facts, name):
    """What a chain of facts leads to, and by how many links; nothing where it leads to nobody's choice."""
    links = 0
    while name in facts:
        name, links = facts[name], links + 1
    return (name, links - 1) if name in OTHER_WAY or name in GOOD | BAD else (None, links)


def sentiment(text):
    words = text.removesuffix(" .").split()
    if words[0] == "the":
        clauses = [clause.split() for clause in " ".join(words).split(" . ")]
        (sign,) = {(clause[-1] in GOOD) != ("not" in clause) for clause in clauses}
        (no,) = {"not" in clause for clause in clauses}
        return ("true" if sign else "opposite"), 1 + no
    found, links = follow(facts_of(words), "i")
    return (None, None) if found is None else ("true" if found in GOOD else "opposite", 4 + links)


def relation(task, a, b):
    """What the second sentence is to the first, and in how many steps; nothing where nobody can know."""
    asked, told = (a, b) if task == "qnli" else (b, a)
    told = told.removesuffix(" .").removeprefix("they say ").removeprefix("why ? ")
    facts, things = facts_of(told.split()), set(told.split()) & OTHER_WAY.keys()
    cue, *words = asked.removesuffix(" .").removesuffix(" ?").split()
    cue = f"not {words.pop(0)}" if cue == "not" else cue
    name = next(word for word in words if word not in ("they", "say", "why", "does"))
    found, links = follow(facts, name)
    if found is None:
        return None, None
    wanted = set(words) & OTHER_WAY.keys()
    states = ["true" if thing == found else "opposite" if OTHER_WAY[thing] == found else "other" for thing in wanted]
    state = "true" if task == "qnli" and "true" in states else states[0]
    if "not" in cue or cue in CUES:  # the cue says the same as the facts
        meant = CUES[cue.removeprefix("not ")]
        turned = {"true": "opposite", "opposite": "true"}.get(meant, meant) if "not" in cue else meant
        assert turned == state
        return state, 2 if "not" in cue else 1
    return state, 3 if len(things) == 1 else 4 + links


def derive(task, a, b):
    """Derive (label, steps) from the text; nothing where it does not tell."""
    state, steps = sentiment(a) if task == "sst2" else relation(task, a, b)
    return (None, None) if state is None else (LABELS[task][("true", "opposite", "other").index(state)], steps)


def rows(task, split, *drawn):
    data = generate(task, split, *drawn)
    second = data["text_b"] or [None] * len(data["labels"])
    return list(zip(data["text_a"], second, data["labels"], data["difficulty"], strict=True))


@pytest.mark.parametrize(("task", "split"), SPLITS)
def test_every_label_and_difficulty_follows_from_the_text(task, split):
    for a, b, label, difficulty in rows(task, split):
        derived, steps = derive(task, a, b)
        if difficulty == UNDECIDABLE:
            assert derived is None, (a, b)
        elif difficulty == NOISY:
            assert derived not in (None, label), (a, b)
        else:
            assert (derived, steps) == (label, difficulty) and difficulty >= 1, (a, b)


@pytest.mark.parametrize(
    ("task", "a", "b", "derived"),
    [
        ("sst2", "the plot was really dull . the cast was weak .", None, ("negative", 1)),
        ("sst2", "the plot was not dull .", None, ("positive", 2)),
        ("sst2", "ben says dull i loved it .", None, ("positive", 4)),
        ("sst2", "ben says dull i follow ben anna loved it carl copies anna .", None, ("negative", 5)),
        ("mrpc", "they say anna follows ben carl wants tea ben picks tea .", "so they say anna wants tea .", 3),
        ("mrpc", "they say ben picks tea carl wants jazz .", "then they say carl picks tea .", 4),
        ("qqp", "why ? ben picks tea carl wants jazz .", "hardly why does ben want coffee ?", 1),
        ("qnli", "so does ben pick tea or coffee ?", "ben picks tea carl wants jazz .", ("entailment", 4)),
        ("qnli", "so does carl pick tea or coffee ?", "ben picks tea carl wants jazz .", ("not_entailment", 4)),
        ("rte", "cats follow cooks cooks pick tea foxes copy owls owls want red .", "so foxes pick tea .", 5),
        ("mnli", "anna follows ben ben wants red carl copies dora dora wants tea .", "so anna wants blue .", 5),
        ("mnli", "anna follows ben emma wants red carl copies dora finn wants tea .", "so anna wants blue .", None),
    ],
)
def test_the_second_opinion_itself_by_hand(task, a, b, derived):
    if derived is None or isinstance(derived, tuple):
        assert derive(task, a, b) == (derived or (None, None))
    else:
        other = {"mrpc": "not_equivalent", "qqp": "not_duplicate", "rte": "not_entailment", "mnli": "contradiction"}
        assert derive(task, a, b) == ("equivalent" if derived == 3 else other[task], derived)


@pytest.mark.parametrize("task", TASKS)
def test_no_text_is_in_two_splits_and_only_undecidable_ones_are_twice_in_training(task):
    seen = set()
    for split in splits(task):
        texts = Counter(row[:2] for row in rows(task, split))
        assert not seen & set(texts)
        seen |= set(texts)
        twice = {text for text, count in texts.items() if count > 1}
        undecidable = {row[:2] for row in rows(task, split) if row[3] == UNDECIDABLE}
        assert twice <= undecidable if split == "train" else not twice


@pytest.mark.parametrize(("task", "split"), SPLITS)
def test_labels_are_balanced_as_in_glue_and_no_text_repeats_its_pair(task, split):
    data = rows(task, split)
    for few in (data, data[:100]):  # as `--limit` takes them
        counts = Counter(label for _, _, label, _ in few)
        for label, share in SHARES[task].items():
            assert counts[label] / len(few) == pytest.approx(share, abs=0.01)
    assert all(a != b for a, b, _, _ in data)


@pytest.mark.parametrize(("task", "split"), SPLITS)
def test_few_rows_are_undecidable_or_noisy(task, split):
    data = rows(task, split)
    counts = Counter(min(difficulty, 0) for *_, difficulty in data)
    share = 0.10 if split == "train" else 0.05
    assert share - 0.01 <= counts[UNDECIDABLE] / len(data) <= share and counts[NOISY] / len(data) <= 0.03
    assert len(data) == (MIXTURES[task].rows if split == "train" else 1000)
    levels = Counter(difficulty for *_, difficulty in data if difficulty >= 1)
    assert len(levels) >= 5 and set(levels) == set(MIXTURES[task].steps)


@pytest.mark.parametrize("task", TASKS)
def test_an_undecidable_text_comes_with_every_label_in_training(task):
    labels = {}
    for *text, label, difficulty in rows(task, "train"):
        if difficulty == UNDECIDABLE:
            labels.setdefault(tuple(text), []).append(label)
    assert labels and all(sorted(each) == sorted(MIXTURES[task].labels) for each in labels.values())


@pytest.mark.parametrize("task", TASKS)
def test_nothing_in_an_undecidable_text_tells_its_label(task):
    """Which things are told, and whether one of them is asked, is all that such a text says about the answer."""
    seen = Counter()
    split = splits(task)[0]
    for a, b, label, difficulty in rows(task, split, 5, 6000):
        if difficulty == UNDECIDABLE:
            told, asked = (b, a) if task == "qnli" else (a, b or "")
            told, asked = set(told.split()) & OTHER_WAY.keys(), set(asked.split()) & OTHER_WAY.keys()
            seen[len(asked & told), len({OTHER_WAY[thing] for thing in asked} & told), label] += 1
    for pattern in {key[:2] for key in seen}:
        counts = [seen[(*pattern, label)] for label in MIXTURES[task].labels]
        chance, n = 1 / len(counts), sum(counts)
        assert max(counts) / n <= chance + 3.5 * (chance * (1 - chance) / n) ** 0.5, (pattern, counts)


@pytest.mark.parametrize("task", [task for task in TASKS if task != "sst2"])
def test_which_words_are_there_does_not_tell_what_a_chain_says(task):
    """Where links have to be followed, a guess from the words in common is right about as often as it must be."""
    seen, right = Counter(), Counter()
    for a, b, label, difficulty in rows(task, splits(task)[0], 6, 4000):
        if difficulty >= 4:
            told, asked = (b, a) if task == "qnli" else (a, b)
            told, asked = set(told.split()) & OTHER_WAY.keys(), set(asked.split()) & OTHER_WAY.keys()
            seen[len(asked & told), len({OTHER_WAY[thing] for thing in asked} & told), label] += 1
            right[label] += 1
    guess = sum(max(n for (*each, _), n in seen.items() if tuple(each) == key) for key in {key[:2] for key in seen})
    most = max(right.values()) / right.total()
    # of three classes one is ruled out; elsewhere a true row and its rival tell the same things
    assert guess / right.total() <= (0.53 if task == "mnli" else most + 0.05)


def test_mismatched_mnli_is_about_other_names():
    names = {split: {word for a, *_ in rows("mnli", split) for word in a.split()[::3]} for split in splits("mnli")}
    assert names["validation_matched"] == names["train"]
    assert names["validation_matched"] & names["validation_mismatched"] == {"."}


def test_another_seed_gives_other_rows_of_the_same_tasks():
    fresh = rows("rte", "validation", 2, 100)
    assert len(fresh) == 100 and not {row[:2] for row in fresh} & {row[:2] for row in rows("rte", "validation")}
    assert all(derive("rte", a, b)[0] in (None, label) for a, b, label, level in fresh if level != NOISY)


def test_generation_does_not_depend_on_the_process_and_never_loads_torch():
    code = (
        "import json, sys\n"
        "from bench.sources.embedded import TASKS, generate\n"
        "print(json.dumps([generate(task, 'train') for task in reversed(TASKS)]))\n"
        "assert 'torch' not in sys.modules\n"
    )
    outputs = {
        subprocess.run(
            [sys.executable, "-c", code], env={**os.environ, "PYTHONHASHSEED": seed}, capture_output=True, check=True
        ).stdout
        for seed in ("1", "2")
    }
    assert len(outputs) == 1
    assert json.loads(outputs.pop()) == [generate(task, "train") for task in reversed(TASKS)]


def test_wrong_names_get_one_line():
    with pytest.raises(UserError, match=r"'sst': expected one of sst2, .*did you mean 'sst2'"):
        generate("sst", "train")
    with pytest.raises(UserError, match="'validation': expected one of validation_matched"):
        generate("mnli", "validation")
    with pytest.raises(UserError, match=r"'bert-nan': expected one of bert-nano, .*did you mean 'bert-nano'"):
        checkpoint("bert-nan")


def speaks_as(told):
    """The task that a row of the stream is told like, whose labels are told apart as finely as its states are."""
    if told.text_b is None:
        return "sst2"
    if told.text_b.endswith("?"):
        return "qqp"
    if told.text_a.endswith("?"):
        return "qnli"
    return "mrpc" if told.text_a.startswith("they say") else "mnli"


def test_the_stream_tells_the_truth_about_its_rows():
    rng, steps = Random(5), Counter()
    for _ in range(3000):
        row = stream.draw(rng)
        task = speaks_as(row.told)
        label, needed = derive(task, row.told.text_a, row.told.text_b)
        steps[row.steps] += 1
        if row.steps == 0:
            assert label is None
        else:
            assert needed == row.steps and label == LABELS[task][("true", "opposite", "other").index(row.state)]
    assert set(steps) == {0, *stream.STEPS} and 0.02 < steps[0] / 3000 < 0.06


def test_what_is_asked_of_a_row_stands_where_it_says():
    """The place of the name that is asked about, what is found by each layer, and the objects of all facts."""
    pretrain = pytest.importorskip("bench.sources.embedded.batches")
    from bench.sources.embedded.nano import tokenizer

    told = pairs.Told(
        "anna follows ben ben picks tea .", "so anna picks tea .", (1, 1), ("ben", "tea"), ((0, 2, "anna"),)
    )
    for family in ("bert", "roberta"):
        batches = pretrain.Batches(tokenizer(family), 3)
        ids = batches.encode([stream.Row(told, "true", 5)])["input_ids"][0]
        which, places, found = batches.lookups([stream.Row(told, "true", 5)])
        words = batches.tokens.convert_ids_to_tokens
        assert which.tolist() == [0] and words(ids[places].tolist()) == ["anna"]
        assert words(found[0].tolist()) == ["anna"] * 2 + ["ben"] * 2 + ["tea"] * 8
        _, places, found = batches.subjects([stream.Row(told, "true", 5)])
        assert words(ids[places].tolist()) == ["ben"] and words(found.tolist()) == ["anna"]
        assert [batches.answers([stream.Row(told, "true", steps)])[1].item() for steps in (0, 1, 5, 7)] == [
            13,
            1,
            6,
            11,
        ]


def test_pretraining_never_sees_a_text_that_a_task_can_hold():
    batches = pytest.importorskip("bench.sources.embedded.batches")
    from bench.sources.embedded.nano import tokenizer

    drawn = [row.told for row in batches.Batches(tokenizer("bert"), seed=3).rows(2000)]
    streamed = {(told.text_a, told.text_b) for told in drawn}
    held = {row[:2] for task, split in SPLITS for seed in (1, 2) for row in rows(task, split, seed)}
    assert all(pairs.is_kept(*text) for text in held) and not any(pairs.is_kept(*text) for text in streamed)


@pytest.mark.parametrize("name", CHECKPOINTS)
def test_checkpoint_loads_offline_and_knows_every_word(name):
    from transformers import AutoModel, AutoTokenizer

    folder = checkpoint(name)
    tokens, model = AutoTokenizer.from_pretrained(folder), AutoModel.from_pretrained(folder)
    layers = {"bert-nano": 12, "roberta-nano": 12}.get(name, 6)
    assert model.config.num_hidden_layers == layers
    assert model.config.model_type == {"distilroberta-nano": "roberta"}.get(name, name.removesuffix("-nano"))
    assert model.config.vocab_size == len(tokens)
    assert model.config.pad_token_id == tokens.pad_token_id == (1 if "roberta" in name else 0)
    for task, split in SPLITS:
        for a, b, _, _ in rows(task, split):
            ids = tokens(a, b)["input_ids"] if b else tokens(a)["input_ids"]
            assert tokens.unk_token_id not in ids and len(ids) <= 48  # the suite cuts nothing
            assert len(ids) == len(a.split()) + 2 + (len(b.split()) + 1 + ("roberta" in name) if b else 0)


def test_pairs_are_joined_as_each_family_does():
    from transformers import AutoTokenizer

    bert, roberta = (AutoTokenizer.from_pretrained(checkpoint(name)) for name in ("bert-nano", "roberta-nano"))
    both = bert("anna follows ben .", "why ?")
    assert bert.decode(both["input_ids"]) == "[CLS] anna follows ben . [SEP] why ? [SEP]"
    assert both["token_type_ids"] == [0] * 6 + [1] * 3
    joined = roberta("anna", "why ?")
    assert roberta.convert_ids_to_tokens(joined["input_ids"]) == ["<s>", "anna", "</s>", "</s>", "why", "?", "</s>"]
    assert "token_type_ids" not in joined


def test_checkpoints_are_small():
    files = [file for name in CHECKPOINTS for file in checkpoint(name).iterdir()]
    assert sum(file.stat().st_size for file in files) < 10e6
    assert not [file.name for file in files if file.suffix in (".bin", ".pt", ".pkl")]
