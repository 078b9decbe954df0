"""What a saved model says about itself: early_exit.json and the model card, made from a cell and its curve."""

from __future__ import annotations

from bench.plan.methods import rule_spec
from bench.plan.suite import COMPATS, PRECISIONS
from bench.sources.tasks import TASKS, task_of
from methods import discover
from methods.base import Method

ABOUT = "early_exit.json"
#: What early_exit.json takes over from the spec of a cell, and all that it holds.
SPEC_KEYS = ("method", "version", "variant", "compat", "task", "backbone", "seed", "max_length", "precision", "recipe")
KEYS = ("cell", *SPEC_KEYS, "labels", "suite", "data", "base", "split", "knob", "metric", "n", "curve")
KEYS += ("exact", "constant")


def describe(record: dict, shared: dict, rows: dict, on_offer: dict, method: Method, base: str) -> dict:
    """What a saved model says of itself in early_exit.json, made from its cell.

    Args:
        record: the cell's record.
        shared: the content of run.json.
        rows: of `bench.halting.sweep.point_rows` on the first validation split.
        on_offer: of `bench.halting.sweep.settings_on_offer` there.
        method: the cell's method.
        base: name of the pre-trained checkpoint.
    """
    spec = record["spec"]
    columns = ("layer_fraction", "mac_fraction", "value")
    # of the knob itself: rows have none for models without one, whose rule still has a value that halts nobody early
    values = method.knob(rule_spec(method, record["layers"], task_of(spec).num_labels, spec["variant"])).values
    points = zip(values, *(rows[name].tolist() for name in columns), strict=True)
    return {
        "cell": record["key"],
        **{name: spec[name] for name in SPEC_KEYS},
        **task_of(spec).spec(),
        "labels": list(task_of(spec).labels),
        "suite": shared["suite"],
        "data": shared["title"],
        "base": base,
        "pooling": record["pooling"],
        "exit_norm": spec.get("exit_norm", ""),
        **{name: rows[name] for name in ("split", "knob", "metric", "n")},
        "curve": [dict(zip(("knob_value", *columns), point, strict=True)) for point in points],
        **on_offer,
    }


def check_description(about: object) -> None:
    """Refuse an early_exit.json that does not say what a saved model says of itself.

    Raises:
        ValueError: a key is missing, or means nothing here.
    """
    missing = [name for name in KEYS if not isinstance(about, dict) or name not in about]
    if missing:
        raise ValueError(f"'{missing[0]}' is missing")
    for name, known in (
        ("task", [about["task"]] if "own_task" in about else TASKS),
        ("precision", PRECISIONS),
        ("compat", COMPATS),
    ):
        if about[name] not in known:
            raise ValueError(f"{name} is {about[name]!r}, expected {', '.join(known)}")


def loading_code(method: Method, about: dict) -> list[str]:
    """Python lines that load a saved model; one of a method from outside the project needs the file of its class."""
    if about["method"] in discover(about["compat"]):
        load = ["", 'model = EarlyExitClassifier.from_pretrained("FOLDER")']
    else:
        load = [
            "from bench.plan.methods import load_method_file",
            "",
            "# FILE.py defines the method, which is not part of early-exit-bench",
            'methods = {method.name: method for method in load_method_file("FILE.py")}',
            f'model = EarlyExitClassifier.from_pretrained("FOLDER", method=methods[{method.name!r}])',
        ]
    return ["from bench import EarlyExitClassifier", *load]


def model_card(about: dict, method: Method) -> str:
    """The README.md of a saved model, with the curve that was measured on the validation set."""
    citation = (type(method).__doc__ or "").strip().splitlines()[0]
    shown = [
        "| {knob_value:g} | {layer_fraction:.3f} | {mac_fraction:.3f} | {value:.4f} |".format(**point)
        for point in about["curve"]
    ]
    standardised = ", standardised" if about.get("exit_norm") else ""
    return "\n".join(
        [
            "---",
            "library_name: early-exit-bench",
            "pipeline_tag: text-classification",
            "tags: [early-exit]",
            "---",
            "",
            f"# {about['backbone']} on {task_of(about).title} with {about['method']}",
            "",
            citation,
            "",
            f"- base model: {about['base']}",
            f"- data: {about['data']}",
            f"- suite {about['suite']}, compat {about['compat']}, variant '{about['variant']}', seed {about['seed']}",
            f"- trained in {about['precision']}: {', '.join(f'{k} {v:g}' for k, v in about['recipe'].items())}",
            f"- exits read: {about.get('pooling', 'what the library reads')}{standardised}",
            f"- labels: {', '.join(about['labels']) or 'a score'}",
            "",
            f"One trained model; {about['metric']} on the {about['split']} split, {about['n']} examples, against the "
            "share of layers and multiply-adds used:",
            "",
            f"| {about['knob'] or 'knob'} | layers | multiply-adds | {about['metric']} |",
            "| --- | --- | --- | --- |",
            *shown,
            "",
            "```python",
            *loading_code(method, about),
            "answers = model.predict(texts, model.knob_for(budget=0.5))",
            "```",
            "",
        ]
    )
