"""A layer of the library's encoders in plain functions: the same arithmetic, less around it, for [CLS] alone if asked.

In small encoders much of a step goes into modules, argument checks and masks; of the last layer, exits on [CLS] read
one position, and the rest of it need not be computed. BERT, RoBERTa, ELECTRA and DistilBERT share one arithmetic (A.
Vaswani et al., "Attention Is All You Need", NIPS 2017, each norm behind its sum) under different names.

Shape symbols: n examples, T tokens (padded), Q leading positions that ask (T, or 1 for [CLS]), H hidden size, h heads,
d = H / h.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F
from transformers import PreTrainedConfig
from transformers.activations import get_activation

_BERT = {
    "query": "attention.self.query",
    "key": "attention.self.key",
    "value": "attention.self.value",
    "mixed": "attention.output.dense",
    "middle": "attention.output.LayerNorm",
    "inner": "intermediate.dense",
    "outer": "output.dense",
    "end": "output.LayerNorm",
    "attention_dropout": "attention.self.dropout",
    "mixed_dropout": "attention.output.dropout",
    "outer_dropout": "output.dropout",
}
_DISTILBERT = {
    "query": "attention.q_lin",
    "key": "attention.k_lin",
    "value": "attention.v_lin",
    "mixed": "attention.out_lin",
    "middle": "sa_layer_norm",
    "inner": "ffn.lin1",
    "outer": "ffn.lin2",
    "end": "output_layer_norm",
    "attention_dropout": "attention.dropout",
    "outer_dropout": "ffn.dropout",
}
#: What each family calls the parts of a layer. ALBERT's layers come in groups and stay with the library.
PARTS = {"bert": _BERT, "roberta": _BERT, "electra": _BERT, "distilbert": _DISTILBERT}


class PlainLayer:
    """A view of one layer, on the layer's own parameters and dropout.

    Args:
        layer: the library's layer.
        config: of its encoder, of a family in `PARTS`.
    """

    def __init__(self, layer: nn.Module, config: PreTrainedConfig) -> None:
        self.parts = {part: layer.get_submodule(name) for part, name in PARTS[config.model_type].items()}
        self.weights = {part: (unit.weight, unit.bias) for part, unit in self.parts.items() if hasattr(unit, "weight")}
        self.heads, self.activation = config.num_attention_heads, get_activation(activation_name(config))

    def __call__(self, hidden: Tensor, mask: Tensor | None, queries: int) -> Tensor:
        """States [n, Q, H] of the first `queries` positions behind this layer.

        Args:
            hidden: [n, T, H], the states before it.
            mask: bool [n, 1, 1, T], true at tokens; None: there is no padding.
            queries: Q.
        """
        asking = hidden[:, :queries]  # [n, Q, H]
        query, key, value = self._heads("query", asking), self._heads("key", hidden), self._heads("value", hidden)
        dropout = self._rate("attention_dropout")
        mixed = F.scaled_dot_product_attention(query, key, value, mask, dropout)  # [n, h, Q, d]
        mixed = self._linear("mixed", mixed.transpose(1, 2).flatten(2))  # [n, Q, H]
        middle = self._norm("middle", F.dropout(mixed, self._rate("mixed_dropout")) + asking)
        outer = self._linear("outer", self.activation(self._linear("inner", middle)))
        return self._norm("end", F.dropout(outer, self._rate("outer_dropout")) + middle)

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


def activation_name(config: PreTrainedConfig) -> str:
    """The activation inside the feed-forward part, which DistilBERT calls by another name."""
    return getattr(config, "hidden_act", None) or config.activation


def tokens_only(attention: Tensor) -> Tensor | None:
    """The mask of a batch with attention mask [n, T]: bool [n, 1, 1, T]; None where there is no padding."""
    return None if attention.all() else attention.bool()[:, None, None]
