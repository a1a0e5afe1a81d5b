"""The flow over training is what NumPy says of the arrays of a recorded step; little, and kept."""

from __future__ import annotations

import csv
import dataclasses
import itertools
import math
from types import SimpleNamespace

import numpy as np
import pytest

from engine.architectures import ARCHITECTURES
from engine.architectures.base import Builder
from engine.data.digits import digits
from engine.flow import FAINT
from engine.graph import Graph
from engine.layers.batch_norm2d import BatchNorm2d
from engine.layers.conv2d import Conv2d
from engine.layers.dropout import Dropout
from engine.layers.flatten import Flatten
from engine.layers.linear import Linear
from engine.layers.relu import ReLU
from engine.layers.sigmoid import Sigmoid
from engine.optimizers import SGD
from engine.packed import packed, unpacked
from engine.parameters import initial_parameters
from engine.plan import Batch, compile, exhaust
from engine.trace import Trace
from engine.train import DENSER, Trainer, TrainSettings
from engine.training_flow import FIELDS, MEASURES, MOST, FlowPoint, FlowProbe, TrainingFlow

LABELS = tuple("0123456789")
SETTINGS = TrainSettings(optimizer=SGD(lr=0.05, momentum=0.9), batch_size=16, epochs=1, seed=4)


def chain(*layers: object) -> Graph:
    build = Builder((1, 8, 8))
    named = [(f"layer{number}", layer) for number, layer in enumerate(layers)]
    return build.classifier(build.chain(build.input, *named), "chain", LABELS)


def network() -> Graph:
    return chain(
        Conv2d(4, 3), BatchNorm2d(), ReLU(), Flatten(), Dropout(0.3), Linear(12), ReLU(), Linear(10)
    )


def trainer(graph: Graph, share: float = math.inf, settings: TrainSettings = SETTINGS) -> Trainer:
    return Trainer(
        graph, initial_parameters(graph, 3), digits()[0], None, settings, flow_share=share
    )


def column(point: FlowPoint, name: str) -> np.ndarray:
    return point.numbers[:, FIELDS.index(name)]


@pytest.mark.parametrize("graph", [network(), ARCHITECTURES["resnet-digits"].build()])
def test_the_numbers_of_a_step_are_those_of_its_recorded_arrays(graph: Graph) -> None:
    subject = trainer(graph)
    reports = subject.reports()
    for _ in range(3):
        next(reports)
    before = subject.parameters()
    next(reports)
    point = subject.flow
    assert point is not None and point.step == 4

    # the same step once more, recorded, in NumPy alone
    plan = compile(graph, before, batch=16, mode="train", input_gradients=False, keep="all")
    batches = digits()[0].batches(16, seed=4, epoch=0, drop_last=True, skip=3)
    x, labels = next(iter(batches))
    trace = Trace()
    exhaust(plan.run(Batch.of(graph, x, labels), key=(4, 3), optimizer=SGD(0.05), trace=trace))
    refs = TrainingFlow.of(graph, "").refs
    assert refs[1:] == tuple((node.id, 0) for node in graph.order)
    seen = set()
    for row, ref in enumerate(refs):
        wanted = dict.fromkeys(FIELDS, math.nan)
        for kind, mark in (("value", "value"), ("grad", "gradient")):
            array = trace.look(kind, ref)
            if array is None:
                continue
            a = array.astype(np.float64)
            wanted[f"{mark}_norm"] = math.sqrt((a * a).sum())
            wanted[f"{mark}_mean"] = a.mean()
            wanted[f"{mark}_spread"] = a.std()
            wanted[f"{mark}_zeros"] = (array == 0).mean()
            if kind == "value":
                axes = tuple(i for i in range(a.ndim) if i != 1)
                wanted["dead"] = (array == 0).all(axes).mean()
        owned = [k for k in plan.weights.slices if k[0] == ref[0]]
        if owned:
            gradients = [trace.look("param_grad", k).astype(np.float64).ravel() for k in owned]
            weights = [before[k].astype(np.float64).ravel() for k in owned]
            wanted["weight_gradient"] = np.linalg.norm(np.concatenate(gradients))
            wanted["weight_norm"] = np.linalg.norm(np.concatenate(weights))
        for field, value in wanted.items():
            found = point.numbers[row, FIELDS.index(field)]
            assert found == pytest.approx(value, rel=1e-5, abs=1e-9, nan_ok=True), (ref, field)
            seen |= set() if math.isnan(value) else {field}
    assert seen == set(FIELDS)


