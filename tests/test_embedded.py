"""The embedded suite: labels re-derived from the text alone, splits, vocabulary, checkpoints."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from random import Random

import pytest

from bench.errors import UserError
from bench.sources.embedded import CHECKPOINTS, TASKS, checkpoint, generate, stream
from bench.sources.embedded.tasks import splits

SPLITS = [(task, split) for task in TASKS for split in splits(task)]
SHARES = {
    "sst2": {"positive": 0.51},
    "mrpc": {"equivalent": 0.68},
    "qqp": {"duplicate": 0.37},
    "qnli": {"entailment": 0.505},
    "rte": {"entailment": 0.5},
    "mnli": {"entailment": 1 / 3, "neutral": 1 / 3, "contradiction": 1 / 3},
}
NEGATIONS = {"not", "never", "nobody", "doubt", "doubts", "denies", "false"}
GOOD = set("great fun clever fresh moving sharp liked loved enjoyed".split())
BAD = set("dull weak silly stale flat awful hated loathed despised".split())
SAME = "helped=assisted phoned=called greeted=welcomed blamed=accused hired=employed praised=lauded chased=pursued"
SAME = dict(words.split("=") for words in f"{SAME} hugged=embraced".split())


# A second opinion on every label: these functions read the text and share no code with the generator.


def clauses(text):
    return [clause.split() for clause in text.rstrip(" .?").split(" and ")]


def event(words):
    passive = "was" in words
    subject, verb, other = [word for word in words if word not in ("was", "by")]
    agent, patient = (other, subject) if passive else (subject, other)
    return tuple("who" if word == "whom" else SAME.get(word, word) for word in (agent, verb, patient)), passive


def events(text):
    return [event(words) for words in clauses(text)]


def answered(question, told):
    return any(all(q in ("who", t) for q, t in zip(question, fact, strict=True)) for fact, _ in told)


def edge(words):
    return words[0], words[2]


def hops(text, start, goal):
    """The length of the path from start to goal over the facts of the text, None where there is none."""
    facts, frontier, steps = [edge(words) for words in clauses(text)], {start}, 0
    while frontier and steps <= len(facts):
        if goal in frontier:
            return steps
        frontier, steps = {b for a, b in facts if a in frontier}, steps + 1
    return None


def opinion(text):
    words = text.split()
    (sign,) = [(word in GOOD) - (word in BAD) for word in words if word in GOOD | BAD]
    negations = sum(word in NEGATIONS for word in words)
    return ("positive" if sign * (-1) ** negations > 0 else "negative"), negations


def unframe(text):
    """Split off words such as "nobody denies that": the rest, and the negations in them."""
    head, _, tail = text.rpartition(" that ")
    return tail, sum(word in NEGATIONS for word in head.split())


def told_alike(a, b):
    """Whether two texts tell the same events, and the difficulty where they do (None where they differ)."""
    (a, denials_a), (b, denials_b) = unframe(a), unframe(b)
    first, second = dict(events(a)), dict(events(b))
    if first.keys() != second.keys():
        return False, None
    voices = sum(first[e] != second[e] for e in first)
    return denials_a % 2 == denials_b % 2, len(first) + voices + denials_a + denials_b


def derive(task, a, b):
    """Derive (label, difficulty or None where the text does not tell) from the text."""
    if task == "sst2":
        return opinion(a)
    if task in ("mrpc", "qqp"):
        alike, difficulty = told_alike(a, b)
        return ("" if alike else "not_") + ("equivalent" if task == "mrpc" else "duplicate"), difficulty
    if task == "qnli":
        ((question, asked),) = events(a)
        b, denials = unframe(b)
        voices = [voice for fact, voice in events(b) if answered(question, [(fact, voice)])]
        given = bool(voices) and denials % 2 == 0
        difficulty = len(events(b)) + (asked != voices[0]) + denials if voices else None
        return "entailment" if given else "not_entailment", difficulty
    upper, lower = edge(clauses(b)[0])
    down, up = hops(a, upper, lower), hops(a, lower, upper)
    if down:
        return "entailment", down
    if task == "rte":
        return "not_entailment", up
    return ("contradiction", up) if up else ("neutral", None)


def rows(task, split):
    data = generate(task, split)
    second = data["text_b"] or [None] * len(data["labels"])
    return list(zip(data["text_a"], second, data["labels"], data["difficulty"], strict=True))


@pytest.mark.parametrize(("task", "split"), SPLITS)
def test_every_label_and_difficulty_follows_from_the_text(task, split):
    for a, b, label, difficulty in rows(task, split):
        derived, needed = derive(task, a, b)
        assert derived == label, (a, b)
        assert needed in (None, difficulty), (a, b)


@pytest.mark.parametrize(
    ("task", "a", "b", "label"),
    [
        ("sst2", "nobody denies that the plot was not dull .", None, "positive"),
        ("sst2", "it is false that i never liked the cast .", None, "positive"),
        ("mrpc", "anna helped ben .", "ben was assisted by anna .", "equivalent"),
        ("mrpc", "anna helped ben and carl called dora .", "carl phoned dora and ben helped anna .", "not_equivalent"),
        ("mrpc", "i doubt that anna helped ben .", "nobody thinks that ben was assisted by anna .", "equivalent"),
        ("mrpc", "i doubt that anna helped ben .", "we know that anna helped ben .", "not_equivalent"),
        ("qnli", "who helped ben ?", "nobody doubts that ben was assisted by anna .", "entailment"),
        ("qqp", "who helped anna ?", "anna was assisted by whom ?", "duplicate"),
        ("qnli", "who helped anna ?", "anna helped ben and anna was assisted by carl .", "entailment"),
        ("rte", "cats are cooks and foxes are cats .", "foxes are cooks .", "entailment"),
        ("mnli", "anna outranks ben and ben leads carl .", "carl leads anna .", "contradiction"),
        ("mnli", "anna outranks ben and carl outranks ben .", "carl leads anna .", "neutral"),
    ],
)
def test_the_second_opinion_itself_by_hand(task, a, b, label):
    assert derive(task, a, b)[0] == label


@pytest.mark.parametrize("task", TASKS)
def test_no_example_is_in_two_splits_or_twice(task):
    seen = [row[:2] for split in splits(task) for row in rows(task, split)]
    assert len(seen) == len(set(seen))


@pytest.mark.parametrize(("task", "split"), SPLITS)
def test_labels_are_balanced_as_in_glue_and_no_text_repeats_its_pair(task, split):
    data = rows(task, split)
    for few in (data, data[:100]):  # as `--limit` takes them
        counts = Counter(label for _, _, label, _ in few)
        for label, share in SHARES[task].items():
            assert counts[label] / len(few) == pytest.approx(share, abs=0.01)
    assert all(a != b for a, b, _, _ in data)


@pytest.mark.parametrize(("task", "split"), SPLITS)
def test_difficulty_varies_and_hardly_tells_the_label(task, split):
    data = rows(task, split)
    counts = Counter(difficulty for *_, difficulty in data)
    assert sum(count >= 0.1 * len(data) for count in counts.values()) >= 3
    majority = Counter(label for _, _, label, _ in data).most_common(1)[0][1] / len(data)
    guess = sum(max(Counter(row[2] for row in data if row[3] == level).values()) for level in counts) / len(data)
    # some: a chain of one fact that is its own statement is no example, so short chains entail a little less often
    assert guess < majority + 0.1


def test_mismatched_mnli_is_about_other_names():
    names = {split: {word for a, _, _, _ in rows("mnli", split) for word in a.split()} for split in splits("mnli")}
    assert names["validation_matched"] == names["train"]
    assert names["validation_matched"] & names["validation_mismatched"] == {"and", "."}


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


@pytest.mark.parametrize("state", stream.STATES)
def test_the_stream_tells_the_truth_about_its_pairs(state):
    rng = Random(5)
    for _ in range(1000):
        first, second, told = stream.pair(rng, state)
        assert told == state or (state, told) == ("reversed", "open")
        assert relation(first, second) == told, (first, second)


def relation(first, second):
    if first.endswith("?"):
        task = "qqp" if second.endswith("?") else "qnli"
    elif " are " in first:
        task = "mnli"
    else:
        task = "mrpc" if set(first.split()) & (set(SAME) | set(SAME.values())) else "mnli"
    label = derive(task, first, second)[0]
    return {"contradiction": "reversed"}.get(label, "open" if label.startswith(("not", "neut")) else "true")


def test_pretraining_never_sees_an_example():
    pretrain = pytest.importorskip("bench.sources.embedded.pretrain")
    held_out = {row[:2] for task, split in SPLITS for row in rows(task, split)}
    batches = pretrain.Batches(pretrain.tokenizer("bert"), seed=3)
    assert batches.held_out >= held_out
    inputs, _ = batches.reviews(400)
    texts = batches.tokens.batch_decode(inputs["input_ids"], skip_special_tokens=True)
    assert not {(text, None) for text in texts} & held_out


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
            assert tokens.unk_token_id not in ids
            assert len(ids) == len(a.split()) + 2 + (len(b.split()) + 1 + ("roberta" in name) if b else 0)


def test_pairs_are_joined_as_each_family_does():
    from transformers import AutoTokenizer

    bert, roberta = (AutoTokenizer.from_pretrained(checkpoint(name)) for name in ("bert-nano", "roberta-nano"))
    both = bert("anna helped ben .", "who ?")
    assert bert.decode(both["input_ids"]) == "[CLS] anna helped ben . [SEP] who ? [SEP]"
    assert both["token_type_ids"] == [0] * 6 + [1] * 3
    joined = roberta("anna", "who ?")
    assert roberta.convert_ids_to_tokens(joined["input_ids"]) == ["<s>", "anna", "</s>", "</s>", "who", "?", "</s>"]
    assert "token_type_ids" not in joined


def test_checkpoints_are_small():
    files = [file for name in CHECKPOINTS for file in checkpoint(name).iterdir()]
    assert sum(file.stat().st_size for file in files) < 10e6
    assert not [file.name for file in files if file.suffix in (".bin", ".pt", ".pkl")]
