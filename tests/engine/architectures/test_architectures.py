"""The known networks: published sizes, shapes, and that a gradient reaches every weight."""

import dataclasses

import numpy as np
import pytest

from engine.architectures import ARCHITECTURES, Architecture, Size
from engine.architectures.base import Builder
from engine.data.digits import digits
from engine.graph import Graph, GraphError
from engine.layers.add import Add
from engine.layers.base import ShapeError
from engine.layers.conv2d import Conv2d
from engine.layers.linear import Linear
from engine.layers.relu import ReLU
from engine.losses import CrossEntropy
from engine.optimizers import SGD
from engine.parameters import initial_parameters
from engine.plan import Batch, compile, exhaust


def totals(graph: Graph) -> tuple[int, int]:
    costs = graph.costs(graph.infer().specs).values()
    return sum(c.parameters for c in costs), sum(c.multiply_adds for c in costs)


def test_lenet5_has_the_published_size() -> None:
    graph = ARCHITECTURES["lenet5"].build()
    assert totals(graph) == (61_706, 416_520)
    costs = graph.costs(graph.infer().specs)
    assert {n: c.parameters for n, c in costs.items() if c.parameters} == {
        "conv1": 156,
        "conv2": 2_416,
        "fc1": 48_120,
        "fc2": 10_164,
        "fc3": 850,
    }


def test_lenet5_has_the_ids_and_shapes_that_lessons_name() -> None:
    graph = ARCHITECTURES["lenet5"].build()
    specs = graph.infer().specs
    assert [(node.id, str(specs[node.id, 0])) for node in graph.order] == [
        ("conv1", "6×28×28"),
        ("relu1", "6×28×28"),
        ("pool1", "6×14×14"),
        ("conv2", "16×10×10"),
        ("relu2", "16×10×10"),
        ("pool2", "16×5×5"),
        ("flatten", "400"),
        ("fc1", "120"),
        ("relu3", "120"),
        ("fc2", "84"),
        ("relu4", "84"),
        ("fc3", "10"),
    ]
    assert graph.outputs == (("logits", ("fc3", 0)),)
    assert [(loss.id, loss.input) for loss in graph.losses] == [("loss", ("fc3", 0))]
    assert [(i.id, i.shape) for i in graph.inputs] == [("image", (1, 28, 28))]
    assert graph.labels == tuple("0123456789")


def test_the_residual_network_has_three_blocks_and_one_projection() -> None:
    graph = ARCHITECTURES["resnet-digits"].build()
    assert totals(graph) == (38_266, 828_736)
    specs = graph.infer().specs
    adds = [node for node in graph.nodes if isinstance(node.layer, Add)]
    skips = {node.id: node.inputs[1] for node in adds}
    assert skips == {
        "stage1/block1/add": ("stem/relu", 0),
        "stage2/block1/add": ("stage2/block1/shortcut/bn", 0),
        "stage2/block2/add": ("stage2/block1/relu2", 0),
    }
    shapes = [str(specs[node.id, 0]) for node in adds]
    assert shapes == ["16×8×8", "32×4×4", "32×4×4"]
    for node in adds:
        block = node.id.removesuffix("/add")
        branch = [f"{block}/{name}" for name in ("conv1", "bn1", "relu1", "conv2", "bn2")]
        start = graph.node(branch[0]).inputs[0]
        assert start is not None
        assert node.inputs[0] == (branch[-1], 0)
        assert [graph.node(b).inputs for b in branch[1:]] == [((a, 0),) for a in branch[:-1]]
        assert len(graph.readers[start]) == 2
    assert str(specs["gap", 0]) == "32×1×1"


CLASSROOM = [a for a in ARCHITECTURES.values() if a.scale == "classroom"]


