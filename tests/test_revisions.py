"""Checkpoints from the hub: pinned once and used ever after; what is said when the hub has or gives nothing."""

import shutil

import pytest
from huggingface_hub import HfApi, errors

from bench import checkpoints
from bench.backbones import load_encoder, load_tokenizer
from bench.checkpoints import Checkpoint, resolve
from bench.errors import UserError
from bench.pins import read_pins, write_pins
from bench.store import RunFolder
from run_all import main

REPO, OLD, NEW = "some/tiny-bert", "a" * 40, "b" * 40


@pytest.fixture(autouse=True)
def no_memory():
    """What one test asked the hub is no answer for the next."""
    for function in (checkpoints.hub_commit, checkpoints.hub_folder):
        function.cache_clear()


@pytest.fixture
def cache(checkpoints, tmp_path, monkeypatch):
    """A cache of the hub that holds one repository at one commit, and no network."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    repo = tmp_path / "cache" / "models--some--tiny-bert"
    shutil.copytree(checkpoints["bert"], repo / "snapshots" / OLD)
    (repo / "refs").mkdir()
    (repo / "refs" / "main").write_text(OLD)
    return repo


def refused(action, *arguments):
    with pytest.raises(UserError) as caught:
        action(*arguments)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_prepared_checkpoint_needs_no_network(cache):
    checkpoint = resolve(REPO).pinned()
    assert checkpoint == Checkpoint(REPO, OLD)
    assert checkpoint.folder() == cache / "snapshots" / OLD
    assert load_encoder(checkpoint).num_layers == 4
    assert len(load_tokenizer(checkpoint)) == 35


def test_a_results_folder_keeps_to_its_revisions(cache, checkpoints, tmp_path):
    write_pins(tmp_path, {REPO: OLD})
    shutil.copytree(checkpoints["bert"], cache / "snapshots" / NEW)
    (cache / "refs" / "main").write_text(NEW)  # the hub has moved on
    assert resolve(REPO).pinned().revision == NEW
    assert resolve(REPO, read_pins(tmp_path)).pinned().revision == OLD
    assert resolve(f"{REPO}@{NEW}", read_pins(tmp_path)).revision == NEW  # asked for by name
    write_pins(tmp_path, {"datasets/nyu-mll/glue": NEW})
    assert read_pins(tmp_path) == {REPO: OLD, "datasets/nyu-mll/glue": NEW}


def test_mixed_revisions_are_refused(tmp_path):
    folder = RunFolder(tmp_path)
    shared = {"checkpoints": {"bert": OLD}, "data": {}, "unlabelled": {}, "commands": {}}
    folder.share(shared, {})
    line = refused(folder.share, {**shared, "checkpoints": {"bert": NEW}}, {})
    assert f"was made with other checkpoints for 'bert' ({OLD[:12]}.., not {NEW[:12]}..)" in line


def test_prepare_pins(cache, tiny_suite, tmp_path, capsys):
    suite = tmp_path / "embedded-hub.toml"
    suite.write_text(tiny_suite.read_text().replace('"bert-nano"', f'"{REPO}"'))
    command = ["--suite", str(suite), "--tasks", "rte", "--results", str(tmp_path / "run")]
    assert main([*command, "--prepare"]) == 0
    assert read_pins(tmp_path / "run") == {REPO: OLD}
    assert f"pinned {REPO} at {OLD}" in capsys.readouterr().out


def test_broken_pins(tmp_path):
    (tmp_path / "revisions.json").write_text("{")
    assert "remove it to take the newest revisions" in refused(read_pins, tmp_path)


# --- what the hub does not give


def answering(kind, monkeypatch):
    """Let the hub answer with an error."""
    error = kind.__new__(kind)
    error.args = ("the hub's own words",)

    def model_info(*arguments, **options):
        raise error

    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr(HfApi, "model_info", model_info)


WAYS = (
    "--prepare on a machine with network fills the cache, "
    "or name a folder with --backbones FAMILY=DIR (students: --students FAMILY=DIR)"
)


@pytest.mark.parametrize(
    ("kind", "line"),
    [
        (
            ConnectionError,
            "checkpoint 'some/model' is neither a local folder nor to be had from the hub or its cache "
            f"(the hub's own words): {WAYS}",
        ),
        (
            errors.RepositoryNotFoundError,
            "checkpoint 'some/model' is neither a local folder nor to be had from the hub or its cache "
            f"(the hub knows no such repository, or it is private): {WAYS}",
        ),
        (
            errors.GatedRepoError,
            "checkpoint 'some/model' is gated: accept its terms on the hub and log in, "
            "or name a folder with --backbones FAMILY=DIR (students: --students FAMILY=DIR)",
        ),
        (errors.RevisionNotFoundError, "checkpoint 'some/model' has no revision 'v2' on the hub"),
    ],
)
def test_the_hub_gives_nothing(kind, line, monkeypatch, tmp_path):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    answering(kind, monkeypatch)
    assert refused(resolve("some/model@v2").pinned) == line


def test_a_hub_out_of_reach_leaves_the_cache(cache, monkeypatch):
    answering(ConnectionError, monkeypatch)
    assert resolve(REPO).pinned().revision == OLD


def test_a_commit_that_is_not_in_the_cache(cache):
    line = refused(Checkpoint(REPO, NEW).folder)
    assert line.startswith(f"checkpoint '{REPO}' is neither a local folder nor to be had from the hub or its cache (")
    assert line.endswith(WAYS)
