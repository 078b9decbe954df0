"""The acceptance of the embedded suite: its numbers by hand, and that short training on it learns what is easy."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from bench import acceptance
from bench.acceptance import Measured, beside_published, coins, measured, misses
from bench.models.loading import encoded, fresh_backbone
from bench.models.model import build_model
from bench.models.tracing import trace_model
from bench.models.training import train
from bench.plan.suite_file import load_suite
from bench.sources.checkpoints import find_checkpoint
from bench.sources.examples import UNDECIDABLE
from bench.sources.generated import Embedded
from bench.sources.tasks import TASKS
from bench.statistics.depth import half_gain_layer
from bench.store.trace import Trace
from bench.tables.published_depth import FINAL, FROZEN, published
from methods import discover


def test_the_layer_of_half_the_gain_by_hand():
    assert half_gain_layer(np.array([0.5, 1.0])) == 1
    assert half_gain_layer(np.array([0.2, 0.4, 0.8, 1.0])) == pytest.approx(2.25)
    assert half_gain_layer(published("sst2", "validation", FROZEN)[1]) == 1


def test_what_a_trace_says_by_hand():
    # four examples of classes 0 0 1 1: layer 1 answers 0 to all, layer 2 is right three times; the last is undecidable
    sure, even = np.log([0.9, 0.1]), np.log([0.6, 0.4])
    logits = np.stack([[sure, sure], [sure, sure], [sure, sure[::-1]], [sure, even]]).astype(np.float32)
    labels, difficulty = np.array([0, 0, 1, 1]), np.array([1, 1, 2, UNDECIDABLE])
    found = measured(TASKS["rte"], Trace(logits, labels, np.arange(4), np.full(4, 5), difficulty=difficulty))
    assert found.shares.tolist() == [0, 1] and found.final == 0.75 and found.certain == pytest.approx(0.6)


def same_as_published(**changes):
    found = {}
    for name, final in FINAL.items():
        shares = published(name, TASKS[name].validation_splits[0], FROZEN)[1]
        found[name] = replace(Measured(shares, final, 0.6), **changes)
    return found


def test_bert_itself_is_accepted_and_each_limit_can_be_missed():
    table = beside_published(same_as_published())
    assert not misses(table) and table["gap"].max() == 0 and (table["half"] == table["real half"]).all()
    assert coins(table).endswith("mean over tasks 0.600, highest 0.600 on sst2: claim 9 can be told")
    assert coins(table.assign(certain=0.7)).endswith("coins learnt by heart, claim 9 cannot be told")
    flat = misses(beside_published(same_as_published(shares=np.ones(12))))
    assert [said.split()[0] for said in flat] == ["gap", "gap", "order"]
    moved = table.assign(final=table["final"] + 0.06, off=0.06)
    assert misses(moved) == ["a final score is off by 0.060, at most 0.05"]
    assert isinstance(table, pd.DataFrame) and table.index.tolist() == list(FINAL)


def test_wrong_arguments_get_one_line(capsys):
    assert acceptance.main(["--rows", "5"]) == 2
    assert capsys.readouterr().err.splitlines() == ["bench.acceptance: --rows 5: expected at least 100"]
    assert acceptance.main(["--family", "brt"]) == 2
    assert "'brt': expected one of bert, roberta; did you mean 'bert'?" in capsys.readouterr().err


def test_short_training_learns_what_is_easy():
    """A fifth of SST-2-like rows for three epochs: most rows that a loaded word decides are right."""
    suite, method, task = load_suite("embedded"), discover()["static"], TASKS["sst2"]
    checkpoint = find_checkpoint("bert-nano")
    rows = {split: encoded(Embedded(), task, split, 200, checkpoint, suite.max_length) for split in task.splits}
    model = build_model(method, fresh_backbone(checkpoint), task.num_labels, ("bert", "sst2", 0))
    train(model, method, {}, rows["train"][1], suite.recipe_of(method, "bert"), ("sst2", 0))
    trace = trace_model(model, *rows["validation"])
    right, easy = trace.logits[:, -1].argmax(axis=1) == trace.labels, np.isin(trace.difficulty, (1, 2))
    assert right[easy].mean() > 0.9 and easy.sum() > 50
