"""Tasks, the three data sources, label order, limits, fingerprints, and the one-line errors of bad files."""

import json
import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bench.errors import UserError
from bench.plan.options import resolve_tasks
from bench.sources.examples import fingerprint, load_split
from bench.sources.generated import Embedded
from bench.sources.hub_rows import Hub, data_commit
from bench.sources.tasks import PAPER_TASKS, TASKS
from bench.sources.tsv import TsvFolder, WithUnlabelled

FULL_GLUE = Path(__file__).resolve().parents[2] / "shared" / "glue"
ROWS = {
    "sst2": (67349, 872),
    "mrpc": (3668, 408),
    "qnli": (20534, 5463),
    "rte": (2490, 277),
    "qqp": (43803, 8404),
    "mnli": (27570, 9815, 1000),
    "cola": (8551, 1043),
    "stsb": (5749, 1500),
}


@pytest.fixture
def glue(tmp_path, monkeypatch):
    """Write a TSV below ./glue; messages then show short, relative paths."""
    monkeypatch.chdir(tmp_path)

    def write(name, content):
        file = Path("glue") / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
        return TsvFolder(Path("glue"))

    return write


def read(source, task_id, split="validation", limit=None):
    return load_split(source, TASKS[task_id], split, limit)


def error_of(call, *args, **kwargs):
    with pytest.raises(UserError) as caught:
        call(*args, **kwargs)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# Tasks


def test_resolve_tasks():
    assert [task.id for task in resolve_tasks("all")] == list(PAPER_TASKS)
    assert [task.id for task in resolve_tasks("mrpc, sst2,mrpc")] == ["mrpc", "sst2"]
    assert [task.id for task in resolve_tasks("cola,all")] == ["cola", *PAPER_TASKS]


def test_resolve_tasks_names_the_nearest():
    assert error_of(resolve_tasks, "sst2,mpc") == (
        "unknown task 'mpc': expected one of all, sst2, mrpc, qnli, rte, qqp, mnli, cola, stsb, wnli; "
        "did you mean 'mrpc'?"
    )


def test_tasks_travel_between_processes():
    assert pickle.loads(pickle.dumps(TASKS)) == TASKS
    assert len(set(TASKS.values())) == 9


def test_shape_of_the_outputs():
    assert {task.id: task.num_labels for task in TASKS.values() if task.num_labels != 2} == {"mnli": 3, "stsb": 1}
    assert [task.id for task in TASKS.values() if task.regression] == ["stsb"]
    assert all(task.metric in task.metrics for task in TASKS.values())


# Folders of TSV files


def test_sst2_digits_and_trailing_space(glue):
    examples = read(glue("SST-2/dev.tsv", "sentence\tlabel\nit 's charming . \t1\nhide \t0\n"), "sst2")
    assert examples.text_a == ["it 's charming .", "hide"]
    assert examples.text_b is None
    assert examples.labels.tolist() == [1, 0]
    assert examples.labels.dtype == np.int64
    assert examples.index.tolist() == [0, 1]
    assert examples.difficulty is None


def test_byte_order_mark_and_plain_quotes(glue):
    content = '\ufeffQuality\t#1 ID\t#2 ID\t#1 String\t#2 String\n0\t1\t2\t" He said\t"" so "\n1\t3\t4\t"\t\'\n'
    examples = read(glue("MRPC/dev.tsv", content), "mrpc")
    assert examples.text_a == ['" He said', '"']
    assert examples.text_b == ['"" so "', "'"]
    assert examples.labels.tolist() == [0, 1]


def test_windows_line_ends_and_blank_lines_at_the_end(glue):
    examples = read(glue("SST-2/dev.tsv", "sentence\tlabel\r\ngood\t1\r\n\r\n"), "sst2")
    assert examples.labels.tolist() == [1]


