"""Any encoder family run one layer at a time: embeddings, then the states after each of layers 1..L.

Shape symbols: n examples, T tokens (padded), H hidden size, L layers.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property

import torch
from torch import Tensor, nn
from transformers.masking_utils import create_bidirectional_mask

from bench.errors import UserError
from bench.models.layers import PARTS, FunctionalLayer, padding_mask

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
    """A library encoder run one layer at a time, for exits between its layers; its hidden states stay the library's."""

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
        """L, the number of layers."""
        return self.config.num_hidden_layers

    @property
    def hidden_size(self) -> int:
        """H, the width of the states."""
        return self.config.hidden_size

    @property
    def dropout(self) -> float:
        """The hidden dropout probability, which the exits use too."""
        return getattr(self.config, "hidden_dropout_prob", None) or getattr(self.config, "dropout", 0.0)

    def parts(self) -> list[tuple[int, nn.Parameter]]:
        """Every parameter with the layer it belongs to: the first of those that share it; 0 is the embeddings."""
        first: dict[nn.Parameter, int] = {}
        for number, layer in enumerate(self.layers, 1):
            for parameter in layer.parameters():
                first.setdefault(parameter, number)
        return [(first.get(parameter, 0), parameter) for parameter in self.encoder.parameters()]

    @cached_property
    def functional_layers(self) -> list[FunctionalLayer] | None:
        """The L layers as `FunctionalLayer`; None for a family that stays with the library's modules."""
        known = self.config.model_type in PARTS
        return [FunctionalLayer(layer, self.config) for layer in self.layers] if known else None

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
        """Keep the first `depth` layers only, for a method that trains a shallower model.

        Raises:
            UserError: they share weights in a way that a model of that depth cannot have.
        """
        self.__dict__.pop("functional_layers", None)
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
        if self.functional_layers is None:
            return torch.stack([hidden[:, 0] for hidden in self.sequences(batch)], dim=1)
        hidden, mask, cls = self.embeddings(batch), padding_mask(batch["attention_mask"]), []
        for number, layer in enumerate(self.functional_layers, start=1):
            hidden = layer(hidden, mask, hidden.shape[1] if number < self.num_layers else 1)
            cls.append(hidden[:, 0])
        return torch.stack(cls, dim=1)
