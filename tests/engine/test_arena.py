"""Places in shared memory, and lives that are long enough: every recorded array stays right."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.architectures import ARCHITECTURES
from engine.arena import ALIGNMENT, LAST, Arena, Lives, places
from engine.graph import Graph, Input, Loss, Node
from engine.layers.add import Add
from engine.layers.batch_norm2d import BatchNorm2d
from engine.layers.concat import Concat
from engine.layers.conv2d import Conv2d
from engine.layers.dropout import Dropout
from engine.layers.flatten import Flatten
from engine.layers.identity import Identity
from engine.layers.linear import Linear
from engine.layers.mul import Mul
from engine.layers.relu import ReLU
from engine.layers.sigmoid import Sigmoid
from engine.losses import CrossEntropy
from engine.optimizers import SGD
from engine.parameters import initial_parameters
from engine.plan import Batch, NotKeptError, Plan, compile, exhaust
from engine.trace import Trace

spans = st.tuples(st.integers(0, 12), st.integers(0, 5)).map(lambda s: (s[0], s[0] + s[1]))
requests = st.lists(
    st.tuples(st.integers(1, 40), st.lists(spans, min_size=1, max_size=2).map(tuple)), max_size=30
)


def meet(a: Lives, b: Lives) -> bool:
    return any(x[0] <= y[1] and y[0] <= x[1] for x in a for y in b)


@given(requests)
def test_arrays_that_live_at_the_same_time_do_not_overlap(
    wanted: list[tuple[int, Lives]],
) -> None:
    sizes, lives = [size for size, _ in wanted], [life for _, life in wanted]
    offsets = places(sizes, lives)
    for i in range(len(sizes)):
        for j in range(i):
            if meet(lives[i], lives[j]):
                assert offsets[i] + sizes[i] <= offsets[j] or offsets[j] + sizes[j] <= offsets[i]
    bound = max(
        (
            sum(s for s, life in wanted if meet(life, ((t, t),)))
            for t in {span[0] for life in lives for span in life}
        ),
        default=0,
    )
    total = max((o + s for o, s in zip(offsets, sizes, strict=True)), default=0)
    assert bound <= total <= sum(sizes)


def test_memory_is_used_again() -> None:
    arena = Arena()
    lives: list[Lives] = [((0, 1),), ((1, 2),), ((2, LAST),), ((0, 0), (2, 2))]
    for life in lives:
        arena.take(100, "float32", life)
    arena.lay_out()
    assert arena.nbytes == 3 * 448  # 400 bytes each, a multiple of the alignment
    arrays = [arena.take(100, "float32", life) for life in lives]
    assert all(a.shape == (100,) and a.ctypes.data % ALIGNMENT == 0 for a in arrays)
    assert np.shares_memory(arrays[0], arrays[2])
    assert not np.shares_memory(arrays[0], arrays[1])
    assert not np.shares_memory(arrays[3], arrays[0]) and not np.shares_memory(arrays[3], arrays[2])


def test_a_second_round_that_asks_otherwise_is_refused() -> None:
    arena = Arena()
    arena.take(100, "float32", ((0, 1),))
    arena.lay_out()
    with pytest.raises(RuntimeError, match="first round"):
        arena.take(1000, "float32", ((0, 1),))


def passing_on() -> Graph:
    """Layers that hand on what they were given, at forks, behind each other and as the output."""

    def node(node_id: str, layer: object, *sources: str) -> Node:
        return Node(node_id, layer, tuple((s, 0) for s in sources))  # type: ignore[arg-type]

    nodes = (
        node("stem", Conv2d(4, 3, padding=1), "image"),
        node("norm", BatchNorm2d(), "stem"),
        node("same", Identity(), "norm"),
        node("again", Identity(), "same"),
        node("drop", Dropout(0.3), "again"),
        node("relu", ReLU(), "drop"),
        node("a", Conv2d(4, 3, padding=1), "relu"),
        node("b", Conv2d(4, 1), "relu"),
        node("gate", Sigmoid(), "b"),
        node("gated", Mul(), "a", "gate"),
        node("sum", Add(), "gated", "relu", "relu"),
        node("sum2", Add(), "sum", "b"),
        node("join", Concat(), "sum2", "same", "sum"),
        node("c", Conv2d(6, 3, stride=2), "join"),
        node("flat", Flatten(), "c"),
        node("fc", Linear(4), "flat"),
        node("side", Flatten(), "sum2"),
        node("aux", Linear(4), "side"),
        node("out", Identity(), "fc"),
    )
    return Graph(
        (Input("image", (2, 9, 9)),),
        nodes,
        (("logits", ("out", 0)), ("maps", ("sum", 0))),
        (Loss("main", CrossEntropy(), ("out", 0)), Loss("helper", CrossEntropy(), ("aux", 0), 0.3)),
    )


GRAPHS = {
    "passing on": passing_on,
    **{
        name: ARCHITECTURES[name].build
        for name in (
            "lenet5",
            "resnet-digits",
            "densenet-digits",
            "googlenet-digits-auxiliary",
            "mobilenet-digits",
            "squeezenet-digits",
        )
    },
}


def two_steps(graph: Graph, keep: str, mode: str, traced: bool) -> tuple[Plan, Trace]:
    plan = compile(
        graph,
        initial_parameters(graph, 0),
        batch=3,
        keep=keep,  # type: ignore[arg-type]
        mode=mode,  # type: ignore[arg-type]
    )
    rng, trace = np.random.default_rng(0), Trace()
    for step in range(2):
        x = rng.standard_normal((3, *graph.inputs[0].shape)).astype(np.float32)
        batch = Batch.of(graph, x, rng.integers(0, 4, 3))
        run = plan.run(batch, key=(0, step), optimizer=SGD(), trace=trace if traced else None)
        exhaust(run)
    return plan, trace


@pytest.mark.parametrize("mode", ["train", "eval"])
@pytest.mark.parametrize("name", GRAPHS)
def test_shared_memory_changes_no_number(name: str, mode: str) -> None:
    """Bit for bit, for every array that was recorded, and for the results without a trace."""
    graph = GRAPHS[name]()
    kept, trace = two_steps(graph, "all", mode, True)
    _, other = two_steps(graph, "results", mode, True)
    keys = list(trace.keys())
    assert keys == list(other.keys())
    for key in keys:
        np.testing.assert_array_equal(trace.at(key), other.at(key), str(key))
    bare, _ = two_steps(graph, "results", mode, False)
    assert bare.loss() == kept.loss()
    np.testing.assert_array_equal(bare.output(), kept.output())
    for out, _ in graph.outputs:
        np.testing.assert_array_equal(bare.output(out), kept.output(out))
    for key_, array in kept.parameter_gradients().items():
        np.testing.assert_array_equal(bare.parameter_gradients()[key_], array)
    image = (graph.inputs[0].id, 0)
    gradient, wanted = bare.gradient(image), kept.gradient(image)
    assert gradient is not None and wanted is not None
    np.testing.assert_array_equal(gradient, wanted)


def test_what_is_not_kept_is_refused() -> None:
    graph = passing_on()
    plan, _ = two_steps(graph, "results", "train", False)
    for ask in (plan.value, plan.gradient):
        with pytest.raises(NotKeptError, match="keep='all'"):
            ask(("stem", 0))
    assert plan.value(("out", 0)).shape == (3, 4)


def test_shared_memory_is_smaller() -> None:
    graph = ARCHITECTURES["resnet-digits"].build()
    plans = [
        compile(graph, initial_parameters(graph, 0), batch=8, keep=keep, mode=mode, backward=back)
        for keep, mode, back in (
            ("results", "train", True),
            ("results", "eval", False),
        )
    ]
    specs = plans[0].specs
    values = sum(4 * int(np.prod(spec.shape)) for spec in specs.values())
    training, evaluation = (plan.memory for plan in plans)
    assert evaluation < 0.7 * training < 3 * values
