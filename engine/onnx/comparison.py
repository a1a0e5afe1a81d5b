"""The same file by two engines: ours, and onnxruntime or else onnx's reference evaluator."""

from __future__ import annotations

import importlib
import importlib.util
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx

from engine.layers.base import Array
from engine.onnx.model_file import OnnxError
from engine.onnx.reader import Imported
from engine.plan import Batch, compile, exhaust

TOLERANCE = 1e-4
"""Largest difference that passes, as a share of the largest number of an output."""
RESOLUTION = 1e-6
"""A difference that passes however small the output: shares near 0 are rounded at 1."""


@dataclass(frozen=True)
class Row:
    """One output by both engines: largest difference, and as a share of the largest number."""

    name: str
    shape: tuple[int, ...]
    largest: float
    difference: float

    @property
    def share(self) -> float:
        return self.difference / self.largest if self.largest else self.difference

    @property
    def agrees(self) -> bool:
        return bool(self.share <= TOLERANCE or self.difference <= RESOLUTION)


@dataclass(frozen=True)
class Comparison:
    """What a comparison found; ``other`` names the engine that was compared with."""

    other: str
    samples: int
    rows: tuple[Row, ...]

    @property
    def agrees(self) -> bool:
        return bool(self.rows) and all(row.agrees for row in self.rows)


def random_inputs(imported: Imported, samples: int, seed: int) -> dict[str, Array]:
    """Inputs from 0 to 1 by the file's names, in the file's shapes."""
    rng = np.random.default_rng(seed)
    found = {}
    for entry in imported.graph.inputs:
        name = imported.inputs[entry.id]
        shape = (samples, *entry.shape) if name in imported.shown else entry.shape
        found[name] = rng.random(shape, np.float32)
    return found


def ours(imported: Imported, inputs: Mapping[str, Array]) -> dict[str, Array]:
    """Every output by our engine, by the file's names."""
    feed = imported.feed(inputs)
    samples = len(next(iter(feed.values())))
    plan = compile(imported.graph, imported.parameters, batch=samples, mode="eval", backward=False)
    exhaust(plan.run(Batch(feed)))
    return {k: np.array(v) for k, v in imported.results(plan.value, samples).items()}


def compare(
    source: str | os.PathLike[str] | bytes,
    imported: Imported,
    inputs: Mapping[str, Array],
    *,
    reference: bool = False,
) -> Comparison:
    """Run a file by both engines on the same inputs.

    ``reference``: take onnx's reference evaluator even where onnxruntime is installed. Raises
    OnnxError where nothing that runs is an output, or the other engine refuses the file.
    """
    return judge(source, ours(imported, inputs), inputs, reference=reference)


def judge(
    source: str | os.PathLike[str] | bytes,
    found: Mapping[str, Array],
    inputs: Mapping[str, Array],
    *,
    reference: bool = False,
) -> Comparison:
    """Compare the outputs in ``found`` with what another engine makes of the file.

    Raises OnnxError where ``found`` has no output of the file, or that engine refuses the file.
    """
    fast = not reference and importlib.util.find_spec("onnxruntime") is not None
    name = "onnxruntime" if fast else "onnx's reference evaluator"
    try:
        theirs = _onnxruntime(source, inputs) if fast else _reference(source, inputs)
    except Exception as error:  # the other engine's own types
        text = " ".join(str(error).split())[:200]
        raise OnnxError(f"{name} does not run the file: {text}") from error
    rows = []
    for output, expected in theirs.items():
        if output not in found:
            continue
        a, b = np.asarray(expected, np.float64), np.asarray(found[output], np.float64)
        if a.shape != b.shape:
            rows.append(Row(output, b.shape, 0.0, float("inf")))
            continue
        with np.errstate(invalid="ignore"):
            gap = np.abs(a - b)
        gap[(a == b) | (np.isnan(a) & np.isnan(b))] = 0
        largest = float(np.abs(a[np.isfinite(a)]).max(initial=0.0))
        rows.append(Row(output, b.shape, largest, float(gap.max(initial=0.0))))
    if not rows:
        raise OnnxError("No output of the file can be computed here, so nothing was compared.")
    samples = len(next(iter(inputs.values()))) if inputs else 1
    return Comparison(name, samples, tuple(rows))


def _typed(inputs: Mapping[str, Array], model: onnx.ModelProto) -> dict[str, Array]:
    """The inputs in the types that the file declares."""
    kinds = {i.name: i.type.tensor_type.elem_type for i in model.graph.input}
    found = {}
    for name, array in inputs.items():
        kind = kinds.get(name, onnx.TensorProto.FLOAT)
        found[name] = np.asarray(array).astype(onnx.helper.tensor_dtype_to_np_dtype(kind))
    return found


def _model(source: Any, weights: bool) -> onnx.ModelProto:
    if isinstance(source, bytes):
        return onnx.load_from_string(source)
    return onnx.load(source, load_external_data=weights)


def _onnxruntime(source: Any, inputs: Mapping[str, Array]) -> dict[str, Array]:
    runtime = importlib.import_module("onnxruntime")
    options = runtime.SessionOptions()
    options.log_severity_level = 4
    session = runtime.InferenceSession(
        source if isinstance(source, bytes) else os.fspath(source),
        options,
        providers=["CPUExecutionProvider"],
    )
    names = [o.name for o in session.get_outputs()]
    values = session.run(names, _typed(inputs, _model(source, False)))
    return dict(zip(names, values, strict=True))


def _reference(source: Any, inputs: Mapping[str, Array]) -> dict[str, Array]:
    from onnx.reference import ReferenceEvaluator
    from onnx.reference.op_run import OpRun

    class LRN(OpRun):
        """The operator as its text defines it: onnx's own sums only as many maps as samples."""

        op_domain = ""

        def _run(self, x: Any, alpha: Any, beta: Any, bias: Any, size: Any) -> tuple[Array]:
            before, after = (size - 1) // 2, -(-(size - 1) // 2)
            squares = np.pad(np.square(x), [(0, 0), (before, after), *[(0, 0)] * (x.ndim - 2)])
            total = sum(squares[:, i : i + x.shape[1]] for i in range(size))
            return ((x / (bias + alpha / size * total) ** beta).astype(x.dtype),)

    model = _model(source, True)
    names = [o.name for o in model.graph.output]
    with np.errstate(all="ignore"):
        values = ReferenceEvaluator(model, new_ops=[LRN]).run(names, _typed(inputs, model))
    return dict(zip(names, values, strict=True))
