"""Where the layers of any library encoder or decoder are, and what surrounds them, found by running it on a few tokens.

Nothing is known by name. The layers are the modules of the class that the library declares as the source of hidden
states (`_can_record_outputs`), or the one list whose modules are called `num_hidden_layers` times in all; what flows
between them, what follows them and whether the model is causal is read from one pass over made-up tokens.

Shape symbols: n examples, T tokens, H hidden size, L layers.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from bench.errors import UserError, one_line
from bench.models.layer_calls import (
    MORE_TOKENS,
    TOKENS,
    Batch,
    Call,
    Path,
    answering,
    changed,
    family,
    made_up,
    record_calls,
    state_of,
    tensors,
    watched,
)

#: What precedes the name of every refusal.
EXPECTED = "expected a model that hands one state [n, T, H] from layer to layer"


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


def candidates(encoder: nn.Module) -> Iterator[tuple[str, list[nn.Module]]]:
    """What may be the layers of a library model, and its name: the declared class, then every list of modules."""
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
