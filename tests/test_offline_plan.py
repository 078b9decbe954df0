"""A plan of what is not on this machine: published sizes, no network, and no keys that nobody can know."""

import pytest

from bench.models.loading import AutoModel
from bench.plan.suite_file import load_suite
from bench.run.workload import token_counts
from bench.sources.checkpoints import Checkpoint
from bench.sources.hub_rows import Hub
from bench.sources.known_sizes import KnownCheckpoint, find_known, known_checkpoints, known_task
from bench.sources.tasks import PAPER_TASKS, TASKS
from bench.store.folder import RunFolder
from bench.store.revisions import write_pins
from run_all import main

BERT, COMMIT, DATA = "google-bert/bert-base-uncased", "c" * 40, "datasets/nyu-mll/glue"


@pytest.fixture(autouse=True)
def empty(tmp_path, monkeypatch):
    """Empty caches, no network, and a folder to stand in."""

    def never(*arguments, **options):
        raise AssertionError("the network was asked")

    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "data")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr("socket.getaddrinfo", never)
    monkeypatch.setattr("socket.socket.connect", never)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def plan(capsys, *options):
    assert main(["--suite", "paper", "--plan", "--device", "a100", *options]) == 0
    return capsys.readouterr().out.splitlines()


def test_the_paper_without_anything_at_hand(capsys):
    *cells, note, replayed, data, checkpoints, size, hours, tables, disk, count = plan(capsys, "--seeds", "3")
    assert count == "300 cells, 300 to run, 0 done or skipped" and len(cells) == 300
    assert all(line.startswith("------------  ") and line.endswith("  to run") for line in cells)
    assert note.startswith("------------: no key before its data and checkpoint are here")
    assert data == (
        "to fetch from nyu-mll/glue: sst2 (3.3 MB), mrpc (1.0 MB), qnli (19.3 MB), rte (1.3 MB), qqp (74.0 MB), "
        "mnli (57.2 MB)"
    )
    assert "google-bert/bert-base-uncased (440.4 MB)" in checkpoints and "distilroberta-base (331.1 MB)" in checkpoints
    # 156.1 MB of data and 1538.3 MB of checkpoints; data lie there a second time, as the library's tables
    assert size == "about 1694 MB to download, 1925 MB on disk"
    assert " GPU-hours: " in hours and "the data sheet of the a100" in hours
    assert tables.startswith("about ") and "MB of traces" in disk and replayed.startswith("replayed, not trained: ")


def test_skipped_cells_are_counted(capsys):
    *_, count = plan(capsys, "--methods", "static,tinybert", "--seeds", "2", "--tasks", "rte,stsb")
    assert count == "12 cells, 4 to run, 8 done or skipped"  # no tinybert checkpoint; one stage 1 for both seeds


def test_a_limit_holds(capsys):
    assert token_counts(Hub(), TASKS["rte"], "train", 40, 128).shape == (40,)
    assert token_counts(Hub(), TASKS["rte"], "train", None, 128).shape == (2490,)
    # 106,252 bytes of 872 rows, 16 of each beside the text: 105.8 characters, and two tokens around them
    assert token_counts(Hub(), TASKS["sst2"], "validation", None, 128)[0] == pytest.approx((106252 / 872 - 16) / 4 + 2)
    assert token_counts(Hub(), TASKS["sst2"], "validation", None, 20)[0] == 20


