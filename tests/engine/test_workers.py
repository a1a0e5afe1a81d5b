"""Threads that share an operation: all work is done once, failures arrive, nobody is left."""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator

import numpy as np
import pytest

from engine import workers as module
from engine.architectures import ARCHITECTURES
from engine.optimizers import SGD
from engine.parameters import initial_parameters
from engine.plan import Batch, BatchError, Plan, compile, exhaust
from engine.workers import ALONE, Workers, controls_blas, single_blas, split


@pytest.fixture
def two() -> Iterator[Workers]:
    workers = Workers(2)
    yield workers
    workers.close()


def test_every_item_is_worked_on_once_in_two_threads(two: Workers) -> None:
    done: list[tuple[int, str]] = []
    two.each(lambda i: done.append((i, threading.current_thread().name)), range(7))
    assert sorted(i for i, _ in done) == list(range(7))
    assert {name for i, name in done if i >= 3} == {"worker-1"}
    assert {name for i, name in done if i < 3} == {threading.current_thread().name}


def test_one_item_needs_no_thread() -> None:
    workers = Workers(2)
    before = threading.active_count()
    seen: list[str] = []
    workers.each(lambda _: seen.append(threading.current_thread().name), [0])
    assert seen == [threading.current_thread().name]
    assert threading.active_count() == before


@pytest.mark.parametrize("failing", [0, 1])
def test_a_failure_in_any_thread_is_raised_and_the_next_work_goes_on(
    two: Workers, failing: int
) -> None:
    def work(i: int) -> None:
        if i == failing:
            raise ArithmeticError(f"item {i}")

    with pytest.raises(ArithmeticError, match=f"item {failing}"):
        two.each(work, [0, 1])
    done: list[int] = []
    two.each(done.append, [0, 1])
    assert sorted(done) == [0, 1]


def test_threads_end_with_their_owner() -> None:
    workers = Workers(2)
    workers.each(lambda _: None, [0, 1])
    (thread,) = [t for t in threading.enumerate() if t.name == "worker-1"]
    del workers
    gc.collect()
    thread.join(5)
    assert not thread.is_alive()


def test_parts_are_neighbours_and_nearly_equal() -> None:
    assert split(range(7), 2) == [range(3), range(3, 7)]
    assert split([1], 2) == [[1]] and split([], 2) == []


def test_little_work_is_not_shared(two: Workers) -> None:
    assert two.worth(module.WORTH - 1) is ALONE and two.worth(module.WORTH) is two
    with pytest.raises(ValueError, match="at least 1"):
        Workers(0)


@pytest.mark.skipif(not controls_blas(), reason="NumPy has another BLAS than its own OpenBLAS")
def test_blas_has_one_thread_meanwhile() -> None:
    found = module._blas()
    assert found is not None
    count, put = found
    before = count()
    try:
        put(2)
        with single_blas():
            assert count() == 1
        assert count() == 2
    finally:
        put(before)


@pytest.mark.parametrize("name", ["lenet5", "resnet-digits", "densenet-digits"])
def test_two_threads_compute_the_same(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "WORTH", 0)  # these networks would be too small
    graph = ARCHITECTURES[name].build()

    def trained(threads: int) -> Plan:
        plan = compile(graph, initial_parameters(graph, 0), batch=16, threads=threads)
        rng = np.random.default_rng(0)
        for step in range(2):
            x = rng.standard_normal((16, *graph.inputs[0].shape)).astype(np.float32)
            batch = Batch.of(graph, x, rng.integers(0, 10, 16))
            exhaust(plan.run(batch, key=(0, step), optimizer=SGD(0.01)))
        return plan

    plans = trained(1), trained(2)
    if controls_blas():
        assert any(t.name == "worker-1" for t in threading.enumerate())
    one, two = plans
    assert two.loss() == pytest.approx(one.loss(), rel=1e-5)
    for key, array in one.parameter_gradients().items():
        scale = max(1e-3, float(np.abs(array).max()))
        np.testing.assert_allclose(two.parameter_gradients()[key] / scale, array / scale, atol=1e-4)
    two.close()


def test_less_than_one_thread_is_refused() -> None:
    graph = ARCHITECTURES["lenet5"].build()
    with pytest.raises(BatchError, match="Threads: expected at least 1"):
        compile(graph, initial_parameters(graph, 0), threads=0)
