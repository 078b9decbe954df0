"""The conformance suite: what every method must do to plug in, tried on tiny random models within seconds.

A check raises `ConformanceError` with a line that says what is lacking. Shape symbols: n examples, L layers,
C classes, H hidden size.
"""

from __future__ import annotations

import inspect
import itertools
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import torch

from bench.errors import UserError, nearest
from bench.halting.agreement import disagreements
from bench.halting.candidates import exact_candidates
from bench.halting.live import run_live
from bench.halting.replay import Replay, replay
from bench.plan.methods import full_variant, known_methods, parse_variant, rule_spec
from bench.plan.suite import EXIT_NORMS, KINDS, STAGES
from bench.store.trace import Trace
from bench.tiny import HIDDEN, LAYERS, ROWS, tiny_data, tiny_model, tiny_teacher
from methods import LEGAL_NAME, discover, is_legal_name, is_of_project
from methods.base import SCORE_KINDS, ExitOutputs, ExitSpec, Method, Methods, RuleSpec, TrainingBatch
from methods.blocks import exit_of

#: Regression, two classes, three classes: what GLUE asks of a method.
LABEL_COUNTS = (1, 2, 3)


class ConformanceError(Exception):
    """A method lacks something; the text is one line that says what."""


class Remark(ConformanceError):
    """A method lacks what it should have, but may do without."""


def require(ok: object, message: str) -> None:
    """Raise `ConformanceError` with a message unless a requirement is met, which is anything true."""
    if not ok:
        raise ConformanceError(message)


def check_method(method: Method) -> Iterator[tuple[str, str, str]]:
    """Run every check on a method.

    Yields:
        The name of the check, the outcome ("ok", "note" or "lacks"), and in words what is to be noted or lacking.
    """
    for name, check in CHECKS.items():
        try:
            check(method)
            yield name, "ok", ""
        except Remark as error:
            yield name, "note", str(error)
        except (ConformanceError, UserError) as error:
            yield name, "lacks", str(error)
        except Exception as error:  # whatever a plug-in does wrong is a finding, not a crash
            yield name, "lacks", f"{type(error).__name__}: {error}"


def check_slug(method: Method) -> None:
    """The name is a slug: it stands in file names, on the command line and in every row."""
    require(is_legal_name(method.name), f"name '{method.name}' must be {LEGAL_NAME}")


def check_citation(method: Method) -> None:
    """The class says what it is, and cites an author and a year, itself or through the method it extends.

    A method from outside the project may have nothing to cite: that is a remark.
    """
    require(type(method).__doc__, f"class {type(method).__name__} has no docstring")
    texts = [c.__doc__ or "" for c in type(method).__mro__ if issubclass(c, Method) and c is not Method]
    cited = any(re.search(r"\b[A-Z]\. [A-Z]|\bet al\b", text) and re.search(r"\b(19|20)\d\d\b", text) for text in texts)
    missing = f"the docstring of {type(method).__name__} cites no author and year"
    if not cited:
        raise ConformanceError(missing) if is_of_project(method) else Remark(missing)


def check_variants(method: Method) -> None:
    """There is at least one variant, and each parses with the method's own parameters."""
    require(method.variants, "variants must hold at least one name; '' is the only one of most methods")
    for text in method.variants:
        parse_variant(method, text)


def check_relations(method: Method) -> None:
    """The recipe and the checkpoint exist; the methods it starts from or replays exist and train on their own."""
    require(method.recipe in STAGES, f"recipe '{method.recipe}' is none of {', '.join(STAGES)}")
    require(method.checkpoint in KINDS, f"checkpoint '{method.checkpoint}' is none of {', '.join(KINDS)}")
    require(method.starts_from or not method.has_teacher, "has_teacher needs starts_from: that model teaches")
    known = known_methods({method.name: method})
    for relation in ("trained_by", "starts_from"):
        name = getattr(method, relation)
        require(name is None or name in known, f"{relation} names no method: '{name}'{nearest(str(name), known)}")
    if method.trained_by:
        require(known[method.trained_by].trained_by is None, f"trained_by '{method.trained_by}' trains nothing itself")
    if method.starts_from:
        start = known[method.starts_from]
        is_first = start.starts_from is None and start.trained_by is None and "" in start.variants
        require(is_first, f"starts_from '{start.name}' must train one model from the pre-trained checkpoint")


def check_skip(method: Method) -> None:
    """`skip` gives None or a reason in words, and leaves some task to do."""
    reasons = [method.skip(count) for count in LABEL_COUNTS]
    wrong = [reason for reason in reasons if reason is not None and not (isinstance(reason, str) and reason.strip())]
    require(not wrong, f"skip must return None or a reason in words, got {wrong[:1]}")
    require(None in reasons, "skip leaves nothing to do: it refuses regression, two and three classes")


