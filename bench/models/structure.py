"""Where the layers of any library encoder or decoder are, and what surrounds them, found by running it on a few tokens.

Nothing is known by name. The layers are the modules of the class that the library declares as the source of hidden
states (`_can_record_outputs`), or the one list whose modules are called `num_hidden_layers` times in all; what flows
between them, what follows them and whether the model is causal is read from one pass over made-up tokens.

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

from bench.errors import UserError, one_line

#: Tokens of the made-up examples; two lengths and two batch sizes tell which dimensions of an argument are which.
TOKENS, MORE_TOKENS = 8, 12
#: What precedes the name of every refusal.
EXPECTED = "expected a model that hands one state [n, T, H] from layer to layer"

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


@dataclass(frozen=True)
class Structure:
    """What there is to know about a model to run it layer by layer.

    Attributes:
        layers: names of the modules of layers 1..L, in the order of the calls; shared ones occur more than once.
        width: H.
        norm: name of the norm behind the last layer, or None.
        arity: for every layer the number of values that it returns, 0 for a bare state.
        is_causal: whether a token sees only those before it.
        batched: for every layer, the arguments with a leading dimension n.
        sequenced: for every layer, the dimensions T of its arguments.
    """

    layers: tuple[str, ...]
    width: int
    norm: str | None
    arity: tuple[int, ...]
    is_causal: bool
    batched: tuple[frozenset[Path], ...]
    sequenced: tuple[dict[Path, tuple[int, ...]], ...]


def inspect_encoder(encoder: nn.Module) -> Structure:
    """Find the layers of a library model.

    Raises:
        UserError: there are none, or they cannot be run one by one.
    """
    with answering(encoder), torch.no_grad(), torch.random.fork_rng(devices=[]):
        return _inspect(encoder)


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


def _inspect(encoder: nn.Module) -> Structure:
    if not getattr(encoder.config, "vocab_size", None):
        raise UserError(f"{family(encoder)}, which has no vocabulary: expected a model that reads tokens")
    batch = made_up(encoder, 3, TOKENS)
    batch["input_ids"][1, TOKENS - 4] += 1  # the last token of all three
    batch["input_ids"][2, 0] += 1
    names = {module: name for name, module in encoder.named_modules()}
    calls, last, behind = observed(encoder, batch)
    layers = tuple(names[call.module] for call in calls)
    arity = tuple(len(call.output) if isinstance(call.output, tuple | list) else 0 for call in calls)
    norm = norm_of(encoder, calls[-1], last, behind)
    first, final = last[:, 0], last[:, TOKENS - 4]
    is_causal = bool((first[0] == first[1]).all()) and not bool((final[0] == final[2]).all())
    probes = [record_calls(encoder, layers, arity, made_up(encoder, *size)) for size in ((3, TOKENS), (2, TOKENS))]
    probes.append(record_calls(encoder, layers, arity, made_up(encoder, 2, MORE_TOKENS)))
    check_independent(encoder, calls, record_calls(encoder, layers, arity, batch))
    dims = [changed(*(dict(tensors(call)) for call in some)) for some in zip(*probes, strict=True)]
    return Structure(layers, last.shape[-1], names[norm] if norm else None, arity, is_causal, *zip(*dims, strict=True))


def made_up(encoder: nn.Module, n: int, tokens: int) -> Batch:
    """A batch [n, tokens] of made-up words, the last three positions of every example padding."""
    size = encoder.config.vocab_size
    low = min(10, size // 2)  # special tokens come first
    ids = low + torch.arange(tokens).expand(n, tokens) * 3 % (size - low - 1)
    attention = (torch.arange(tokens) < tokens - 3).long().expand(n, tokens)
    device = next(encoder.parameters()).device
    return {"input_ids": ids.clone().to(device), "attention_mask": attention.clone().to(device)}


def family(encoder: nn.Module) -> str:
    """What the library calls the model's family."""
    return f"a '{encoder.config.model_type}' model"


def inputs_of(encoder: nn.Module, batch: Batch) -> dict:
    """The arguments of the library's own forward for a batch: no cache, and segments where the family has them."""
    inputs = {"input_ids": batch["input_ids"], "attention_mask": batch["attention_mask"]}
    # tokenizers may give segments to a family that has none: DistilBERT's published ones load as BERT's
    if "token_type_ids" in batch and getattr(encoder.config, "type_vocab_size", 1) > 1:
        inputs["token_type_ids"] = batch["token_type_ids"]
    if takes_cache(type(encoder)):
        inputs["use_cache"] = False
    return inputs


@cache
def takes_cache(kind: type) -> bool:
    """Whether a model's forward can keep keys and values for later tokens, which nobody asks for here."""
    return "use_cache" in inspect.signature(kind.forward).parameters


