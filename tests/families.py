"""Tiny random models of many families, and everything that docs/backbones.md says about each, measured."""

from __future__ import annotations

import logging
from dataclasses import replace

import numpy as np
import torch
from test_live import run_in_batches, spread
from transformers import CONFIG_MAPPING, AutoModel, AutoModelForSequenceClassification, PreTrainedConfig
from transformers import logging as library_logging

from bench.errors import UserError
from bench.halting.agreement import disagreements
from bench.halting.replay import replay
from bench.models.backbones import Layerwise
from bench.models.costs import backbone_macs, counting, example_macs
from bench.models.layer_calls import inputs_of, state_of
from bench.models.loading import without_pooler
from bench.models.model import EarlyExitModel, build_model
from bench.models.tokens import Encoded
from bench.models.tracing import trace_model
from bench.plan.methods import full_variant, rule_spec
from bench.sources.examples import Examples
from methods import discover
from methods.base import TrainingBatch

VOCABULARY, ROWS, STEP_METHODS = 80, 40, ("dact", "deebert", "pabee")
SIZES = {
    "vocab_size": VOCABULARY,
    "hidden_size": 32,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "max_position_embeddings": 64,
    "initializer_range": 0.2,
}
GROUPED = {"num_key_value_heads": 2, "head_dim": 8}
DISENTANGLED = {"relative_attention": True, "pos_att_type": ["c2p", "p2c"]}
#: family -> what its config needs besides `SIZES`.
ENCODERS = {
    "bert": {},
    "roberta": {},
    "distilbert": {"hidden_dim": 64},
    "electra": {"embedding_size": 16},
    "albert": {"embedding_size": 16, "num_hidden_groups": 2},
    "mpnet": {},
    "deberta": DISENTANGLED,
    "deberta-v2": {**DISENTANGLED, "position_buckets": 16, "norm_rel_ebd": "layer_norm", "share_att_key": True},
    "modernbert": {"local_attention": 8, "global_attn_every_n_layers": 2},
    "eurobert": GROUPED,
    "nomic_bert": {},
    "ultrabert": {},
    "jina_embeddings_v3": {},
    "xlm-roberta": {},
    "xlm-roberta-xl": {},
    "camembert": {},
    "roberta-prelayernorm": {},
    "data2vec-text": {},
    "ernie": {},
    "esm": {"position_embedding_type": "rotary"},
    "rembert": {"input_embedding_size": 16},
    "roformer": {},
    "convbert": {"embedding_size": 32},
    "mobilebert": {"intra_bottleneck_size": 16, "embedding_size": 16, "true_hidden_size": 16},
    "megatron-bert": {},
    "bert-generation": {},
    "ibert": {},
    "luke": {"entity_vocab_size": 20},
    "markuplm": {},
    "layoutlm": {},
    "tapas": {},
    "roc_bert": {},
    "splinter": {},
    "big_bird": {},
    "nystromformer": {},
    "yoso": {},
    "fnet": {},
    "mra": {},
}
DECODERS = {
    "gpt2": {},
    "llama": GROUPED,
    "qwen2": GROUPED,
    "qwen3": GROUPED,
    "mistral": GROUPED,
    "gemma": GROUPED,
    "gemma3_text": {**GROUPED, "sliding_window": 8, "layer_types": ["sliding_attention", "full_attention"] * 2},
    "modernbert-decoder": {"local_attention": 8, "global_attn_every_n_layers": 2},
    "gpt_neox": {},
    "opt": {"ffn_dim": 64, "word_embed_proj_dim": 32},
    "bloom": {},
    "phi": {},
    "olmo2": {},
    "smollm3": GROUPED,
    "openai-gpt": {},
    "biogpt": {},
}
#: What is refused: a name -> family and what its config needs.
REFUSED = {
    "deberta-v2 with a convolution": ("deberta-v2", {**DISENTANGLED, "conv_kernel_size": 3}),
    "flaubert": ("flaubert", {}),
    "xlm": ("xlm", {}),
    "funnel": (
        "funnel",
        {
            "num_hidden_layers": None,
            "block_sizes": [2, 2],
            "block_repeats": [1, 1],
            "architectures": ["FunnelModel"],
            "d_model": 32,
            "n_head": 4,
            "d_head": 8,
            "d_inner": 64,
        },
    ),
    "longformer": ("longformer", {}),
    "canine": ("canine", {}),
    "squeezebert": ("squeezebert", {"embedding_size": 32}),
    "xlnet": ("xlnet", {"max_position_embeddings": None, "d_inner": 64, "d_head": 8}),
    "t5": ("t5", {"d_model": 32, "num_layers": 4, "num_heads": 4, "d_kv": 8}),
    "vit": ("vit", {"vocab_size": None}),
}
SHORT = ("bert", "albert", "mpnet", "modernbert", "gpt2", "qwen3")
COLUMNS = (
    "family",
    "layers found",
    "exits read",
    "final norm",
    "worst difference",
    "live equals replay",
    "a step lowers the loss",
    "MACs",
)


