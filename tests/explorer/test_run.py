"""A run in the window's process: slices, guesses, numbers that are not finite, and the one way."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from pytestqt.qtbot import QtBot

from engine.data.digits import digits
from engine.graph import Graph, Input, Loss, Node
from engine.layers.batch_norm2d import BatchNorm2d
from engine.layers.conv2d import Conv2d
from engine.layers.flatten import Flatten
from engine.layers.linear import Linear
from engine.layers.max_pool2d import MaxPool2d
from engine.layers.relu import ReLU
from engine.losses import CrossEntropy
from engine.optimizers import SGD
from engine.parameters import initial_parameters
from engine.plan import Batch, Plan, compile, exhaust
from explorer.run import Run

GRAPH = Graph(
    inputs=(Input("image", (1, 8, 8)),),
    nodes=(
        Node("conv1", Conv2d(out_channels=2, kernel_size=3), (("image", 0),)),
        Node("norm1", BatchNorm2d(), (("conv1", 0),)),
        Node("relu1", ReLU(), (("norm1", 0),)),
        Node("pool1", MaxPool2d(kernel_size=2), (("relu1", 0),)),
        Node("flatten1", Flatten(), (("pool1", 0),)),
        Node("linear1", Linear(out_features=10), (("flatten1", 0),)),
    ),
    outputs=(("logits", ("linear1", 0)),),
    losses=(Loss("loss", CrossEntropy(), ("linear1", 0)),),
)
PARAMETERS = initial_parameters(GRAPH, seed=1)
X = digits()[1].inputs([0])[0]


@pytest.fixture(params=[False, True], ids=["in slices", "in a thread"])
def heavy(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@pytest.fixture
def run(qtbot: QtBot, heavy: bool) -> Iterator[Run]:
    run = Run(GRAPH, PARAMETERS, X, 3, SGD(lr=0.1), heavy=heavy)
    yield run
    run.stop()


def test_it_computes_as_far_as_it_is_asked(run: Run) -> None:
    assert run.forward_length == 6 and len(run.trace) == 0 and not run.complete
    assert run.advance(2) and len(run.trace) == 2
    assert run.advance(1) and len(run.trace) == 2  # looking back computes nothing
    assert run.advance(10_000) and run.complete
    assert [s.operation for s in run.trace.steps] == list(run.operations)


@pytest.mark.parametrize("heavy", [False])
def test_time_that_is_up_ends_a_slice_after_one_operation(run: Run) -> None:
    assert not run.advance(4, seconds=0.0)
    assert len(run.trace) == 1


def test_the_numbers_are_those_of_the_plan(run: Run) -> None:
    run.advance(len(run.operations))
    plan = compile(GRAPH, PARAMETERS, batch=1, mode="eval")
    batch = Batch.of(GRAPH, X[None], np.array([3]))
    exhaust(plan.run(batch, optimizer=SGD(lr=0.1)))
    value = run.trace.look("value", ("linear1", 0))
    assert np.array_equal(value, plan.output())
    np.testing.assert_allclose(
        run.trace.look("grad", ("image", 0)), plan.gradient(("image", 0)), atol=1e-6
    )


def test_the_rest_is_computed_in_the_background(run: Run, qtbot: QtBot) -> None:
    with qtbot.waitSignal(run.progressed, timeout=5000):
        run.finish_in_background()
    qtbot.waitUntil(lambda: run.complete)


def test_stopped_it_computes_no_further(run: Run) -> None:
    run.advance(3)
    run.stop()
    reached = len(run.trace)
    run.finish_in_background()
    assert not run.advance(5) and len(run.trace) == reached == 3 and not run.complete


def test_a_large_network_is_heavy_and_a_small_one_is_not(qtbot: QtBot) -> None:
    assert not Run(GRAPH, PARAMETERS, X, 3, SGD()).heavy
    wide = Graph(
        inputs=(Input("image", (64, 56, 56)),),
        nodes=(Node("conv", Conv2d(64, 3, padding=1), (("image", 0),)),),
        outputs=(("maps", ("conv", 0)),),
    )
    x = np.zeros((64, 56, 56), np.float32)
    assert Run(wide, initial_parameters(wide, seed=1), x, None, SGD()).heavy


def test_the_window_does_not_wait_for_a_long_operation(
    qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is told as soon as what it asked for is there, and can look meanwhile."""
    held, original = threading.Event(), Plan.run

    def slow(self: Plan, *arguments: Any, **named: Any) -> Any:
        for step in original(self, *arguments, **named):
            yield step
            held.wait(30)

    monkeypatch.setattr(Plan, "run", slow)
    run = Run(GRAPH, PARAMETERS, X, 3, SGD(), heavy=True)
    run.finish_in_background()
    assert not run.advance(4, seconds=0.01)
    qtbot.waitUntil(lambda: len(run.trace) == 1)
    assert run.trace.look("value", ("conv1", 0), 1) is not None
    assert run.trace.look("value", ("norm1", 0), 1) is None
    with qtbot.waitSignal(run.progressed, timeout=5000):
        held.set()
    qtbot.waitUntil(lambda: run.complete)
    run.stop()


def test_without_a_label_its_own_guess_is_the_answer(qtbot: QtBot, heavy: bool) -> None:
    run = Run(GRAPH, PARAMETERS, X, None, SGD(), heavy=heavy)
    assert run.target is None
    run.advance(run.forward_length)
    logits = run.trace.look("value", ("linear1", 0))
    assert run.target == logits.argmax()
    run.advance(len(run.operations))
    gradient = run.trace.look("grad", ("linear1", 0))[0]
    assert gradient.argmin() == run.target and gradient[run.target] < 0


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e38])
@pytest.mark.parametrize("label", [None, 3])
def test_weights_that_are_not_finite_are_shown_not_fatal(
    qtbot: QtBot, bad: float, label: int | None
) -> None:
    broken = {k: np.full_like(v, bad) for k, v in PARAMETERS.items()}
    run = Run(GRAPH, broken, X, label, SGD())
    run.advance(len(run.operations))
    assert run.complete and run.error == ""
    assert not np.isfinite(run.trace.look("value", ("linear1", 0))).all()
    assert run.target in range(10)


def test_a_picture_of_another_shape_is_an_error_in_words(qtbot: QtBot, heavy: bool) -> None:
    run = Run(GRAPH, PARAMETERS, np.zeros((1, 9, 9), np.float32), 3, SGD(), heavy=heavy)
    with qtbot.waitSignal(run.failed) as failed:
        run.advance(1)
    assert "Input image: expected shape (1, 1, 8, 8)" in failed.args[0]
    assert run.error == failed.args[0] and len(run.trace) == 0 and not run.complete


def test_a_label_that_is_no_class_is_an_error_in_words(qtbot: QtBot) -> None:
    run = Run(GRAPH, PARAMETERS, X, 12, SGD())
    run.advance(len(run.operations))
    assert "expected classes 0 to 9, received 12" in run.error
    assert run.trace.failure == run.error


def test_stepping_exhausts_the_plans_own_generator(
    qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There is no second way to run a network: each operation of the window is one of the plan."""
    yielded: list[int] = []
    original = Plan.run

    def counted(self: Plan, *arguments: object, **named: object) -> object:
        for step in original(self, *arguments, **named):
            yielded.append(step.index)
            yield step

    monkeypatch.setattr(Plan, "run", counted)
    run = Run(GRAPH, PARAMETERS, X, 3, SGD())
    for position in range(1, len(run.operations) + 1):
        run.advance(position)
        assert yielded == list(range(position))
