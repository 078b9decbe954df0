"""Trained early-exit models to save, load and use on texts of your own, outside a benchmark run; see docs/models.md.

A folder holds `model.safetensors` (backbone and exits), `config.json` and the tokenizer as the library writes them,
`early_exit.json` (method, labels and the curve measured on the validation set) and `README.md`, the model card.
"""

from __future__ import annotations

import json
import math
import os
import tempfile
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Real
from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.torch import load_model, save_model
from transformers import PreTrainedTokenizerBase

from bench.errors import UserError, check_choice, one_line
from bench.halting.live import run_live
from bench.models.card import ABOUT, check_description, model_card
from bench.models.eval_results import FILE as EVAL_RESULTS
from bench.models.eval_results import eval_results
from bench.models.loading import empty_encoder, load_config, load_tokenizer
from bench.models.model import EarlyExitModel, with_exits
from bench.models.tokens import encode, sorted_batches
from bench.plan.methods import rule_spec
from bench.sources.checkpoints import Checkpoint
from bench.sources.examples import Examples
from bench.sources.tasks import task_of
from bench.store.files import not_written, write_json, write_text
from methods import discover
from methods.base import Knob, Method
from methods.blocks import prediction


@dataclass(frozen=True)
class Prediction:
    """What a model says about one text.

    Attributes:
        label: name of the class; for regression the score.
        layer: the layer (1..L) that answered.
        answer: what the method answered with, one number per class: logits, or for DACT probabilities.
    """

    label: str | float
    layer: int
    answer: tuple[float, ...]


class EarlyExitClassifier:
    """A trained early-exit model with its method, tokenizer and curve.

    Args:
        model: the backbone with its exits.
        method: decides when to halt.
        tokenizer: of the backbone.
        about: what early_exit.json holds.
    """

    def __init__(self, model: EarlyExitModel, method: Method, tokenizer: PreTrainedTokenizerBase, about: dict) -> None:
        self.model, self.method, self.tokenizer, self.about = model.eval(), method, tokenizer, about
        self.task = task_of(about)
        asked = rule_spec(method, model.num_layers, model.num_labels, about["variant"])
        self.rule, self.knob = method.halting_rule(asked), method.knob(asked)

    def save_pretrained(self, folder: str | Path) -> None:
        """Write the model into a folder of its own, whole or not at all; a saved model that was there is replaced.

        Raises:
            UserError: the folder holds something else.
            FolderError: the disk is full, read-only or gone.
        """
        folder = Path(folder).resolve()
        try:
            self._save(folder)
        except OSError as error:
            raise not_written(folder.parent, error) from error

    def _save(self, folder: Path) -> None:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}.") as temporary:
            # the new folder is moved into place whole; the old one is out of the way until that has worked
            part, before = Path(temporary) / "model", Path(temporary) / "before"
            self.model.backbone.config.save_pretrained(part)
            self.tokenizer.save_pretrained(part)
            save_model(self.model, str(part / "model.safetensors"))
            write_json(part / ABOUT, self.about)
            write_text(part / "README.md", model_card(self.about, self.method))
            if text := eval_results(self.about):
                (part / EVAL_RESULTS).parent.mkdir()
                write_text(part / EVAL_RESULTS, text)
            if folder.exists():
                check_replaceable(folder, part)
                os.rename(folder, before)
            try:
                os.rename(part, folder)
            except OSError:
                if before.exists():
                    os.rename(before, folder)
                raise

    @classmethod
    def from_pretrained(
        cls, folder: str | Path, method: Method | None = None, device: str = "cpu"
    ) -> EarlyExitClassifier:
        """Load a saved model.

        Args:
            folder: where `save_pretrained` wrote it.
            method: an instance of its class, for a method from outside the project, or for one that replays the models
                of the method that this one was saved by: it decides in that one's place.
            device: "cpu" or "cuda".

        Raises:
            UserError: the folder holds no such model, or one of another method or version.
        """
        folder = Path(folder)
        try:
            about = json.loads((folder / ABOUT).read_text(encoding="utf8"))
            check_description(about)
        except (OSError, ValueError) as error:
            raise UserError(
                f"'{folder}' holds no early-exit model: {ABOUT} cannot be read ({one_line(error)})"
            ) from error
        if method is None:
            known = discover(about["compat"])
            method = known[check_choice(f"method of '{folder}'", about["method"], known)]
        trained = trained_method(method, about)
        if (trained.name, trained.version) != (about["method"], about["version"]):
            raise UserError(
                f"'{folder}' was saved by method and version {about['method']} {about['version']}, not {trained.name} "
                f"{trained.version}"
            )
        checkpoint = Checkpoint(str(folder))
        backbone = empty_encoder(load_config(checkpoint), about.get("pooling"))
        model = with_exits(trained, backbone, task_of(about).num_labels, ("saved",), about.get("exit_norm", ""))
        try:
            load_model(model, str(folder / "model.safetensors"))
        except (OSError, RuntimeError, SafetensorError) as error:
            raise UserError(f"'{folder}': model.safetensors cannot be loaded ({one_line(error)})") from error
        return cls(model.to(device), method, load_tokenizer(checkpoint, backbone.pooling), about)

    def knob_for(self, budget: float) -> float:
        """The knob value with the best validation metric among those that use at most a share of the layers.

        Every threshold at which a decision changes is on offer, not the grid of a paper alone. Warns where the constant
        answer, which costs nothing, is at least as good.

        Args:
            budget: mean share of the layers that may be used, above 0 and at most 1.

        Raises:
            UserError: no such budget, or no setting is that cheap; the line names the cheapest.
        """
        curve, constant = self.about["exact"], self.about["constant"]
        cheapest = min(point["layer_fraction"] for point in curve)
        if not is_number(budget) or not 0 < budget <= 1:
            near = 1 if is_number(budget) and budget > 1 else cheapest
            got = f"{budget:g}; the nearest is {near:.3g}" if is_number(budget) else repr(budget)
            raise UserError(f"budget: expected a share of the layers, above 0 and at most 1, got {got}")
        if self.method.name != self.about["method"]:
            raise UserError(
                f"the curve of this model was measured with {self.about['method']}, not {self.method.name}: give "
                f"`predict` a value of {self.knob.name or 'the knob'} yourself"
            )
        fitting = [point for point in curve if point["layer_fraction"] <= budget]
        if not fitting:
            raise UserError(f"budget {budget:g}: the cheapest setting of this model uses {cheapest:.3f} of the layers")
        best = max(fitting, key=lambda point: (point["value"], -point["layer_fraction"]))
        if best["value"] <= constant["value"]:
            warnings.warn(
                f"budget {budget:g}: the best setting has {self.about['metric']} {best['value']:.4f}; always answering "
                f"'{constant['label']}' has {constant['value']:.4f}, for no layer at all",
                stacklevel=2,
            )
        return best["knob_value"]

    def predict(
        self, texts: Sequence[str] | Sequence[tuple[str, str]], knob_value: float, batch_size: int = 32
    ) -> list[Prediction]:
        """Classify texts with early exit: each leaves the computation at the layer that answers it.

        Args:
            texts: n texts, or n pairs for a task on pairs.
            knob_value: the setting, for example of `knob_for`.
            batch_size: texts computed at once.

        Raises:
            UserError: single texts for a task on pairs, or the other way round; a knob value that is no finite number
                or out of the knob's span, or no batch size.
        """
        check_knob_value(self.knob, knob_value)
        if type(batch_size) is not int or batch_size < 1:
            raise UserError(f"batch_size: expected a whole number of at least 1, got {batch_size!r}")
        if not texts:
            return []
        data = encode(self.tokenizer, self._examples(texts), self.about["max_length"])
        found: list[Prediction | None] = [None] * len(texts)
        device = str(next(self.model.parameters()).device)
        for rows in sorted_batches(data.lengths, batch_size):
            batch = data.batch(rows, device)
            decided = run_live(self.model, self.rule, self.knob, knob_value, batch, self.about["precision"])
            said = (prediction(decided.answers), decided.layers, decided.answers)
            for row, label, layer, answer in zip(rows, *(each.tolist() for each in said), strict=True):
                name = float(label) if self.task.regression else self.task.labels[int(label)]
                found[row] = Prediction(name, layer, tuple(answer))
        return found

    def _examples(self, texts: Sequence) -> Examples:
        """Texts as the benchmark's own code takes them, with labels that nobody reads."""
        n, wanted = len(texts), len(self.task.texts)
        columns = [list(texts)] if isinstance(texts[0], str) else [list(column) for column in zip(*texts, strict=True)]
        if len(columns) != wanted:
            raise UserError(
                f"task '{self.task.id}' takes {'pairs of texts' if wanted == 2 else 'single texts'}, got {texts[0]!r}"
            )
        stripped = [[text.strip() for text in column] for column in columns]
        return Examples(stripped[0], stripped[1] if wanted == 2 else None, np.zeros(n, np.int64), np.arange(n))