def config_of(family: str, extra: dict) -> PreTrainedConfig:
    library_logging.set_verbosity(logging.ERROR)  # special tokens outside a tiny vocabulary
    wanted = {name: value for name, value in {**SIZES, "pad_token_id": 1, **extra}.items() if value is not None}
    kind = CONFIG_MAPPING[family]
    if family == "nomic_bert":
        wanted["head_dim"] = 8
    return kind(**wanted)


def tiny(family: str) -> torch.nn.Module:
    torch.manual_seed(0)
    return AutoModel.from_config(config_of(family, {**ENCODERS, **DECODERS}[family])).eval()


def some_data(seed: int = 0) -> tuple[Examples, Encoded]:
    """Rows of random words, 6 to 14 tokens long, with two labels that the first word tells."""
    rng = np.random.default_rng(seed)
    lengths = rng.integers(6, 15, ROWS)
    ids = rng.integers(10, VOCABULARY, lengths.sum(), dtype=np.int32)
    labels = (ids[np.cumsum(lengths) - lengths] > VOCABULARY // 2).astype(np.int64)
    return Examples([""] * ROWS, None, labels, np.arange(ROWS)), Encoded(
        {"input_ids": ids}, labels, lengths, {"input_ids": 1}
    )


def worst_difference(encoder: torch.nn.Module, backbone: Layerwise, batch: dict) -> float:
    """Between the states of the library's own forward and ours, at every layer and behind the last."""
    theirs = []
    handles = [
        layer.register_forward_hook(lambda _, inputs, output: theirs.append(state_of(output)))
        for layer in dict.fromkeys(backbone.layers)
    ]
    with torch.no_grad():
        last = encoder(**inputs_of(encoder, batch)).last_hidden_state
        for handle in handles:
            handle.remove()
        ours = list(backbone.sequences(batch))
    assert len(theirs) == len(ours) == backbone.num_layers
    assert min(state.std() for state in ours) > 0.01, "states that hardly differ prove little"
    pairs = [*zip(ours, theirs, strict=True), (backbone.norm(ours[-1]), last)]
    tokens = batch["attention_mask"].bool()
    return max((a - b)[tokens].abs().max().item() for a, b in pairs)


def padding_enters(backbone: Layerwise, data: Encoded) -> bool:
    """Whether padding changes what is read of an example."""
    row = np.array([0])
    with torch.no_grad():
        without, padded = (backbone(data.batch(row, length=int(data.lengths[0]) + more)) for more in (0, 7))
    return not torch.allclose(without, padded, atol=1e-4)


def live_equals_replay(backbone: Layerwise) -> str:
    """Of DeeBERT's rule, over thresholds and layouts; where padding enters the result nobody can ask for it."""
    examples, data = some_data()
    if padding_enters(backbone, data):
        return "padding enters"
    method = discover()["deebert"]
    model = spread(model_of(method, backbone), data)
    asked = rule_spec(method, model.num_layers, 2, "")
    knob, result = method.knob(asked), replay(method.halting_rule(asked), trace_model(model, examples, data))
    used = set()
    for value in (0.2, 0.5, 0.65):
        used |= set(result.exit_layers(knob, (value,))[0].tolist())
        for layout in ({"size": 1}, {"size": 7, "seed": 1, "padding": 5}, {"size": 40}):
            wrong, _ = disagreements(result, knob, value, run_in_batches(model, method, value, data, **layout))
            if len(wrong):
                return "no"
    return "yes" if len(used) >= 3 else f"exits do not spread: {used}"


def model_of(method, backbone: Layerwise) -> EarlyExitModel:
    variant = full_variant(method, method.variants[0])
    return build_model(method, backbone, 2, ("families",), variant=variant).eval()


def step_lowers_loss(family: str, name: str) -> bool:
    """Whether one step of AdamW on a batch lowers a method's loss on it; dropout is off."""
    method, (_, data), rows = discover()[name], some_data(), np.arange(ROWS)
    model = model_of(method, without_pooler(tiny(family)))
    given = TrainingBatch(data.targets(rows), full_variant(method, method.variants[0]))
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=3e-4)
    losses = []
    for _ in range(2):
        loss = method.loss(model(data.batch(rows)), given)
        losses.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return losses[1] < losses[0]


