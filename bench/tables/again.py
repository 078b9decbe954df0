"""again.csv: models that are published and were trained again to start from, beside the published ones.

Pairs of an own and a published method are pairs by seed only where both start from the same model.
"""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd

from bench.sources.tasks import task_of
from bench.store.beside import Beside

AGAIN = ["suite", "task", "split", "backbone", "method", "seed", "metric", "published", "again", "difference"]
SAYS = "Models that are published and were trained again to start from: at full depth, beside the published ones."
#: Above this difference of the main metric at full depth a model is another one.
SAME = 1e-3
UNPAIRED = "unpaired seeds"


def again_table(run: Beside) -> pd.DataFrame:
    """again.csv: a row per model and split."""
    suite, rows = run.shared()["suite"], []
    for published, own in run.again():
        spec, task = own["spec"], task_of(own["spec"])
        for split, values in own["full_depth"].items():
            there, here = published["full_depth"][split][task.metric], values[task.metric]
            named = {name: spec[name] for name in ("task", "backbone", "method", "seed")}
            row = {"suite": suite, "split": split, "metric": task.metric, "published": there, "again": here}
            rows.append({**named, **row, "difference": here - there})
    return pd.DataFrame(rows, columns=AGAIN).sort_values(AGAIN[1:6], ignore_index=True)


def others(again: pd.DataFrame) -> set[tuple[str, str]]:
    """For again.csv: the tasks, each with its backbone, where a model trained again is another one."""
    found = again[again["difference"].abs() > SAME]
    return {*zip(found["task"], found["backbone"], strict=True)}


def called_unpaired(pairs: pd.DataFrame, again: pd.DataFrame, own: Iterable[str]) -> pd.DataFrame:
    """paired.csv with `unit_kind` "unpaired seeds" for an own and a published method that start from other models.

    The numbers stay: a test of pairs is no less valid for pairs that have nothing in common, it only finds less.

    Args:
        pairs: paired.csv.
        again: again.csv.
        own: the methods that were trained here.
    """
    own = list(own)
    mixed = pairs["method_a"].isin(own) != pairs["method_b"].isin(own)
    places = pd.Series(zip(pairs["task"], pairs["backbone"], strict=True), pairs.index, dtype=object)
    there = others(again)
    unpaired = mixed & (pairs["unit_kind"] == "seeds") & places.map(lambda place: place in there)
    return pairs.assign(unit_kind=pairs["unit_kind"].where(~unpaired, UNPAIRED))


def again_line(again: pd.DataFrame) -> str:
    """What is said about the models that were trained again."""
    if not len(again):
        return "no published model was trained again: nothing shows whether this machine trains the same ones"
    worst = again.loc[again["difference"].abs().idxmax()]
    models = len(again.drop_duplicates(["task", "backbone", "method", "seed"]))
    where = f"{worst['backbone']}/{worst['task']} {worst['method']} seed {worst['seed']}"
    found = f"{models} published models trained again: {worst['metric']} differs by at most "
    found += f"{abs(worst['difference']):.4f} ({where})"
    there = sorted(f"{backbone}/{task}" for task, backbone in others(again))
    return f"{found}; pairs are {'called unpaired on ' + ', '.join(there) if there else 'paired by seed'}"
