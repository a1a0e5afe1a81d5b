"""What the spawned process does, run here: its messages, its weights, and how it ends."""

from __future__ import annotations

import dataclasses
import itertools
import multiprocessing
import os
import signal
import time
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine import checkpoint as checkpoints
from engine.data.digits import digits
from engine.graph import Graph, Input, Loss, Node
from engine.layers.flatten import Flatten
from engine.layers.linear import Linear
from engine.losses import CrossEntropy
from engine.optimizers import SGD
from engine.parameters import initial_parameters
from engine.train import Trainer, TrainSettings
from explorer import worker_child
from explorer.worker_child import ExportTask, Message, Published, Task, TrainTask

GRAPH = Graph(
    inputs=(Input("image", (1, 8, 8)),),
    nodes=(
        Node("flatten1", Flatten(), (("image", 0),)),
        Node("linear1", Linear(out_features=10), (("flatten1", 0),)),
    ),
    outputs=(("logits", ("linear1", 0)),),
    losses=(Loss("loss", CrossEntropy(), ("linear1", 0)),),
)
START = initial_parameters(GRAPH, seed=0)
SHAPES = {key: array.shape for key, array in START.items()}
SETTINGS = TrainSettings(epochs=2, batch_size=256, optimizer=SGD(lr=0.1))


def training(**changes: Any) -> TrainTask:
    fields: dict[str, Any] = {
        "graph": GRAPH,
        "parameters": {},
        "dataset": "digits",
        "preprocessing": digits()[0].preprocessing,
        "settings": SETTINGS,
    }
    return TrainTask(**{**fields, **changes})


@pytest.fixture
def own_process(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """Let ``main`` run in this process: it must not change this one's priority and signals."""
    niceness: list[int] = []
    monkeypatch.setattr(os, "nice", niceness.append)
    handlers = {s: signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)}
    yield niceness
    for number, handler in handlers.items():
        signal.signal(number, handler)


@pytest.fixture
def pipes() -> Iterator[tuple[Connection, Connection]]:
    ours, theirs = multiprocessing.get_context("spawn").Pipe()
    yield ours, theirs
    ours.close()
    theirs.close()


def shared() -> tuple[Any, Any]:
    context = multiprocessing.get_context("spawn")
    counter = context.RawArray("q", 1)
    numbers = context.RawArray("f", Published.length(SHAPES))
    Published(counter, numbers, SHAPES).write(START)
    return counter, numbers


def run(task: Task, pipes: tuple[Connection, Connection], *words: str) -> tuple[Any, Published]:
    """Carry out a task with these words waiting in its pipe; its messages and weights."""
    ours, theirs = pipes
    for word in words:
        ours.send(word)
    counter, numbers = shared()
    worker_child.main(theirs, task, counter, numbers, SHAPES)
    messages: list[Message] = []
    while ours.poll():
        try:
            messages.append(ours.recv())
        except EOFError:
            break
    return messages, Published(counter, numbers, SHAPES)


class TestPublished:
    def test_nothing_before_the_first_then_the_newest(self) -> None:
        counter, numbers = np.zeros(1, np.int64), np.zeros(Published.length(SHAPES), np.float32)
        writer, reader = (Published(counter, numbers, SHAPES) for _ in range(2))
        assert reader.read() is None and reader.count == 0
        for value in (1, 2, 3):
            writer.write({k: np.full(s, value, np.float32) for k, s in SHAPES.items()})
            found = reader.read()
            assert found is not None and found.keys() == SHAPES.keys()
            assert all((a == value).all() and a.shape == SHAPES[k] for k, a in found.items())
        assert reader.count == 3

    def test_what_was_read_is_a_copy(self) -> None:
        counter, numbers = np.zeros(1, np.int64), np.zeros(Published.length(SHAPES), np.float32)
        both = Published(counter, numbers, SHAPES)
        both.write(START)
        found = both.read()
        assert found is not None
        for _ in range(2):
            both.write({k: np.zeros(s, np.float32) for k, s in SHAPES.items()})
        assert np.array_equal(found["linear1", "weight"], START["linear1", "weight"])

    def test_a_writer_that_dies_halfway_leaves_the_last_whole_set(self) -> None:
        counter, numbers = np.zeros(1, np.int64), np.zeros(Published.length(SHAPES), np.float32)
        both = Published(counter, numbers, SHAPES)
        both.write({k: np.ones(s, np.float32) for k, s in SHAPES.items()})
        half = {k: np.full(s, 9, np.float32) for k, s in SHAPES.items()}
        half["linear1", "bias"] = np.zeros(3, np.float32)
        with pytest.raises(ValueError, match=r"bias of linear1: expected shape \(10,\)"):
            both.write(half)
        found = both.read()
        assert found is not None and all((a == 1).all() for a in found.values())

    def test_a_network_without_weights(self) -> None:
        both = Published(np.zeros(1, np.int64), np.zeros(Published.length({}), np.float32), {})
        both.write({})
        assert both.read() == {}


