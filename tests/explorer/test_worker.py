"""The window's side of a spawned process: real processes, few of them, and none that stays."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pytestqt.qtbot import QtBot

from engine.data.digits import digits
from engine.graph import Graph, Input, Loss, Node
from engine.layers.flatten import Flatten
from engine.layers.linear import Linear
from engine.losses import CrossEntropy
from engine.optimizers import SGD
from engine.parameters import initial_parameters
from engine.train import Trainer, TrainSettings
from explorer import worker as worker_module
from explorer.worker import Worker
from explorer.worker_child import TrainTask

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
ROOT = Path(__file__).parents[2]


def task(epochs: int = 10_000, **changes: Any) -> TrainTask:
    fields: dict[str, Any] = {
        "graph": GRAPH,
        "parameters": START,
        "dataset": "digits",
        "preprocessing": digits()[0].preprocessing,
        "settings": TrainSettings(epochs=epochs, batch_size=256, optimizer=SGD(lr=0.1)),
    }
    return TrainTask(**{**fields, **changes})


@pytest.fixture
def worker(qtbot: QtBot) -> Iterator[Worker]:
    worker = Worker()
    yield worker
    worker.close()


def is_running(process: int) -> bool:
    """Whether a process exists and is more than the entry that waits for its parent."""
    try:
        state = Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return False
    return state != "Z"


def test_reports_come_from_another_process_which_then_is_gone(worker: Worker, qtbot: QtBot) -> None:
    states: list[str] = []
    reports: list[Any] = []
    worker.state_changed.connect(states.append)
    worker.reported.connect(reports.append)
    more = {**START, ("gone", "weight"): np.zeros(4, np.float32)}  # of a layer deleted since
    with qtbot.waitSignal(worker.finished, timeout=20_000) as finished:
        worker.start(task(epochs=40, parameters=more))
        assert worker.state == "starting"
        qtbot.waitUntil(lambda: worker.reporter_id is not None, timeout=20_000)
        child = worker.process_id
        assert child is not None and child != os.getpid()
        assert os.getpriority(os.PRIO_PROCESS, child) > os.getpriority(os.PRIO_PROCESS, 0)
    assert finished.args == ["finished"]
    assert worker.reporter_id == child
    assert not is_running(child) and worker.process_id is None
    assert states == ["starting", "running", "idle"]
    assert reports[-1].step == reports[-1].steps_total == 200
    # the same numbers as training in this process: one trainer, one generator of steps
    trainer = Trainer(GRAPH, START, *digits(), task(epochs=40).settings)
    last = list(trainer.reports())[-1]
    assert reports[-1].validation_accuracy == last.validation_accuracy
    found = worker.parameters()
    assert found is not None and found.keys() == START.keys()
    for key, array in trainer.parameters().items():
        np.testing.assert_allclose(found[key], array, rtol=1e-4, atol=1e-6)


def test_paused_resumed_and_stopped(worker: Worker, qtbot: QtBot) -> None:
    reports: list[Any] = []
    worker.reported.connect(reports.append)
    worker.start(task())
    worker.pause()  # too early: there is nothing to hold yet
    assert worker.state == "starting"
    qtbot.waitUntil(lambda: len(reports) > 1, timeout=20_000)
    worker.pause()
    assert worker.state == "paused"
    worker.resume()
    assert worker.state == "running"
    count = len(reports)
    qtbot.waitUntil(lambda: len(reports) > count, timeout=20_000)
    worker.pause()
    with qtbot.waitSignal(worker.finished, timeout=20_000) as finished:
        worker.stop()
        assert worker.state == "stopping"
        worker.stop()
    assert finished.args == ["stopped"] and worker.state == "idle"
    assert reports[-1].step < reports[-1].steps_total
    assert not np.array_equal(worker.parameters()["linear1", "weight"], START["linear1", "weight"])


def test_stopped_while_starting(worker: Worker, qtbot: QtBot) -> None:
    heard: list[Any] = []
    worker.reported.connect(heard.append)
    with qtbot.waitSignal(worker.finished, timeout=20_000) as finished:
        worker.start(task())
        worker.stop()
        assert worker.state == "stopping"
    assert finished.args == ["stopped"] and heard == []


def test_killed_from_outside_it_says_so_and_can_start_again(worker: Worker, qtbot: QtBot) -> None:
    worker.start(task())
    qtbot.waitUntil(lambda: worker.parameters() is not None, timeout=20_000)
    with qtbot.waitSignal(worker.failed, timeout=20_000) as failed:
        os.kill(worker.process_id, signal.SIGKILL)
    assert "ended unexpectedly (code -9)" in failed.args[0]
    assert worker.state == "idle"
    # what it had published is whole
    assert all(np.isfinite(a).all() for a in worker.parameters().values())
    worker.start(task())
    assert worker.state == "starting" and worker.parameters() is None


def test_one_that_does_not_answer_is_ended(
    worker: Worker, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker.start(task())
    qtbot.waitUntil(lambda: worker.parameters() is not None, timeout=20_000)
    child = worker.process_id
    os.kill(child, signal.SIGSTOP)  # as busy as can be
    monkeypatch.setattr(worker_module, "STOP_SECONDS", 0.0)
    with qtbot.waitSignal(worker.finished, timeout=20_000) as finished:
        worker.stop()
    assert finished.args == ["stopped"] and not is_running(child)


def test_closed_while_running_and_by_who_hears_a_report(worker: Worker, qtbot: QtBot) -> None:
    ended: list[Any] = []
    worker.finished.connect(ended.append)
    worker.failed.connect(ended.append)
    children: list[int] = []

    def close(_report: Any) -> None:
        children.append(worker.process_id)
        worker.close()

    worker.reported.connect(close)
    worker.start(task())
    qtbot.waitUntil(lambda: bool(children), timeout=20_000)
    assert worker.state == "idle" and not is_running(children[0]) and ended == []
    with pytest.raises(ProcessLookupError):
        os.kill(children[0], 0)


def test_closed_while_starting(worker: Worker) -> None:
    threads = threading.active_count()
    worker.start(task())
    worker.close()
    worker.close()
    assert worker.state == "idle" and worker.process_id is None
    assert threading.active_count() == threads


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"parameters": {}}, "weight of linear1: expected an array of shape (10, 64)"),
        ({"parameters": {**START, ("linear1", "bias"): np.zeros(3)}}, "received (3,)"),
        ({"dataset": lambda: "digits"}, "pickle"),
    ],
)
def test_a_task_that_cannot_begin_fails_without_a_process(
    worker: Worker, qtbot: QtBot, change: dict[str, Any], said: str
) -> None:
    with qtbot.waitSignal(worker.failed, timeout=10_000) as failed:
        worker.start(task(**change))
    assert said in failed.args[0]
    assert worker.state == "idle" and worker.process_id is None


def test_one_task_at_a_time(worker: Worker) -> None:
    worker.start(task())
    with pytest.raises(RuntimeError, match="under way"):
        worker.start(task())


_ORPHAN = """
import os, sys
sys.path.insert(0, sys.argv[1])
from PySide6.QtCore import QCoreApplication
from tests_worker import task
from explorer.worker import Worker

if __name__ == "__main__":
    application = QCoreApplication([])
    worker = Worker()
    worker.reported.connect(lambda report: print(worker.process_id, flush=True))
    worker.start(task())
    application.exec()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_it_ends_when_the_window_is_killed(tmp_path: Path, qtbot: QtBot) -> None:
    (tmp_path / "orphan.py").write_text(_ORPHAN)
    (tmp_path / "tests_worker.py").write_text(Path(__file__).read_text())
    with subprocess.Popen(
        [sys.executable, str(tmp_path / "orphan.py"), str(ROOT)], stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        assert is_running(child)
        parent.kill()
    qtbot.waitUntil(lambda: not is_running(child), timeout=10_000)