@pytest.mark.parametrize("architecture", ARCHITECTURES.values(), ids=lambda a: a.id)
class TestEach:
    def test_it_is_described(self, architecture: Architecture) -> None:
        assert ARCHITECTURES[architecture.id] is architecture
        assert architecture.title and architecture.idea.endswith(".") and architecture.source
        assert str(architecture.year) in architecture.source and architecture.family
        graph = architecture.build()
        assert graph.inputs[0].shape == architecture.input
        assert graph == architecture.build()
        assert graph == Graph.from_dict(graph.to_dict())
        output = graph.infer().specs[graph.outputs[0][1]]
        classes = len(graph.labels) or 1000  # ImageNet's have no names here
        for loss in graph.losses:
            assert graph.infer().specs[loss.input] == output
        assert output.shape == (1, classes)

    def test_its_ids_say_where_a_node_stands(self, architecture: Architecture) -> None:
        graph = architecture.build()
        groups = {node.id.rpartition("/")[0] for node in graph.nodes}
        assert not groups & set(graph.by_id), "a node has the name of a group"
        if len(graph.nodes) > 30:
            assert len(groups) > 3


@pytest.mark.parametrize("architecture", CLASSROOM, ids=lambda a: a.id)
class TestEachForTheClassroom:
    def test_it_is_small(self, architecture: Architecture) -> None:
        size = Size.of(architecture.build())
        assert size.parameters < 100_000 and size.multiply_adds < 2_000_000
        assert architecture.build().labels == tuple("0123456789")

    def test_a_gradient_reaches_every_weight(self, architecture: Architecture) -> None:
        graph = architecture.build()
        plan = compile(graph, initial_parameters(graph, 0), batch=4)
        x = np.random.default_rng(1).standard_normal((4, *architecture.input))
        exhaust(plan.run(Batch.of(graph, x, np.arange(4))))
        for key, gradient in plan.parameter_gradients().items():
            assert np.isfinite(gradient).all(), key
            assert np.abs(gradient).max() > 0, key


@pytest.mark.parametrize(
    "name", [a.id for a in CLASSROOM if type(a.build().losses[0].function) is CrossEntropy]
)
def test_the_first_loss_is_that_of_a_network_that_knows_nothing(name: str) -> None:
    training, _ = digits()
    architecture = ARCHITECTURES[name]
    graph = architecture.build()
    fit = dataclasses.replace(training.preprocessing, size=architecture.input[1:])
    x = np.stack([fit.apply(image) for image in training.images[:64]])
    found = []
    for seed in range(3):
        plan = compile(graph, initial_parameters(graph, seed), batch=64, backward=False)
        exhaust(plan.run(Batch.of(graph, x, training.labels[:64])))
        scores = plan.value(graph.losses[0].input)
        found.append(float(CrossEntropy().forward(scores, training.labels[:64])[0]))
    assert np.mean(found) == pytest.approx(np.log(10), rel=0.1)
    assert max(found) < 1.2 * np.log(10)


def test_lenets_fixed_patterns_do_not_move_and_its_answer_is_the_nearest_one() -> None:
    graph = ARCHITECTURES["lenet5-1998-digits"].build()
    plan = compile(graph, initial_parameters(graph, 0), batch=4)
    x = np.random.default_rng(1).standard_normal((4, 1, 8, 8))
    before = plan.parameters()
    exhaust(plan.run(Batch.of(graph, x, np.arange(4)), optimizer=SGD(lr=0.001)))
    after = plan.parameters()
    moved = {
        owner for (owner, name), value in after.items() if (value != before[owner, name]).any()
    }
    assert moved == {"c1", "s2", "c3", "s4", "c5", "f6"}
    features, patterns = plan.value(("f6_tanh", 0)), before["output", "weight"]
    distances = np.square(features[:, None] - patterns).sum(2)
    assert plan.output().argmax(1).tolist() == distances.argmin(1).tolist()


def test_a_builder_refuses_what_does_not_fit() -> None:
    build = Builder((1, 8, 8))
    build.node("conv", Conv2d(4, 3), build.input)
    with pytest.raises(GraphError, match="taken"):
        build.node("conv", ReLU(), build.input)
    with pytest.raises(ShapeError):
        build.classifier(build.node("fc", Linear(10), ("conv", 0)), "wrong", tuple("0123456789"))
