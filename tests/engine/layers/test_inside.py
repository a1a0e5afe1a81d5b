"""Every registered layer can be looked into, and what is seen last is what was recorded."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from engine.graph import Graph, Input, Loss, Node
from engine.inside import Inside, WeightSheet, sheet_of, written_by
from engine.layers import REGISTRY
from engine.losses import MeanSquaredError
from engine.plan import Batch, compile
from engine.trace import Trace


@pytest.fixture
def evaluated(cases: tuple[Any, ...]) -> list[Any]:
    """As the window runs layers: in evaluation; one case of each layer with its settings."""
    found = [case for case in cases if case.mode == "eval"]
    assert {type(case.layer).__name__ for case in found} == set(REGISTRY)
    return found


def ran(case: Any) -> tuple[Graph, Trace]:
    names = [f"x{i}" for i in range(len(case.shapes))]
    graph = Graph(
        inputs=tuple(Input(n, s[1:]) for n, s in zip(names, case.shapes, strict=True)),
        nodes=(Node("layer", case.layer, tuple((n, 0) for n in names)),),
        losses=(Loss("loss", MeanSquaredError(), ("layer", 0)),),
    )
    parameters = {("layer", name): a for name, a in case.params(1).items()}
    samples = case.shapes[0][0]
    plan = compile(graph, parameters, batch=samples, mode="eval", dtype="float64")
    xs = dict(zip(names, case.inputs(1), strict=True))
    y = case.layer.forward(case.params(1), *case.inputs(1), ctx=case.ctx).ys[0]
    target = np.random.default_rng(5).standard_normal(y.shape)
    trace = Trace()
    for _ in plan.run(Batch(xs, {"loss": target}), trace=trace):
        pass
    return graph, trace


def test_what_is_seen_last_is_what_was_recorded(evaluated: list[Any]) -> None:
    rng = np.random.default_rng(0)
    sides, filled = set(), set()
    for case in evaluated:
        try:
            graph, trace = ran(case)
        except Exception as error:  # say which one
            raise AssertionError(str(case)) from error
        sample = case.shapes[0][0] - 1
        for step in trace.steps:
            for side, part, key in written_by(graph, step):
                sides.add(side)
                sheet = sheet_of(graph, trace, step.index, side, sample, part)
                where = (str(case), step.phase, str(key))
                for number in rng.integers(0, sheet.total, 3):
                    count, value = sheet.count(int(number)), sheet.value(int(number))
                    last = Inside(step.index, side, "term", int(number), count)
                    terms = sheet.terms(int(number))
                    if side == "weight" or (terms.combine == "formula" and not sheet.staged):
                        continue
                    made = sheet.running(last) if count else 0.0
                    size = sum(abs(t.product) for t in terms.terms) + 1e-9
                    assert made == pytest.approx(value, abs=1e-11 * size, nan_ok=True), where
                if isinstance(sheet, WeightSheet):
                    filled.add((type(case.layer).__name__, sheet.name))
                    check_filling(sheet, trace, key, where)
    assert sides == {"output", "input", "weight", "loss"}
    trained = {
        (type(case.layer).__name__, name)
        for case in evaluated
        for name, spec in case.layer.parameters(*case.specs()).items()
        if spec.kind == "weight"
    }
    assert filled == trained and len(trained) > 20


def check_filling(sheet: WeightSheet, trace: Trace, key: Any, where: Any) -> None:
    """The shares of all positions add up to the recorded gradient, less other samples'."""
    recorded = trace.at(key)
    scale = 1e-11 * (np.abs(recorded).max(initial=0) + 1)
    size = sheet.unit("channel") if sheet.by_kernel else sheet.total
    total: Any = None
    for number in range(size):
        at = Inside(sheet.operation, "weight", "cell", number + 1)
        share = sheet.share(at)
        before = sheet.weights(Inside(sheet.operation, "weight", "cell", number)) if number else 0
        total = share if total is None else total + share
        if number:
            after = sheet.weights(at)
            assert np.allclose(after - before, share, atol=scale), where
    done = Inside(sheet.operation, "weight", "cell", size)
    assert np.array_equal(sheet.weights(done), sheet.recorded(done)), where
    one = Inside(sheet.operation, "weight", "cell", 1)
    others = sheet.weights(one) - sheet.share(one) if size > 1 else total * 0
    if size > 1:
        assert np.allclose(total + others, sheet.recorded(done), atol=scale), where