@pytest.mark.usefixtures("own_process")
class TestTraining:
    def test_the_weights_are_those_of_the_one_trainer(
        self, pipes: tuple[Connection, Connection], own_process: list[int]
    ) -> None:
        messages, published = run(training(), pipes)
        assert messages[0] == ("started", None, os.getpid())
        assert messages[-1] == ("done", "finished", os.getpid())
        reports = [m.value for m in messages if m.kind == "report"]
        assert [r.step for r in reports] == sorted({r.step for r in reports})
        assert reports[-1].step == reports[-1].steps_total == 10
        trainer = Trainer(GRAPH, START, *digits(), SETTINGS)
        last = list(trainer.reports())[-1]
        assert reports[-1].loss == last.loss
        assert reports[-1].validation_accuracy == last.validation_accuracy
        found = published.read()
        assert found is not None
        for key, array in trainer.parameters().items():
            assert np.array_equal(found[key], array)
        flows = [m.value for m in messages if m.kind == "flow"]
        assert flows[0].step == 1 and np.isfinite(flows[0].numbers[2]).any()
        assert own_process == [worker_child.NICENESS]

    def test_told_to_stop_before_it_began_it_makes_no_step(
        self, pipes: tuple[Connection, Connection]
    ) -> None:
        messages, published = run(training(), pipes, "stop")
        assert [m[:2] for m in messages] == [("started", None), ("done", "stopped")]
        found = published.read()
        assert found is not None
        assert all(np.array_equal(found[k], a) for k, a in START.items())

    @pytest.mark.parametrize("words", [("pause", "stop"), ("pause", "pause", "resume", "stop")])
    def test_stopped_while_paused(
        self, pipes: tuple[Connection, Connection], words: tuple[str, ...]
    ) -> None:
        messages, _ = run(training(), pipes, *words)
        assert [m[:2] for m in messages] == [("started", None), ("done", "stopped")]

    def test_paused_and_resumed_it_finishes(self, pipes: tuple[Connection, Connection]) -> None:
        messages, _ = run(training(), pipes, "pause", "resume")
        assert messages[-1][:2] == ("done", "finished")

    def test_a_run_that_is_stopped_while_paused_is_kept_and_goes_on(
        self, pipes: tuple[Connection, Connection], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        place = tmp_path / "checkpoints" / "one.checkpoint"
        ours, theirs = pipes
        original = Trainer.reports

        def stopped_after_three(self: Trainer) -> Any:
            for number, report in enumerate(original(self), 1):
                if number == 3:
                    ours.send("pause")
                    ours.send("stop")
                yield report

        with monkeypatch.context() as patch:
            patch.setattr(Trainer, "reports", stopped_after_three)
            messages, _ = run(training(checkpoint=place), pipes)
        assert messages[-1][:2] == ("done", "stopped")
        kept = checkpoints.load(place)
        assert kept.standing.step == 3 and kept.standing.source == "digits"

        whole = Trainer(GRAPH, START, *digits(), SETTINGS)
        list(whole.reports())
        ours, theirs = multiprocessing.get_context("spawn").Pipe()
        task = training(checkpoint=place, resume=True, settings=TrainSettings(), parameters={})
        messages, published = run(task, (ours, theirs))
        assert messages[-1][:2] == ("done", "finished")
        found = published.read()
        assert found is not None
        assert all(np.array_equal(found[k], a) for k, a in whole.parameters().items())
        assert not place.exists()
        ours.close()

    def test_a_note_is_passed_on_and_a_lost_checkpoint_is_an_error(
        self, pipes: tuple[Connection, Connection], tmp_path: Path
    ) -> None:
        place = tmp_path / "one.checkpoint"
        taken = Trainer(GRAPH, START, *digits(), SETTINGS).checkpoint()
        standing = dataclasses.replace(taken.standing, numpy="1.0")
        checkpoints.save(dataclasses.replace(taken, standing=standing), place)
        messages, _ = run(training(checkpoint=place, resume=True), pipes)
        assert [m.value for m in messages if m.kind == "note"] == [
            "The checkpoint was made with NumPy 1.0, and this is "
            f"{np.__version__}: results may differ in their last digits."
        ]
        pair = multiprocessing.get_context("spawn").Pipe()
        messages, _ = run(training(checkpoint=place, resume=True), pair)
        assert messages[-1].kind == "failed" and "none of that name" in messages[-1].value
        pair[0].close()

    def test_only_the_newest_runs_are_kept(
        self, pipes: tuple[Connection, Connection], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for number in range(7):
            old = tmp_path / f"{number}.checkpoint"
            old.write_bytes(b"")
            os.utime(old, (number, number))
        monkeypatch.setattr(worker_child, "KEEP_SECONDS", 0.0)
        kept: list[int] = []
        original = checkpoints.save

        def counted(checkpoint: Any, path: Path) -> None:
            kept.append(checkpoint.standing.step)
            original(checkpoint, path)

        monkeypatch.setattr(checkpoints, "save", counted)
        monkeypatch.setattr(time, "monotonic", itertools.count().__next__)
        run(training(checkpoint=tmp_path / "new.checkpoint"), pipes)
        assert kept and kept == sorted(set(kept)) and kept[0] >= 1
        names = sorted(p.name for p in tmp_path.glob("*.checkpoint"))
        assert names == [f"{number}.checkpoint" for number in (3, 4, 5, 6)]

    def test_it_ends_when_its_pipe_closes(self, pipes: tuple[Connection, Connection]) -> None:
        ours, theirs = pipes
        ours.close()
        counter, numbers = shared()
        worker_child.main(theirs, training(), counter, numbers, SHAPES)
        assert theirs.closed

    def test_weights_that_are_not_finite_are_said_at_once(
        self, pipes: tuple[Connection, Connection]
    ) -> None:
        ours, theirs = pipes
        counter, numbers = shared()
        Published(counter, numbers, SHAPES).write(
            {k: np.full_like(a, np.nan) for k, a in START.items()}
        )
        worker_child.main(theirs, training(), counter, numbers, SHAPES)
        assert ours.recv().kind == "started"
        failed = ours.recv()
        assert failed.kind == "failed" and "Training step 1: expected a finite loss" in failed.value

    @pytest.mark.parametrize(
        ("change", "said"),
        [
            ({"dataset": "cifar"}, "received 'cifar'"),
            ({"dataset": "shapes"}, "expected at least 18 outputs"),
            ({"dataset": "mnist:/nowhere"}, "train-images-idx3-ubyte"),
        ],
    )
    def test_data_that_cannot_be_used_is_named(
        self, pipes: tuple[Connection, Connection], change: dict[str, Any], said: str
    ) -> None:
        messages, _ = run(training(**change), pipes)
        assert messages[-1].kind == "failed" and said in messages[-1].value


@pytest.mark.usefixtures("own_process")
class TestExport:
    def test_the_file_holds_the_weights(
        self, pipes: tuple[Connection, Connection], tmp_path: Path
    ) -> None:
        path = tmp_path / "net.onnx"
        messages, _ = run(ExportTask(GRAPH, {}, path, digits()[0].preprocessing), pipes)
        found = messages[-1].value
        assert messages[-1].kind == "done" and found.files == (path,)
        assert found.check.agrees and found.check.engine == "onnxruntime"
        stages = [m.value[0] for m in messages if m.kind == "report"]
        assert stages[0] == "write" and stages[-1] == "compare"
        onnxruntime = pytest.importorskip("onnxruntime")
        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        x = digits()[0].inputs([0])
        (given,) = session.run(None, {session.get_inputs()[0].name: x})
        wanted = x.reshape(1, 64) @ START["linear1", "weight"].reshape(10, 64).T
        np.testing.assert_allclose(given, wanted + START["linear1", "bias"], atol=1e-5)
        assert [p.name for p in tmp_path.glob("*.onnx")] == ["net.onnx"]

    def test_a_word_from_the_window_stops_it(
        self, pipes: tuple[Connection, Connection], tmp_path: Path
    ) -> None:
        path = tmp_path / "net.onnx"
        path.write_bytes(b"old")
        pipes[0].send("stop")
        messages, _ = run(ExportTask(GRAPH, {}, path), pipes)
        assert messages[-1][:2] == ("done", "stopped")
        assert path.read_bytes() == b"old"

    def test_a_folder_that_is_none_is_named(
        self, pipes: tuple[Connection, Connection], tmp_path: Path
    ) -> None:
        messages, _ = run(ExportTask(GRAPH, {}, tmp_path / "no" / "net.onnx"), pipes)
        assert messages[-1].kind == "failed"
        assert "net.onnx" in messages[-1].value and "folder" in messages[-1].value
