"""What a user can cause is one line of at most 300 characters that names what is wrong; what is no fault is quiet."""

import errno
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from bench.errors import LONGEST_LINE, UserError, command, named, one_line, reason, shown
from bench.plan.methods import entries_of
from bench.plan.options import parse_pairs
from bench.sources.checkpoint_folder import check_folder
from bench.sources.tasks import TASKS
from bench.sources.tsv import TsvFolder, left_out
from bench.store.consistency import check_shared
from run_all import main

ROOT = Path(__file__).parents[1]
QQP = "id\tqid1\tqid2\tquestion1\tquestion2\tis_duplicate\n"


@pytest.fixture
def run(tmp_path, capsys):
    """Run a command; gives the status and its one line on standard error."""

    def run(*arguments):
        status = main([*arguments, "--results", str(tmp_path / "r"), "--figures", str(tmp_path / "f")])
        (line,) = capsys.readouterr().err.splitlines()
        assert line.isprintable() and len(line) <= LONGEST_LINE
        return status, line.removeprefix("run_all.py: ")

    return run


def write(file, text):
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(text.encode("utf8"))
    return file


# --- the shape of messages


def test_long_messages_lose_their_middle():
    text = "a" * 200 + "b" * 1000 + "c" * 100
    assert shown(text) == "a" * 196 + " .. " + "c" * 100 and len(shown(text)) == LONGEST_LINE
    assert shown("x" * LONGEST_LINE) == "x" * LONGEST_LINE


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (KeyError("nope"), "KeyError: 'nope'"),
        (RuntimeError(""), "RuntimeError"),
        (RuntimeError("first:\nsecond\nthird"), "first: second"),
        (ValueError("x" * 900), "x" * 200),
        (ImportError("needs y"), "ImportError: needs y"),
        (OSError(2, "No such file", "z"), "[Errno 2] No such file: 'z'"),
    ],
)
def test_reasons(error, line):
    assert reason(error) == line


def test_no_reason_is_empty():
    assert one_line(ValueError()) == named(ValueError("  ")) == "ValueError"


def test_an_error_that_names_no_file_says_what_is_meant(capsys):
    def act():
        raise OSError(errno.EROFS, "Read-only file system")

    assert command("x", act) == 2
    assert capsys.readouterr().err == (
        "x: Read-only file system: worker processes need shared memory, so /dev/shm must be writable\n"
    )


# --- streams