def test_training_with_it_gives_the_same_numbers() -> None:
    plain, measured = trainer(network(), 0.0), trainer(network())
    for subject in (plain, measured):
        for _, _ in zip(range(12), subject.reports(), strict=False):
            pass
    assert plain.flow is None and measured.flow is not None
    for key, array in plain.parameters().items():
        assert np.array_equal(array, measured.parameters()[key]), key


def test_it_keeps_to_its_share_of_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = itertools.count()
    clock = SimpleNamespace(perf_counter=lambda: float(next(ticks)))  # each look takes a second
    for module in ("engine.train", "engine.training_flow"):
        monkeypatch.setattr(f"{module}.time", clock)
    monkeypatch.setattr("engine.train.GRACE", 0.0)
    points: list[int] = []
    spent = last = 0.0
    subject = trainer(network(), 0.1, dataclasses.replace(SETTINGS, epochs=8))
    measured = FlowProbe.point

    def noted(probe: FlowProbe, step: int) -> FlowPoint:
        nonlocal spent, last
        point = measured(probe, step)
        points.append(step)
        last = probe.seconds
        spent += last
        return point

    monkeypatch.setattr(FlowProbe, "point", noted)
    reports = list(subject.reports())
    assert points[0] == 1 and 2 <= len(points) < len(reports) // 4
    assert 0.05 * reports[-1].seconds < spent <= 0.1 * reports[-1].seconds + last