def test_only_line_feeds_end_a_row(glue):
    examples = read(glue("SST-2/dev.tsv", "sentence\tlabel\na\u2028b\x0cc\x85d\t1\n"), "sst2")
    assert examples.text_a == ["a\u2028b\x0cc\x85d"]


def test_cola_without_header(glue):
    examples = read(glue("CoLA/dev.tsv", "gj04\t1\t\tIt is.\ngj04\t0\t*\tIs it it.\n"), "cola")
    assert examples.text_a == ["It is.", "Is it it."]
    assert examples.labels.tolist() == [1, 0]


def test_cola_with_header(glue):
    assert read(glue("CoLA/dev.tsv", "sentence\tlabel\nIt is.\t1\n"), "cola").text_a == ["It is."]


def test_official_and_reduced_headers_give_the_same_rows(glue):
    reduced = glue("MNLI/dev_matched.tsv", "index\tsentence1\tsentence2\tgold_label\n0\tA.\tB.\tneutral\n")
    first = read(reduced, "mnli", "validation_matched")
    official = "index\tpromptID\tpairID\tgenre\tsentence1_parse\tsentence1\tsentence2\tlabel1\tgold_label\n"
    glue("MNLI/dev_matched.tsv", official + "0\t1\t1n\tfiction\t(A)\tA.\tB.\tcontradiction\tneutral\n")
    second = read(reduced, "mnli", "validation_matched")
    assert (first.text_a, first.text_b, first.labels.tolist()) == (["A."], ["B."], [1])
    assert (second.text_a, second.text_b, second.labels.tolist()) == (["A."], ["B."], [1])


def test_wnli_digits_mean_one_for_entailment(glue):
    examples = read(glue("WNLI/dev.tsv", "index\tsentence1\tsentence2\tlabel\n0\tA.\tB.\t1\n"), "wnli")
    assert TASKS["wnli"].labels[examples.labels[0]] == "entailment"


def test_unlabelled_rows_stand_behind_the_training_rows_only(glue):
    glue("RTE/train.tsv", "index\tsentence1\tsentence2\tlabel\n0\ta\tb\tentailment\n")
    glue("RTE/dev.tsv", "index\tsentence1\tsentence2\tlabel\n0\tc\td\tnot_entailment\n")
    source = WithUnlabelled(glue("RTE/unlabelled.tsv", "sentence2\tsentence1\nf \te\nh\tg\n"), Path("glue"))
    rows = read(source, "rte", "train")
    assert (rows.text_a, rows.text_b) == (["a", "e", "g"], ["b", "f", "h"])
    assert rows.labels.tolist() == [0, -1, -1] and rows.labels.dtype == np.int64
    assert rows.index.tolist() == [0, 1, 2]
    assert read(source, "rte").text_a == ["c"]
    assert fingerprint(source, TASKS["rte"]) != fingerprint(source.labelled, TASKS["rte"])


def test_an_unlabelled_file_needs_its_header(glue):
    glue("CoLA/train.tsv", "gj04\t1\t\tA sentence.\n")
    source = WithUnlabelled(glue("CoLA/unlabelled.tsv", "gj04\t1\t\tAnother.\n"), Path("glue"))
    message = error_of(read, source, "cola", "train")
    assert message == "glue/CoLA/unlabelled.tsv, line 1: no column 'sentence', found gj04, 1, , Another."


def test_stsb_scores(glue):
    examples = read(glue("STS-B/dev.tsv", "sentence1\tsentence2\tscore\nA\tB\t4.200\nC\tD\t0\n"), "stsb")
    assert examples.labels.dtype == np.float32
    assert examples.labels.tolist() == [np.float32(4.2), 0]


