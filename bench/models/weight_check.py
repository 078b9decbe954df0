"""Whether a checkpoint is what it says: the library does all that its config asks for, and every weight has a place."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from transformers import PreTrainedConfig
from transformers.activations import ACT2FN

from bench.errors import UserError, cut, nearest

#: What stands on an encoder for pre-training or for a task; every exit brings its own, so these weights may be left.
HEADS = (
    "cls",
    "lm_head",
    "vocab_transform",
    "vocab_layer_norm",
    "vocab_projector",
    "predictions",
    "sop_classifier",
    "discriminator_predictions",
    "generator_predictions",
    "generator_lm_head",
    "classifier",
    "pre_classifier",
    "qa_outputs",
    "pooler",
    "score",
    "lm_predictions",
    "mask_predictions",
    "contact_head",
    "head",
)
#: What ModernBERT's head for pre-training is called; other families call all of their layers so.
HEAD_WEIGHTS = ("decoder.weight", "decoder.bias")


def check_config(where: str, config: PreTrainedConfig) -> None:
    """Refuse a config that asks for what the library does not do, or does not say.

    Args:
        where: what messages call the checkpoint.
        config: as the library reads it.

    Raises:
        UserError: what it asks for.
    """
    if getattr(config, "quantization_config", None) is not None:
        raise UserError(f"{where}: its weights are quantised (quantization_config): expected float weights")
    if getattr(config, "add_cross_attention", False):
        raise UserError(f"{where}: its config asks for cross attention (add_cross_attention), which only decoders have")
    positions = getattr(config, "position_embedding_type", "absolute") or "absolute"
    if positions != "absolute" and config.model_type in ("bert", "roberta", "albert", "electra"):
        got = f"position_embedding_type is {cut(repr(positions), 40)}"
        raise UserError(f"{where}: its {got}, which the library would read as absolute positions")
    if config.num_hidden_layers < 1:
        raise UserError(f"{where}: its config says {config.num_hidden_layers} layers: expected at least 1")
    act = getattr(config, "hidden_act", getattr(config, "activation", None))
    if isinstance(act, str) and act not in ACT2FN:
        raise UserError(f"{where}: its config names an unknown activation '{cut(act, 40)}'{nearest(act, ACT2FN)}")


def check_weights(where: str, found: dict) -> None:
    """Refuse weights of other shapes, weights that no layer takes and layers without weights; heads do not count.

    Args:
        where: what messages call the checkpoint.
        found: the loading info of `from_pretrained`.

    Raises:
        UserError: which weight is the first of how many.
    """
    if wrong := sorted(found["mismatched_keys"]):
        name, has, wanted = wrong[0]
        sizes = f"weight '{name}' is {shape(has)} and its config asks for {shape(wanted)}"
        raise UserError(f"{where}: {sizes}{others(wrong)}")
    if lost := sorted(name for name in found["missing_keys"] if not is_head(name)):
        raise UserError(f"{where} lacks weights of its encoder, first '{lost[0]}'")
    if left := sorted(name for name in found["unexpected_keys"] if not is_head(name)):
        raise UserError(f"{where} has weights that no layer of its config takes, '{cut(left[0], 100)}'{others(left)}")
    if found.get("error_msgs"):
        raise UserError(f"{where} cannot be loaded: {cut(' '.join(str(found['error_msgs'][0]).split()), 160)}")


def is_head(name: str) -> bool:
    """Whether a weight belongs to what stands on an encoder, with or without the family's name before it."""
    parts = name.split(".")
    return name in HEAD_WEIGHTS or parts[0] in HEADS or (len(parts) > 2 and parts[1] in HEADS)


def shape(sizes: Iterable[int]) -> str:
    """A weight's shape in words: 30522 x 384."""
    return " x ".join(map(str, sizes)) or "a number"


def others(names: Sequence) -> str:
    """How many weights there are besides the first that a message names."""
    return f" and {len(names) - 1} more" if len(names) > 1 else ""