def check_exits(method: Method) -> None:
    """An exit maps its states to logits [n, C] and, where it has them, halting values [n] in (0, 1)."""
    for count, layer in itertools.product(label_counts(method), (1, LAYERS)):
        module = exit_of(method, ExitSpec(HIDDEN, count, 0.1, 0.02, layer, LAYERS))
        hidden, attention = torch.randn(ROWS, 5, HIDDEN), torch.ones(ROWS, 5, dtype=torch.int64)
        outputs = module(hidden, attention) if getattr(module, "reads_sequence", False) else module(hidden[:, 0])
        require(isinstance(outputs, ExitOutputs), f"an exit must return ExitOutputs, got {type(outputs).__name__}")
        shape = tuple(outputs.logits.shape)
        require(shape == (ROWS, count), f"logits of {ROWS} examples and {count} labels have shape {shape}")
        if outputs.halting is not None:
            shape = tuple(outputs.halting.shape)
            require(shape == (ROWS,), f"halting values of {ROWS} examples have shape {shape}")
            inside = (outputs.halting > 0) & (outputs.halting < 1)
            require(inside.all(), "halting values must lie between 0 and 1, exclusive")


def check_loss(method: Method) -> None:
    """For every variant the loss is a finite scalar, and some parameter that is to be trained gets a gradient."""
    if method.trained_by:
        return
    for count in label_counts(method):
        model, data, rows = tiny_model(method, count).train(), tiny_data(count), np.arange(ROWS)
        trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
        teacher = tiny_teacher(method, count)
        require(trained, "trains no parameter; a method that trains nothing names the one it replays: trained_by")
        for variant in method.variants:
            model.zero_grad()
            lesson = teacher(data.batch(rows)) if teacher else None
            batch = TrainingBatch(data.targets(rows), full_variant(method, variant), step=1, steps=2, teacher=lesson)
            outputs = model(data.batch(rows))
            loss = method.loss(outputs, batch)
            scalar = isinstance(loss, torch.Tensor) and loss.ndim == 0 and loss.isfinite()
            require(scalar, f"the loss with {count} labels must be a finite scalar tensor, got {loss}")
            if not method.reads_labels:
                blind = method.loss(outputs, replace(batch, labels=batch.labels.roll(1)))
                require(blind == loss, "reads_labels is False, and the loss changes with the labels")
                require(not method.held_out(batch.variant), "held_out rows need labels, and reads_labels is False")
            loss.backward()
            gradients = [parameter.grad for parameter in trained if parameter.grad is not None]
            require(any(g.any() for g in gradients), f"the loss of variant '{variant}' trains no parameter")
            require(all(g.isfinite().all() for g in gradients), f"a gradient of variant '{variant}' is not finite")


def check_rule(method: Method) -> None:
    """A rule gives answers [n, C], finite float64 scores [n] and states of leading dimension n at every layer."""
    for count in label_counts(method):
        kind = method.halting_rule(asked(method, LAYERS, count)).score_kind
        require(kind in SCORE_KINDS, f"score_kind '{kind}' is none of {', '.join(SCORE_KINDS)}")
        for layer, (answer, score, state) in enumerate(rule_steps(method, count, tiny_outputs(method, count)), start=1):
            require(answer.shape == (ROWS, count), f"answer has shape {tuple(answer.shape)}, not [n, C]")
            require(score.shape == (ROWS,), f"score has shape {tuple(score.shape)}, not [n]")
            require(score.dtype == torch.float64, f"score is {score.dtype}: halting arithmetic is float64")
            for what, wrong in (("NaN", score.isnan()), ("infinite", score.isinf())):
                require(not wrong.any(), f"{int(wrong.sum())} of {ROWS} scores at layer {layer} are {what}")
            for name, tensor in state.items():
                shape = tuple(tensor.shape)
                require(shape[:1] == (ROWS,), f"state '{name}' must have leading dimension n, has {shape}")


def check_rows(method: Method) -> None:
    """Each example decides alone: other neighbours, another order or finished rows that leave change nothing."""
    for count in label_counts(method):
        outputs, order = tiny_outputs(method, count), torch.randperm(ROWS, generator=torch.Generator().manual_seed(0))
        shuffled = ExitOutputs(outputs.logits[order], None if outputs.halting is None else outputs.halting[order])
        pairs = zip(rule_steps(method, count, outputs), rule_steps(method, count, shuffled), strict=True)
        same = all(torch.allclose(a[1][order], b[1], rtol=0, atol=1e-12) for a, b in pairs)
        require(same, "scores depend on the order of the examples")
        pairs = zip(rule_steps(method, count, outputs), rule_steps(method, count, outputs, leave=True), strict=True)
        same = all(torch.allclose(a[1][: len(b[1])], b[1], rtol=0, atol=1e-12) for a, b in pairs)
        require(same, "scores change when finished examples leave the batch")