SST2 = "sentence\tlabel\ngood\t1\n"
BAD_FILES = [
    ("sst2", b"", "line 1: expected rows, got an empty file"),
    ("sst2", b"\n\n", "line 1: expected rows, got an empty file"),
    ("sst2", b"sentence\tlabel\n", "line 1: expected rows after the header, got none"),
    ("sst2", b"sentence\tlabels\n", "line 1: no column 'label', found sentence, labels; did you mean 'labels'?"),
    (
        "sst2",
        SST2 + "bad\n",
        "line 3: got 1, expected 2 tab-separated fields (sentence, label); mend or remove that line",
    ),
    (
        "sst2",
        SST2 + "\nbad\t0\n",
        "line 3: got 1, expected 2 tab-separated fields (sentence, label); mend or remove that line",
    ),
    ("sst2", SST2 + "a\tb\t0\n", "line 3: got 3, expected 2 tab-separated fields (sentence, label); "),
    ("sst2", SST2 + "meh\t2\n", "line 3: unknown label '2', expected one of negative, positive, 0, 1"),
    ("sst2", SST2.encode() + b"caf\xe9\t1\n", "line 3: expected UTF-8 text, got byte 0xe9"),
    ("sst2", SST2.encode("utf-16"), "line 1: expected UTF-8 text, got byte 0xff"),
    (
        "qnli",
        "question\tsentence\tlabel\na\tb\tentailement\n",
        "line 2: unknown label 'entailement', expected one of entailment, not_entailment; did you mean 'entailment'?",
    ),
    # Documented for other tasks only: which digit would be which here?
    ("qnli", "question\tsentence\tlabel\na\tb\t0\n", "line 2: unknown label '0', expected one of entailment, "),
    ("cola", "gj04\t1\tIt is.\n", "line 1: got 3, expected 4 tab-separated fields (source, label, star, sentence); "),
    ("cola", "gj04\tyes\t\tIt is.\n", "line 1: unknown label 'yes', expected one of unacceptable, acceptable, 0, 1"),
    ("stsb", "sentence1\tsentence2\tscore\na\tb\tnan\n", "line 2: unknown label 'nan', expected a score from 0 to 5"),
    ("stsb", "sentence1\tsentence2\tscore\na\tb\t5.1\n", "line 2: unknown label '5.1', expected a score from 0 to 5"),
]


@pytest.mark.parametrize(("task_id", "content", "message"), BAD_FILES)
def test_bad_file_is_refused_with_its_line(glue, task_id, content, message):
    name = f"{TASKS[task_id].title}/dev.tsv"
    got = error_of(read, glue(name, content), task_id)
    assert got.startswith(f"glue/{name}, {message}")
    assert got.endswith(message) or message.endswith(" ")


def test_missing_file(glue):
    assert error_of(read, glue("SST-2/dev.tsv", SST2), "sst2", "train") == (
        "cannot read glue/SST-2/train.tsv (No such file or directory): expected a folder in GLUE's TSV layout"
    )


def test_unknown_split_and_limit(glue):
    source = glue("SST-2/dev.tsv", SST2)
    assert error_of(read, source, "mnli", "validation") == (
        "unknown split of mnli 'validation': expected one of train, validation_matched, validation_mismatched; "
        "did you mean 'validation_matched'?"
    )
    assert error_of(read, source, "sst2", limit=0) == "invalid limit 0: expected at least 1 row"


# The limit


def test_limit_is_deterministic_nested_and_keeps_the_index(glue):
    source = glue("SST-2/dev.tsv", "sentence\tlabel\n" + "".join(f"row {i}\t{i % 2}\n" for i in range(100)))
    small, large = read(source, "sst2", limit=10), read(source, "sst2", limit=50)
    assert small.index.tolist() == read(source, "sst2", limit=10).index.tolist()
    assert small.index.tolist() == [5, 22, 56, 58, 60, 66, 81, 89, 92, 98]
    assert set(small.index) < set(large.index)
    assert small.text_a == [f"row {i}" for i in small.index]
    assert small.labels.tolist() == [i % 2 for i in small.index]
    assert read(source, "sst2", limit=1000).index.tolist() == list(range(100))


# The hub and its layout


