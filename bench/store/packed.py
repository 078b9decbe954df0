"""Traces as rows of a table, and back: what a bundle keeps instead of one file per trace.

With two bytes a number the logits of a layer stand less that of the last class, which is then 0 and left out: every
softmax is the same, and two classes need one number. A score (regression) has no other to be less than.

Shape symbols: n examples, L layers, C classes, K the logits that are kept: C, C - 1, or 1 for a regression.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from bench.store.trace import Trace

if TYPE_CHECKING:
    import pyarrow

#: How a bundle keeps logits and halting values: significant bits, the leading one included, and bytes.
PRECISIONS = {"float32": (24, 4), "float16": (11, 2), "bfloat16": (8, 2)}
#: The columns that say which model and split a row is of.
NAMES = ("cell", "task", "split", "backbone", "method", "variant", "seed")
#: Every column of a table of traces: its type, with `number` for that of logits, and what it holds.
COLUMNS = {
    "cell": ("string", "the trained model: `key` in cells"),
    "task": ("string", "what it was trained on"),
    "split": ("string", "what it was run on"),
    "backbone": ("string", "family of the encoder"),
    "method": ("string", "what it was trained by; other methods may replay its traces"),
    "variant": ("string", "of that training, such as tau=0.005; empty where there is one only"),
    "seed": ("int32", "of that training"),
    "index": ("int32", "row of the example in the full split"),
    "label": ("float32", "the class, or the score of a regression"),
    "length": ("int32", "tokens"),
    "difficulty": ("int32", "of generated data"),
    "logits": ("list<list<number>>", "by layer; see `logits` of bundle.json for how many stand there"),
    "halting": ("list<number>", "halting value by layer, of methods that have them"),
    "ramp": ("list<number>", "logits of a second exit on the last layer"),
    "probe": ("list<int8>", "by layer, what a closed-form probe on what exits read answers"),
    "probe_of_mean": ("list<int8>", "the same on the mean over tokens"),
}


def rounded(trace: Trace, precision: str) -> Trace:
    """A trace as a bundle gives it back.

    Args:
        trace: as it was recorded.
        precision: of `PRECISIONS`; "float32" changes nothing.
    """
    if precision == "float32":
        return trace
    num_labels = trace.logits.shape[-1]
    logits, ramp = (
        None if x is None else widened(kept_logits(x, precision), num_labels) for x in (trace.logits, trace.ramp)
    )
    halting = None if trace.halting is None else round_to(trace.halting, precision).astype(np.float32)
    return replace(trace, logits=logits, ramp=ramp, halting=halting)


def kept_logits(logits: np.ndarray, precision: str) -> np.ndarray:
    """What rows of packed traces keep of logits [.., C]: [.., K], of the type that they keep them in."""
    if precision != "float32" and logits.shape[-1] > 1:
        logits = logits[..., :-1] - logits[..., -1:]
    return round_to(logits, precision)


def widened(kept: np.ndarray, num_labels: int) -> np.ndarray:
    """Logits float32 [.., C] from what packed traces keep of them, [.., K]."""
    kept = kept.astype(np.float32)
    if kept.shape[-1] == num_labels:
        return kept
    # a layer without an exit has no logits at all, so none for the last class either
    return np.concatenate([kept, 0 * kept[..., :1]], axis=-1)


def round_to(values: np.ndarray, precision: str) -> np.ndarray:
    """Values with the significant bits of a precision, as float32 or float16; beyond its range its largest number.

    bfloat16, which no array library has, is float16 without its last three bits.
    """
    if precision == "float32":
        return values.astype(np.float32)
    bits, _ = PRECISIONS[precision]
    spare = PRECISIONS["float16"][0] - bits
    largest = np.float16(65504)
    half = np.clip(values, -largest, largest).astype(np.float16)
    if spare:
        whole = half.view(np.uint16).astype(np.uint32)
        whole = np.minimum(whole + (1 << (spare - 1)), (whole & 0x8000) | int(largest.view(np.uint16)))
        half = np.where(np.isnan(half), half, (whole >> spare << spare).astype(np.uint16).view(np.float16))
    return half


def schema(precision: str) -> pyarrow.Schema:
    """The columns of a table of traces."""
    import pyarrow as pa

    number = pa.float32() if precision == "float32" else pa.float16()
    types = {"string": pa.string(), "int32": pa.int32(), "float32": pa.float32(), "list<int8>": pa.list_(pa.int8())}
    types |= {"list<number>": pa.list_(number), "list<list<number>>": pa.list_(pa.list_(number))}
    return pa.schema([(name, types[kind]) for name, (kind, _) in COLUMNS.items()])


def packed(names: dict[str, object], trace: Trace, precision: str) -> pyarrow.Table:
    """A trace as a table with a row per example.

    Args:
        names: the values of `NAMES`.
        trace: as it was recorded.
        precision: of `PRECISIONS`.
    """
    import pyarrow as pa

    def flat(values: np.ndarray | None) -> np.ndarray | None:
        return None if values is None else kept_logits(values, precision)

    n, columns = len(trace.labels), schema(precision)
    halting = None if trace.halting is None else round_to(trace.halting, precision)
    arrays = {
        "index": trace.index,
        "label": trace.labels,
        "length": trace.length,
        "difficulty": trace.difficulty,
        "logits": flat(trace.logits),
        "halting": halting,
        "ramp": flat(trace.ramp),
        "probe": trace.probe,
        "probe_of_mean": trace.probe_of_mean,
    }
    found = [
        pa.repeat(pa.scalar(names[field.name], field.type), n)
        if field.name in names
        else nested(arrays[field.name], n, field.type)
        for field in columns
    ]
    return pa.table(found, schema=columns)


def nested(values: np.ndarray | None, n: int, kind: pyarrow.DataType) -> pyarrow.Array:
    """An array of n rows as Arrow's lists of lists; None is n times nothing."""
    import pyarrow as pa

    if values is None:
        return pa.nulls(n, kind)
    depth, types = values.ndim - 1, [kind]
    for _ in range(depth):
        types.append(types[-1].value_type)
    array = pa.array(np.ascontiguousarray(values).ravel().astype(types[-1].to_pandas_dtype()), types[-1])
    for size in reversed(values.shape[1:]):
        array = pa.ListArray.from_arrays(pa.array(np.arange(0, len(array) + 1, size), pa.int32()), array)
    return array


def unpacked(rows: pyarrow.Table, num_labels: int) -> Trace:
    """The trace that `packed` made rows of, as `rounded` gives it.

    Args:
        rows: of one model and split, in their order.
        num_labels: C.
    """

    def array(name: str, kind: type) -> np.ndarray | None:
        column = rows[name].combine_chunks()
        if column.null_count == len(column):
            return None
        shape = [len(column)]
        while hasattr(column, "flatten") and hasattr(column.type, "value_type"):
            column = column.flatten()
            shape.append(len(column) // max(1, int(np.prod(shape))))
        return column.to_numpy(zero_copy_only=False).reshape(shape).astype(kind)

    def logits(name: str) -> np.ndarray | None:
        kept = array(name, np.float32)
        return None if kept is None else widened(kept, num_labels)

    return Trace(
        logits=logits("logits"),
        labels=array("label", np.float32 if num_labels == 1 else np.int64),
        index=array("index", np.int64),
        length=array("length", np.int64),
        halting=array("halting", np.float32),
        difficulty=array("difficulty", np.int64),
        ramp=logits("ramp"),
        probe=array("probe", np.int8),
        probe_of_mean=array("probe_of_mean", np.int8),
    )
