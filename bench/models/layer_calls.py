"""How the library calls the layers of a model: its inputs, every call with its arguments, watched or without computing.

`bench.models.structure` finds the layers from such calls; `bench.models.backbones` makes them itself afterwards.

Shape symbols: n examples, T tokens, H hidden size, L layers.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor, nn

from bench.errors import UserError

#: Tokens of the made-up examples; two lengths and two batch sizes tell which dimensions of an argument are which.
TOKENS, MORE_TOKENS = 8, 12

Batch = dict[str, Tensor]
#: Where a tensor stands among a layer's arguments: a position or keyword, and indices within it.
Path = tuple[int | str, ...]


@dataclass
class Call:
    """How the library calls one layer.

    Attributes:
        module: the layer.
        args: positional arguments.
        kwargs: the others.
        output: what it returned.
    """

    module: nn.Module
    args: tuple
    kwargs: dict
    output: object = None

    @property
    def place(self) -> int | str:
        """Where the state stands among the arguments: the first of them, or the first keyword."""
        return 0 if self.args else next(iter(self.kwargs))

    @property
    def state(self) -> Tensor:
        """The state [n, T, H] that the layer gets."""
        return self.args[0] if self.args else next(iter(self.kwargs.values()))


def family(encoder: nn.Module) -> str:
    """What the library calls the family of the model whose layers it calls."""
    return f"a '{encoder.config.model_type}' model"


def inputs_of(encoder: nn.Module, batch: Batch) -> dict:
    """The arguments of the library's own forward for a batch: no cache, and segments where the family has them."""
    cache = {"use_cache": False} if takes_cache(type(encoder)) else {}
    inputs = {"input_ids": batch["input_ids"], "attention_mask": batch["attention_mask"]}
    return {**inputs, **segments_of(encoder, batch), **cache}


def segments_of(encoder: nn.Module, batch: Batch) -> Batch:
    """The segments of a batch, as keyword arguments of the library; empty where it, or the family, has none."""
    # tokenizers may give segments to a family that has none: DistilBERT's published ones load as BERT's
    has_them = "token_type_ids" in batch and getattr(encoder.config, "type_vocab_size", 1) > 1
    return {"token_type_ids": batch["token_type_ids"]} if has_them else {}


@cache
def takes_cache(kind: type) -> bool:
    """Whether a model's forward can keep keys and values for later tokens, which nobody asks for here."""
    return "use_cache" in inspect.signature(kind.forward).parameters


@contextmanager
def answering(module: nn.Module) -> Iterator[None]:
    """While it lasts, a module and all of its parts are in evaluation mode, as they answer."""
    modes = [(part, part.training) for part in module.modules()]
    module.eval()
    try:
        yield
    finally:
        for part, was_training in modes:
            part.training = was_training


def made_up(encoder: nn.Module, n: int, tokens: int) -> Batch:
    """A batch [n, tokens] of made-up words, the last three positions of every example padding."""
    size = encoder.config.vocab_size
    low = min(10, size // 2)  # special tokens come first
    ids = low + torch.arange(tokens).expand(n, tokens) * 3 % (size - low - 1)
    attention = (torch.arange(tokens) < tokens - 3).long().expand(n, tokens)
    device = next(encoder.parameters()).device
    return {"input_ids": ids.clone().to(device), "attention_mask": attention.clone().to(device)}


def watched(encoder: nn.Module, batch: Batch) -> tuple[list[Call], object]:
    """Every module call of the library's own forward in the order in which they began, and what the model returned."""
    calls, open_calls = [], []

    def begin(module: nn.Module, args: tuple, kwargs: dict) -> None:
        call = Call(module, args, kwargs)
        calls.append(call)
        open_calls.append(call)

    def end(module: nn.Module, args: tuple, kwargs: dict, output: object) -> None:
        open_calls.pop().output = output

    with ExitStack() as stack:
        for module in encoder.modules():
            if module is not encoder:
                for handle in (
                    module.register_forward_pre_hook(begin, with_kwargs=True),
                    module.register_forward_hook(end, with_kwargs=True),
                ):
                    stack.callback(handle.remove)
        output = encoder(**inputs_of(encoder, batch))
    return calls, output


def state_of(output: object) -> object:
    """The state among what a layer returns."""
    return output[0] if isinstance(output, tuple | list) else output


@contextmanager
def stubs(encoder: nn.Module, layers: Iterable[str], arity: tuple[int, ...]) -> Iterator[list[Call]]:
    """While it lasts, every layer records its arguments and returns its input, in the arity of the real one."""
    calls: list[Call] = []

    def stub(module: nn.Module):
        def forward(*args: object, **kwargs: object) -> object:
            call = Call(module, args, kwargs)
            calls.append(call)
            number = arity[min(len(calls), len(arity)) - 1]
            return (call.state, *[None] * (number - 1)) if number else call.state

        return forward

    modules = {name: encoder.get_submodule(name) for name in layers}
    try:
        for module in modules.values():
            module.__dict__["forward"] = stub(module)
        yield calls
    finally:
        for module in modules.values():
            del module.__dict__["forward"]


def record_calls(encoder: nn.Module, layers: tuple[str, ...], arity: tuple[int, ...], batch: Batch) -> list[Call]:
    """The arguments that the library would give to layers 1..L for a batch; the layers are not computed.

    Raises:
        UserError: it calls fewer or more layers than it has, as with layers that are dropped at random.
    """
    with stubs(encoder, layers, arity) as calls:
        encoder(**inputs_of(encoder, batch))
    if len(calls) != len(layers):
        raise UserError(
            f"{family(encoder)} called {len(calls)} of its {len(layers)} layers: layer drop is not possible"
        )
    return calls


def tensors(call: Call) -> Iterator[tuple[Path, Tensor]]:
    """Every tensor among the arguments of a layer but its state, with its place."""
    for path, value in [*enumerate(call.args), *call.kwargs.items()]:
        if path != call.place:
            yield from nested(value, (path,))


def nested(value: object, path: Path) -> Iterator[tuple[Path, Tensor]]:
    """Every tensor in an argument of a layer: itself, or those in tuples, lists and dictionaries."""
    if isinstance(value, Tensor):
        yield path, value
    elif isinstance(value, tuple | list):
        for i, part in enumerate(value):
            yield from nested(part, (*path, i))
    elif isinstance(value, dict):
        for key, part in value.items():
            yield from nested(part, (*path, key))


def changed(
    more: dict[Path, Tensor], base: dict[Path, Tensor], longer: dict[Path, Tensor]
) -> tuple[frozenset[Path], dict[Path, tuple[int, ...]]]:
    """Which arguments of a layer have a leading dimension n, and which dimensions are T, told by other batches."""
    batched = {path for path, tensor in base.items() if tensor.ndim and more[path].shape[0] != tensor.shape[0]}
    sequenced = {}
    for path, tensor in base.items():
        sizes = zip(tensor.shape, longer[path].shape, strict=True)
        sequenced[path] = tuple(i for i, (a, b) in enumerate(sizes) if (a, b) == (TOKENS, MORE_TOKENS))
    return frozenset(batched), sequenced