def mac_error(encoder: torch.nn.Module, backbone: Layerwise) -> float:
    """How far our count of a full-depth pass over 13 tokens is from the library's counter, as a share."""
    ids = torch.randint(10, VOCABULARY, (1, 13))
    with counting(encoder) as counter:
        encoder(**inputs_of(encoder, {"input_ids": ids, "attention_mask": torch.ones_like(ids)}))
    counted = counter.get_total_flops() / 2
    macs = {**backbone_macs(backbone), "exits": [[0, 0, 0]] * backbone.num_layers}
    ours = example_macs(macs, np.array([backbone.num_layers]), np.array([13]))[0]
    return abs(ours / counted - 1) if counted else float(ours != counted)


def head_pooling(family: str) -> str | None:
    """What the library's own classification head reads, by which positions' states its logits depend on.

    None where the library has no such head for the family.
    """
    config = config_of(family, {**ENCODERS, **DECODERS}[family])
    torch.manual_seed(0)
    try:
        model = AutoModelForSequenceClassification.from_config(config).eval()
    except ValueError:
        return None
    ids, tokens = torch.randint(10, VOCABULARY, (1, 9)), 6
    batch = {"input_ids": ids.index_fill(1, torch.arange(tokens, 9), 1)}
    batch["attention_mask"] = (torch.arange(9) < tokens).long()[None]
    bumped = [None]

    def bump(module, args, output):
        states = output[0].clone()
        if bumped[0] is not None:
            states[:, bumped[0]] += 1
        pooler = getattr(module, "pooler", None)
        pooled = (
            {"pooler_output": pooled_by(pooler, states)}
            if pooler and getattr(output, "pooler_output", None) is not None
            else {}
        )
        return replace(output, last_hidden_state=states, **pooled)

    base = model.base_model
    base.register_forward_hook(bump)
    logits = []
    with torch.no_grad():
        for bumped[0] in (None, *range(9)):
            logits.append(model(**inputs_of(base, batch)).logits)
    read = [i for i, other in enumerate(logits[1:]) if not torch.equal(other, logits[0])]
    return {(0,): "first", (tokens - 1,): "last"}.get(tuple(read), "mean" if read == list(range(tokens)) else str(read))


def pooled_by(pooler: torch.nn.Module, states: torch.Tensor) -> torch.Tensor:
    """What a pooler says about states; ALBERT's is a linear unit, given the first."""
    return pooler(states[:, 0] if isinstance(pooler, torch.nn.Linear) else states)


def row(family: str) -> dict[str, str]:
    """Everything that the table says about one family."""
    encoder = tiny(family)
    backbone = without_pooler(encoder)
    (_, data) = some_data()
    batch = data.batch(np.arange(7), length=16)
    worst, error = worst_difference(encoder, backbone, batch), mac_error(encoder, backbone)
    steps = [name for name in STEP_METHODS if step_lowers_loss(family, name)]
    names = list(dict.fromkeys(backbone.structure.layers))
    values = (
        f"{family}{' (decoder)' if backbone.structure.is_causal else ''}",
        f"{len(names)} in `{names[0].rpartition('.')[0]}`",
        backbone.pooling,
        f"`{backbone.structure.norm}`" if backbone.structure.norm else "none",
        f"{worst:.0e}" if worst else "0",
        live_equals_replay(backbone),
        "yes" if len(steps) == len(STEP_METHODS) else f"only {', '.join(steps)}",
        "within 1 %" if error < 0.01 else f"{error:.0%} off",
    )
    return dict(zip(COLUMNS, values, strict=True))


def refusal(name: str) -> str:
    """The line that a model gets which is refused."""
    family, extra = REFUSED[name]
    torch.manual_seed(0)
    try:
        without_pooler(AutoModel.from_config(config_of(family, extra)))
    except UserError as error:
        return str(error)
    raise AssertionError(f"{name} is not refused")
