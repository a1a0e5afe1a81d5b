"""The schedule: what each operation names, and that buffers are made once."""

import tracemalloc

import numpy as np

from engine.architectures import ARCHITECTURES
from engine.optimizers import SGD
from engine.parameters import initial_parameters
from engine.plan import Batch, compile, exhaust


def test_backward_reads_the_upstream_gradient_the_inputs_and_the_weights() -> None:
    graph = ARCHITECTURES["lenet5"].build()
    plan = compile(graph, initial_parameters(graph, 0))
    operations = {(o.phase, o.node): o for o in plan.operations()}

    def names(operands: object) -> set[tuple[str, str, object]]:
        return {(o.kind, *o.ref) for o in operands}  # type: ignore[attr-defined]

    conv = operations["backward", "conv2"]
    assert names(conv.reads) == {
        ("grad", "conv2", 0),
        ("value", "pool1", 0),
        ("param", "conv2", "weight"),
        ("param", "conv2", "bias"),
    }
    assert names(conv.writes) == {
        ("grad", "pool1", 0),
        ("param_grad", "conv2", "weight"),
        ("param_grad", "conv2", "bias"),
    }
    update = operations["update", "conv2"]
    assert names(update.reads) == {
        ("param", "conv2", "weight"),
        ("param", "conv2", "bias"),
        ("param_grad", "conv2", "weight"),
        ("param_grad", "conv2", "bias"),
    }
    assert names(update.writes) == {("param", "conv2", "weight"), ("param", "conv2", "bias")}


def test_a_second_run_writes_to_the_buffers_of_the_first() -> None:
    graph = ARCHITECTURES["lenet5"].build()
    plan = compile(graph, initial_parameters(graph, 0), batch=16, input_gradients=False)
    rng = np.random.default_rng(0)
    batch = Batch.of(graph, rng.random((16, 1, 28, 28), np.float32), rng.integers(0, 10, 16))
    exhaust(plan.run(batch, optimizer=SGD()))
    values = {node.id: plan.value((node.id, 0)) for node in graph.nodes}
    tracemalloc.start()
    exhaust(plan.run(batch, optimizer=SGD()))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert all(plan.value((name, 0)) is array for name, array in values.items())
    # the optimizer's temporary is one flat array; the first maps alone would be 300 kB
    assert peak < plan.weights.flat.nbytes + 60_000