def test_the_first_steps_are_seen_more_densely(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.train.GRACE", 60.0)
    points = []
    subject = trainer(network(), 1e-9)
    for _ in subject.reports():
        if subject.flow is not None and subject.flow.step not in points:
            points.append(subject.flow.step)
    assert points[:11] == list(range(1, 12)) and points[-1] > 60
    assert points[-1] == subject.steps_total
    for before, after in itertools.pairwise(points[:-1]):
        assert after == max(before + 1, math.ceil(DENSER * before - 1e-9))


def point_at(step: int, rows: int, value: float = 1.0) -> FlowPoint:
    return FlowPoint(step, np.full((rows, len(FIELDS)), value))


def test_a_long_series_is_thinned_evenly_and_keeps_its_ends() -> None:
    flow = TrainingFlow.of(network(), "long")
    rows = len(flow.refs)
    for step in range(1, 3 * MOST):
        flow = flow.with_point(point_at(step, rows, step))
        assert len(flow.steps) <= flow.room
    assert flow.steps[0] == 1 and flow.steps[-2:] == (3 * MOST - 2, 3 * MOST - 1)
    assert np.diff(flow.steps).max() <= 8
    assert [x[0, 0] for x in flow.numbers] == list(flow.steps)
    assert len(flow.flags) == len(flow.steps) == flow.room


def test_a_run_that_goes_on_from_before_loses_what_came_after() -> None:
    flow = TrainingFlow.of(network(), "again")
    for step in (1, 10, 20, 30):
        flow = flow.with_point(point_at(step, len(flow.refs)))
    assert flow.until(20).steps == (1, 10, 20)
    assert flow.with_point(point_at(15, len(flow.refs))).steps == (1, 10, 15)
    with pytest.raises(ValueError, match=r"Flow of step 40: expected numbers of shape"):
        flow.with_point(point_at(40, 2))


def deep(bend: type) -> Graph:
    layers: list[object] = [Flatten()]
    for _ in range(8):
        layers += [Linear(24), bend()]
    return chain(*layers, Linear(10))


def test_sigmoids_make_a_deep_network_vanish_and_relus_do_not() -> None:
    first = {}
    for bend in (Sigmoid, ReLU):
        subject = trainer(deep(bend))
        flow = TrainingFlow.of(deep(bend), bend.__name__)
        for _, _ in zip(range(5), subject.reports(), strict=False):
            assert subject.flow is not None
            flow = flow.with_point(subject.flow)
        shares = flow.series("share of start")
        row = flow.names.index("layer1")
        first[bend] = shares[row]
        for at in range(len(flow.steps)):
            for name, share, flags in zip(flow.names, shares[:, at], flow.flags[at], strict=True):
                assert ("vanishing" in flags) == (0 < share < FAINT), name
    assert first[Sigmoid].max() < FAINT < 100 * FAINT < first[ReLU].min()


def test_measures_follow_from_the_fields() -> None:
    subject = trainer(network())
    next(subject.reports())
    assert subject.flow is not None
    flow = TrainingFlow.of(network(), "").with_point(subject.flow)
    point = subject.flow
    ends = flow.names.index("layer7")
    expected = {
        "share of start": column(point, "gradient_norm") / column(point, "gradient_norm")[ends],
        "weight ratio": column(point, "weight_gradient") / column(point, "weight_norm"),
        "mean": np.abs(column(point, "value_mean")),
        "dead": column(point, "dead"),
    }
    for measure in MEASURES:
        found = flow.series(measure)
        assert found.shape == (len(flow.refs), 1) and np.isfinite(found).any()
        if measure in expected:
            assert np.allclose(found[:, 0], expected[measure], rtol=1e-9, equal_nan=True)
    assert TrainingFlow.of(network(), "").series("gradient").shape == (len(flow.refs), 0)


def test_it_is_kept_as_plain_data() -> None:
    subject = trainer(deep(Sigmoid))
    flow = TrainingFlow.of(deep(Sigmoid), "mine")
    for _, _ in zip(range(3), subject.reports(), strict=False):
        assert subject.flow is not None
        flow = flow.with_point(subject.flow)
    again = TrainingFlow.from_plain(flow.to_plain())
    assert again is not None
    assert (again.title, again.refs, again.starts) == (flow.title, flow.refs, flow.starts)
    assert (again.steps, again.flags) == (flow.steps, flow.flags)
    for mine, theirs in zip(flow.numbers, again.numbers, strict=True):
        assert np.allclose(mine, theirs, rtol=1e-6, atol=1e-40, equal_nan=True)
    plain = flow.to_plain()
    for name, wrong in (
        ("title", 3),
        ("fields", ["others"]),
        ("steps", [3, 2, 1]),
        ("steps", [1, 2]),
        ("steps", ["1", 2, 3]),
        ("starts", [999]),
        ("tensors", [["a"]]),
        ("numbers", "no base64 at all!"),
        ("numbers", packed(np.zeros(5))),
    ):
        assert TrainingFlow.from_plain({**plain, name: wrong}) is None, (name, wrong)
    assert TrainingFlow.from_plain([]) is None


def test_renaming_and_the_table() -> None:
    subject = trainer(network())
    next(subject.reports())
    assert subject.flow is not None
    flow = TrainingFlow.of(network(), "").with_point(subject.flow).renamed("layer0", 'the "first"')
    rows = list(csv.DictReader(flow.table()))
    assert [row["tensor"] for row in rows] == list(flow.names)
    assert rows[1]["tensor"] == 'the "first"'
    for row, numbers in zip(rows, flow.numbers[0], strict=True):
        for field, value in zip(FIELDS, numbers, strict=True):
            assert row["step"] == "1"
            text = row[field]
            assert math.isnan(value) if not text else float(text) == pytest.approx(value, rel=1e-8)
    assert flow.renamed("nobody", "x") is flow


def test_packed_numbers() -> None:
    numbers = np.array([0.1, math.nan, -math.inf, 1e-300])
    assert np.array_equal(unpacked(packed(numbers)), numbers, equal_nan=True)
    single = numbers.astype(np.float32)
    assert np.array_equal(unpacked(packed(single, 4), 4), single, equal_nan=True)
    assert unpacked(packed(np.empty(0))).shape == (0,)
    for wrong in (3, "ä", "AAA", packed(numbers)[:-8]):
        with pytest.raises(ValueError, match="Packed numbers: expected"):
            unpacked(wrong)
