"""Checkpoints from the hub: pinned once and used ever after; what is said when the hub has or gives nothing."""

import json
import shutil

import pytest
from fake_hub import FakeHub

from bench.errors import UserError
from bench.models.loading import load_config, load_encoder, load_tokenizer
from bench.sources.checkpoints import Checkpoint, find_checkpoint, lost_segments
from bench.sources.hub_checkpoints import hub_config, hub_file, hub_folder
from bench.store.folder import RunFolder
from bench.store.revisions import read_pins, write_pins
from run_all import main

REPO, OLD, NEW = "some/tiny-bert", "a" * 40, "b" * 40


def forget():
    """What was asked of the hub is no answer for the next command, which is another process."""
    for known in (hub_config, hub_file, hub_folder):
        known.cache_clear()


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache of the hub."""
    forget()
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "models--some--tiny-bert"


@pytest.fixture
def hub(cache, checkpoints, monkeypatch):
    """A hub with one repository at one commit, and an empty cache."""
    hub = FakeHub()
    hub.add(REPO, OLD, checkpoints["bert"], "main", "v1")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", hub.address)
    template = hub.address + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr("huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE", template)
    yield hub
    hub.close()


@pytest.fixture
def unplug(monkeypatch):
    """`unplug()`: from now on there is no network, and it is another process."""

    def unplug():
        forget()
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)

    return unplug


@pytest.fixture
def suite(tiny_suite, tmp_path):
    """A suite whose backbone is on the hub."""
    suite = tmp_path / "embedded-hub.toml"
    text = tiny_suite.read_text().replace('"bert-nano"', f'"{REPO}"')
    suite.write_text(text.replace("= 48", "= 32"))  # the tiny checkpoint has 40 positions
    return ["--suite", str(suite), "--tasks", "rte"]


def refused(action, *arguments):
    with pytest.raises(UserError) as caught:
        action(*arguments)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("name", [REPO, f"{REPO}@v1"])
def test_what_was_fetched_needs_no_network(name, hub, cache, unplug):
    fetched = find_checkpoint(name).pinned()
    assert fetched == Checkpoint(REPO, OLD) and fetched.folder() == cache / "snapshots" / OLD
    unplug()
    checkpoint = find_checkpoint(name).pinned()
    assert checkpoint == fetched
    assert load_encoder(checkpoint).num_layers == 4
    assert len(load_tokenizer(checkpoint)) == 35


def test_a_config_needs_no_weights(hub, cache):
    assert load_config(find_checkpoint(REPO)).num_hidden_layers == 4
    assert [path.name for path in (cache / "snapshots" / OLD).iterdir()] == ["config.json"]


def test_segments_that_are_mended_are_known_before_the_weights_are_here(hub, cache, checkpoints, tmp_path):
    assert not lost_segments(find_checkpoint(REPO).pinned())
    folder = shutil.copytree(checkpoints["bert"], tmp_path / "backend")
    about = json.loads((folder / "tokenizer_config.json").read_text())
    about = {**about, "tokenizer_class": "TokenizersBackend"}
    about.pop("model_input_names", None)
    (folder / "tokenizer_config.json").write_text(json.dumps(about))
    hub.add(REPO, NEW, folder, "main")
    forget()
    assert lost_segments(find_checkpoint(REPO).pinned())
    assert not list(cache.glob("snapshots/*/*.safetensors"))


def test_a_results_folder_keeps_to_its_revisions(hub, checkpoints, tmp_path):
    write_pins(tmp_path, {REPO: OLD, f"{REPO}@v1": OLD})
    hub.add(REPO, NEW, checkpoints["bert"], "main", "v1")  # the hub moves on
    pins = read_pins(tmp_path)
    assert [find_checkpoint(name).pinned().revision for name in (REPO, f"{REPO}@v1")] == [NEW, NEW]
    assert [find_checkpoint(name, pins).pinned().revision for name in (REPO, f"{REPO}@v1")] == [OLD, OLD]
    assert find_checkpoint(f"{REPO}@{NEW}", pins).revision == NEW  # asked for by name
    write_pins(tmp_path, {"datasets/nyu-mll/glue": NEW})
    assert read_pins(tmp_path) == {**pins, "datasets/nyu-mll/glue": NEW}


def test_mixed_revisions_are_refused(tmp_path):
    folder = RunFolder(tmp_path)
    shared = {"checkpoints": {"bert": OLD}, "data": {}, "unlabelled": {}, "commands": {}}
    folder.share(shared, {})
    line = refused(folder.share, {**shared, "checkpoints": {"bert": NEW}}, {})
    assert f"was made with other checkpoints for 'bert' ({OLD[:12]}.., not {NEW[:12]}..)" in line


def test_prepare_pins(hub, suite, tmp_path, capsys):
    assert main([*suite, "--results", str(tmp_path / "run"), "--prepare"]) == 0
    assert read_pins(tmp_path / "run") == {REPO: OLD}
    first, second, *_, last = capsys.readouterr().out.splitlines()
    assert first == f"to fetch, checkpoints: {REPO} (size unknown)"
    assert second == "about 0 MB to download, 0 MB on disk, and what is of unknown size"
    assert last == f"pinned {REPO} at {OLD}"


def test_after_prepare_any_results_folder_needs_no_network(hub, suite, unplug, tmp_path, capsys):
    assert main([*suite, "--results", str(tmp_path / "run"), "--prepare"]) == 0
    unplug()
    for name in ("run", "another"):
        assert main([*suite, "--results", str(tmp_path / name), "--methods", "static", "--seeds", "1", "--plan"]) == 0
    assert capsys.readouterr().out.count("1 cells, 1 to run") == 2


def test_a_named_revision_is_pinned_under_its_name(hub, suite, checkpoints, tmp_path):
    command = [*suite, "--backbones", f"bert={REPO}@v1", "--results", str(tmp_path / "run"), "--prepare"]
    assert main(command) == 0
    hub.add(REPO, NEW, checkpoints["bert"], "v1")
    forget()
    assert main(command) == 0
    assert read_pins(tmp_path / "run") == {f"{REPO}@v1": OLD}


def test_prepare_does_not_move_a_folder_that_was_begun(hub, suite, checkpoints, tmp_path, capsys):
    hub.add(REPO, NEW, checkpoints["bert"])
    folder = RunFolder(tmp_path / "run")
    folder.path.mkdir()
    folder.share({"checkpoints": {"bert": OLD}, "data": {}, "unlabelled": {}, "commands": {}}, {})
    command = [*suite, "--results", str(folder.path), "--prepare"]
    assert main([*command, "--backbones", f"bert={REPO}@{NEW}"]) == 2
    assert "was made with other checkpoints for 'bert'" in capsys.readouterr().err
    assert read_pins(folder.path) == {}
    assert main(command) == 0


def test_broken_pins(tmp_path):
    (tmp_path / "revisions.json").write_text("{")
    assert "remove it to take the newest revisions" in refused(read_pins, tmp_path)


# --- what the hub does not give


WAYS = (
    "--prepare on a machine with network fills the cache, "
    "or name a folder with --backbones FAMILY=DIR (students: --students FAMILY=DIR)"
)
NOWHERE = "checkpoint '{}' is neither a local folder nor to be had from the hub or its cache ({}): " + WAYS


def test_what_the_hub_does_not_have(hub, tmp_path):
    unknown = "the hub knows no such repository, or it is private"
    assert refused(find_checkpoint("some/model").pinned) == NOWHERE.format("some/model", unknown)
    assert refused(find_checkpoint(f"{REPO}@v2").pinned) == f"checkpoint '{REPO}' has no revision 'v2' on the hub"
    assert refused(Checkpoint(REPO, NEW).folder) == f"checkpoint '{REPO}' has no revision '{NEW}' on the hub"
    (tmp_path / "empty").mkdir()
    hub.add("some/data", NEW, tmp_path / "empty", "main")
    assert "'some/data' has no config.json on the hub" in refused(find_checkpoint("some/data").pinned)


def test_a_repository_of_pickles_alone(hub, checkpoints, tmp_path):
    shutil.copytree(checkpoints["bert"], tmp_path / "old")
    (tmp_path / "old" / "model.safetensors").rename(tmp_path / "old" / "pytorch_model.bin")
    hub.add("some/old", NEW, tmp_path / "old", "main")
    hub.add("some/old", OLD, checkpoints["bert"], "refs/pr/1")
    line = refused(find_checkpoint("some/old").folder)
    assert f"checkpoint 'some/old' has no weights in safetensors at {NEW[:12]} (found: pytorch_model.bin): name" in line
    assert load_encoder(find_checkpoint("some/old@refs/pr/1")).num_layers == 4


@pytest.mark.parametrize("option", ["--plan", "--prepare"])
def test_a_gated_repository(option, hub, suite, tmp_path, capsys):
    hub.gated.add(REPO)
    assert main([*suite, "--results", str(tmp_path / "run"), option]) == 2
    assert capsys.readouterr().err.splitlines() == [
        f"run_all.py: checkpoint '{REPO}' is gated: accept its terms on the hub and log in, "
        "or name a folder with --backbones FAMILY=DIR (students: --students FAMILY=DIR)"
    ]


def test_a_gated_file(hub):
    checkpoint = find_checkpoint(REPO).pinned()
    hub.gated.add(REPO)
    assert "is gated: accept its terms" in refused(checkpoint.folder)


def test_a_hub_out_of_reach_leaves_the_cache(hub):
    find_checkpoint(REPO).folder()
    hub.close()
    forget()
    assert find_checkpoint(REPO).pinned() == Checkpoint(REPO, OLD)
    line = refused(find_checkpoint("some/model").pinned)
    assert line.startswith(NOWHERE.format("some/model", "*").split("*")[0]) and line.endswith(WAYS)


@pytest.mark.parametrize("options", [["--plan"], ["--prepare"], []])
def test_pins_and_an_empty_cache_say_what_to_do(options, cache, unplug, suite, tmp_path, capsys):
    unplug()
    (tmp_path / "run").mkdir()
    write_pins(tmp_path / "run", {REPO: OLD})
    assert main([*suite, "--results", str(tmp_path / "run"), *options]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert f"checkpoint '{REPO}' is neither a local folder nor to be had" in line and line.endswith(WAYS)


def test_a_part_of_a_repository_in_the_cache(hub, unplug):
    load_config(find_checkpoint(REPO))  # as --plan does; its weights were never fetched
    unplug()
    line = refused(find_checkpoint(REPO).folder)
    assert line.startswith(NOWHERE.format(REPO, "*").split("*")[0]) and line.endswith(WAYS)


def test_a_pinned_commit_in_the_cache_is_not_asked_for(hub, cache, monkeypatch):
    checkpoint = find_checkpoint(REPO).pinned()
    forget()

    def never(*arguments, **options):
        raise AssertionError("the hub was asked")

    monkeypatch.setattr("huggingface_hub.HfApi.model_info", never)
    monkeypatch.setattr("huggingface_hub.hf_hub_download", never)
    assert checkpoint.config_folder() == cache / "snapshots" / OLD


def test_a_proxy_that_refuses_leaves_the_cache(hub, monkeypatch):
    find_checkpoint(REPO).folder()
    forget()

    def refuse(*arguments, **options):
        raise OSError("403 Forbidden")  # the client lets such errors through

    monkeypatch.setattr("huggingface_hub.HfApi.model_info", refuse)
    assert find_checkpoint(REPO).pinned() == Checkpoint(REPO, OLD)
    forget()
    line = refused(find_checkpoint("some/model").pinned)
    assert "(403 Forbidden)" in line and line.endswith(WAYS)


def test_a_commit_that_is_not_in_the_cache(hub, unplug):
    find_checkpoint(REPO).folder()
    unplug()
    line = refused(Checkpoint(REPO, NEW).folder)
    assert line.startswith(NOWHERE.format(REPO, "*").split("*")[0]) and line.endswith(WAYS)
