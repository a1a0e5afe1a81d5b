"""Whole networks: gradients against differences of the loss, and one network in several forms.

A difference of the loss means something only where no ReLU and no maximum changes its mind between
the two sides; the masks are compared, and another direction is taken where one differs.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.architectures import ARCHITECTURES
from engine.graph import Graph, Input, Loss, Node, Ref
from engine.layers.add import Add
from engine.layers.avg_pool2d import AvgPool2d
from engine.layers.base import Array, Layer, Mode, ShapeError, Spec
from engine.layers.batch_norm2d import BatchNorm2d
from engine.layers.concat import Concat
from engine.layers.conv2d import Conv2d
from engine.layers.dropout import Dropout
from engine.layers.flatten import Flatten
from engine.layers.global_avg_pool import GlobalAvgPool
from engine.layers.group_norm import GroupNorm
from engine.layers.leaky_relu import LeakyReLU
from engine.layers.linear import Linear
from engine.layers.max_pool2d import MaxPool2d
from engine.layers.mul import Mul
from engine.layers.relu import ReLU
from engine.layers.sigmoid import Sigmoid
from engine.losses import CrossEntropy, Hinge, MeanSquaredError
from engine.optimizers import SGD
from engine.parameters import Parameters, initial_parameters
from engine.plan import Batch, Plan, compile, exhaust
from engine.trace import Trace
from engine.weights import OwnerName

CLASSROOM = [a for a in ARCHITECTURES.values() if a.scale == "classroom"]
KEY = (5, 2)

STEP = 1e-5
TOLERANCE = 1e-7


# ---- networks ------------------------------------------------------------------------------


def lively(graph: Graph, seed: int) -> Parameters:
    """Initial weights in float64, moved where they start at zero or one: those hide mistakes."""
    rng = np.random.default_rng([seed, 1])
    found = initial_parameters(graph, seed, "float64")
    return {
        key: array + (rng.uniform(0.1, 0.5, array.shape) if np.ptp(array) == 0 else 0)
        for key, array in found.items()
    }


def batch_of(graph: Graph, seed: int, samples: int) -> Batch:
    rng = np.random.default_rng([seed, 2])
    specs = graph.infer(samples).specs
    inputs = {i.id: rng.standard_normal((samples, *i.shape)) for i in graph.inputs}
    classes = {loss.id: specs[loss.input].shape[1] for loss in graph.losses}
    return Batch(inputs, {name: rng.integers(0, k, samples) for name, k in classes.items()})


def planned(
    graph: Graph, parameters: Parameters, samples: int, mode: Mode, plain: bool, **more: Any
) -> Plan:
    pin = {node.id: "plain" for node in graph.nodes} if plain else {}
    return compile(graph, parameters, batch=samples, mode=mode, dtype="float64", pin=pin, **more)


LAYERS: dict[str, st.SearchStrategy[Layer]] = {
    "convolution": st.builds(
        Conv2d,
        st.integers(1, 9),
        st.tuples(st.integers(1, 3), st.integers(1, 3)),
        st.integers(1, 2),
        st.integers(0, 1),
        bias=st.booleans(),
    ),
    "wide convolution": st.builds(Conv2d, st.sampled_from((8, 16)), st.just(3), padding=st.just(1)),
    "norm": st.sampled_from((BatchNorm2d(), GroupNorm())),
    "relu": st.sampled_from((ReLU(), ReLU(), LeakyReLU(0.1))),
    "smooth": st.just(Sigmoid()),
    "drop": st.builds(Dropout, st.sampled_from((0.2, 0.5))),
    "pool": st.one_of(
        st.builds(MaxPool2d, st.integers(2, 3), st.integers(1, 3), ceil_mode=st.booleans()),
        st.builds(AvgPool2d, st.integers(2, 3), st.integers(1, 2), st.integers(0, 1)),
    ),
    "add": st.just(Add()),
    "mul": st.just(Mul()),
    "concat": st.just(Concat()),
}


KINDS = [*LAYERS, *["convolution", "wide convolution", "relu", "again"] * 2]


@st.composite
def graphs(draw: st.DrawFn) -> Graph:
    """A network of 4 to 12 layers on maps with branches that meet again, and one or two losses.

    "again" is an earlier convolution's weights on a tensor of as many channels.
    """
    shape = (draw(st.integers(1, 3)), draw(st.integers(4, 8)), draw(st.integers(4, 8)))
    tensors: dict[Ref, tuple[int, ...]] = {("image", 0): (2, *shape)}
    nodes: list[Node] = []
    for number in range(draw(st.integers(4, 12))):
        kind, owner = draw(st.sampled_from(KINDS)), None
        source = draw(st.sampled_from(list(tensors)[-3:]))
        inputs = [source]
        first = [n for n in nodes if isinstance(n.layer, Conv2d) and n.params is None]
        if kind == "again":
            if not first:
                continue
            known = draw(st.sampled_from(first))
            layer, owner, channels = known.layer, known.id, tensors[known.inputs[0] or source][1]
            inputs = [draw(st.sampled_from([r for r, s in tensors.items() if s[1] == channels]))]
        else:
            layer = draw(LAYERS[kind])
        if kind in ("add", "mul", "concat"):
            fits = [
                ref
                for ref, other in tensors.items()
                if other[2:] == tensors[source][2:]
                and (kind == "concat" or other[1] == tensors[source][1])
            ]
            inputs += [draw(st.sampled_from(fits))]
        try:
            (out,) = layer.outputs(*(Spec(tensors[ref]) for ref in inputs))
        except ShapeError:
            continue
        nodes.append(Node(f"n{number}", layer, tuple(inputs), owner))
        tensors[f"n{number}", 0] = out.shape
    last = list(tensors)[-1]
    ends, losses = [last], [CrossEntropy()]
    if draw(st.booleans()):
        ends.append(draw(st.sampled_from(list(tensors)[1:] or [last])))
        losses.append(draw(st.sampled_from((MeanSquaredError(), Hinge(), CrossEntropy(0.1)))))
    heads = []
    for i, end in enumerate(ends):
        squeeze = draw(st.sampled_from((None, GlobalAvgPool())))
        if squeeze is not None:
            nodes.append(Node(f"gap{i}", squeeze, (end,)))
            end = (f"gap{i}", 0)
        nodes += [Node(f"flat{i}", Flatten(), (end,))]
        nodes += [Node(f"fc{i}", Linear(3), ((f"flat{i}", 0),))]
        heads.append(Loss(f"loss{i}", losses[i], (f"fc{i}", 0), (1.0, 0.3)[i]))
    return Graph((Input("image", shape),), tuple(nodes), (("y", ("fc0", 0)),), tuple(heads))


# ---- gradients -----------------------------------------------------------------------------


class Probe:
    """Loss and masks of a network at places around one point, in its plain form."""

    def __init__(self, graph: Graph, parameters: Parameters, batch: Batch, mode: Mode) -> None:
        self.graph, self.batch = graph, batch
        self.samples = len(next(iter(batch.inputs.values())))
        self.plan = planned(graph, parameters, self.samples, mode, plain=True)
        self.parameters = self.plan.parameters()
        self.kinked = [
            node
            for node in graph.nodes
            if type(node.layer).kinks is not Layer.kinks and not isinstance(node.layer, Sigmoid)
        ]

    def at(self, way: dict[Any, Array], by: float) -> tuple[float, list[Array]]:
        """Loss and masks ``by`` times ``way`` from the point."""
        for (owner, name), value in self.parameters.items():
            move = way.get((owner, name))
            self.plan.weights.by_owner[owner][name][...] = (
                value if move is None else value + by * move
            )
        inputs = {
            name: x + by * way[name] if name in way else x for name, x in self.batch.inputs.items()
        }
        exhaust(self.plan.run(Batch(inputs, self.batch.targets), key=KEY, backward=False))
        return self.plan.loss(), [mask for node in self.kinked for mask in self._masks(node)]

    def _masks(self, node: Node) -> Iterator[Array]:
        xs = [self.plan.value(ref) for ref in node.inputs if ref is not None]
        saved = (
            node.layer.forward({}, *xs).saved
            if not node.layer.parameters(*(Spec(x.shape) for x in xs))
            else {}
        )
        yield saved["argmax"].copy() if "argmax" in saved else xs[0] > 0

    def slope(self, way: dict[Any, Array]) -> float | None:
        """dL/dway by differences of fourth order, or None where a mask changes on the way."""
        losses, masks = {}, None
        for by in (2, 1, -1, -2):
            losses[by], here = self.at(way, by * STEP)
            if masks is not None and not all(map(np.array_equal, masks, here)):
                return None
            masks = here
        near, far = losses[1] - losses[-1], losses[2] - losses[-2]
        return (8 * near - far) / (12 * STEP)


def directions(
    tensors: dict[Any, Array], seed: int, single: int
) -> Iterator[tuple[str, dict[Any, Array]]]:
    """All tensors at once, then some alone; each moves by a share of its own size."""
    rng = np.random.default_rng(seed)

    def way(array: Array) -> Array:
        move = rng.standard_normal(array.shape)
        return move * (np.linalg.norm(array) or 1.0) / np.linalg.norm(move)

    yield "all", {key: way(array) for key, array in tensors.items()}
    keys = list(tensors)
    for i in rng.permutation(len(keys))[:single]:
        yield str(keys[i]), {keys[i]: way(tensors[keys[i]])}


def check_gradients(graph: Graph, mode: Mode, seed: int, samples: int = 2, single: int = 4) -> None:
    parameters, batch = lively(graph, seed), batch_of(graph, seed, samples)
    plan = planned(graph, parameters, samples, mode, plain=False)
    exhaust(plan.run(batch, key=KEY))
    gradients: dict[Any, Array] = {k: g.copy() for k, g in plan.parameter_gradients().items()}
    tensors: dict[Any, Array] = {k: a for k, a in plan.parameters().items() if k in gradients}
    for name, x in batch.inputs.items():
        gradient = plan.gradient((name, 0))
        if gradient is not None:
            gradients[name], tensors[name] = np.array(gradient), x
    probe = Probe(graph, parameters, batch, mode)
    size = max(float(np.abs(gradient).max()) for gradient in gradients.values())
    assert size > 1e-3, "no gradient: the comparison would prove nothing"
    compared = 0
    for attempt in range(6):
        for what, way in directions(tensors, 100 * seed + attempt, single):
            measured = probe.slope(way)
            if measured is None:
                continue
            products = [gradients[key] * move for key, move in way.items()]
            claimed = float(sum(product.sum() for product in products))
            # a sum of many terms of both signs: what rounding there is, is that of its parts
            scale = float(np.sqrt(sum(np.square(product).sum() for product in products)))
            allowed = TOLERANCE * max(scale, 1e-4 * size)
            assert abs(measured - claimed) <= allowed, f"{what}: {claimed} against {measured}"
            compared += 1
        if compared > single:
            return
    assert compared, "every direction changed a mask: take a smaller step"


@pytest.mark.parametrize("mode", ["train", "eval"])
@pytest.mark.parametrize("architecture", CLASSROOM, ids=lambda a: a.id)
def test_a_classroom_network_has_the_gradient_of_its_loss(architecture: Any, mode: Mode) -> None:
    check_gradients(architecture.build(), mode, seed=1)


@settings(max_examples=80)
@given(graph=graphs(), mode=st.sampled_from(("train", "eval")), seed=st.integers(0, 99))
def test_a_random_network_has_the_gradient_of_its_loss(graph: Graph, mode: Mode, seed: int) -> None:
    check_gradients(graph, mode, seed, samples=3, single=2)


def test_the_comparison_notices_a_wrong_gradient(monkeypatch: pytest.MonkeyPatch) -> None:
    graph = ARCHITECTURES["resnet-digits"].build()
    original = Plan.parameter_gradients

    def wrong(self: Plan) -> dict[OwnerName, Array]:
        found = original(self)
        found["stage1/block1/conv1", "weight"] *= 1 + 1e-4
        return found

    monkeypatch.setattr(Plan, "parameter_gradients", wrong)
    with pytest.raises(AssertionError, match="all: "):
        check_gradients(graph, "train", seed=1)


# ---- one network, several forms ------------------------------------------------------------


def results(plan: Plan, batches: list[Batch], trace: Trace | None = None) -> dict[Any, Array]:
    """Everything that some steps of training leave behind."""
    for step, batch in enumerate(batches):
        exhaust(plan.run(batch, key=(1, step), optimizer=SGD(0.01, 0.9), trace=trace))
    found: dict[Any, Array] = {("now", *k): a for k, a in plan.parameters().items()}
    found |= {("gradient", *k): g.copy() for k, g in plan.parameter_gradients().items()}
    found |= {("output",): plan.output().copy(), ("loss",): np.array(plan.loss())}
    gradient = plan.gradient(("image", 0))
    return found if gradient is None else found | {("input gradient",): np.array(gradient)}


@settings(max_examples=80)
@given(graph=graphs(), mode=st.sampled_from(("train", "eval")), seed=st.integers(0, 99))
def test_a_random_network_is_the_same_in_every_form(graph: Graph, mode: Mode, seed: int) -> None:
    """Kernels give the plain forms' numbers; a record, and what else is wanted, changes none."""
    parameters = lively(graph, seed)
    batches = [batch_of(graph, seed + i, 3) for i in range(3)]
    chosen = results(planned(graph, parameters, 3, mode, plain=False), batches)
    plain = results(planned(graph, parameters, 3, mode, plain=True), batches)
    for key, value in plain.items():
        scale = max(1.0, float(np.abs(value).max()))
        np.testing.assert_allclose(chosen[key], value, rtol=0, atol=1e-9 * scale, err_msg=str(key))

    whole, scarce = Trace(), Trace()
    for what, options, trace in (
        ("recording", {}, whole),
        ("an input gradient", {"input_gradients": False}, None),
        ("sharing memory", {"keep": "results"}, None),
        ("sharing memory and recording", {"keep": "results"}, scarce),
    ):
        plan = planned(graph, parameters, 3, mode, plain=False, **options)
        for key, value in results(plan, batches, trace).items():
            assert np.array_equal(chosen[key], value), f"{key}: {what} changed it"
    recorded = list(whole.keys())
    assert recorded == list(scarce.keys())
    for key in recorded:
        assert np.array_equal(whole.at(key), scarce.at(key)), f"{key}: its memory was used again"
    accumulated(graph, whole)


