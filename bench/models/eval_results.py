"""What a saved model says to the hub's leaderboards: `.eval_results/*.yaml`, for data sets that the hub has.

Generated tasks, one's own, and parts of a validation set have no leaderboard: nothing is claimed about those.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from bench.plan.cell import row_limit
from bench.sources.examples import Source
from bench.sources.tasks import Task

#: Where in a model's folder the hub looks.
FILE = Path(".eval_results") / "early-exit-bench.yaml"
#: GLUE's rows in TSV files are those of this data set, at no commit that one could name.
GLUE = "nyu-mll/glue"
BUDGET = 0.5


def board(source: Source, spec: dict, task: Task, values: dict[str, dict[str, float]]) -> dict | None:
    """What early_exit.json keeps for leaderboards; None where the hub has no such data set, or not all rows are here.

    Args:
        source: where the rows came from.
        spec: of the cell.
        task: its task.
        values: the metrics at full depth, by split.
    """
    repo = getattr(source, "repo", GLUE if hasattr(source, "path") else None)
    if repo is None or Path(repo).is_dir() or task.is_own or row_limit(spec, task.validation_splits[0]) is not None:
        return None
    # the hub has a configuration of its own for each split of MNLI
    names = {split: f"{task.id}{split.removeprefix('validation')}" for split in values}
    return {
        "dataset": repo,
        "revision": getattr(source, "revision", None),
        "date": datetime.now(UTC).date().isoformat(),
        "values": {names[split]: metrics[task.metric] for split, metrics in values.items()},
    }


def eval_results(about: dict) -> str | None:
    """What goes to leaderboards, in the hub library's own words; None for a model without `board`.

    Args:
        about: the content of early_exit.json.
    """
    known = about.get("board")
    if known is None:
        return None
    import yaml
    from huggingface_hub import EvalResultEntry, eval_result_entries_to_yaml

    entries = [
        EvalResultEntry(
            dataset_id=known["dataset"],
            task_id=task,
            value=value,
            dataset_revision=known["revision"],
            date=known["date"],
            source_url=f"https://huggingface.co/datasets/{known['dataset']}",
            source_name=f"early-exit-bench, suite {about['suite']}",
            notes=notes(about, first=place == 0),
        )
        for place, (task, value) in enumerate(known["values"].items())
    ]
    return yaml.safe_dump(eval_result_entries_to_yaml(entries), sort_keys=False, allow_unicode=True)


def notes(about: dict, first: bool) -> str:
    """How a value on a leaderboard was measured; of the first split also what half of the layers give."""
    said = f"{about['metric']} on the validation set at full depth, {about['method']}, seed {about['seed']}"
    cheap = [point for point in about["exact"] if point["layer_fraction"] <= BUDGET]
    if first and cheap:
        best = max(cheap, key=lambda point: point["value"])
        said += f"; early exit: {best['value']:.4f} with {best['layer_fraction']:.2f} of the layers"
    return said
