"""Tables of an invented run, of plausible shape: what figures and the report are tested on."""

import json

import numpy as np
import pandas as pd

from bench.statistics.curves import mean_curve
from bench.store.files import sealed
from bench.tables.health import HEALTH
from bench.tables.registry import TABLES
from bench.tables.undecidable import UNDECIDED

L, N = 12, 200
TASKS = ["sst2", "mrpc", "qnli", "rte", "qqp", "mnli"]
KNOBS = {
    "static": ("", [np.nan]),
    "distilbert": ("", [np.nan]),
    "dact": ("eps", [0.0]),
    "dact-exact": ("eps", [0.0]),
    "deebert": ("entropy", [round(0.05 * i, 2) for i in range(15)]),
    "pabee": ("patience", list(range(1, L + 1))),
    "truncated": ("layer", list(range(1, L + 1))),
}
TAUS = [5e-5, 5e-4, 5e-3, 5e-2, 5e-1]
KEYS = ["suite", "task", "split", "backbone", "method", "variant", "knob", "knob_value"]


def exit_layers(method, tau, value, hardness, rng):
    """The layer [N] at which each example leaves, given how hard it is."""
    if method in ("static", "distilbert"):
        return np.full(N, L if method == "static" else L // 2)
    if method == "truncated":
        return np.full(N, int(value))
    if method == "pabee":
        return np.minimum(np.maximum(value + 1, np.round(value + 6 * hardness)), L).astype(int)
    if method == "deebert":
        return np.clip(np.round(L * (1.25 - 1.6 * value) * hardness**0.6), 1, L).astype(int)
    mean = {5e-5: 11, 5e-4: 10.6, 5e-3: 7.5, 5e-2: 4.5, 5e-1: 2.2}[tau] + rng.normal(0, 0.4)
    return np.clip(np.round(mean + 3 * (hardness - 0.5)), 1, L).astype(int)


def make_tables(folder, *, suite="embedded", backbones=("bert", "roberta"), tasks=TASKS, methods=tuple(KNOBS), seeds=3):
    """Write every table that figures read."""
    points, exits, difficulty = [], [], []
    for backbone in backbones:
        for i, task in enumerate(tasks):
            for split in ["validation_matched", "validation_mismatched"] if task == "mnli" else ["validation"]:
                for seed in range(seeds):
                    rng = np.random.default_rng([i, seed, len(backbone)])
                    hardness, top = np.sort(rng.random(N)), 0.86 + 0.1 * rng.random()
                    for method in methods:
                        knob, values = KNOBS[method]
                        for tau in TAUS if method.startswith("dact") else [None]:
                            for value in values:
                                key = [suite, task, split, backbone, method, "" if tau is None else f"tau={tau:g}"]
                                key = dict(zip(KEYS, [*key, knob, value], strict=True), seed=seed)
                                layers = exit_layers(method, tau, value, hardness, rng)
                                speed = {"pabee": 2.5, "deebert": 3, "truncated": 2}.get(method, 4)
                                y = 0.5 + (top - 0.5) * np.mean(1 - np.exp(-speed * layers / L)) + rng.normal(0, 0.004)
                                metric = "f1" if task in ("mrpc", "qqp") else "accuracy"
                                points.append(
                                    key | {"layer_fraction": layers.mean() / L, "metric": metric, "value": y, "n": N}
                                )
                                if suite == "embedded":
                                    steps = np.floor(4 * hardness).astype(int)
                                    means = pd.Series(layers).groupby(steps).mean()
                                    difficulty += [
                                        key | {"difficulty": d, "n": N // 4, "mean_exit_layer": m}
                                        for d, m in means.items()
                                    ]
                                for layer in range(1, L + 1):
                                    counts = {
                                        "exit_count": (layers == layer).sum(),
                                        "used_count": (layers >= layer).sum(),
                                    }
                                    exits.append(key | {"layer": layer} | counts)
    points = pd.DataFrame(points)
    knobs = points.groupby(KEYS, dropna=False, sort=False).agg(
        layer_fraction=("layer_fraction", "mean"), value=("value", "mean"), seeds=("seed", "count")
    )
    folder.mkdir(parents=True, exist_ok=True)
    points.to_csv(folder / "points.csv", index=False)
    pd.DataFrame(exits).to_csv(folder / "exits.csv", index=False)
    knobs.reset_index().to_csv(folder / "knobs.csv", index=False)
    pd.DataFrame(columns=HEALTH).to_csv(folder / "health.csv", index=False)
    make_matched(points, pd.DataFrame(exits)).to_csv(folder / "matched.csv", index=False)
    make_curves(points).to_csv(folder / "curves.csv", index=False)
    make_areas(points).to_csv(folder / "auc.csv", index=False)
    make_references(points).to_csv(folder / "references.csv", index=False)
    difficulty = pd.DataFrame(difficulty, columns=[*KEYS, "seed", "difficulty", "n", "mean_exit_layer"])
    difficulty.to_csv(folder / "difficulty.csv", index=False)
    chosen = difficulty[~difficulty["method"].isin(["static", "distilbert", "truncated"])]
    ranks = chosen[KEYS].drop_duplicates().assign(spearman=0.25, seeds=seeds)
    ranks.to_csv(folder / "difficulty_rank.csv", index=False)
    make_layers(points).to_csv(folder / "layers.csv", index=False)
    make_risk(points).to_csv(folder / "risk.csv", index=False)
    make_reliability(points).to_csv(folder / "reliability.csv", index=False)
    make_calibration(points).to_csv(folder / "calibration.csv", index=False)
    make_depth(points).to_csv(folder / "depth.csv", index=False)
    make_headline(points).to_csv(folder / "headline.csv", index=False)
    make_undecidable(points).to_csv(folder / "undecidable.csv", index=False)
    make_bounds(points).to_csv(folder / "bounds.csv", index=False)
    make_latency(points).to_csv(folder / "latency.csv", index=False)
    return folder


def make_matched(points, exits):
    """matched.csv from the settings of the grid: at DACT's costs, or without DACT at three shares of the layers."""
    offered = points.dropna(subset="knob_value")
    parts = []
    for _, panel in offered.groupby(["task", "split", "backbone", "seed"], sort=False):
        dact = panel[panel["method"] == "dact"].set_index("variant")["layer_fraction"]
        for at, cost in (dact.to_dict() or {"x=0.25": 0.25, "x=0.5": 0.5, "x=0.75": 0.75}).items():
            for method, rows in panel.groupby("method", sort=False):
                rows = rows[rows["variant"] == at] if method == "dact" else rows
                near = rows.iloc[[(rows["layer_fraction"] - cost).abs().argmin()]].assign(at=at, cost=cost)
                parts.append(near[(near["layer_fraction"] - cost).abs() <= 1 / L])
    columns = [*KEYS, "seed", "at", "cost", "layer_fraction", "n"]
    chosen = pd.concat(parts)[columns] if parts else pd.DataFrame(columns=columns)
    return (
        chosen.merge(exits.drop(columns="exit_count"), on=[*KEYS, "seed"])
        if parts
        else chosen.assign(layer=[], used_count=[])
    )


def make_areas(points):
    """auc.csv with both intervals and the mean over tasks; one method has no shared range."""
    rows = points.groupby(["suite", "task", "split", "backbone", "method", "metric"], as_index=False, sort=False)
    areas = rows.agg(auc_budget=("value", "mean"), seeds=("seed", "nunique"))
    mean = areas.groupby(["suite", "backbone", "method"], as_index=False, sort=False)[["auc_budget", "seeds"]].mean()
    areas = pd.concat([areas, mean.assign(task="mean")])
    areas["auc_common"] = areas["auc_budget"].where(areas["method"] != "static")
    for area in ("auc_common", "auc_budget"):
        ends = {"_low": -0.02, "_high": 0.02, "_boot_low": -0.03, "_boot_high": 0.03}
        areas = areas.assign(**{f"{area}{end}": areas[area] + by for end, by in ends.items()})
    return areas.assign(resolution="exact")


def make_references(points):
    """references.csv: each reference a little below or above the points that it stands beside."""
    chosen = points[~points["method"].isin(["static", "distilbert", "truncated"])]
    offsets = {"truncated": -0.02, "random": -0.04, "oracle": 0.02, "constant": -0.2}
    return pd.concat(chosen.assign(reference=name, value=chosen["value"] + by) for name, by in offsets.items())


def make_latency(points):
    """latency.csv: three settings of every sweep on two devices, larger batches nearer to what they save."""
    swept = points[points["method"].isin(["dact", "deebert", "pabee"])]
    some = swept.groupby(["task", "split", "backbone", "method", "variant", "seed"]).head(3)
    sizes = pd.DataFrame({"batch_size": [1, 8, 32, 128], "overhead": [0.2, 0.1, 0.05, 0.02]})
    table = some.merge(sizes, how="cross").merge(pd.DataFrame({"device": ["cpu", "cuda"]}), how="cross")
    return table.assign(time_fraction=table["layer_fraction"] + table["overhead"])


def make_layers(points):
    """layers.csv: three examples of every DeeBERT and DACT model."""
    models = points[points["method"].isin(["deebert", "dact"])]
    models = models[["suite", "task", "split", "backbone", "method", "variant", "seed"]].drop_duplicates()
    examples = pd.DataFrame({"example": ["earliest", "median", "latest"], "speed": [0.3, 0.2, 0.1]})
    table = models.merge(examples, how="cross").merge(pd.DataFrame({"layer": range(1, L + 1)}), how="cross")
    table["value"] = np.exp(-table["speed"] * table["layer"] * (1 + 0.1 * table["seed"]))
    dact = table[table["method"] == "dact"]
    return pd.concat(
        [
            table[table["method"] == "deebert"].assign(quantity="entropy"),
            dact.assign(quantity="h"),
            dact.assign(quantity="p", value=dact["value"] ** 2),
        ]
    ).drop(columns="speed")


def make_bounds(points):
    """bounds.csv: what the margins cost and change."""
    dact = points[points["method"] == "dact"].drop(columns=["method", "knob", "knob_value"])
    bounds = [("paper", 0.0), ("exact", 0.0), ("exact", 0.05), ("exact", 0.1), ("exact", 0.2), ("exact", 0.5)]
    return pd.concat(
        [
            dact.assign(bound=bound, eps=eps, changed=eps / 10, layer_fraction=dact["layer_fraction"] - i * 0.02)
            for i, (bound, eps) in enumerate(bounds)
        ]
    )


def make_run(folder, **options):
    """The tables, and the other files of a run folder: run.json, one record, one environment, what failed."""
    make_tables(folder, **options)
    recipe = {"epochs": 3, "learning_rate": 0.001, "batch_size": 32, "weight_decay": 0.0, "clip": 1.0}
    run = {
        "suite": options.get("suite", "embedded"),
        "title": "invented <b>tasks</b>",
        "precision": "float32",
        "limit": None,
        "recipes": {"stage1": recipe},
        "commands": {"python run_all.py --suite embedded --tasks all --seeds 3": [0, 1, 2]},
        "methods": dict.fromkeys(["static", "distilbert", "dact", "dact-exact", "deebert", "pabee"]),
    }
    environment = {
        "processor": "a processor",
        "python": "3.11",
        "device": "cpu",
        "commit": "c0ffee",
        "packages": {"a": "1"},
    }
    files = {
        "run": run,
        "cells/one": {"status": "ok", "seconds": {"all": 90.0}},
        "cells/two": {"status": "failed"},
        "environments/one": environment,
    }
    for name, content in files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / f"{name}.json").write_text(sealed(content) if name.startswith("cells/") else json.dumps(content))
    header = "cell,suite,task,backbone,method,variant,seed,status,reason"
    row = "k,embedded,sst2,bert,pabee,,0,failed,<script>alert('outside')</script> & more"
    (folder / "failures.csv").write_text(f"{header}\n{row}\n")
    claim = {"suite": "embedded", "backbone": "bert", "claim": "8", "text": "stops early", "verdict": "holds here"}
    pd.DataFrame([{**claim, "value": 0.123456, "units": 6}]).to_csv(folder / "reproduction.csv", index=False)
    for name, table in TABLES.items():
        if not (folder / f"{name}.csv").exists():
            pd.DataFrame(columns=table.columns).to_csv(folder / f"{name}.csv", index=False)
    return folder


def make_risk(points):
    """risk.csv: the naive choice breaks half of its promises; the smallest tolerance cannot be certified."""
    models = points[points["method"].isin(["dact", "deebert", "pabee"])]
    models = models[["suite", "task", "split", "backbone", "method", "seed"]].drop_duplicates().assign(variant="")
    kinds = [
        ("naive", np.nan, 0.5, 0.5),
        ("ltt", 0.05, 0.03, 0.7),
        ("ltt", 0.1, 0.06, 0.65),
        ("crc", np.nan, 0.2, 0.55),
    ]
    kinds = pd.DataFrame(kinds, columns=["procedure", "delta", "broken", "layer_fraction"])
    table = models.merge(kinds, how="cross").merge(pd.DataFrame({"tolerance": [0.01, 0.02, 0.05]}), how="cross")
    cannot = (table["procedure"] == "ltt") & (table["tolerance"] == 0.01)
    table.loc[cannot, ["broken", "layer_fraction"]] = np.nan
    table["layer_fraction"] -= 3 * table["tolerance"]
    return table.assign(risk="quality", metric="accuracy", status=np.where(cannot, "cannot at this size", ""))


def make_reliability(points):
    """reliability.csv: five bins of every model, overconfident."""
    models = points[points["method"].isin(["dact", "deebert", "pabee"])]
    keys = ["suite", "task", "split", "backbone", "method", "variant", "knob"]
    models = models.groupby(keys, sort=False, as_index=False).agg(
        knob_value=("knob_value", "first"), layer_fraction=("layer_fraction", "mean"), seeds=("seed", "nunique")
    )
    bins = pd.DataFrame({"bin": range(1, 6), "confidence": [0.6, 0.7, 0.8, 0.9, 0.99]})
    table = models.merge(bins, how="cross").assign(count=N // 5)
    return table.assign(accuracy=table["confidence"] - 0.05)


def make_calibration(points):
    """calibration.csv: the error of every operating point."""
    keys = ["suite", "task", "split", "backbone", "method", "variant", "knob", "knob_value"]
    return points[keys].drop_duplicates().assign(at="exit", scaling="none", ece=0.05, ece_null=0.03, seeds=3)


def make_depth(points):
    """depth.csv: the frozen profile of every panel, if depth was truncated."""
    keys = ["suite", "task", "split", "backbone", "knob_value", "layer_fraction", "metric"]
    rows = points[points["method"] == "truncated"].groupby(keys, as_index=False, sort=False)
    table = rows.agg(value=("value", "mean"), seeds=("seed", "nunique")).rename(columns={"knob_value": "layer"})
    whole = table.groupby(["task", "split", "backbone"])["value"].transform("last")
    return table.assign(profile="frozen", constant=0.5, share=(table["value"] - 0.5) / (whole - 0.5))


def make_headline(points):
    """headline.csv: what methods save on average over the tasks."""
    keys = points[["suite", "backbone", "method"]].drop_duplicates()
    keys = keys[keys["method"] != "static"].assign(task="mean", split="", tasks=points["task"].nunique())
    quantities = {"layers_saved": 0.25, "macs_saved": 0.24, "loss": 0.004}
    table = keys.merge(pd.DataFrame({"quantity": quantities.keys(), "mean": quantities.values()}), how="cross")
    for choice in ("promised_0", "promised_1", "promised_2", "certified_1", "certified_2"):
        table[f"{choice}_tasks"] = 1
        ends = {"": 0, "_low": -0.01, "_high": 0.01, "_boot_low": -0.02, "_boot_high": 0.02}
        for end, by in ends.items() if choice.startswith("promised") else [("", 0)]:
            table[f"{choice}{end}"] = table["mean"] + by
    return table.drop(columns="mean").assign(seeds=points["seed"].nunique())


def make_undecidable(points):
    """undecidable.csv: every method that chooses exits gives up early, a little; of generated data alone."""
    chosen = points[~points["method"].isin(["static", "distilbert", "truncated"]) & (points["suite"] == "embedded")]
    keys = ["suite", "task", "split", "backbone", "method"]
    tasks = chosen.groupby(keys, as_index=False, sort=False).agg(units=("seed", "nunique"))
    mean = tasks.drop_duplicates(["backbone", "method"]).assign(task="mean", split="", units=tasks["task"].nunique())
    table = pd.concat([tasks, mean]).reindex(columns=UNDECIDED).assign(difference=0.5)
    several = table["units"] > 1
    return table.assign(difference_low=np.where(several, 0.1, np.nan), difference_high=np.where(several, 0.9, np.nan))


def make_curves(points):
    grid, curves = np.linspace(0, 1, 101), []
    columns = ["suite", "task", "split", "backbone", "method"]
    for key, rows in points.groupby(columns):
        runs = [(r["layer_fraction"].to_numpy(), r["value"].to_numpy()) for _, r in rows.groupby("seed")]
        mean, low, high, seeds, dotted = mean_curve(grid, runs, widest=0.25)
        table = pd.DataFrame({"x": grid, "mean": mean, "low": low, "high": high, "seeds": seeds, "dotted": dotted * 1})
        curves.append(
            table[table["seeds"] > 0].assign(**dict(zip(columns, key, strict=True)), resolution="grid", variant="")
        )
    return pd.concat(curves)