def test_what_a_results_folder_knows_gives_keys(capsys, empty):
    folder = RunFolder(empty / "r")
    folder.create()
    names = ("bert", "bert student")
    paths = dict(zip(names, (BERT, "distilbert/distilbert-base-uncased"), strict=True))
    write_pins(folder.path, {DATA: COMMIT, **dict.fromkeys(paths.values(), COMMIT)})
    shared = {"data": {"rte": "d" * 64}, "checkpoints": dict.fromkeys(names, COMMIT), "unlabelled": {}, "commands": {}}
    folder.share(shared, {})
    how = ["--results", "r", "--backbones", "bert", "--methods", "static,deebert", "--seeds", "1"]
    static, deebert, *_ = lines = plan(capsys, *how, "--tasks", "rte")
    assert not [line for line in lines if line.startswith("-----")] and static[:12] != deebert[:12]
    known, _, other, _, note, *_ = plan(capsys, *how, "--tasks", "rte,mrpc")
    assert known == static and other.startswith("------------  bert/mrpc") and note.startswith("------------: no key")


def test_what_is_at_hand_is_used(empty):
    assert find_known(Checkpoint(BERT)) == KnownCheckpoint(BERT)
    snapshot = empty / "hub" / "models--google-bert--bert-base-uncased" / "snapshots" / COMMIT
    snapshot.mkdir(parents=True)
    (snapshot / "config.json").write_text("{}")
    (snapshot.parents[1] / "refs").mkdir()
    (snapshot.parents[1] / "refs" / "main").write_text(COMMIT)
    assert find_known(Checkpoint(BERT)) is None and find_known(Checkpoint("some/other")) is None
    assert known_task(Hub(), TASKS["rte"]) and known_task(Hub("some/other"), TASKS["rte"]) is None
    cached = empty / "data" / "nyu-mll___glue" / "rte" / "0.0.0" / COMMIT
    cached.mkdir(parents=True)
    (cached / "dataset_info.json").write_text("{}")
    assert known_task(Hub(), TASKS["rte"]) is None and known_task(Hub(), TASKS["mrpc"])
    assert known_task(Hub(revision="e" * 40), TASKS["rte"]), "another commit than the one that is kept to"


def test_a_checkpoint_of_unknown_size_is_asked_for(capsys):
    assert main(["--suite", "paper", "--plan", "--backbones", "bert=some/other"]) == 2
    assert "checkpoint 'some/other' is neither a local folder nor to be had" in capsys.readouterr().err


def test_published_sizes_are_those_of_the_library():
    """Configurations by the library's defaults, where the repositories differ from them by name."""
    import torch
    from transformers import AutoConfig

    roberta = {"vocab_size": 50265, "max_position_embeddings": 514, "type_vocab_size": 1}
    for name, about in known_checkpoints().items():
        more = roberta if about["model_type"] == "roberta" else {}
        layers = {"num_hidden_layers": 6} if name.endswith("distilroberta-base") else {}
        config = AutoConfig.for_model(about["model_type"], **more, **layers)
        sizes = (config.hidden_size, getattr(config, "intermediate_size", None) or config.hidden_dim)
        assert (*sizes, config.num_hidden_layers) == tuple(
            about[key] for key in ("hidden_size", "intermediate_size", "num_hidden_layers")
        )
        with torch.device("meta"):
            encoder = AutoModel.from_config(config)
        assert sum(parameter.numel() for parameter in encoder.parameters()) == about["parameters"]
        assert 0.99 * about["bytes"] < 4 * about["parameters"] < about["bytes"]


def test_sizes_of_all_tasks_and_checkpoints_of_the_suite_are_known():
    sizes = [known_task(Hub(), task) for task in TASKS.values()]
    assert all(set(size.rows) == set(task.splits) for size, task in zip(sizes, TASKS.values(), strict=True))
    assert sum(known_task(Hub(), TASKS[task]).rows["train"] for task in PAPER_TASKS) == 934_798
    families = load_suite("paper").backbones.values()
    assert {name for family in families for name in (family.checkpoint, family.student)} == set(known_checkpoints())


def test_only_a_plan_takes_a_gpu_by_name(capsys):
    assert main(["--tasks", "rte", "--device", "h100"]) == 2
    assert capsys.readouterr().err == (
        "run_all.py: --device h100: only --plan takes a GPU by name; expected auto, cpu or cuda\n"
    )