def write_parquet(folder, name, rows, class_names):
    datasets = pytest.importorskip("datasets")
    label = datasets.ClassLabel(names=class_names) if class_names else datasets.Value("int64")
    features = {column: datasets.Value("string") for column in rows} | {"label": label}
    file = Path(folder) / name
    file.parent.mkdir(parents=True, exist_ok=True)
    datasets.Dataset.from_dict(rows, features=datasets.Features(features)).to_parquet(file)


PREMISES = {"premise": ["A.", "B.", "C."], "hypothesis": ["D.", "E.", "F."], "label": [0, 1, 2]}


def test_mnli_label_order_is_by_name_from_every_source(glue, monkeypatch):
    names = ["contradiction", "entailment", "neutral"]  # some sources' order, not ours
    write_parquet("hub", "mnli/validation_matched-00000-of-00001.parquet", PREMISES, names)
    rows = "".join(f"{a}\t{b}\t{name}\n" for a, b, name in zip("ABC", "DEF", names, strict=True))
    generated = {"text_a": ["A.", "B.", "C."], "text_b": ["D.", "E.", "F."], "labels": names, "difficulty": [1, 2, 3]}
    monkeypatch.setattr("bench.sources.generated.generate", lambda *_: generated)
    sources = [Hub("hub"), glue("MNLI/dev_matched.tsv", "sentence1\tsentence2\tgold_label\n" + rows), Embedded()]
    for source in sources:
        examples = read(source, "mnli", "validation_matched")
        assert [TASKS["mnli"].labels[i] for i in examples.labels] == names
        assert examples.labels.tolist() == [2, 0, 1]
    assert read(Embedded(), "mnli", "validation_matched", limit=1).difficulty.shape == (1,)


def test_parquet_parts_are_joined_in_order(tmp_path):
    for part, text in enumerate(["first ", "second"]):
        name = f"sst2/train-{part:05}-of-00002.parquet"
        write_parquet(tmp_path, name, {"sentence": [text], "label": [part]}, ["positive", "negative"])
    examples = read(Hub(str(tmp_path)), "sst2", "train")
    assert examples.text_a == ["first", "second"]
    assert examples.labels.tolist() == [1, 0]
    assert data_commit(Hub(str(tmp_path)), TASKS["sst2"]) is None


@pytest.mark.parametrize(
    ("rows", "names", "message"),
    [
        ({"label": [0]}, ["negative", "positive"], "hub sst2/train: no column 'sentence', found label"),
        ({"sentence": ["a"], "label": [-1]}, ["negative", "positive"], "hub sst2/train, row 0: unknown label '-1', "),
        ({"sentence": ["a"], "label": [0]}, ["good", "bad"], "hub sst2/train, row 0: unknown label 'good', "),
        ({"sentence": [None], "label": [0]}, ["negative"], "hub sst2/train, row 0: expected a text, got nothing"),
        (
            {"sentence": ["a"], "label": [0]},
            None,
            "hub sst2/train, row 0: column 'label' carries no class names, expected negative, positive",
        ),
    ],
)
def test_bad_parquet(tmp_path, monkeypatch, rows, names, message):
    monkeypatch.chdir(tmp_path)
    write_parquet("hub", "sst2/train-00000-of-00001.parquet", rows, names)
    assert error_of(read, Hub("hub"), "sst2", "train").startswith(message)


