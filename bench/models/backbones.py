"""One layer-by-layer view of every encoder and decoder of the library: embeddings, then layers 1..L, and what is read.

The library's own forward runs once with every layer replaced by a stub that records its arguments; then the real layers
are called one by one, each with the state and its own arguments. Masks by type of attention, rotary embeddings and
position biases arrive as arguments, and nothing needs to be known by name.

Shape symbols: n examples, m of them, T tokens (padded), H hidden size, L layers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor, nn

from bench.errors import UserError
from bench.models.layer_calls import Batch, Call, Path, record_calls, state_of
from bench.models.layers import PARTS, FunctionalLayer, embeddings_of, padding_mask
from bench.models.pooling import POOLINGS, check_pooling, default_pooling
from bench.models.structure import Structure, inspect_encoder

NO_NORM = nn.Identity()
#: What configs call the dropout of hidden states.
DROPOUTS = ("hidden_dropout_prob", "dropout", "hidden_dropout", "resid_pdrop")


@dataclass(frozen=True)
class Inputs:
    """What layers 1..L take besides the state, for one batch.

    Attributes:
        calls: the recorded call of every layer.
        structure: of the model.
        n: the number of examples.
    """

    calls: tuple[Call, ...]
    structure: Structure
    n: int

    def take(self, rows: Tensor, length: int, done: int) -> Inputs:
        """The arguments of the layers behind layer `done` for some of the rows, and the first `length` positions."""
        known: dict[tuple, Tensor] = {}  # most layers get the same tensors
        calls = list(self.calls)
        for i in range(done, len(calls)):
            calls[i] = self._taken(i, rows, length, known)
        return Inputs(tuple(calls), self.structure, len(rows))

    def _taken(self, i: int, rows: Tensor, length: int, known: dict[tuple, Tensor]) -> Call:
        """The call of one layer for some of the rows."""
        batched, sequenced, call = self.structure.batched[i], self.structure.sequenced[i], self.calls[i]

        def part(path: Path, tensor: Tensor) -> Tensor:
            # an argument that was not there for the made-up examples has the rows first, if their number says so
            has_rows = path in batched or (path not in sequenced and tensor.shape[:1] == (self.n,))
            key = (id(tensor), has_rows, dims := sequenced.get(path, ()))
            if key not in known:
                known[key] = taken(tensor, rows if has_rows else None, self.n, dims, length)
            return known[key]

        def parts(value: object, path: Path) -> object:
            return None if path == (call.place,) else mapped(value, path, part)

        args = tuple(parts(value, (position,)) for position, value in enumerate(call.args))
        return Call(call.module, args, {name: parts(value, (name,)) for name, value in call.kwargs.items()})


def taken(tensor: Tensor, rows: Tensor | None, n: int, dims: tuple[int, ...], length: int) -> Tensor:
    """A tensor with its dimensions T cut to a length, then some of its rows (of n, or n h in blocks of h)."""
    for dim in dims:
        tensor = tensor.narrow(dim, 0, min(length, tensor.shape[dim]))
    if rows is None:
        return tensor
    return tensor[rows] if len(tensor) == n else tensor.unflatten(0, (n, -1))[rows].flatten(0, 1)


def mapped(value: object, path: Path, change: Callable[[Path, Tensor], Tensor]) -> object:
    """A value with every tensor in it changed; its place is given to the change."""
    if isinstance(value, Tensor):
        return change(path, value)
    if isinstance(value, tuple | list):
        return type(value)(mapped(part, (*path, i), change) for i, part in enumerate(value))
    if isinstance(value, dict):
        return {key: mapped(part, (*path, key), change) for key, part in value.items()}
    return value


class Layerwise(nn.Module):
    """A library model, run one layer at a time; its hidden states are the library's own.

    Args:
        encoder: the library's model, without a task's head.
        pooling: what exits read, of `POOLINGS`; None: what the family's own classification head reads.

    Raises:
        UserError: its layers cannot be run one by one, or the pooling makes no sense.
    """

    def __init__(self, encoder: nn.Module, pooling: str | None = None) -> None:
        super().__init__()
        self.encoder = encoder
        self.config = encoder.config
        self.structure = inspect_encoder(encoder)
        self.pooling = default_pooling(self.config, self.structure.is_causal)
        if pooling:
            self.read_by(pooling)

    def read_by(self, pooling: str) -> None:
        """Let exits read another state than that of the family's own head; see `POOLINGS`."""
        check_pooling(pooling, self.config, self.structure.is_causal)
        self.pooling = pooling

    @property
    def layers(self) -> list[nn.Module]:
        """The L layers; a property, so that their parameters belong to the encoder only. ALBERT's share weights."""
        return [self.encoder.get_submodule(name) for name in self.structure.layers]

    @property
    def num_layers(self) -> int:
        """L, the number of layers."""
        return len(self.structure.layers)

    @property
    def hidden_size(self) -> int:
        """H, the width of the states."""
        return self.structure.width

    @property
    def positions(self) -> int | None:
        """How many tokens the model has positions for; None where its config names no limit."""
        limit = getattr(self.config, "max_position_embeddings", None)
        for name, module in self.encoder.named_modules():
            # RoBERTa's positions, and those of its relatives, start behind the padding index
            if limit and name.endswith("position_embeddings") and getattr(module, "padding_idx", None) is not None:
                return limit - module.padding_idx - 1
        return limit

    @property
    def dropout(self) -> float:
        """The hidden dropout probability, which the exits use too."""
        return next((p for name in DROPOUTS if (p := getattr(self.config, name, None))), 0.0)

    def parts(self) -> list[tuple[int, nn.Parameter]]:
        """Every parameter with the layer it belongs to: the first of those that share it, 0 for the embeddings.

        A final norm belongs to layer L, behind which the library has it.
        """
        first: dict[nn.Parameter, int] = {}
        for number, layer in enumerate(self.layers, 1):
            for parameter in layer.parameters():
                first.setdefault(parameter, number)
        for parameter in self.norm.parameters():
            first.setdefault(parameter, self.num_layers)
        return [(first.get(parameter, 0), parameter) for parameter in self.encoder.parameters()]

    @property
    def norm(self) -> nn.Module:
        """The norm through which every layer is read, the identity where the family has none behind its last layer.

        All exits share the backbone's own: at layer L it gives the library's last hidden state, and a gain and bias of
        its own for each exit would add nothing to the linear unit that every exit starts with.
        """
        return self.encoder.get_submodule(self.structure.norm) if self.structure.norm else NO_NORM

    @cached_property
    def functional_layers(self) -> list[FunctionalLayer] | None:
        """The L layers as `FunctionalLayer`; None for a family that stays with the library's modules."""
        known = self.config.model_type in PARTS and not self.structure.is_causal
        return [FunctionalLayer(layer, self.config) for layer in self.layers] if known else None

    def embed(self, batch: Batch) -> tuple[Tensor, Inputs]:
        """The state before layer 1, [n, T, H], and what else the layers take."""
        calls = tuple(record_calls(self.encoder, self.structure.layers, self.structure.arity, batch))
        return calls[0].state, Inputs(calls, self.structure, len(batch["input_ids"]))

    def layer(self, layer: int, hidden: Tensor, inputs: Inputs) -> Tensor:
        """Hidden states [n, T, H] after layer 1..L."""
        call = inputs.calls[layer - 1]
        if call.args:
            return state_of(call.module(hidden, *call.args[1:], **call.kwargs))
        return state_of(call.module(**{**call.kwargs, call.place: hidden}))

    def sequences(self, batch: Batch) -> Iterator[Tensor]:
        """The states [n, T, H] of all tokens after layer 1, 2, .. L, one layer after the other."""
        hidden, inputs = self.embed(batch)
        for layer in range(1, self.num_layers + 1):
            hidden = self.layer(layer, hidden, inputs)
            yield hidden

    def read(self, hidden: Tensor, attention: Tensor | None) -> Tensor:
        """What an exit reads of a layer's states [n, T, H]: one pooled state, through the final norm, [n, H].

        Args:
            hidden: [n, T, H].
            attention: [n, T], 1 at tokens; not needed to read the first token.
        """
        if self.pooling == "mean":
            return POOLINGS["mean"](self.norm(hidden), attention)
        return self.norm(POOLINGS[self.pooling](hidden, attention))

    def read_all(self, hidden: Tensor, attention: Tensor) -> tuple[Tensor, Tensor]:
        """The same for exits that read the sequence: all states, the pooled one first, and their attention mask.

        Where the first token is what is read, it is there already; else the pooled state stands before it.
        """
        states = self.norm(hidden)
        if self.pooling == "first":
            return states, attention
        pooled = POOLINGS[self.pooling](states, attention)[:, None]  # [n, 1, H]
        return torch.cat([pooled, states], dim=1), torch.cat([torch.ones_like(attention[:, :1]), attention], dim=1)

    def forward(self, batch: Batch) -> Tensor:
        """What exits read of all layers, [n, L, H]; nothing else of layer L is computed where the family allows it."""
        attention = batch["attention_mask"]
        if self.functional_layers is None:
            return torch.stack([self.read(hidden, attention) for hidden in self.sequences(batch)], dim=1)
        hidden, mask, states = embeddings_of(self.encoder, batch), padding_mask(attention), []
        reads_first = self.pooling == "first"
        for number, layer in enumerate(self.functional_layers, start=1):
            hidden = layer(hidden, mask, 1 if reads_first and number == self.num_layers else hidden.shape[1])
            states.append(self.read(hidden, attention))
        return torch.stack(states, dim=1)

    def cut(self, depth: int) -> None:
        """Keep the first `depth` layers only, for a method that trains a shallower model.

        Raises:
            UserError: they share weights in a way that a model of that depth cannot have.
        """
        num_layers = self.num_layers
        if depth == num_layers:
            return
        self.__dict__.pop("functional_layers", None)
        kept = self.layers[:depth]
        lists = [module for module in self.encoder.modules() if isinstance(module, nn.ModuleList)]
        stored = next(some for some in lists if set(kept) & set(some.modules()))
        while not set(kept) & set(stored[-1].modules()):
            del stored[-1]
        if hasattr(self.config, "num_hidden_groups"):
            self.config.num_hidden_groups = len(stored)
        shorten(self.config, depth)
        self.structure = inspect_encoder(self.encoder)
        if self.layers != kept:
            raise UserError(
                f"a backbone whose {num_layers} layers share weights in groups cannot be cut to {depth}: {depth} must "
                "be whole groups"
            )


def shorten(config: object, depth: int) -> None:
    """Make a backbone shorter in its config: fewer layers, in everything that it says layer by layer, too."""
    num_layers = config.num_hidden_layers
    for name, value in vars(config).items():
        if isinstance(value, list) and len(value) == num_layers:
            setattr(config, name, value[:depth])
    config.num_hidden_layers = depth
