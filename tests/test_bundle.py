"""Bundles: what is exported is read back as it was, or rounded by what is stated; damage of any kind is one line."""

from __future__ import annotations

import json
import shutil
from dataclasses import fields, replace
from pathlib import Path

import datasets
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from invented import OUTSIDE, make_folder

from bench import load_results
from bench.halting.rounding import Changes, changes
from bench.report.claims import main as claims
from bench.report.figures.__main__ import main as redraw
from bench.report.uptodate import inputs_of, stamp
from bench.store.bundle import Bundle
from bench.store.csv_files import read_table
from bench.store.files import sealed, unsealed
from bench.store.packed import NAMES, PRECISIONS, packed, round_to, rounded, unpacked
from bench.store.trace import Trace
from bench.tables.collect import collect, methods_of
from methods import discover
from run_all import main

METHODS = ("static", "dact", "deebert", "pabee")


def make_tables(folder):
    """Tables without figures, which take longer."""
    collect(folder, methods_of(folder))
    stamp(folder, folder.path / "figures", None, inputs_of(folder), [])


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The folder of a finished run with its tables: two classes, and three classes on two splits."""
    folder = make_folder(tmp_path_factory.mktemp("run") / "results", ("rte", "mnli"), METHODS)
    make_tables(folder)
    return folder


@pytest.fixture(scope="module")
def bundles(finished):
    """A bundle of that run by precision."""
    found = {name: finished.path.parent / name for name in PRECISIONS}
    for name, path in found.items():
        assert main(["--export", str(path), "--logits", name, "--results", str(finished.path)]) == 0
    return found


@pytest.fixture
def copied(bundles, tmp_path):
    """A copy of a bundle to damage."""
    return Path(shutil.copytree(bundles["float16"], tmp_path / "copy"))


def same(a, b):
    for field in fields(Trace):
        x, y = getattr(a, field.name), getattr(b, field.name)
        assert (x is None) == (y is None), field.name
        if x is not None:
            assert x.dtype == y.dtype, field.name
            np.testing.assert_array_equal(x, y, field.name)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_every_trace_comes_back_as_it_was_rounded(finished, bundles, precision):
    bundle, count = Bundle(bundles[precision].resolve()), 0
    for record in finished.records():
        for split in record["traces"]:
            trace = finished.trace(record["key"], split)
            same(bundle.trace(record["key"], split), rounded(trace, precision))
            if precision == "float32":
                same(bundle.trace(record["key"], split), trace)
            count += 1
    assert count == 8 * 2 * 3  # models, five of them DACT's, seeds, splits
    assert {record["key"] for record in bundle.records()} == finished.recorded()


@pytest.mark.parametrize("precision", PRECISIONS)
def test_the_tables_of_a_bundle_are_those_of_the_run(finished, bundles, precision):
    ours, theirs = load_results(finished.path), load_results(bundles[precision])
    assert ours.tables.keys() == theirs.tables.keys() and ours.run == theirs.run
    for name, table in ours.tables.items():
        if len(table):
            pd.testing.assert_frame_equal(table, theirs.tables[name], check_exact=True)
    cell = ours.tables["points"]["cell"][0]
    assert ours.traces(cell).keys() == theirs.traces(cell).keys()


def test_claims_and_figures_are_made_from_a_bundle_as_from_its_folder(finished, bundles, tmp_path, capsys):
    said, drawn = [], []
    for source in (finished.path, bundles["float32"]):
        assert redraw([str(source), str(tmp_path / source.name), "--panels", "rte", "--width", "column"]) == 0
        drawn.append(sorted(path.name for path in (tmp_path / source.name).iterdir()))
        capsys.readouterr()
        assert claims([str(source)]) == 0
        said.append(capsys.readouterr().out)
    assert said[0] == said[1] and drawn[0] == drawn[1]


def test_half_a_float_is_eleven_bits_and_bfloat16_eight():
    exact = 1 + np.array([2**-10, 2**-7, 2**-8, 3 * 2**-8])
    assert round_to(exact, "float16").tolist() == exact.tolist()
    assert round_to(exact, "bfloat16").tolist() == [1.0, 1 + 2**-7, 1 + 2**-7, 1 + 2**-6]  # halves go up
    for precision in ("float16", "bfloat16"):
        largest = round_to(np.array([1e9, -1e9, np.nan]), precision)
        assert np.isfinite(largest[:2]).all() and largest[0] > 6e4 and largest[1] < -6e4 and np.isnan(largest[2])


@given(
    st.integers(1, 4),
    st.booleans(),
    st.sampled_from(sorted(PRECISIONS)),
    st.integers(0, 10**6),
)
def test_any_trace_survives_packing(num_labels, halts, precision, seed):
    rng = np.random.default_rng(seed)
    n, layers = int(rng.integers(1, 6)), int(rng.integers(1, 5))
    logits = rng.normal(size=(n, layers, num_labels)).astype(np.float32) * 10 ** rng.uniform(-3, 3)
    logits[:, : layers // 2] = np.nan  # layers without an exit
    labels = rng.integers(0, num_labels, n) if num_labels > 1 else rng.normal(size=n).astype(np.float32)
    trace = Trace(logits.astype(np.float32), labels, np.arange(n), np.arange(n) + 3)
    if halts:
        probe = rng.integers(0, 2, (n, layers)).astype(np.int8)
        trace = replace(trace, halting=rng.random((n, layers)).astype(np.float32), probe=probe, ramp=logits[:, -1])
    names = dict.fromkeys(NAMES, "x") | {"seed": 0}
    same(unpacked(packed(names, trace, precision), num_labels), rounded(trace, precision))


def test_what_is_left_of_two_classes_is_their_difference():
    trace = Trace(np.float32([[[1.5, 0.25]]]), np.array([0]), np.array([0]), np.array([3]))
    assert rounded(trace, "float16").logits.tolist() == [[[1.25, 0.0]]]
    names = dict.fromkeys(NAMES, "x") | {"seed": 0}
    assert packed(names, trace, "float16")["logits"].to_pylist() == [[[1.25]]]
    assert packed(names, trace, "float32")["logits"].to_pylist() == [[[1.5, 0.25]]]


def test_changes_are_counted():
    """Two examples, two layers: a setting between the entropies of the second before and after rounding."""
    method = discover()["deebert"]
    record = {"spec": {"task": "rte", "variant": ""}, "panel_layers": 2}
    d = 0.9150
    logits = np.float32([[[9, 0], [9, 0]], [[d, 0], [9, 0]]])
    trace = Trace(logits, np.array([0, 1]), np.arange(2), np.full(2, 3))
    found = changes(method, record, trace, "float32")
    assert found == Changes(decisions=2 * 15)
    both = Changes(10, 1, 0, 0.5, 0.0) | Changes(20, 2, 1, 0.25, 0.125)
    assert both == Changes(30, 3, 1, 0.5, 0.125)
    assert "3 (10.000 %) halt at another layer and 1 (3.333 %) are answered otherwise" in both.words()

    def entropy(difference):
        p = 1 / (1 + np.exp(-float(difference)))
        return -p * np.log(p) - (1 - p) * np.log(1 - p)

    class Near(type(method)):
        def knob(self, spec):  # a setting between the entropies before and after rounding
            return replace(super().knob(spec), values=((entropy(np.float32(d)) + entropy(np.float16(d))) / 2,))

    assert changes(Near(), record, trace, "float16") == Changes(2, 1, 0, 0.25, 0.0)


def test_the_library_loads_every_table_without_a_network(bundles, monkeypatch, tmp_path):
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    where, cache = str(bundles["float16"]), str(tmp_path)
    points = datasets.load_dataset(where, cache_dir=cache)["run"]
    expected = read_table(bundles["float16"] / "points.csv")
    assert points["value"][:] == expected["value"].tolist()
    for name in datasets.get_dataset_config_names(where):
        assert len(datasets.load_dataset(where, name, cache_dir=cache)["run"]) > 0
    rows = datasets.load_dataset(where, "traces", cache_dir=cache)["run"]
    assert rows.features["logits"] == datasets.List(datasets.List(datasets.Value("float16")))


def damage(name, change):
    def act(path):
        file = path / name
        file.write_bytes(change(file.read_bytes()))

    return act


def reseal(**entries):
    """bundle.json with other entries and a seal that fits, as another version of the program would write it."""

    def act(path):
        about = unsealed((path / "bundle.json").read_bytes())
        (path / "bundle.json").write_text(sealed({k: v for k, v in (about | entries).items() if k != "checksum"}))

    return act


TRACES = "traces/bert-rte-validation.parquet"


@pytest.mark.parametrize(
    ("act", "line"),
    [
        (lambda path: (path / "bundle.json").unlink(), "'{path}' is no bundle: expected bundle.json in it, as "),
        (damage("bundle.json", lambda data: data[:-200]), "bundle.json is not as it was written (cut or edited)"),
        (damage("bundle.json", lambda data: data.replace(b"float16", b"float32")), "bundle.json is not as it was"),
        (damage(TRACES, lambda data: data[:-9]), f"{TRACES} is not as it was written (cut or edited)"),
        (damage("run.json", lambda data: data.replace(b"invented", b"real")), "run.json is not as it was written"),
        (lambda path: (path / "tables" / "auc.parquet").unlink(), "tables/auc.parquet is missing"),
        (lambda path: shutil.copy(path / TRACES, path / "traces" / "more.parquet"), "traces/more.parquet does not "),
        (
            reseal(format=2, program="9.0"),
            "of format 2, made by version 9.0 of the program; this one reads format 1",
        ),
        (reseal(logits="float8"), "logits are float8, expected one of float32, float16, bfloat16"),
        (reseal(schema={"cells.parquet": {"key": "string"}}), "the columns of cells.parquet are not those that "),
    ],
)
def test_what_is_wrong_with_a_bundle_is_one_line(copied, capsys, act, line):
    act(copied)
    capsys.readouterr()
    assert main(["--check-bundle", str(copied)]) == 2
    said = capsys.readouterr().err.strip().splitlines()
    assert len(said) == 1 and line.replace("{path}", str(copied)) in said[0], said


def test_cells_of_another_run_are_refused(finished, tmp_path, capsys):
    """A bundle whose checksums fit, with a record of other data in it."""
    from bench.store.bundle_writing import write_bundle

    record = finished.records()[0]
    record = {**record, "spec": {**record["spec"], "data": "e" * 64}}
    (tmp_path / "b").mkdir()
    about = {"program": "0", "engine": 1, "suite": "embedded-x", "logits": "float32", "changed": "nothing"}
    write_bundle(tmp_path / "b", finished, [record], {}, about, "", {record["spec"]["task"]: 2})
    assert main(["--check-bundle", str(tmp_path / "b")]) == 2
    assert "holds 1 cell of another run" in capsys.readouterr().err


def test_a_whole_bundle_is_said_to_be(bundles, capsys):
    assert main(["--check-bundle", str(bundles["float16"])]) == 0
    said = capsys.readouterr().out
    assert "is whole: suite 'embedded-x', engine 1, logits as float16" in said and "halt at another layer" in said


def test_what_cannot_be_exported(finished, bundles, tmp_path, capsys):
    results = ["--results", str(finished.path)]
    cases = [
        (["--export", str(bundles["float16"]), *results], "is there already: name a new folder"),
        (["--export", str(tmp_path / "x"), "--results", str(tmp_path)], "holds no run: run.json is missing"),
        (["--export", str(tmp_path / "x"), "--logits", "float61", *results], "did you mean 'float16'?"),
    ]
    older = make_folder(tmp_path / "older", ("rte",), METHODS, seeds=(0,))
    cases.append((["--export", str(tmp_path / "x"), "--results", str(older.path)], "are not up to date"))
    for arguments, line in cases:
        assert main(arguments) == 2
        said = capsys.readouterr().err.strip().splitlines()
        assert len(said) == 1 and line in said[0]
        assert not (tmp_path / "x").exists()


def test_an_export_that_fails_leaves_nothing(finished, tmp_path, monkeypatch):
    def fail(*arguments):
        raise OSError(28, "No space left on device", str(tmp_path))

    monkeypatch.setattr("bench.report.export.write_bundle", fail)
    assert main(["--export", str(tmp_path / "b"), "--results", str(finished.path)]) == 2
    assert list(tmp_path.iterdir()) == []


def test_an_environment_that_cannot_be_read_is_left_out(finished, tmp_path):
    copy = Path(shutil.copytree(finished.path, tmp_path / "results"))
    shutil.rmtree(copy / "environments", ignore_errors=True)
    assert main(["--export", str(tmp_path / "bundle"), "--results", str(copy)]) == 0
    assert Bundle(tmp_path / "bundle").environments() == []


def test_methods_from_outside_travel_as_files_to_read(tmp_path):
    folder = make_folder(tmp_path / "r", ("rte",), ("static", "deebert"), seeds=(0,))
    shared = json.loads((folder.path / "run.json").read_text())
    shared["methods"]["margin"] = str(OUTSIDE)
    (folder.path / "run.json").write_text(json.dumps(shared))
    make_tables(folder)
    assert main(["--export", str(tmp_path / "b"), "--results", str(folder.path)]) == 0
    bundle = Bundle((tmp_path / "b").resolve())
    assert bundle.shared()["methods"]["margin"] == "methods/margin.py"
    assert (bundle.path / "methods" / "margin.py").read_bytes() == OUTSIDE.read_bytes()
