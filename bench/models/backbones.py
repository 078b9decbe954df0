"""One layer-by-layer view of every encoder family: embeddings, then layers 1..L, with the [CLS] state of each.

Shape symbols: n examples, T tokens (padded), H hidden size, L layers.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property

import torch
from safetensors import SafetensorError
from torch import Tensor, nn
from transformers import AutoConfig, AutoModel, AutoTokenizer, PreTrainedConfig, PreTrainedTokenizerBase
from transformers.masking_utils import create_bidirectional_mask
from transformers.utils import logging as transformers_logging

from bench.errors import UserError, one_line
from bench.models.layers import PARTS, PlainLayer, tokens_only
from bench.sources.checkpoints import Checkpoint

#: Where each family of encoders keeps its layers. ALBERT's are groups that several layers share.
LAYER_PATHS = {
    "bert": "encoder.layer",
    "roberta": "encoder.layer",
    "distilbert": "transformer.layer",
    "albert": "encoder.albert_layer_groups",
    "electra": "encoder.layer",
}
#: Where ALBERT and ELECTRA bring embeddings of another width to that of the layers.
PROJECTIONS = ("encoder.embedding_hidden_mapping_in", "embeddings_project")

Batch = dict[str, Tensor]


class Layerwise(nn.Module):
    """A library encoder, run one layer at a time; its hidden states are the library's own."""

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder
        self.config = encoder.config
        self.projection = next((name for name, _ in encoder.named_modules() if name in PROJECTIONS), None)

    @property
    def layers(self) -> list[nn.Module]:
        """The L layers; a property, so that their parameters belong to the encoder only.

        ALBERT's share weights: layer i of L is group i G // L of its G groups, counting from 0.
        """
        stored = self.encoder.get_submodule(LAYER_PATHS[self.config.model_type])
        num_layers = self.config.num_hidden_layers
        return [stored[i * len(stored) // num_layers] for i in range(num_layers)]

    @property
    def num_layers(self) -> int:
        """L."""
        return self.config.num_hidden_layers

    @property
    def hidden_size(self) -> int:
        """H."""
        return self.config.hidden_size

    @property
    def dropout(self) -> float:
        """The hidden dropout probability, which the exits use too."""
        return getattr(self.config, "hidden_dropout_prob", None) or getattr(self.config, "dropout", 0.0)

    def parts(self) -> list[tuple[int, nn.Parameter]]:
        """Every parameter with the layer it belongs to, the first of those that share it; 0 is the embeddings."""
        first: dict[nn.Parameter, int] = {}
        for number, layer in enumerate(self.layers, 1):
            for parameter in layer.parameters():
                first.setdefault(parameter, number)
        return [(first.get(parameter, 0), parameter) for parameter in self.encoder.parameters()]

    @cached_property
    def plain(self) -> list[PlainLayer] | None:
        """The L layers in plain functions; None for a family that has none."""
        known = self.config.model_type in PARTS
        return [PlainLayer(layer, self.config) for layer in self.layers] if known else None

    def embeddings(self, batch: Batch) -> Tensor:
        """Embeddings [n, T, H] of a batch, as wide as the layers."""
        inputs = {"input_ids": batch["input_ids"]}
        # tokenizers may give segments to a family that has none: DistilBERT's published ones load as BERT's
        if "token_type_ids" in batch and getattr(self.config, "type_vocab_size", 1) > 1:
            inputs["token_type_ids"] = batch["token_type_ids"]
        hidden = self.encoder.embeddings(**inputs)
        if self.projection:
            hidden = self.encoder.get_submodule(self.projection)(hidden)
        return hidden

    def embed(self, batch: Batch) -> tuple[Tensor, Tensor | None]:
        """Embeddings [n, T, H] of a batch, and the attention mask that its layers take (None: nothing is masked)."""
        hidden = self.embeddings(batch)
        mask = create_bidirectional_mask(self.config, hidden, batch["attention_mask"])
        return hidden, mask

    def layer(self, layer: int, hidden: Tensor, mask: Tensor | None) -> Tensor:
        """Hidden states [n, T, H] after layer 1..L."""
        return self.layers[layer - 1](hidden, mask)

    def cut(self, depth: int) -> None:
        """Keep the first `depth` layers only.

        Raises:
            UserError: they share weights in a way that a model of that depth cannot have.
        """
        self.__dict__.pop("plain", None)
        kept, num_layers = self.layers[:depth], self.num_layers
        stored = self.encoder.get_submodule(LAYER_PATHS[self.config.model_type])
        del stored[-(-depth * len(stored) // num_layers) :]
        self.config.num_hidden_layers = depth
        if self.config.model_type == "albert":
            self.config.num_hidden_groups = len(stored)
        if any(ours is not theirs for ours, theirs in zip(self.layers, kept, strict=True)):
            shared = f"{num_layers} layers share weights in groups"
            raise UserError(f"a backbone whose {shared} cannot be cut to {depth}: {depth} must be whole groups")

    def sequences(self, batch: Batch) -> Iterator[Tensor]:
        """The states [n, T, H] of all tokens after layer 1, 2, .. L, one layer after the other."""
        hidden, mask = self.embed(batch)
        for layer in self.layers:
            hidden = layer(hidden, mask)
            yield hidden

    def forward(self, batch: Batch) -> Tensor:
        """The [CLS] states of all layers, [n, L, H]; nothing else of layer L is computed where the family allows it."""
        if self.plain is None:
            return torch.stack([hidden[:, 0] for hidden in self.sequences(batch)], dim=1)
        hidden, mask, cls = self.embeddings(batch), tokens_only(batch["attention_mask"]), []
        for number, layer in enumerate(self.plain, start=1):
            hidden = layer(hidden, mask, hidden.shape[1] if number < self.num_layers else 1)
            cls.append(hidden[:, 0])
        return torch.stack(cls, dim=1)


def load_encoder(checkpoint: Checkpoint) -> Layerwise:
    """The encoder of a checkpoint, with float32 weights and scaled-dot-product attention.

    Raises:
        UserError: it cannot be loaded, is no encoder of a known family, or lacks weights.
    """
    config = load_config(checkpoint)
    verbosity = transformers_logging.get_verbosity()
    transformers_logging.set_verbosity_error()  # unused pre-training heads are expected
    transformers_logging.disable_progress_bar()
    try:
        encoder, info = AutoModel.from_pretrained(
            checkpoint.folder(),
            config=config,
            use_safetensors=True,
            trust_remote_code=False,
            attn_implementation="sdpa",
            dtype=torch.float32,
            output_loading_info=True,
        )
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        raise UserError(f"checkpoint '{checkpoint.path}' cannot be loaded: {one_line(error)}") from error
    finally:
        transformers_logging.set_verbosity(verbosity)
    missing = sorted(name for name in info["missing_keys"] if not name.startswith("pooler."))
    if missing:
        raise UserError(f"checkpoint '{checkpoint.path}' lacks weights of its encoder, first '{missing[0]}'")
    return without_pooler(encoder)


def empty_encoder(config: PreTrainedConfig) -> Layerwise:
    """An encoder of a configuration with weights that somebody else will fill in."""
    return without_pooler(AutoModel.from_config(config, attn_implementation="sdpa", dtype=torch.float32))


def without_pooler(encoder: nn.Module) -> Layerwise:
    """The layerwise view of a library encoder, whose pooler goes: every exit brings its own."""
    if getattr(encoder, "pooler", None) is not None:
        encoder.pooler = None
    return Layerwise(encoder)


def load_config(checkpoint: Checkpoint) -> PreTrainedConfig:
    """The configuration of a checkpoint, refused unless it is an encoder of a known family."""
    try:
        config = AutoConfig.from_pretrained(checkpoint.config_folder(), trust_remote_code=False)
    except (OSError, ValueError) as error:
        raise UserError(f"checkpoint '{checkpoint.path}' has no usable config: {one_line(error)}") from error
    if config.model_type not in LAYER_PATHS or getattr(config, "is_decoder", False):
        expected = ", ".join(LAYER_PATHS)
        raise UserError(f"checkpoint '{checkpoint.path}' is a '{config.model_type}' model: expected {expected}")
    return config


def load_tokenizer(checkpoint: Checkpoint) -> PreTrainedTokenizerBase:
    """The tokenizer of a checkpoint.

    Raises:
        UserError: it is missing, cannot pad, or has more entries than the model has embeddings.
    """
    where = f"checkpoint '{checkpoint.path}'"
    try:
        tokenizer = AutoTokenizer.from_pretrained(checkpoint.folder(), trust_remote_code=False)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{where} has no usable tokenizer: {one_line(error)}") from error
    if len(tokenizer) <= len(tokenizer.all_special_ids):  # the library makes up an empty one where files are missing
        raise UserError(f"{where} has no usable tokenizer: its vocabulary is missing, expected tokenizer.json")
    size = load_config(checkpoint).vocab_size
    if len(tokenizer) > size:
        raise UserError(f"{where}: the tokenizer does not fit, it has {len(tokenizer)} entries and the model {size}")
    if tokenizer.pad_token_id is None:
        raise UserError(f"{where}: the tokenizer has no padding token")
    return tokenizer


def check_length(checkpoint: Checkpoint, max_length: int) -> None:
    """Refuse a suite whose inputs are longer than a checkpoint has positions.

    Raises:
        UserError: naming both lengths.
    """
    config = load_config(checkpoint)
    # RoBERTa's positions start behind the padding index
    positions = config.max_position_embeddings - (config.pad_token_id + 1 if config.model_type == "roberta" else 0)
    if max_length > positions:
        where = f"checkpoint '{checkpoint.path}'"
        raise UserError(f"{where} has positions for {positions} tokens, the suite's max_length is {max_length}")