def trained_method(method: Method, about: dict) -> Method:
    """The method whose exits a saved model has: the one it is loaded with, or the one whose models that one replays."""
    if method.trained_by != about["method"]:
        return method
    return discover(about["compat"]).get(method.trained_by, method)


def check_knob_value(knob: Knob, value: object) -> None:
    """Refuse a setting for a saved model that makes no sense: it would halt nobody, or all, without a word.

    Raises:
        UserError: no finite number, or out of the knob's span; the line names the span, and the nearest setting in it
            or values of the grid.
    """
    expected = f"knob_value: expected a number for {knob.name or 'the knob'}{span_words(knob)}"
    if not is_number(value) or not math.isfinite(value):
        grid = ", ".join(f"{each:g}" for each in knob.values[:5]) + (" .." if len(knob.values) > 5 else "")
        raise UserError(f"{expected}, such as {grid}, got {value!r}")
    if not knob.holds(value):
        raise UserError(f"{expected}, got {value:g}; the nearest is {knob.nearest(value):g}")


def span_words(knob: Knob) -> str:
    """Which settings of a saved model make sense, for the line that refuses another: ` from 0 to 1`; empty: all."""
    if knob.span is None:
        return ""
    low, high = knob.span
    return f" of {low:g}" if low == high else f" from {low:g}" + (f" to {high:g}" if math.isfinite(high) else " on")


def is_number(value: object) -> bool:
    """Whether what somebody asks of a saved model is a number; truth values are not meant as such, NaN is none."""
    return isinstance(value, Real) and not isinstance(value, bool) and not math.isnan(value)


def check_replaceable(folder: Path, model: Path) -> None:
    """Refuse to replace a folder with a model, unless it is empty or holds files of a model alone.

    Raises:
        UserError: the line names what else there is.
    """
    found = [path.name for path in sorted(folder.iterdir())] if folder.is_dir() else [folder.name]
    # not every model has evaluation results
    foreign = [name for name in found if name != EVAL_RESULTS.parts[0] and not (model / name).exists()]
    if foreign or (found and ABOUT not in found):
        other = (foreign or found)[0]
        raise UserError(f"'{folder}' holds something else than a saved model, '{other}': name a new or an empty folder")