@pytest.mark.parametrize(
    "program",
    [["run_all.py", "--plan", "--tasks", "all", "--seeds", "9"], ["run_all.py", "--help"]],
)
def test_a_reader_that_goes_early_is_no_error(program):
    child = subprocess.Popen([sys.executable, *program], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    child.stdout.close()
    said = child.stderr.read().decode()
    assert child.wait(120) in (0, 141) and not said


def test_a_closed_output_is_no_error(tmp_path):
    line = f"exec {sys.executable} run_all.py --plan --tasks rte --results {tmp_path / 'r'} >&- 2>&-"
    assert subprocess.run(["bash", "-c", line], cwd=ROOT, timeout=120, check=False).returncode == 0


def test_programs_inside_end_quietly(capsys, monkeypatch):
    def close(*arguments):
        raise BrokenPipeError(errno.EPIPE, "Broken pipe")

    from bench.report import claims

    monkeypatch.setattr(claims, "print_claims", close)
    assert claims.main(["anything"]) == 141
    assert not capsys.readouterr().err


# --- files


def test_a_byte_order_mark_in_a_suite(tmp_path, tiny_suite, capsys):
    file = write(tmp_path / "embedded-marked.toml", "\ufeff" + tiny_suite.read_text())
    assert main(["--suite", str(file), "--tasks", "rte", "--plan", "--results", str(tmp_path / "r")]) == 0
    assert not capsys.readouterr().err


def test_lines_that_end_in_carriage_returns_alone(tmp_path):
    text = "index\tsentence1\tsentence2\tlabel\n0\tA dog.\tAn animal.\tentailment\n1\tNo.\tYes.\tnot_entailment\n"
    for name, ends in (("train", "\r"), ("dev", "\r\n")):
        write(tmp_path / "RTE" / f"{name}.tsv", text.replace("\n", ends))
    for split in ("train", "validation"):
        rows = TsvFolder(tmp_path).read(TASKS["rte"], split)
        assert (rows.text_a, rows.text_b, rows.labels.tolist()) == (["A dog.", "No."], ["An animal.", "Yes."], [0, 1])


def test_a_file_without_any_column_is_not_quoted_whole(tmp_path):
    write(tmp_path / "RTE" / "train.tsv", "word " * 100_000)
    with pytest.raises(UserError, match="no column 'sentence1'") as caught:
        TsvFolder(tmp_path).read(TASKS["rte"], "train")
    assert len(str(caught.value)) < LONGEST_LINE


def test_short_lines_of_qqp_are_left_out_and_counted(tmp_path):
    rows = ["1\t1\t2\tWhy?\tHow?\t0", "2\t3\t4\tWhat is", "5\tthis?", "3\t6\t7\tWho?\tWhom?\t1"]
    file = write(tmp_path / "QQP" / "train.tsv", QQP + "\n".join(rows) + "\n")
    found = TsvFolder(tmp_path).read(TASKS["qqp"], "train")
    assert (found.text_a, found.labels.tolist(), found.index.tolist()) == (["Why?", "Who?"], [0, 1], [0, 1])
    assert left_out() == [f"{file}: 2 lines with too few fields, as the published file has them, are left out"]

    write(file, QQP + "\n".join([*rows, "4\t1\t2\tWhy?\tHow?\t7"]) + "\n")
    with pytest.raises(UserError, match=r"train.tsv, line 6: .*'7'"):
        TsvFolder(tmp_path).read(TASKS["qqp"], "train")
    write(file, QQP + "\n".join([*rows, "4\t1\t2\tWhy?\tHow?\t0\t"]) + "\n")
    with pytest.raises(UserError, match="line 6: got 7, expected 6 tab-separated fields"):
        TsvFolder(tmp_path).read(TASKS["qqp"], "train")
    write(file, QQP + "\n".join([rows[0], rows[3]]) + "\n")
    TsvFolder(tmp_path).read(TASKS["qqp"], "train")
    assert left_out() == []


def test_all_bad_lines_in_one_message(tmp_path):
    file = write(tmp_path / "RTE" / "train.tsv", "sentence1\tsentence2\tlabel\na\tb\tentailment\na\tb\n\nc\n")
    with pytest.raises(UserError) as caught:
        TsvFolder(tmp_path).read(TASKS["rte"], "train")
    assert str(caught.value) == (
        f"{file}, line 3: got 2, expected 3 tab-separated fields (sentence1, sentence2, label); so have lines 4, 5 "
        "another number; mend or remove them"
    )


# --- paths


def test_a_comma_in_a_path(tmp_path):
    folder = tmp_path / "a,b" / "c,d"
    folder.mkdir(parents=True)
    assert parse_pairs("--backbones", f"bert={folder},roberta") == {"bert": str(folder), "roberta": ""}
    assert parse_pairs("--backbones", f"roberta,bert={folder}") == {"roberta": "", "bert": str(folder)}
    assert parse_pairs("--backbones", "bert=x,brt=y") == {"bert": "x", "brt": "y"}
    file = write(folder / "mine,2.py", "")
    assert entries_of(f"dact,{file},static") == ["dact", str(file), "static"]


def test_a_checkpoint_in_a_path_with_a_comma(tmp_path, tiny_suite, checkpoints, capsys):
    folder = shutil.copytree(checkpoints["bert"], tmp_path / "a,b" / "model")
    suite = write(tmp_path / "embedded-short.toml", tiny_suite.read_text().replace("= 48", "= 32"))
    asked = ["--suite", str(suite), "--backbones", f"bert={folder}", "--tasks", "rte", "--methods", "static"]
    assert main([*asked, "--seeds", "1", "--plan", "--results", str(tmp_path / "r")]) == 0
    assert "bert/rte static seed 0" in capsys.readouterr().out


def test_a_broken_link_is_named(checkpoints, tmp_path):
    folder = shutil.copytree(checkpoints["bert"], tmp_path / "model")
    (folder / "model.safetensors").unlink()
    os.symlink("../blobs/gone", folder / "model.safetensors")
    with pytest.raises(UserError) as caught:
        check_folder(folder)
    assert str(caught.value) == (
        f"checkpoint folder '{folder}': 'model.safetensors' is a broken link to '../blobs/gone': fetch or copy it again"
    )


# --- settings that differ


def test_a_changed_recipe_names_the_number_alone(tmp_path):
    one = {"stage1": {"epochs": 3, "clip": 1.0}, "joint": {"epochs": 5, "clip": 1.0}}
    with pytest.raises(UserError) as caught:
        check_shared(tmp_path, {"recipes": one}, {"recipes": {**one, "joint": {"epochs": 4, "clip": 1.0}}})
    assert f"'{tmp_path}' was made with recipes joint epochs = 5, not 4; name another folder" in str(caught.value)
    with pytest.raises(UserError, match=r"made with recipes joint warmup = none, not 0\.1"):
        check_shared(tmp_path, {"recipes": one}, {"recipes": {**one, "joint": {**one["joint"], "warmup": 0.1}}})
    with pytest.raises(UserError, match="made with recipes bert/dact epochs = none, not 2"):
        check_shared(tmp_path, {"recipes": one}, {"recipes": {**one, "bert/dact": {"epochs": 2}}})


def test_an_older_program_is_called_one(tmp_path):
    with pytest.raises(UserError) as caught:
        check_shared(tmp_path, {"engine": 1}, {"engine": 2})
    assert "was made by another version of the program (engine 1, this one has 2), whose numbers differ" in str(
        caught.value
    )
