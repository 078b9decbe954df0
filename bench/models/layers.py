"""Encoder layers as plain tensor functions, faster than the library's modules; of the last layer [CLS] alone.

The arithmetic is the library's. In small encoders much of a step goes into modules, argument checks and masks; and
exits on [CLS] read one position of the last layer, so the others need not be computed. BERT, RoBERTa, ELECTRA and
DistilBERT share one arithmetic (A. Vaswani et al., "Attention Is All You Need", NIPS 2017, each norm behind its sum)
under different names.

Shape symbols: n examples, T tokens (padded), Q leading positions that are computed (T, or 1 for [CLS]), H hidden size,
h heads, d = H / h.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F
from transformers import PreTrainedConfig
from transformers.activations import get_activation

from bench.models.layer_calls import Batch, segments_of

_BERT = {
    "query": "attention.self.query",
    "key": "attention.self.key",
    "value": "attention.self.value",
    "attention_out": "attention.output.dense",
    "attention_norm": "attention.output.LayerNorm",
    "ffn_in": "intermediate.dense",
    "ffn_out": "output.dense",
    "out_norm": "output.LayerNorm",
    "attention_dropout": "attention.self.dropout",
    "attention_out_dropout": "attention.output.dropout",
    "ffn_out_dropout": "output.dropout",
}
_DISTILBERT = {
    "query": "attention.q_lin",
    "key": "attention.k_lin",
    "value": "attention.v_lin",
    "attention_out": "attention.out_lin",
    "attention_norm": "sa_layer_norm",
    "ffn_in": "ffn.lin1",
    "ffn_out": "ffn.lin2",
    "out_norm": "output_layer_norm",
    "attention_dropout": "attention.dropout",
    "ffn_out_dropout": "ffn.dropout",
}
#: What each family calls the parts of a layer. ALBERT's layers come in groups and stay with the library.
PARTS = {"bert": _BERT, "roberta": _BERT, "electra": _BERT, "distilbert": _DISTILBERT}


class FunctionalLayer:
    """One encoder layer in plain functions, on the parameters and dropout rates of the library's module.

    Args:
        layer: the library's layer.
        config: of its encoder, of a family in `PARTS`.
    """

    def __init__(self, layer: nn.Module, config: PreTrainedConfig) -> None:
        self.parts = {part: layer.get_submodule(name) for part, name in PARTS[config.model_type].items()}
        self.weights = {part: (unit.weight, unit.bias) for part, unit in self.parts.items() if hasattr(unit, "weight")}
        self.heads = config.num_attention_heads
        # inside the feed-forward part; DistilBERT calls it by another name
        self.activation = get_activation(getattr(config, "hidden_act", None) or config.activation)

    def __call__(self, hidden: Tensor, mask: Tensor | None, queries: int) -> Tensor:
        """States [n, Q, H] of the first `queries` positions behind this layer.

        Args:
            hidden: [n, T, H], the states before it.
            mask: bool [n, 1, 1, T], true at tokens; None: there is no padding.
            queries: Q.
        """
        inputs = hidden[:, :queries]  # [n, Q, H]
        query, key, value = self._heads("query", inputs), self._heads("key", hidden), self._heads("value", hidden)
        dropout = self._rate("attention_dropout")
        context = F.scaled_dot_product_attention(query, key, value, mask, dropout)  # [n, h, Q, d]
        attention = self._linear("attention_out", context.transpose(1, 2).flatten(2))  # [n, Q, H]
        attention = self._norm("attention_norm", F.dropout(attention, self._rate("attention_out_dropout")) + inputs)
        ffn = self._linear("ffn_out", self.activation(self._linear("ffn_in", attention)))
        return self._norm("out_norm", F.dropout(ffn, self._rate("ffn_out_dropout")) + attention)

    def _linear(self, part: str, inputs: Tensor) -> Tensor:
        return F.linear(inputs, *self.weights[part])

    def _heads(self, part: str, inputs: Tensor) -> Tensor:
        """[n, T, H] -> [n, h, T, d]."""
        return self._linear(part, inputs).unflatten(2, (self.heads, -1)).transpose(1, 2)

    def _norm(self, part: str, inputs: Tensor) -> Tensor:
        return F.layer_norm(inputs, inputs.shape[2:], *self.weights[part], self.parts[part].eps)

    def _rate(self, part: str) -> float:
        """The probability of dropout at a part, 0 where there is none."""
        module = self.parts.get(part)
        return module.p if module is not None and module.training else 0.0


def embeddings_of(encoder: nn.Module, batch: Batch) -> Tensor:
    """What the plain layers start from: embeddings [n, T, H] of a batch, as wide as the layers."""
    hidden = encoder.embeddings(input_ids=batch["input_ids"], **segments_of(encoder, batch))
    project = getattr(encoder, "embeddings_project", None)  # ELECTRA's embeddings may have a width of their own
    return hidden if project is None else project(hidden)


def padding_mask(attention: Tensor) -> Tensor | None:
    """The mask that a plain layer's attention takes, bool [n, 1, 1, T], from a batch's [n, T]; None without padding."""
    return None if attention.all() else attention.bool()[:, None, None]