@settings(max_examples=30)
@given(graph=graphs(), mode=st.sampled_from(("train", "eval")), seed=st.integers(0, 99))
def test_threads_share_the_work_of_a_random_network(graph: Graph, mode: Mode, seed: int) -> None:
    parameters = lively(graph, seed)
    batches = [batch_of(graph, seed + i, 3) for i in range(2)]
    alone = results(planned(graph, parameters, 3, mode, plain=False), batches)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("engine.workers.WORTH", 0)  # else these networks are too small to share
        plan = planned(graph, parameters, 3, mode, plain=False, threads=2, keep="results")
        try:
            shared = results(plan, batches)
        finally:
            plan.close()
    for key, value in alone.items():
        scale = max(1.0, float(np.abs(value).max()))
        np.testing.assert_allclose(shared[key], value, rtol=0, atol=1e-9 * scale, err_msg=str(key))


def accumulated(graph: Graph, trace: Trace) -> None:
    """Each sum in the record is that of the two arrays that it read, and k parts make k − 1."""
    sums = [step for step in trace.steps if step.phase == "accumulate"]
    for step in sums:
        left, right = (trace.at(key) for key in step.reads)
        assert np.array_equal(trace.at(step.writes[0]), left + right)
    last = [step for step in sums if step.run == trace.steps[-1].run]
    for ref, readers in graph.readers.items():
        parts = [p for p in (trace.look("part", reader) for reader in readers) if p is not None]
        total = trace.look("grad", ref)
        if total is None or len(parts) < 2:
            continue
        made = [s for s in last if s.writes[0].kind == "grad" and s.writes[0].ref == ref]
        assert len(made) == len(parts) - 1
        np.testing.assert_allclose(total, np.sum(parts, axis=0), rtol=0, atol=1e-12)


@settings(max_examples=25)
@given(graph=graphs(), seed=st.integers(0, 99))
def test_samples_do_not_know_of_each_other_in_evaluation(graph: Graph, seed: int) -> None:
    """A batch gives each sample what it gives it alone, in any order."""
    parameters, batch = lively(graph, seed), batch_of(graph, seed, 4)
    x = batch.inputs["image"]
    many = planned(graph, parameters, 4, "eval", plain=False)
    exhaust(many.run(batch))
    together = many.output().copy()
    order = np.random.default_rng(seed).permutation(4)
    exhaust(many.run(Batch({"image": x[order]})))
    np.testing.assert_allclose(many.output(), together[order], rtol=0, atol=1e-10)
    one = planned(graph, parameters, 1, "eval", plain=False)
    for sample in range(4):
        exhaust(one.run(Batch({"image": x[sample : sample + 1]})))
        np.testing.assert_allclose(one.output()[0], together[sample], rtol=0, atol=1e-10)
