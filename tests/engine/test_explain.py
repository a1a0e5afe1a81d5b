"""Every number of a run is made by the terms that it is explained with, in both directions."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from engine.cell import Cell
from engine.cli.common import open_network
from engine.explain import (
    DIRECTIONS,
    Direction,
    Explanation,
    Place,
    Weight,
    look,
    origin,
    touching,
    why,
)
from engine.graph import Graph, Input, Loss, Node, Ref
from engine.layers import REGISTRY
from engine.layers.add import Add
from engine.layers.avg_pool2d import AvgPool2d
from engine.layers.base import Layer
from engine.layers.batch_norm2d import BatchNorm2d
from engine.layers.concat import Concat
from engine.layers.conv2d import Conv2d
from engine.layers.dropout import Dropout
from engine.layers.flatten import Flatten
from engine.layers.global_avg_pool import GlobalAvgPool
from engine.layers.linear import Linear
from engine.layers.max_pool2d import MaxPool2d
from engine.layers.rbf import RBF
from engine.layers.relu import ReLU
from engine.layers.softmax import Softmax
from engine.losses import CrossEntropy
from engine.optimizers import SGD
from engine.parameters import initial_parameters
from engine.plan import Batch, compile, exhaust
from engine.trace import Trace

AFTERWARDS = {
    *("Concat", "MaxPool2d", "AvgPool2d", "Dropout", "Flatten", "Linear"),
    *("GlobalAvgPool", "Softmax"),
}
CHANGED: dict[str, dict[str, Any]] = {
    "PartialConv2d": {"table": "neighbours"},
    "Pad": {"mode": "edge"},
    "MaxUnpool2d": {"kernel_size": 1, "stride": 1},
}
"""What fits maps of four channels, and leads every cell to a pixel, where the default does not."""


def everything() -> Graph:
    """A network with every registered layer, forks of two and three readers, and padding."""
    nodes: list[Node] = []

    def add(node_id: str, layer: Layer, *sources: str) -> str:
        nodes.append(Node(node_id, layer, tuple((s, 0) for s in sources)))
        return node_id

    add("conv", Conv2d(4, 3, stride=2, padding=1), "image")
    add("norm", BatchNorm2d(), "conv")
    add("relu", ReLU(), "norm")
    add("deep", Conv2d(4, (3, 2), dilation=(1, 2), padding=1, groups=2), "relu")
    add("one", Conv2d(4, 1, bias=False), "relu")
    add("add", Add(), "deep", "relu")
    known = {type(n.layer).__name__ for n in nodes} | AFTERWARDS
    others, heads = [], []
    specs = Graph((Input("image", (2, 9, 10)),), tuple(nodes)).infer().specs
    for kind in sorted(set(REGISTRY) - known):
        layer = REGISTRY[kind](**CHANGED.get(kind, {}))
        if kind == "RBF":  # a vector: behind the head of the maps' maxima
            heads.append(add("rbf", RBF(4), "globalmaxpool_flat"))
            continue
        if kind == "MaxUnpool2d":
            add("indices", MaxPool2d(1, 1, return_indices=True), "norm")
            nodes.append(Node("unpool", layer, (("indices", 0), ("indices", 1))))
            others.append("unpool")
            continue
        sources = ["norm"] * layer.arity[0]
        add(kind.lower(), layer, *sources)
        out = layer.outputs(*[specs["norm", 0]] * len(sources))[0]
        if out.shape[2:] == specs["norm", 0].shape[2:]:
            others.append(kind.lower())
        else:  # another size: a head of its own
            add(f"{kind.lower()}_flat", Flatten(), kind.lower())
            heads.append(add(f"{kind.lower()}_fc", Linear(4), f"{kind.lower()}_flat"))
    add("concat", Concat(), "add", "one", "relu", *others)
    add("max", MaxPool2d(3, stride=2, padding=1), "concat")
    add("avg", AvgPool2d(2, stride=1, padding=1), "max")
    add("drop", Dropout(0.4), "avg")
    add("flat", Flatten(), "drop")
    add("fc", Linear(4), "flat")
    add("gap", GlobalAvgPool(), "max")
    add("flat2", Flatten(), "gap")
    add("fc2", Linear(4), "flat2")
    add("soft", Softmax(), "fc2")
    add("twice", Add(), "soft", "soft")
    add("sum", Add(), "fc", "twice", *heads)
    add("unused", ReLU(), "relu")
    return Graph(
        (Input("image", (2, 9, 10)),),
        tuple(nodes),
        (("out", ("sum", 0)),),
        (
            Loss("loss", CrossEntropy(), ("sum", 0)),
            Loss("other", CrossEntropy(), ("fc2", 0), weight=0.3),
        ),
    )


def ran(
    graph: Graph, *, seed: int = 0, batch: int = 1, mode: Any = "train", dtype: str = "float64"
) -> Trace:
    rng = np.random.default_rng(seed)
    parameters = {
        k: rng.uniform(0.1, 0.6, v.shape)
        * (1 if k[1] == "running_var" else rng.choice((-1, 1), v.shape))
        for k, v in initial_parameters(graph, seed).items()
    }
    plan = compile(graph, parameters, batch=batch, mode=mode, dtype=dtype)
    x = rng.standard_normal((batch, *graph.inputs[0].shape))
    target = rng.integers(0, 4, batch)
    trace = Trace()
    exhaust(plan.run(Batch.of(graph, x, target), key=(seed, 1), optimizer=SGD(lr=0.5), trace=trace))
    return trace


def number_of(found: Explanation) -> float | None:
    """What the terms make, two formulas evaluated here by hand; None for a layer's own formula.

    Those of the layers are evaluated in the tests of the layers.
    """
    if found.total is not None:
        return found.total
    values = [found.term(i).product for i in range(len(found))]
    assert found.combine == "formula" and found.chosen is not None
    top = max(values)
    total = top + math.log(sum(math.exp(v - top) for v in values))
    if found.formula == "log Σ_j exp(x_j) − x_t":
        return total - values[found.chosen]
    if found.formula == "exp(x_i) / Σ_j exp(x_j)":
        return math.exp(values[found.chosen] - total)
    return None


def tolerance(found: Explanation, epsilon: float) -> float:
    """Rounding of a float sum: proportional to what was added, not to what remains."""
    return epsilon * (float(np.abs(found.products).sum()) + abs(found.value))


def tensors(graph: Graph, trace: Trace) -> dict[Ref, tuple[int, ...]]:
    refs = {key.ref for key in tuple(trace.keys()) if key.kind == "value"}
    return {r: trace.look("value", r).shape[1:] for r in refs}  # type: ignore[union-attr]


def random_cell(shape: tuple[int, ...], rng: np.random.Generator) -> tuple[int, ...]:
    return tuple(int(rng.integers(size)) for size in shape)


def check_places(trace: Trace, found: Explanation, sample: int, losses: set[str]) -> None:
    """The value of each term is the number recorded at the place that it leads to."""
    for i in range(len(found)):
        place, term = found.place_of(i), found.term(i)
        if place is None:
            assert term.source[0] == "constant"
            continue
        assert place.followed
        reader = found.shares[found.share_of(i)].reader
        if reader in losses and found.place.direction == "gradient":
            continue  # the share p, which leads to the score that it was made of
        recorded = look(
            trace, len(trace.steps) if isinstance(place.source, Cell) else 0, place, sample
        )
        assert recorded is not None
        assert math.isclose(recorded, term.value, rel_tol=1e-9, abs_tol=1e-12)


def test_the_network_of_these_tests_has_every_layer() -> None:
    assert {type(n.layer).__name__ for n in everything().nodes} == set(REGISTRY)


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize(("batch", "mode"), [(1, "train"), (1, "eval"), (3, "train")])
def test_terms_make_the_number_in_every_layer(direction: Direction, batch: int, mode: Any) -> None:
    graph = everything()
    trace = ran(graph, batch=batch, mode=mode)
    rng = np.random.default_rng(8)
    losses = {x.id for x in graph.losses}
    seen = set()
    for ref, shape in tensors(graph, trace).items():
        for _ in range(12):
            sample = int(rng.integers(batch))
            cell = Cell(*ref, random_cell(shape, rng))
            found = origin(graph, trace, len(trace), cell, direction, sample)
            # those have no slope
            none = ref[0] in losses | {"unused"} or ref in (("indices", 1), ("topk", 1))
            if direction == "gradient" and none:
                assert found is None
                continue
            assert found is not None, cell
            check_places(trace, found, sample, losses)
            if found.given:
                assert ref == ("image", 0) and direction == "forward" and len(found) == 0
            elif not (ref[0] in losses and batch > 1):  # then a mean over the batch
                made = number_of(found)
                if direction == "gradient" or found.combine != "formula":
                    assert made is not None
                if made is not None:
                    assert abs(made - found.value) <= tolerance(found, 1e-12), cell
            seen.add(ref[0])
    assert seen >= {n.id for n in graph.nodes} - {"unused"}


def random_places(
    graph: Graph, trace: Trace, count: int, rng: np.random.Generator
) -> list[tuple[Cell | Weight, Direction]]:
    """Cells of any tensor, and elements of any parameter, of which half are asked for gradients."""
    cells = [(ref, shape) for ref, shape in tensors(graph, trace).items()]
    keys = {key.ref for key in tuple(trace.keys()) if key.kind == "param_grad"}
    weights = [(r, trace.look("param_grad", r).shape) for r in sorted(keys)]  # type: ignore
    found: list[tuple[Cell | Weight, Direction]] = []
    for i in range(count):
        if i % 5 == 0 and weights:
            (owner, name), shape = weights[rng.integers(len(weights))]
            found.append((Weight(owner, name, random_cell(shape, rng)), "gradient"))
        else:
            ref, shape = cells[rng.integers(len(cells))]
            found.append((Cell(*ref, random_cell(shape, rng)), DIRECTIONS[i % 2]))
    return found


@pytest.mark.parametrize("name", ["lenet5", "resnet-digits", "googlenet-digits", "densenet-digits"])
def test_500_numbers_of_a_network_within_the_rounding_of_float32(name: str) -> None:
    project = open_network(name)
    graph = project.graph
    parameters = project.parameters or initial_parameters(graph, 0)
    plan = compile(graph, parameters, batch=1, mode="eval")
    rng = np.random.default_rng(3)
    x = rng.standard_normal((1, *graph.inputs[0].shape)).astype(np.float32)
    trace = Trace()
    exhaust(plan.run(Batch.of(graph, x, np.array([2])), optimizer=SGD(lr=1.0), trace=trace))
    losses, compared = {x.id for x in graph.losses}, 0
    for source, direction in random_places(graph, trace, 500, rng):
        found = origin(graph, trace, len(trace), source, direction)
        if found is None:
            assert direction == "gradient" and source.node in losses
        elif found.difference is not None:
            assert abs(found.difference) <= tolerance(found, 2e-6), (source, direction)
            compared += 1
    assert compared > 400


class TestWeights:
    @pytest.mark.parametrize(("batch", "mode"), [(1, "train"), (1, "eval"), (3, "train")])
    def test_terms_make_the_gradient_of_every_parameter(self, batch: int, mode: Any) -> None:
        graph = everything()
        trace = ran(graph, batch=batch, mode=mode)
        rng = np.random.default_rng(5)
        keys = {k.ref for k in tuple(trace.keys()) if k.kind == "param_grad"}
        assert len(keys) > 15
        for owner, name in sorted(keys):
            gradient = trace.look("param_grad", (owner, name))
            assert gradient is not None
            for _ in range(6):
                sample = int(rng.integers(batch))
                weight = Weight(owner, name, random_cell(gradient.shape, rng))
                found = origin(graph, trace, len(trace), weight, "gradient", sample)
                assert found is not None and not found.given
                assert abs(found.difference or 0.0) <= tolerance(found, 1e-12), weight
                check_places(trace, found, sample, set())

    def test_each_position_of_a_kernel_is_a_term(self) -> None:
        graph = everything()
        trace = ran(graph)
        found = origin(graph, trace, len(trace), Weight("conv", "weight", (2, 1, 0, 1)), "gradient")
        dy, x = trace.look("grad", ("conv", 0)), trace.look("value", ("image", 0))
        assert found is not None and dy is not None and x is not None
        assert len(found) == 4 * 5  # of 5 rows the first lay on padding
        (window,) = found.windows
        assert (window.channel, window.terms.shape) == (2, (4, 5))
        for (row, column), number in np.ndenumerate(window.terms):
            term = found.term(number)
            assert term.source == ("output_grad", 0, (2, row + 1, column))
            assert term.product == dy[0, 2, row + 1, column] * x[0, 1, 2 * row + 1, 2 * column]

    def test_a_shared_weight_has_a_share_of_each_node(self) -> None:
        layer = Conv2d(3, 3, padding=1)
        nodes = (
            Node("a", layer, (("image", 0),)),
            Node("b", layer, (("a", 0),), "a"),
            Node("c", layer, (("b", 0),), "a"),
            Node("flat", Flatten(), (("c", 0),)),
        )
        loss = Loss("loss", CrossEntropy(), ("flat", 0))
        graph = Graph((Input("image", (3, 4, 4)),), nodes, (("out", ("flat", 0)),), (loss,))
        trace = ran(graph)
        weight = Weight("a", "weight", (0, 1, 2, 2))
        found = origin(graph, trace, len(trace), weight, "gradient")
        assert found is not None and sorted(s.reader for s in found.shares) == ["a", "b", "c"]
        for share in found.shares:
            part = trace.look("param_part", (share.reader, "weight"))
            assert part is not None and share.value == part[weight.index]
            made = math.fsum(t.product for t in share.terms.terms)
            assert math.isclose(made, share.value, rel_tol=1e-9, abs_tol=1e-12)
        assert abs(found.difference or 0.0) <= tolerance(found, 1e-12)

    def test_why_leads_to_the_gradient_that_gave_most_and_on_to_the_scores(self) -> None:
        graph = everything()
        trace = ran(graph)
        place = why(graph, trace, len(trace), Place(Weight("fc", "bias", (1,)), "gradient"))
        assert place == Place(Cell("fc", 0, (1,)), "gradient", True)

    def test_before_backward_it_has_none(self) -> None:
        graph = everything()
        trace = ran(graph)
        assert origin(graph, trace, 3, Weight("fc", "bias", (1,)), "gradient") is None


class TestForks:
    def test_a_forks_gradient_is_the_sum_of_its_readers_terms(self) -> None:
        graph = everything()
        trace = ran(graph)
        cell = Cell("relu", 0, (1, 2, 3))
        found = origin(graph, trace, len(trace), cell, "gradient")
        assert found is not None
        assert {s.reader for s in found.shares} == {"deep", "one", "add", "concat"}
        for share in found.shares:
            part = trace.look("part", (share.reader, graph_slot(graph, share.reader, share.slot)))
            assert part is not None and share.value == part[0][cell.index]
            made = sum(t.product for t in share.terms.terms)
            assert math.isclose(made, share.value, rel_tol=1e-9, abs_tol=1e-12)
        assert math.isclose(sum(s.value for s in found.shares), found.value, rel_tol=1e-12)

    def test_one_reader_twice_sends_two_parts(self) -> None:
        graph = everything()
        trace = ran(graph)
        found = origin(graph, trace, len(trace), Cell("soft", 0, (2,)), "gradient")
        assert found is not None
        assert [(s.reader, s.slot) for s in found.shares] == [("twice", 0), ("twice", 1)]
        assert found.value == 2 * found.term(0).value

    def test_a_sum_that_is_not_complete_has_the_parts_so_far(self) -> None:
        graph = everything()
        trace = ran(graph)
        sums = [s for s in trace.steps if s.phase == "accumulate" and s.node == "relu"]
        assert len(sums) == 3
        for i, step in enumerate(sums):
            found = origin(graph, trace, step.index + 1, Cell("relu", 0, (0, 1, 1)), "gradient")
            assert found is not None and len(found.shares) == i + 2
            assert abs(found.difference or 0.0) <= tolerance(found, 1e-12)

    def test_two_losses_on_one_tensor_and_a_weight(self) -> None:
        graph = everything()
        trace = ran(graph)
        found = origin(graph, trace, len(trace), Cell("fc2", 0, (1,)), "gradient")
        assert found is not None
        assert {s.reader for s in found.shares} == {"other", "soft"}
        other = next(s for s in found.shares if s.reader == "other")
        assert other.terms.terms[0].coefficient == 0.3


def graph_slot(graph: Graph, reader: str, connected: int) -> int:
    slots = [i for i, ref in enumerate(graph.node(reader).inputs) if ref is not None]
    return slots[connected]


class TestWhen:
    def test_terms_are_those_of_the_time_not_of_the_weights_after_the_update(self) -> None:
        graph = everything()
        trace = ran(graph)
        before, after = (trace.look("param", ("fc", "weight"), p) for p in (0, None))
        assert before is not None and after is not None and not np.array_equal(before, after)
        found = origin(graph, trace, len(trace), Cell("fc", 0, (0,)))
        assert found is not None and found.term(0).coefficient == before[0, 0]
        assert abs(found.difference or 0.0) <= tolerance(found, 1e-12)

    def test_nothing_before_it_is_computed(self) -> None:
        graph = everything()
        trace = ran(graph)
        assert origin(graph, trace, 0, Cell("conv", 0, (0, 0, 0))) is None
        assert origin(graph, trace, 1, Cell("conv", 0, (0, 0, 0))) is not None
        assert origin(graph, trace, 1, Cell("conv", 0, (0, 0, 0)), "gradient") is None

    @pytest.mark.parametrize("index", [(), (0,), (0, 0, 99), (-1, 0, 0), (0, 0, 0, 0)])
    def test_an_index_that_does_not_fit_has_no_explanation(self, index: tuple[int, ...]) -> None:
        graph = everything()
        trace = ran(graph)
        assert origin(graph, trace, len(trace), Cell("conv", 0, index)) is None

    def test_an_unknown_node_has_none(self) -> None:
        graph = everything()
        trace = ran(graph)
        assert origin(graph, trace, len(trace), Cell("nothing", 0, (0,))) is None


class TestWhy:
    @pytest.mark.parametrize("direction", DIRECTIONS)
    def test_it_leads_from_any_number_to_a_pixel_or_a_weight(self, direction: Direction) -> None:
        graph = everything()
        trace = ran(graph)
        rng = np.random.default_rng(4)
        for ref, shape in tensors(graph, trace).items():
            place: Place | None = Place(Cell(*ref, random_cell(shape, rng)), direction)
            if look(trace, len(trace), place) is None:
                continue
            way = [place]
            while (place := why(graph, trace, len(trace), way[-1])) is not None:
                way.append(place)
                assert len(way) < 60
            end = way[-1].source
            # in a frame of constants there is nothing before the constant
            framed = not isinstance(end, Weight) and end.node in ("pad", "frame")
            assert framed or isinstance(end, Weight) or end.node == "image", way
            assert way[-1].direction == "forward"

    def test_it_takes_the_term_with_the_largest_product(self) -> None:
        graph = everything()
        trace = ran(graph)
        found = origin(graph, trace, len(trace), Cell("one", 0, (0, 1, 1)))
        assert found is not None and found.strongest is not None
        assert abs(found.products[found.strongest]) == np.abs(found.products).max()
        assert list(np.abs(found.products)[found.order]) == sorted(
            np.abs(found.products), reverse=True
        )

    def test_a_zero_of_relu_leads_to_the_value_below_zero(self) -> None:
        graph = everything()
        trace = ran(graph)
        y = trace.look("value", ("relu", 0))
        assert y is not None
        index = tuple(int(i) for i in np.argwhere(y[0] == 0)[0])
        found = origin(graph, trace, len(trace), Cell("relu", 0, index))
        assert found is not None and found.strongest == 0
        assert found.chosen is not None and found.constant_of(found.chosen) == "zero"
        assert found.place_of(0) == Place(Cell("norm", 0, index), "forward", True)

    def test_the_gradient_of_a_score_leads_to_the_score(self) -> None:
        graph = replace(everything(), losses=(Loss("loss", CrossEntropy(), ("sum", 0)),))
        trace = ran(graph)
        found = origin(graph, trace, len(trace), Cell("sum", 0, (1,)), "gradient")
        assert found is not None and [t.note for t in found.shares[0].terms.terms] == [
            "p, the share",
            "y, the right answer",
        ]
        assert why(graph, trace, len(trace), found.place) == Place(
            Cell("sum", 0, (1,)), "forward", True
        )

    def test_a_weight_is_given(self) -> None:
        graph = everything()
        trace = ran(graph)
        weight = Weight("one", "weight", (0, 1, 0, 0))
        found = origin(graph, trace, 0, weight)
        assert found is not None and found.given and len(found) == 0
        assert found.value == trace.look("param", ("one", "weight"), 0)[0, 1, 0, 0]  # type: ignore
        gradient = origin(graph, trace, len(trace), weight, "gradient")
        assert gradient is not None and not gradient.given
        assert gradient.value == trace.look("param_grad", ("one", "weight"))[0, 1, 0, 0]  # type: ignore


class TestNotFinite:
    @pytest.mark.parametrize("bad", [np.nan, np.inf])
    def test_the_way_leads_to_what_is_not_finite(self, bad: float) -> None:
        graph = everything()
        plan = compile(graph, initial_parameters(graph, 1), batch=1, mode="eval", dtype="float64")
        x = np.random.default_rng(0).standard_normal((1, 2, 9, 10))
        x[0, 1, 4, 4] = bad
        trace = Trace()
        with np.errstate(all="ignore"):
            exhaust(plan.run(Batch.of(graph, x), trace=trace))
        place = why(graph, trace, len(trace), Place(Cell("conv", 0, (0, 2, 2))))
        assert place is not None and place.source == Cell("image", 0, (1, 4, 4))


class TestWindows:
    def test_a_convolutions_window_has_its_padding(self) -> None:
        graph = everything()
        trace = ran(graph)
        found = origin(graph, trace, len(trace), Cell("conv", 0, (2, 0, 0)))
        assert found is not None
        assert [w.channel for w in found.windows] == [0, 1]
        window = found.windows[1].terms
        assert window.shape == (3, 3)
        weights = trace.look("param", ("conv", "weight"), 0)
        assert weights is not None
        for (i, j), number in np.ndenumerate(window):
            assert found.term(number).coefficient == weights[2, 1, i, j]
            padding = i == 0 or j == 0
            assert (found.constant_of(number) == "padding") == padding
            place = found.place_of(number)
            if not padding:
                assert place is not None and place.source == Cell("image", 0, (1, i - 1, j - 1))

    def test_a_pools_window_at_the_border_is_smaller(self) -> None:
        graph = everything()
        trace = ran(graph)
        found = origin(graph, trace, len(trace), Cell("max", 0, (0, 0, 0)))
        assert found is not None
        assert [w.terms.shape for w in found.windows] == [(2, 2)]

    def test_a_gradients_window_are_the_readers(self) -> None:
        graph = everything()
        trace = ran(graph)
        found = origin(graph, trace, len(trace), Cell("image", 0, (0, 3, 3)), "gradient")
        assert found is not None
        assert [w.channel for w in found.windows] == [0, 1, 2, 3]
        assert all(w.terms.shape == (2, 2) for w in found.windows)

    def test_vectors_and_single_cells_have_none(self) -> None:
        graph = everything()
        trace = ran(graph)
        for cell in (Cell("fc", 0, (0,)), Cell("add", 0, (0, 0, 0)), Cell("one", 0, (0, 0, 0))):
            found = origin(graph, trace, len(trace), cell)
            assert found is not None and found.windows == ()


FORKED = Graph(
    (Input("x", (3,)),),
    (
        Node("fc", Linear(3), (("x", 0),)),
        Node("relu", ReLU(), (("fc", 0),)),
        Node("add", Add(), (("relu", 0), ("fc", 0))),
        Node("twin", Linear(3), (("add", 0),), "fc"),
    ),
    (("scores", ("twin", 0)),),
    (Loss("loss", CrossEntropy(), ("twin", 0)),),
)


@pytest.mark.parametrize(
    ("place", "expected"),
    [
        (None, {}),
        (
            Place(Cell("fc", 0, (1,)), "forward"),
            {
                ("forward", "fc"): True,
                ("forward", "relu"): False,
                ("forward", "add"): False,
                ("backward", "add"): False,
                ("backward", "relu"): False,
            },
        ),
        (
            Place(Cell("fc", 0, (1,)), "backward"),
            {
                ("backward", "add"): True,  # one part, the ReLU the other
                ("backward", "relu"): True,
                ("accumulate", "fc"): True,
                ("backward", "fc"): False,
            },
        ),
        (
            Place(Weight("fc", "weight", (0, 2)), "forward"),
            {
                ("forward", "fc"): False,
                ("forward", "twin"): False,
                ("backward", "twin"): False,
                ("backward", "fc"): False,
                ("update", "fc"): True,
            },
        ),
        (
            Place(Weight("fc", "weight", (0, 2)), "backward"),
            {
                ("backward", "twin"): True,
                ("backward", "fc"): True,
                ("accumulate", "fc"): True,
                ("update", "fc"): False,
            },
        ),
    ],
)
def test_what_touches_a_number_of_a_run(
    place: Place | None, expected: dict[tuple[str, str], bool]
) -> None:
    operations = compile(FORKED, initial_parameters(FORKED, 0)).operations()
    found = touching(FORKED, operations, place)
    named = [((operations[i].phase, operations[i].node), wrote) for i, wrote in found.items()]
    assert dict(named) == expected and len(named) == len(expected)