def candidates(encoder: nn.Module) -> Iterator[tuple[str, list[nn.Module]]]:
    """What may be the layers, with what it is called: the declared class, then every list of modules."""
    declared = (getattr(encoder, "_can_record_outputs", None) or {}).get("hidden_states")
    for kind in declared if isinstance(declared, list | tuple) else [declared]:
        kind = getattr(kind, "target_class", kind)
        if isinstance(kind, type):
            yield kind.__name__, [module for module in encoder.modules() if isinstance(module, kind)]
    for name, module in encoder.named_modules():
        if isinstance(module, nn.ModuleList):
            yield f"list '{name}'", list(module)


def observed(encoder: nn.Module, batch: Batch) -> tuple[list[Call], Tensor, list[Call]]:
    """The calls of the layers in one pass, the last hidden state [n, T, H], and the calls that came after them.

    Raises:
        UserError: no candidate is called as layers are.
    """
    expected = getattr(encoder.config, "num_hidden_layers", None)
    found = dict(candidates(encoder))
    if not expected or not found:
        raise UserError(f"{family(encoder)}: no layers found, {EXPECTED}")
    try:
        calls, output = watched(encoder, batch)
        last = output.last_hidden_state
    except Exception as error:  # whatever a model does that is not made for text alone
        line = f"{family(encoder)} does not run on tokens and a mask alone ({type(error).__name__}: {one_line(error)})"
        raise UserError(line) from error
    reasons = []
    for what, modules in found.items():
        wanted = set(modules)
        places = [i for i, call in enumerate(calls) if call.module in wanted]
        if len(places) == expected:
            some = [calls[i] for i in places]
            reason = broken_chain(some)
            if reason is None:
                return some, last, calls[places[-1] + 1 :]
        else:
            reason = f"is called {len(places)} times, its config says {expected} layers"
        reasons.append(f"{what} {reason}")
    raise UserError(f"{family(encoder)}: {reasons[0]}; {EXPECTED}")


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


def broken_chain(calls: list[Call]) -> str | None:
    """Why calls are no chain of layers, or None: each must get what the one before returned, in one shape."""
    for number, (call, after) in enumerate(zip(calls, [*calls[1:], None], strict=True), 1):
        state = state_of(call.output)
        if not (call.args or call.kwargs) or not isinstance(call.state, Tensor) or call.state.ndim != 3:
            return f"gets no state [n, T, H] at layer {number}"
        if not isinstance(state, Tensor) or state.shape != calls[0].state.shape:
            shape = tuple(state.shape) if isinstance(state, Tensor) else type(state).__name__
            return f"changes the shape of its states at layer {number}, from {tuple(calls[0].state.shape)} to {shape}"
        if after is not None and (after.state.shape != state.shape or not torch.equal(after.state, state)):
            return f"is not all: between layers {number} and {number + 1} the states change"
    return None


def state_of(output: object) -> object:
    """The state among what a layer returns."""
    return output[0] if isinstance(output, tuple | list) else output


def norm_of(encoder: nn.Module, call: Call, last: Tensor, behind: list[Call]) -> nn.Module | None:
    """The norm between the last layer and the last hidden state, None where there is nothing.

    Raises:
        UserError: something else is there.
    """
    state = state_of(call.output)
    if last.shape == state.shape and torch.equal(last, state):
        return None
    for after in behind:
        same = isinstance(after.output, Tensor) and after.output.shape == last.shape
        if same and after.args and torch.equal(after.args[0], state) and torch.equal(after.output, last):
            return after.module
    raise UserError(f"{family(encoder)}: what stands behind its last layer is no norm, {EXPECTED}")


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


def check_independent(encoder: nn.Module, real: list[Call], recorded: list[Call]) -> None:
    """Refuse a model whose layers take more from those before them than the state.

    Raises:
        UserError: naming the layer.
    """
    for number, (ours, theirs) in enumerate(zip(recorded, real, strict=True), 1):
        mine, other = dict(tensors(ours)), dict(tensors(theirs))
        same = mine.keys() == other.keys() and all(torch.equal(mine[path], other[path]) for path in mine)
        if not same:
            line = f"layer {number} takes more than the state from the layers before it"
            raise UserError(f"{family(encoder)}: {line}, {EXPECTED}")


def tensors(call: Call) -> Iterator[tuple[Path, Tensor]]:
    """Every tensor among the arguments of a layer but its state, with its place."""
    for path, value in [*enumerate(call.args), *call.kwargs.items()]:
        if path != call.place:
            yield from nested(value, (path,))


def nested(value: object, path: Path) -> Iterator[tuple[Path, Tensor]]:
    """Every tensor in a value: itself, or those in tuples, lists and dictionaries."""
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
    """Which arguments have a leading dimension n, and which dimensions are T, by what other batches change."""
    batched = {path for path, tensor in base.items() if tensor.ndim and more[path].shape[0] != tensor.shape[0]}
    sequenced = {}
    for path, tensor in base.items():
        sizes = zip(tensor.shape, longer[path].shape, strict=True)
        sequenced[path] = tuple(i for i, (a, b) in enumerate(sizes) if (a, b) == (TOKENS, MORE_TOKENS))
    return frozenset(batched), sequenced
