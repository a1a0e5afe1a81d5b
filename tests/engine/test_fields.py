"""Receptive fields: published sizes, and the support of real gradients and real differences."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from engine.architectures import ARCHITECTURES
from engine.architectures.lenet5 import lenet5
from engine.cell import Cell
from engine.extent import Box
from engine.fields import (
    Geometry,
    centre,
    effective_receptive_field,
    fields_of,
    geometry,
    influence,
    input_gradients,
    receptive_field,
    spread,
)
from engine.graph import Graph, GraphError, Input, Node, Ref
from engine.layers import REGISTRY
from engine.layers.base import Array
from engine.parameters import initial_parameters
from engine.plan import Batch, compile, exhaust

Conv2d, AvgPool2d, Add, Concat = (
    REGISTRY[name] for name in ("Conv2d", "AvgPool2d", "Add", "Concat")
)


def chain(shape: tuple[int, ...], *layers: object) -> Graph:
    """A graph of one layer after the other."""
    nodes, source = [], ("image", 0)
    for number, layer in enumerate(layers):
        nodes.append(Node(f"layer{number}", layer, (source,)))
        source = (f"layer{number}", 0)
    return Graph((Input("image", shape),), tuple(nodes), (("y", source),))


def forked() -> Graph:
    """A skip and two branches of different reach, one dilated, that meet in Add and Concat."""
    return Graph(
        (Input("image", (2, 17, 15)),),
        (
            Node("stem", Conv2d(4, 3, stride=2, padding=1), (("image", 0),)),
            Node("left", Conv2d(4, 3, padding=1), (("stem", 0),)),
            Node("right", Conv2d(4, (5, 1), padding=(4, 0), dilation=(2, 1)), (("stem", 0),)),
            Node("add", Add(), (("stem", 0), ("left", 0))),
            Node("concat", Concat(), (("right", 0), ("add", 0))),
            Node("pool", AvgPool2d(3, 2, 1), (("concat", 0),)),
            Node("mix", Conv2d(6, 2, groups=2), (("pool", 0),)),
        ),
        (("y", ("mix", 0)),),
    )


# ---- the rule ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "ref", "size", "jump"),
    [
        # Araujo, Norris & Sim 2019, table of networks
        ("alexnet", "pool5", 195, 32),
        ("vgg16", "stage5/pool", 212, 32),
        ("mobilenet-v1", "block13/pointwise/relu", 315, 32),
        # by hand, r ← r + (kernel − 1) · jump: two 3×3 a block; one in a bottleneck
        ("resnet18", "stage4/block2/relu2", 435, 32),
        ("resnet50", "stage4/block3/relu3", 427, 32),
        ("lenet5", "pool2", 16, 4),
    ],
)
def test_published_sizes(name: str, ref: str, size: int, jump: int) -> None:
    found = geometry(ARCHITECTURES[name].build(), (ref, 0))
    assert found is not None
    assert (found.size, found.jump) == ((size, size), (jump, jump))


def test_three_small_kernels_see_as_far_as_a_large_one() -> None:
    three = geometry(chain((1, 9, 9), *[Conv2d(1, 3)] * 3), ("layer2", 0))
    one = geometry(chain((1, 9, 9), Conv2d(1, 7)), ("layer0", 0))
    assert three == one == Geometry((7, 7), (1, 1), (0, 0))


def test_start_counts_padding_and_pairs_are_rows_and_columns() -> None:
    graph = chain((1, 20, 20), Conv2d(1, (3, 5), (2, 1), (1, 2, 0, 3)), Conv2d(1, 3, 2, 1))
    # rows: 3 + 2·2 = 7, 2·2 = 4, −1 − 1·2 = −3; columns: 5 + 2·1 = 7, 1·2 = 2, −2 − 1 = −3
    assert geometry(graph, ("layer1", 0)) == Geometry((7, 7), (4, 2), (-3, -3))


def test_lenet_sees_a_window_of_25_of_784_pixels() -> None:
    field = receptive_field(ARCHITECTURES["lenet5"].build(), Cell("conv1", 0, (0, 14, 14)))
    assert field["image", 0].box == ((0, 1), (12, 17), (12, 17))
    assert field["image", 0].size == (5, 5)
    corner = receptive_field(ARCHITECTURES["lenet5"].build(), Cell("conv1", 0, (0, 0, 0)))
    assert corner["image", 0].size == (3, 3)
    assert corner["image", 0].padded == ((0, 1), (-2, 3), (-2, 3))


def test_a_branch_of_an_inception_block_sees_less_than_another() -> None:
    graph = ARCHITECTURES["googlenet"].build()
    channels = (64, 128, 32, 32)  # 1×1, 3×3, 5×5, pool, in inception3/a
    sizes = []
    for first in np.cumsum((0, *channels[:-1])):
        field = receptive_field(graph, Cell("inception3/a/concat", 0, (int(first), 14, 14)))
        sizes.append(field["image", 0].padded_size[0])
    narrow = sizes[0]
    assert sizes == [narrow, narrow + 2 * 8, narrow + 4 * 8, narrow + 2 * 8]


@pytest.mark.parametrize("order", [("wide", "narrow"), ("narrow", "wide")])
def test_where_branches_part_the_wider_one_decides(order: tuple[str, str]) -> None:
    layers = {"wide": Conv2d(1, 5, padding=2), "narrow": Conv2d(1, 1)}
    nodes = tuple(Node(name, layers[name], (("image", 0),)) for name in order)
    add = Node("add", Add(), (("wide", 0), ("narrow", 0)))
    graph = Graph((Input("image", (1, 9, 9)),), (*nodes, add), (("y", ("add", 0)),))
    field = receptive_field(graph, Cell("add", 0, (0, 0, 4)))["image", 0]
    assert field.padded_size == (5, 5) and field.padded[1] == (-2, 3) and field.size == (3, 5)


def test_what_takes_no_part_is_left_out() -> None:
    found = receptive_field(forked(), Cell("concat", 0, (1, 4, 4)))
    assert set(found) == {("concat", 0), ("right", 0), ("stem", 0), ("image", 0)}
    later = influence(forked(), Cell("right", 0, (0, 4, 4)))
    assert set(later) == {("right", 0), ("concat", 0), ("pool", 0), ("mix", 0)}
    assert later["mix", 0].box[0] == (0, 3)  # the first of two groups


def test_both_fields_of_a_cell_leave_its_own_tensor_out() -> None:
    graph = forked()
    cell = Cell("left", 0, (0, 2, 2))
    fields = fields_of(graph, cell)
    assert fields.seen == {
        ref: field for ref, field in receptive_field(graph, cell).items() if ref != ("left", 0)
    }
    assert set(fields.changed) == {("add", 0), ("concat", 0), ("pool", 0), ("mix", 0)}
    assert fields.at(("image", 0)) is fields.seen["image", 0]
    assert fields.at(("mix", 0)) is fields.changed["mix", 0]
    assert fields.at(("left", 0)) is None and fields.at(("right", 0)) is None
    assert not fields.seen["image", 0].is_whole


def test_after_a_linear_layer_everything_is_seen() -> None:
    graph = ARCHITECTURES["lenet5"].build()
    found = receptive_field(graph, Cell("fc1", 0, (3,)))
    assert found["image", 0].box == ((0, 1), (0, 28), (0, 28))
    assert geometry(graph, ("fc1", 0)) is None


@pytest.mark.parametrize(
    "cell", [Cell("nobody", 0, (0, 0, 0)), Cell("stem", 0, (0, 0)), Cell("stem", 0, (9, 0, 0))]
)
def test_a_cell_that_does_not_exist_is_refused(cell: Cell) -> None:
    with pytest.raises(GraphError):
        receptive_field(forked(), cell)
    with pytest.raises(GraphError):
        influence(forked(), cell)


# ---- real gradients ------------------------------------------------------------------------


def positive(graph: Graph) -> tuple[Graph, dict[tuple[str, str], Array]]:
    """The network with averages for maxima and all weights above 0: nothing can cancel out."""
    average = {
        node.id: AvgPool2d(
            node.layer.kernel_size, node.layer.stride, node.layer.padding, node.layer.ceil_mode
        )
        for node in graph.nodes
        if type(node.layer).__name__ == "MaxPool2d"
    }
    nodes = tuple(replace(n, layer=average.get(n.id, n.layer)) for n in graph.nodes)
    graph = replace(graph, nodes=nodes)
    weights = initial_parameters(graph, seed=1, dtype="float64")
    return graph, {key: np.abs(array) + 0.01 for key, array in weights.items()}


def box_of(marks: Array) -> Box | None:
    places = np.nonzero(marks)
    if not len(places[0]):
        return None
    return tuple((int(p.min()), int(p.max()) + 1) for p in places)


CLASSROOM = [
    "lenet5",
    "alexnet-digits",
    "googlenet-digits",
    "resnet-digits",
    "densenet-digits",
    "mobilenet-digits",
    "vgg-digits",
]


@pytest.mark.parametrize("name", ["forked", *CLASSROOM])
def test_field_is_the_support_of_the_gradient(name: str) -> None:
    build = forked if name == "forked" else ARCHITECTURES[name].build
    graph, weights = positive(build())
    specs = graph.infer().specs
    rng = np.random.default_rng(3)
    pictures = rng.uniform(0.5, 1.0, (1, *graph.inputs[0].shape))
    maps = [n.id for n in graph.order if len(specs[n.id, 0].shape) == 4]
    for node in (maps[len(maps) // 2], maps[-1]):
        for _ in range(2):
            index = tuple(int(rng.integers(size)) for size in specs[node, 0].shape[1:])
            cell = Cell(node, 0, index)
            gradient = input_gradients(graph, weights, cell, pictures)
            source = (graph.inputs[0].id, 0)
            field = receptive_field(graph, cell)[source]
            assert field.box == box_of(gradient[0]), (cell, field)


def values(graph: Graph, weights: dict[tuple[str, str], Array], x: Array) -> dict[Ref, Array]:
    plan = compile(graph, weights, batch=1, mode="eval", dtype="float64", backward=False)
    exhaust(plan.run(Batch.of(graph, x)))
    return {(n.id, 0): np.array(plan.value((n.id, 0)))[0] for n in graph.nodes}


@pytest.mark.parametrize("name", ["forked", *CLASSROOM])
def test_influence_is_where_a_changed_pixel_makes_a_difference(name: str) -> None:
    build = forked if name == "forked" else ARCHITECTURES[name].build
    graph, weights = positive(build())
    rng = np.random.default_rng(4)
    x = rng.uniform(0.5, 1.0, (1, *graph.inputs[0].shape))
    index = tuple(int(rng.integers(size)) for size in x.shape[1:])
    changed = x.copy()
    changed[(0, *index)] += 1000.0
    before, after = values(graph, weights, x), values(graph, weights, changed)
    found = influence(graph, Cell(graph.inputs[0].id, 0, index))
    compared = 0
    for node in graph.nodes:
        if type(node.layer).__name__ in ("Softmax", "LogSoftmax"):
            continue
        ref = (node.id, 0)
        expected = box_of(before[ref] != after[ref])
        assert (found[ref].box if ref in found else None) == expected, ref
        compared += 1
    assert compared >= 6


# ---- the effective field -------------------------------------------------------------------


def test_effective_field_of_uniform_kernels_is_a_bell() -> None:
    """Luo et al. 2016: for n uniform 3×3 layers σ = √(2n/3)."""
    count = 6
    graph = chain((1, 21, 21), *[Conv2d(1, 3, padding=1, bias=False)] * count)
    weights = {(f"layer{i}", "weight"): np.full((1, 1, 3, 3), 1 / 9) for i in range(count)}
    cell = centre((f"layer{count - 1}", 0), graph.infer().specs)
    pictures = np.random.default_rng(0).standard_normal((3, 1, 21, 21))
    field = effective_receptive_field(graph, weights, cell, pictures, batch=2)
    assert field.shape == (1, 21, 21)
    assert field.sum() == pytest.approx(1.0)
    away = np.arange(21) - 10
    for axis in (1, 2):
        variance = (field[0].sum(2 - axis) * away**2).sum()
        assert variance == pytest.approx(2 * count / 3)
    assert box_of(field) == receptive_field(graph, cell)["image", 0].box
    assert field[0, 10, 10] == field.max()


def test_effective_field_is_the_mean_of_absolute_gradients() -> None:
    graph = ARCHITECTURES["lenet5"].build()
    weights = initial_parameters(graph, seed=2, dtype="float64")
    pictures = np.random.default_rng(1).standard_normal((5, 1, 28, 28))
    cell = Cell("pool2", 0, (3, 3, 3))
    each = [input_gradients(graph, weights, cell, p[None])[0] for p in pictures]
    assert any((a > 0).any() and (a < 0).any() for a in each)
    field = effective_receptive_field(graph, weights, cell, pictures, batch=2)
    assert field == pytest.approx(np.abs(each).mean(0))
    # checked against a difference of the cell itself
    source, step = (0, 13, 13), 1e-6
    nudged = pictures[:1].copy()
    nudged[(0, *source)] += step
    change = (
        values(graph, weights, nudged)["pool2", 0]
        - values(graph, weights, pictures[:1])["pool2", 0]
    )
    assert each[0][source] != 0
    assert change[cell.index] / step == pytest.approx(each[0][source], rel=1e-4)


def test_effective_field_says_what_it_needs() -> None:
    graph = ARCHITECTURES["lenet5"].build()
    weights = initial_parameters(graph, seed=2)
    with pytest.raises(ValueError, match="at least one"):
        effective_receptive_field(
            graph, weights, Cell("conv1", 0, (0, 0, 0)), np.zeros((0, 1, 28, 28))
        )
    with pytest.raises(GraphError, match="of a layer"):
        input_gradients(graph, weights, Cell("image", 0, (0, 0, 0)), np.zeros((1, 1, 28, 28)))
    two = replace(graph, inputs=(*graph.inputs, Input("other", (1, 28, 28))))
    with pytest.raises(GraphError, match="one input, received 2"):
        input_gradients(two, weights, Cell("conv1", 0, (0, 0, 0)), np.zeros((1, 1, 28, 28)))


class TestSpread:
    """How far an effective field reaches, from its weights alone."""

    def test_a_single_pixel(self) -> None:
        effective = np.zeros((1, 9, 9))
        effective[0, 4, 6] = 2.0
        found = spread(effective)
        assert found is not None
        assert (found.middle, found.deviation) == ((4.0, 6.0), (0.0, 0.0))
        assert (found.half, found.most) == (1, 1)

    def test_a_bell_has_the_deviation_that_it_was_made_with(self) -> None:
        """Behind n uniform 3×3 layers σ = √(2n/3): n boxes of three, one after the other."""
        line = np.zeros(61)
        line[30] = 1.0
        for _ in range(6):
            line = np.convolve(line, np.ones(3) / 3, "same")
        found = spread(np.outer(line, line)[None])
        assert found is not None
        assert found.deviation == pytest.approx((2.0, 2.0))
        square = slice(30 - found.most // 2, 31 + found.most // 2)
        inner = slice(square.start + 1, square.stop - 1)
        assert line[square].sum() ** 2 >= 0.95 > line[inner].sum() ** 2

    def test_nothing_has_none(self) -> None:
        assert spread(np.zeros((3, 4, 4))) is None and spread(np.full((4, 4), np.nan)) is None


def test_measuring_tells_its_progress_and_can_be_given_up() -> None:
    graph = lenet5()
    pictures = np.random.default_rng(0).random((5, 1, 28, 28))
    parameters, cell, told = initial_parameters(graph, 0), Cell("conv1", 0, (0, 3, 3)), []
    whole = effective_receptive_field(graph, parameters, cell, pictures)
    parts = effective_receptive_field(
        graph, parameters, cell, pictures, batch=2, progress=lambda *now: told.append(now)
    )
    np.testing.assert_allclose(parts, whole)
    assert told == [(2, 5), (4, 5), (5, 5)]

    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        effective_receptive_field(graph, parameters, cell, pictures, progress=stop)