def check_knob(method: Method) -> None:
    """Knob values are finite and ascend in the paper's unit; at each of them everybody leaves at a layer 1..L."""
    for count in label_counts(method):
        result = tiny_replay(method, count)
        num_layers = result.scores.shape[1]
        knob = method.knob(asked(method, num_layers, count))
        require(len(knob.values) and np.isfinite(knob.values).all(), "knob values must be finite, at least one")
        require((np.diff(knob.values) > 0).all(), "knob values must ascend, without repeats")
        require(knob.sign in (1, -1), f"the knob's sign must be 1 or -1, got {knob.sign}")
        require(knob.name or len(knob.values) == 1, "a knob with several values needs a name")
        if knob.span is not None:
            low, high = knob.span
            require(low <= high, f"the knob's span must ascend and hold no NaN, got {low} to {high}")
            exact = exact_candidates(result, knob).knob_values if len(knob.values) > 1 else ()  # as in `sweep`
            for what, values in (("values", knob.values), ("exact settings", exact)):
                for value in values:
                    require(knob.holds(value), f"knob {what} must be in its span {low:g} to {high:g}, got {value:g}")
        layers = result.exit_layers(knob, knob.values)
        require(((layers >= 1) & (layers <= num_layers)).all(), "an example never halts")


def check_live(method: Method) -> None:
    """The live engine and replay decide alike at every knob value, with and without `exit_norm`."""
    for count, exit_norm in itertools.product(label_counts(method), ("", *EXIT_NORMS)):
        model = tiny_model(trained_method(method), count, exit_norm).eval()
        batch = tiny_data(count).batch(np.arange(ROWS))
        spec = asked(method, model.num_layers, count)
        rule, knob = method.halting_rule(spec), method.knob(spec)
        result = tiny_replay(method, count, exit_norm)
        for value in knob.values:
            wrong, _ = disagreements(result, knob, value, run_live(model, rule, knob, value, batch))
            require(not len(wrong), f"at {knob.name or 'knob'} {value:g} {len(wrong)} of {ROWS} live decisions differ")


CHECKS: dict[str, Callable[[Method], None]] = {
    check.__name__.removeprefix("check_"): check
    for check in (
        check_slug,
        check_citation,
        check_variants,
        check_relations,
        check_skip,
        check_exits,
        check_loss,
        check_rule,
        check_rows,
        check_knob,
        check_live,
    )
}


def label_counts(method: Method) -> list[int]:
    """The numbers of labels (1: regression) that a method is checked with: those that it does not refuse."""
    return [count for count in LABEL_COUNTS if method.skip(count) is None]


def trained_method(method: Method) -> Method:
    """In a check of a method: the one that trains its models, itself or the one whose models it replays."""
    return discover()[method.trained_by] if method.trained_by else method


def asked(method: Method, num_layers: int, num_labels: int) -> RuleSpec:
    """What a check asks rule and knob with on a tiny model, which is the first variant of its method."""
    return rule_spec(method, num_layers, num_labels, trained_method(method).variants[0])


def tiny_outputs(method: Method, num_labels: int, exit_norm: str = "") -> ExitOutputs:
    """What the exits of a tiny model say in a check of a method, float64 [n, L, C], as halting rules get it."""
    with torch.inference_mode():
        model = tiny_model(trained_method(method), num_labels, exit_norm).eval()
        return model(tiny_data(num_labels).batch(np.arange(ROWS))).double()


def tiny_replay(method: Method, num_labels: int, exit_norm: str = "") -> Replay:
    """A method's rule over the tiny data that methods are checked on."""
    outputs, data = tiny_outputs(method, num_labels, exit_norm), tiny_data(num_labels)
    halting = None if outputs.halting is None else outputs.halting.float().numpy()
    trace = Trace(outputs.logits.float().numpy(), data.labels, np.arange(ROWS), data.lengths, halting)
    return replay(method.halting_rule(asked(method, trace.logits.shape[1], num_labels)), trace)


def rule_steps(method: Method, num_labels: int, outputs: ExitOutputs, leave: bool = False) -> Iterator[tuple]:
    """In a check of a rule: what it returns at layers 1..L; with `leave`, the last example leaves after every layer."""
    n, num_layers, _ = outputs.logits.shape
    rule = method.halting_rule(asked(method, num_layers, num_labels))
    state = rule.start(n, num_labels)
    for layer in range(1, num_layers + 1):
        exits = outputs.at(layer)
        exits = ExitOutputs(exits.logits[:n], None if exits.halting is None else exits.halting[:n])
        answer, score, state = rule.step(layer, exits, state)
        yield answer, score, state
        if leave:
            n -= 1
            state = {name: tensor[:n] for name, tensor in state.items()}


def report_checks(methods: Methods) -> int:
    """Run the conformance suite on methods and print every check with its outcome, for `--check-method`.

    Args:
        methods: by name.

    Returns:
        The exit status: 0 if every method passes every check, else 1.
    """
    lacking = 0
    for name, method in methods.items():
        started = time.monotonic()
        print(f"{name}: class {type(method).__name__}")
        for check, outcome, message in check_method(method):
            asks = inspect.getdoc(CHECKS[check]).splitlines()[0]
            print(f"  {outcome:5}  {check:9}  {message or asks}", flush=True)
            lacking += outcome == "lacks"
        print(f"  {time.monotonic() - started:.1f} s")
    print(
        f"{lacking} of {len(CHECKS) * len(methods)} checks found something lacking" if lacking else "nothing is lacking"
    )
    return int(lacking > 0)
