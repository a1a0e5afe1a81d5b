"""Every model of onnx's backend tests that opens here is exported again, and computes the same."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import numpy_helper
from onnx.backend.test.loader import load_model_tests

from engine.layers.base import Array
from engine.onnx import Imported, OnnxError, export_onnx, read
from engine.onnx.writer import with_outputs
from engine.plan import Batch, compile, exhaust

KINDS = ("node", "pytorch-operator", "pytorch-converted", "simple")


def models(kind: str) -> Iterator[tuple[str, onnx.ModelProto, list[Array]]]:
    """Name, model and inputs of each test of that kind whose inputs are arrays."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # onnx's own, while it computes what is expected
        cases = load_model_tests(kind=kind)
    for case in cases:
        if case.model is not None:
            inputs = list(case.data_sets[0][0]) if case.data_sets else []
            if all(isinstance(x, np.ndarray) for x in inputs):
                yield case.name, case.model, inputs
            continue
        folder = Path(case.model_dir)
        files = sorted((folder / "test_data_set_0").glob("input_*.pb"))
        tensors = [onnx.TensorProto.FromString(file.read_bytes()) for file in files]
        yield case.name, onnx.load(folder / "model.onnx"), [*map(numpy_helper.to_array, tensors)]


def opened(model: onnx.ModelProto) -> Imported | None:
    """The network of a model, if all of it runs here."""
    try:
        found = read(model.SerializeToString())
    except OnnxError:
        return None
    whole = found.graph.inputs and found.graph.nodes and found.graph.outputs
    return found if whole and not found.problems else None


def theirs(model: onnx.ModelProto, feed: list[Array]) -> list[Array]:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options)
    names = [entry.name for entry in model.graph.input]
    return list(session.run(None, dict(zip(names, feed, strict=True))))


@pytest.mark.parametrize("opset", [13, 17, 21])
@pytest.mark.filterwarnings("ignore")  # NumPy's about infinities that a test asks for
def test_what_opens_is_exported_to_the_same(opset: int) -> None:
    done, wrong = 0, {}
    for kind in KINDS:
        for name, model, arrays in models(kind):
            found = opened(model)
            if found is None:
                continue
            values = dict(zip([i.name for i in model.graph.input], arrays, strict=False))
            fed = found.feed({n: x for n, x in values.items() if n in found.inputs.values()})
            graph = with_outputs(found.graph)  # without inputs that nothing depends on
            feed = [np.asarray(fed[i.id], "float32") for i in graph.inputs]
            size = len(feed[0]) if feed else 1
            plan = compile(graph, found.parameters, batch=size, mode="eval", backward=False)
            exhaust(plan.run(Batch(dict(zip([i.id for i in graph.inputs], feed, strict=True)))))
            ours = [np.array(plan.value(ref)) for _, ref in graph.outputs]
            again = export_onnx(found.graph, found.parameters, opset=opset)
            for a, b in zip(ours, theirs(again, feed), strict=True):
                largest = np.abs(a[np.isfinite(a)]).max(initial=1.0)
                if a.shape != b.shape or not np.allclose(
                    a, b, 1e-4, 1e-5 * largest, equal_nan=True
                ):
                    wrong[f"{kind} {name}"] = f"{a.shape} and {b.shape}"
            done += 1
    print(f"opset {opset}: exported and equal {done - len(wrong)}, different {len(wrong)}")
    assert wrong == {}
    assert done > 600
