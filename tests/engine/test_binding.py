"""The schedule: what each operation names, and that buffers are made once."""

import tracemalloc

import numpy as np

from engine.architectures import ARCHITECTURES
from engine.graph import Graph, Input, Loss, Node
from engine.layers.add import Add
from engine.layers.conv2d import Conv2d
from engine.layers.flatten import Flatten
from engine.layers.linear import Linear
from engine.losses import CrossEntropy
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


def test_the_sum_at_a_fork_keeps_the_order_of_memory() -> None:
    """A sum in another order than its parts would slow down every pass that reads it."""
    nodes = (
        Node("stem", Conv2d(8, 3, padding=1), (("image", 0),)),
        Node("conv", Conv2d(8, 3, padding=1), (("stem", 0),)),
        Node("add", Add(), (("conv", 0), ("stem", 0))),
        Node("flat", Flatten(), (("add", 0),)),
        Node("fc", Linear(3), (("flat", 0),)),
    )
    image, loss = Input("image", (1, 6, 6)), Loss("loss", CrossEntropy(), ("fc", 0))
    graph = Graph((image,), nodes, (("scores", ("fc", 0)),), (loss,))
    plan = compile(graph, initial_parameters(graph, 0), batch=2)
    x = np.random.default_rng(0).random((2, 1, 6, 6), np.float32)
    exhaust(plan.run(Batch.of(graph, x, np.array([0, 2]))))
    total = plan.gradient(("stem", 0))
    assert total is not None
    assert total.transpose(0, 2, 3, 1).flags.c_contiguous
    plain = compile(
        graph, initial_parameters(graph, 0), batch=2, pin={node.id: "plain" for node in nodes}
    )
    exhaust(plain.run(Batch.of(graph, x, np.array([0, 2]))))
    expected = plain.gradient(("stem", 0))
    assert expected is not None
    np.testing.assert_allclose(total, expected, atol=1e-6)
