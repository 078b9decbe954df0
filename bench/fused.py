"""One encoder layer as one node of the autograd graph, with its backward pass written out.

The library's layer is some forty nodes, and in small models most of a training step goes into dispatching them. BERT,
RoBERTa, ELECTRA and DistilBERT share one arithmetic (A. Vaswani et al., "Attention Is All You Need", NIPS 2017, with
the norms behind the sums), so one function serves them; what it computes is the library's up to the order of sums.

It can leave out what nobody reads: of the last layer exits see [CLS] alone, so only the first position asks there.

Shape symbols: n examples, T tokens (padded), Q leading positions that ask (T, or 1 for [CLS] alone), H hidden size,
I inner size, h heads, d = H / h.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

BERT_UNITS = (
    "attention.self.query",
    "attention.self.key",
    "attention.self.value",
    "attention.output.dense",
    "attention.output.LayerNorm",
    "intermediate.dense",
    "output.dense",
    "output.LayerNorm",
)
DISTILBERT_UNITS = (
    "attention.q_lin",
    "attention.k_lin",
    "attention.v_lin",
    "attention.out_lin",
    "sa_layer_norm",
    "ffn.lin1",
    "ffn.lin2",
    "output_layer_norm",
)
#: Linear units and norms of a layer by family, in the order in which they compute.
UNITS = {"bert": BERT_UNITS, "roberta": BERT_UNITS, "electra": BERT_UNITS, "distilbert": DISTILBERT_UNITS}
BERT_DROPOUTS = ("attention.self.dropout", "attention.output.dropout", "output.dropout")
#: Dropout on attention weights, on the output of attention (DistilBERT has none) and on that of the feed-forward part.
DROPOUTS = {
    "bert": BERT_DROPOUTS,
    "roberta": BERT_DROPOUTS,
    "electra": BERT_DROPOUTS,
    "distilbert": ("attention.dropout", None, "ffn.dropout"),
}


def can_fuse(config) -> bool:
    """Whether the layers of an encoder compute what `FusedLayer` computes."""
    activation = getattr(config, "hidden_act", None) or getattr(config, "activation", None)
    return config.model_type in UNITS and activation == "gelu"


class FusedLayer:
    """A layer of the library as `EncoderLayer` computes it, on the layer's own parameters.

    Args:
        layer: the library's layer.
        config: of its encoder, one that `can_fuse`.
    """

    def __init__(self, layer: nn.Module, config) -> None:
        units = [layer.get_submodule(name) for name in UNITS[config.model_type]]
        self.parameters = [parameter for unit in units for parameter in (unit.weight, unit.bias)]
        self.dropouts = [name and layer.get_submodule(name) for name in DROPOUTS[config.model_type]]
        self.heads, self.eps = config.num_attention_heads, units[-1].eps

    def __call__(self, hidden: Tensor, mask: Tensor | None, queries: int) -> Tensor:
        """States [n, Q, H] of the first `queries` positions after this layer.

        Args:
            hidden: [n, T, H] states before it.
            mask: [n, 1, 1, T], added to the scores of attention; None: every position is a token.
            queries: Q.
        """
        rates = [dropout.p if dropout and dropout.training else 0.0 for dropout in self.dropouts]
        return EncoderLayer.apply(hidden, mask, queries, self.heads, self.eps, rates, *self.parameters)


class EncoderLayer(torch.autograd.Function):
    """y1 = norm(x + attention(x) Wo), y2 = norm(y1 + gelu(y1 Wi) Wf); `u` is what gelu takes, `z` what a norm takes."""

    @staticmethod
    def forward(ctx, x, mask, queries, heads, eps, rates, wq, bq, wk, bk, wv, bv, wo, bo, g1, c1, wi, bi, wf, bf, g2, c2):
        n, _, width = x.shape
        tokens, asking = x.flatten(0, 1), x[:, :queries].flatten(0, 1)  # [n T, H], [n Q, H]
        wkv = torch.cat([wk, wv])
        (q,) = split_heads(torch.addmm(bq, asking, wq.t()), n, 1, heads)  # [n h, Q, d]
        k, v = split_heads(torch.addmm(torch.cat([bk, bv]), tokens, wkv.t()), n, 2, heads)  # [n h, T, d]
        q *= (width // heads) ** -0.5
        scores = torch.bmm(q, k.transpose(1, 2))  # [n h, Q, T]
        if mask is not None:
            scores.view(n, heads, queries, -1).add_(mask)
        weights = torch.softmax(scores, dim=-1)
        noise = [dropout_noise(like, rate) for like, rate in zip((weights, asking, asking), rates, strict=True)]
        mixed = merge_heads(torch.bmm(times(weights, noise[0]), v)[None], n)  # [n Q, H]
        z1 = times(torch.addmm(bo, mixed, wo.t()), noise[1]).add_(asking)
        y1, mean1, scale1 = torch.native_layer_norm(z1, (width,), g1, c1, eps)
        u = torch.addmm(bi, y1, wi.t())  # [n Q, I]
        inner = F.gelu(u)
        z2 = times(torch.addmm(bf, inner, wf.t()), noise[2]).add_(y1)
        y2, mean2, scale2 = torch.native_layer_norm(z2, (width,), g2, c2, eps)
        first = (tokens, asking, q, k, v, weights, mixed, z1, mean1, scale1, y1, u, inner, z2, mean2, scale2)
        ctx.save_for_backward(*first, *noise, wq, wkv, wo, g1, c1, wi, wf, g2, c2)
        ctx.shape = x.shape
        return y2.view(n, queries, width)

    @staticmethod
    @once_differentiable
    def backward(ctx, dy2):
        tokens, asking, q, k, v, weights, mixed, z1, mean1, scale1, y1, u, inner, z2, mean2, scale2, *rest = (
            ctx.saved_tensors
        )
        *noise, wq, wkv, wo, g1, c1, wi, wf, g2, c2 = rest
        n, _, width = ctx.shape
        dz2, dg2, dc2 = norm_backward(dy2.reshape(z2.shape), z2, mean2, scale2, g2, c2)
        df = times(dz2, noise[2])
        du = torch.ops.aten.gelu_backward(df @ wf, u)
        dz1, dg1, dc1 = norm_backward(torch.addmm(dz2, du, wi), z1, mean1, scale1, g1, c1)
        do = times(dz1, noise[1])
        (dmixed,) = split_heads(do @ wo, n, 1, len(k) // n)  # [n h, Q, d]
        dweights = times(torch.bmm(dmixed, v.transpose(1, 2)), noise[0])  # [n h, Q, T]
        dscores = torch.ops.aten._softmax_backward_data(dweights, weights, -1, weights.dtype)
        dkv = torch.empty(2, *k.shape, dtype=k.dtype)
        torch.bmm(dscores.transpose(1, 2), q, out=dkv[0])  # q carries the scale
        torch.bmm(times(weights, noise[0]).transpose(1, 2), dmixed, out=dkv[1])
        dkv = merge_heads(dkv, n)  # [n T, 2 H]
        dq = merge_heads(torch.bmm(dscores, k)[None], n).mul_(q.shape[-1] ** -0.5)  # [n Q, H]
        dx = (dkv @ wkv).view(ctx.shape)
        dx[:, : q.shape[1]] += torch.addmm(dz1, dq, wq).view(n, -1, width)
        (dwk, dwv), (dbk, dbv) = (dkv.t() @ tokens).chunk(2), dkv.sum(0).chunk(2)
        attention = (dq.t() @ asking, dq.sum(0), dwk, dbk, dwv, dbv, do.t() @ mixed, do.sum(0), dg1, dc1)
        feed_forward = (du.t() @ y1, du.sum(0), df.t() @ inner, df.sum(0), dg2, dc2)
        return dx, None, None, None, None, None, *attention, *feed_forward


def split_heads(rows: Tensor, n: int, parts: int, heads: int) -> Tensor:
    """[n T, parts h d] -> [parts, n h, T, d]: what stands side by side becomes one matrix for each head."""
    apart = rows.view(n, -1, parts, heads, rows.shape[1] // (parts * heads))
    return apart.permute(2, 0, 3, 1, 4).reshape(parts, n * heads, apart.shape[1], -1)


def merge_heads(matrices: Tensor, n: int) -> Tensor:
    """[parts, n h, T, d] -> [n T, parts h d], the inverse of `split_heads`."""
    return matrices.unflatten(1, (n, -1)).permute(1, 3, 0, 2, 4).flatten(2).flatten(0, 1)


def dropout_noise(like: Tensor, rate: float) -> Tensor | None:
    """What dropout multiplies with, shaped like a tensor: 0 with probability `rate`, else 1 / (1 - rate)."""
    return torch.empty_like(like).bernoulli_(1 - rate).div_(1 - rate) if rate else None


def times(values: Tensor, noise: Tensor | None) -> Tensor:
    """Values under dropout."""
    return values if noise is None else values * noise


def norm_backward(dy: Tensor, z: Tensor, mean: Tensor, scale: Tensor, gain: Tensor, bias: Tensor) -> tuple[Tensor, ...]:
    """Gradients of a layer norm's input, gain and bias."""
    return torch.ops.aten.native_layer_norm_backward(dy, z, gain.shape, mean, scale, gain, bias, [True, True, True])
