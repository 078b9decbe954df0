"""Names and files that mean harm: refused, or shown as the text that they are."""

from __future__ import annotations

import json
import shutil

import pytest

from methods import LEGAL_NAME
from run_all import main

NAMES = ["../../escape", "a/b", "<script>alert(1)</script>", "x" * 10_000, "", ".", "a b", "..", "\\", "\x1b[2J"]

METHOD = """
from methods.static import Static

class Hostile(Static):
    "Nobody, 2026."
    name = {name!r}
    recipe = "joint"
"""


@pytest.fixture
def run(tmp_path, capsys):
    """Run a command; gives the status and its one line on standard error."""

    def run(*arguments):
        status = main([*arguments, "--results", str(tmp_path / "r"), "--figures", str(tmp_path / "f")])
        lines = capsys.readouterr().err.splitlines()
        assert len(lines) == 1 and lines[0].isprintable() and len(lines[0]) < 1000
        assert not (tmp_path / "r").exists() and not (tmp_path / "f").exists()
        return status, lines[0]

    return run


@pytest.mark.parametrize("name", NAMES)
def test_names_of_tasks(run, name):
    status, line = run("--tasks", name)
    assert status == 2 and line.startswith("run_all.py: unknown task '")


@pytest.mark.parametrize("name", [*NAMES, "two--hyphens", "last-"])
def test_names_of_methods(run, tmp_path, name):
    (tmp_path / "hostile.py").write_text(METHOD.format(name=name))
    status, line = run("--methods", str(tmp_path / "hostile.py"))
    assert status == 2 and f"a method's name is {LEGAL_NAME}, got '" in line


@pytest.mark.parametrize("name", NAMES)
def test_names_of_backbones(run, tmp_path, tiny_suite, name):
    file = tmp_path / "embedded-hostile.toml"
    file.write_text(tiny_suite.read_text().replace("[backbones.bert]", f"[backbones.{json.dumps(name)}]"))
    status, line = run("--suite", str(file))
    assert status == 2 and "[backbones] names a family with letters, digits, '-' and '_', at most 40, got '" in line


@pytest.mark.parametrize("title", ["two\nlines", "x" * 10_000, "\x1b[31mred"])
def test_titles_of_suites(run, tmp_path, tiny_suite, title):
    file = tmp_path / "embedded-hostile.toml"
    file.write_text(tiny_suite.read_text().replace('"generated miniature tasks"', json.dumps(title)))
    status, line = run("--suite", str(file))
    assert status == 2 and "'title' must be one line of at most 200 characters, got '" in line


class Trap:
    """Writes a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


@pytest.mark.parametrize(
    ("bait", "line"),
    [
        ("pickle", "expected model.safetensors, found 'pytorch_model.bin', a pickle, which is never loaded"),
        ("code", "config.json asks for code of its own, which is never run"),
    ],
)
def test_checkpoints_that_bring_code(run, tmp_path, checkpoints, bait, line):
    import pickle

    folder, sprung = tmp_path / "checkpoint", tmp_path / "sprung"
    shutil.copytree(checkpoints["bert"], folder)
    if bait == "pickle":
        (folder / "model.safetensors").unlink()
        (folder / "pytorch_model.bin").write_bytes(pickle.dumps(Trap(sprung)))
    else:
        (folder / "evil.py").write_text(f"open({str(sprung)!r}, 'w')")
        config = json.loads((folder / "config.json").read_text())
        config["auto_map"] = {"AutoModel": "evil.Evil", "AutoConfig": "evil.Config"}
        (folder / "config.json").write_text(json.dumps(config))
    glue = tmp_path / "glue" / "RTE"
    glue.mkdir(parents=True)
    for split in ("train", "dev"):
        (glue / f"{split}.tsv").write_text("sentence1\tsentence2\tlabel\na\tb\tentailment\n")
    command = ["--suite", "glue-local", "--glue-dir", str(glue.parent), "--backbones", f"bert={folder}"]
    status, said = run(*command, "--tasks", "rte", "--methods", "static", "--seeds", "1")
    assert status == 2 and line in said
    assert not sprung.exists()
