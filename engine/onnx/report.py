"""What another engine makes of a file that was exported, beside what this one makes of it."""

from __future__ import annotations

import os
from dataclasses import dataclass

import numpy as np
import onnx

from engine.export import SoftmaxChoice
from engine.graph import Graph
from engine.layers.base import Array
from engine.onnx.comparison import Comparison, judge
from engine.onnx.writer import with_outputs
from engine.parameters import Parameters
from engine.plan import Batch, compile, exhaust

SAMPLES = 8
MOST_MULTIPLY_ADDS = 4_000_000_000
"""Of the whole batch; a large network is compared on fewer samples, but on two at least."""


@dataclass(frozen=True)
class Expected:
    """Random inputs and what the engine makes of them, by the names in the file."""

    inputs: dict[str, Array]
    outputs: dict[str, Array]


def expected(
    model: onnx.ModelProto,
    graph: Graph,
    parameters: Parameters,
    *,
    softmax: SoftmaxChoice = "keep",
    samples: int | None = None,
    seed: int = 0,
) -> Expected:
    """Run the network on numbers of mean 0 and spread 1.

    ``samples`` (default: ``SAMPLES``, fewer for a large network) gives way to a batch that the
    file fixes. The arrays are computed from the network as it is drawn: a file whose batch
    normalisations were merged has to come to the same.
    """
    graph = with_outputs(graph, softmax)
    fixed = model.graph.input[0].type.tensor_type.shape.dim[0].dim_value if graph.inputs else 1
    if fixed:
        samples = fixed
    elif samples is None:
        costs = graph.costs(graph.check().specs).values()
        one = sum(cost.multiply_adds for cost in costs)
        samples = max(2, min(SAMPLES, MOST_MULTIPLY_ADDS // max(1, one)))
    rng = np.random.default_rng(seed)
    drawn = {
        entry.id: rng.standard_normal((samples, *entry.shape), np.float32) for entry in graph.inputs
    }
    plan = compile(graph, parameters, batch=samples, mode="eval", backward=False)
    exhaust(plan.run(Batch(drawn)))
    return Expected(
        {e.name: drawn[i.id] for e, i in zip(model.graph.input, graph.inputs, strict=True)},
        {
            entry.name: np.array(plan.value(ref))
            for entry, (_, ref) in zip(model.graph.output, graph.outputs, strict=True)
        },
    )


def report(
    source: str | os.PathLike[str] | onnx.ModelProto,
    graph: Graph,
    parameters: Parameters,
    *,
    softmax: SoftmaxChoice = "keep",
    samples: int | None = None,
    seed: int = 0,
    reference: bool = False,
) -> Comparison:
    """Compare an exported file with the network that it was made of, on random inputs.

    ``softmax`` as in the export. The other engine is onnxruntime where it is installed (and
    ``reference`` is False), else onnx's reference evaluator. Raises OnnxError where that engine
    does not run the file.
    """
    if isinstance(source, onnx.ModelProto):
        model, content = source, source.SerializeToString()
    else:
        model, content = onnx.load(source, load_external_data=False), os.fspath(source)
    wanted = expected(model, graph, parameters, softmax=softmax, samples=samples, seed=seed)
    return judge(content, wanted.outputs, wanted.inputs, reference=reference)