def test_missing_and_broken_parquet(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("hub/sst2").mkdir(parents=True)
    assert error_of(read, Hub("hub"), "sst2", "train") == (
        "cannot find hub/sst2/train-*.parquet: expected the hub's parquet layout"
    )
    Path("hub/sst2/train-00000-of-00001.parquet").write_text("version https://git-lfs")
    line = error_of(read, Hub("hub"), "sst2", "train")
    assert line.startswith("cannot read hub/sst2/train-*.parquet: Could not open Parquet")


@pytest.fixture
def offline(tmp_path, monkeypatch):
    """No network, and a cache in which sst2 lies at commit aaaa.., as the library writes it."""
    datasets = pytest.importorskip("datasets")
    monkeypatch.setattr("datasets.config.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path)
    write_parquet(tmp_path, "train.parquet", {"sentence": ["good "], "label": [0]}, ["positive", "negative"])
    builder = datasets.load_dataset_builder("parquet", data_files={"train": str(tmp_path / "train.parquet")})
    builder.download_and_prepare()
    commit = tmp_path / "nyu-mll___glue" / "sst2" / "0.0.0" / ("a" * 40)
    commit.parent.mkdir(parents=True)
    Path(builder.cache_dir).rename(commit)
    (commit / "parquet-train.arrow").rename(commit / "glue-train.arrow")
    info = json.loads((commit / "dataset_info.json").read_text())
    (commit / "dataset_info.json").write_text(json.dumps(info | {"config_name": "sst2", "dataset_name": "glue"}))


def test_hub_from_the_cache_without_network(offline):
    examples = read(Hub(), "sst2", "train")
    assert (examples.text_a, examples.labels.tolist()) == (["good"], [1])
    assert data_commit(Hub(), TASKS["sst2"]) == "a" * 40
    assert error_of(read, Hub(revision="b" * 40), "sst2", "train") == (
        f"the cache holds sst2 of 'nyu-mll/glue' at {'a' * 40}, expected {'b' * 40}"
    )


def test_hub_out_of_reach(offline):
    assert error_of(read, Hub("some/fork"), "rte", "train") == (
        "cannot load rte of 'some/fork', neither from the hub nor from its cache "
        "(Couldn't reach 'some/fork' on the Hub (OfflineModeIsEnabled)): "
        "--suite glue-local --glue-dir DIR reads a folder, --prepare on a machine with network fills the cache"
    )


# Fingerprints


def test_fingerprint_changes_with_every_character_and_label(glue):
    source = glue("SST-2/train.tsv", SST2)
    glue("SST-2/dev.tsv", SST2)
    first = fingerprint(source, TASKS["sst2"])
    assert first == fingerprint(source, TASKS["sst2"])
    assert first != fingerprint(source, replace(TASKS["sst2"], labels=("positive", "negative")))
    for name in ("SST-2/train.tsv", "SST-2/dev.tsv"):
        for changed in (SST2.replace("good", "goof"), SST2.replace("1", "0"), SST2 + "good\t1\n"):
            glue(name, changed)
            assert fingerprint(source, TASKS["sst2"]) != first
        glue(name, SST2)
    glue("SST-2/dev.tsv", "label\tsentence\r\n1\tgood \r\n")  # another layout of the same rows
    assert fingerprint(source, TASKS["sst2"]) == first


def test_fingerprint_is_the_same_for_the_same_rows_from_the_hub(glue, tmp_path):
    source = glue("SST-2/train.tsv", SST2)
    glue("SST-2/dev.tsv", SST2)
    for split in ("train", "validation"):
        rows = {"sentence": ["good "], "label": [0]}
        write_parquet("hub", f"sst2/{split}-00000-of-00001.parquet", rows, ["positive", "negative"])
    assert fingerprint(Hub("hub"), TASKS["sst2"]) == fingerprint(source, TASKS["sst2"])


# The real thing


@pytest.mark.skipif(not FULL_GLUE.is_dir(), reason="no folder with the real GLUE files beside the repository")
@pytest.mark.parametrize("task_id", ROWS)
def test_real_glue(task_id):
    task = TASKS[task_id]
    for split, rows in zip(task.splits, ROWS[task_id], strict=True):
        examples = load_split(TsvFolder(FULL_GLUE), task, split)
        assert len(examples) == rows
        assert all(text for text in examples.text_a)
        assert task.regression or set(examples.labels) == set(range(task.num_labels))
