"""What runs in the spawned process: training and export. No Qt here.

The parent sends "pause", "resume" or "stop" through the pipe; this side sends (kind, value) pairs:
started, report, done, failed. When the pipe closes, the process ends.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

from engine.data.preprocessing import Preprocessing
from engine.graph import Graph
from engine.layers.base import Array
from engine.train import TrainSettings

REPORT_SECONDS = 0.05
"""Reports are not sent more often than this; the last one always is."""
NICENESS = 10


@dataclass(frozen=True, eq=False)
class TrainTask:
    """Train a network on a data set of ``engine.data.catalogue``."""

    graph: Graph
    parameters: Mapping[tuple[str, str], Array]
    dataset: str
    preprocessing: Preprocessing
    settings: TrainSettings


@dataclass(frozen=True, eq=False)
class ExportTask:
    """Write a network as an ONNX file."""

    graph: Graph
    parameters: Mapping[tuple[str, str], Array]
    path: Path
    preprocessing: Preprocessing | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)


Task = TrainTask | ExportTask


class Published:
    """Parameters in shared memory, readable while the other process goes on writing.

    A counter is odd while numbers are being written; a reader that saw it change reads again.
    ``counter`` and ``numbers`` are shared arrays of one int64 and of the float32 parameters.
    """

    def __init__(self, counter: Any, numbers: Any, shapes: Mapping[Any, tuple[int, ...]]) -> None:
        self._counter = np.frombuffer(counter, np.int64)
        self._numbers = np.frombuffer(numbers, np.float32)
        self._shapes = dict(shapes)

    def write(self, parameters: Mapping[tuple[str, str], Array]) -> None:
        """Replace what can be read."""
        self._counter[0] += 1
        at = 0
        for key in self._shapes:
            values = parameters[key].ravel()
            self._numbers[at : at + values.size] = values
            at += values.size
        self._counter[0] += 1

    def read(self) -> dict[tuple[str, str], Array] | None:
        """Copies of the newest parameters; None before the first or while they are written."""
        before = int(self._counter[0])
        if before == 0 or before % 2:
            return None
        copy = self._numbers.copy()
        if int(self._counter[0]) != before:
            return None
        found, at = {}, 0
        for key, shape in self._shapes.items():
            size = int(np.prod(shape))
            found[key] = copy[at : at + size].reshape(shape)
            at += size
        return found


def main(pipe: Connection, task: Task, counter: Any, numbers: Any) -> None:
    """Carry out a task; never raises, and ends when the pipe is closed."""
    with contextlib.suppress(OSError, AttributeError):
        os.nice(NICENESS)
    try:
        pipe.send(("started", os.getpid()))
        if isinstance(task, ExportTask):
            _export(pipe, task)
        else:
            _train(pipe, task, counter, numbers)
    except (BrokenPipeError, EOFError, ConnectionResetError, KeyboardInterrupt):
        return
    except Exception as error:
        with contextlib.suppress(OSError):
            pipe.send(("failed", str(error) or type(error).__name__))
    finally:
        with contextlib.suppress(OSError):
            pipe.close()


def _export(pipe: Connection, task: ExportTask) -> None:
    from engine.onnx import export_onnx

    export_onnx(
        task.graph,
        task.parameters,
        task.path,
        preprocessing=task.preprocessing,
        metadata=task.metadata,
    )
    pipe.send(("done", task.path))


def _train(pipe: Connection, task: TrainTask, counter: Any, numbers: Any) -> None:
    from engine.data import catalogue
    from engine.train import Trainer, TrainingDiverged

    training, held_out = catalogue.load(task.dataset, task.preprocessing)
    trainer = Trainer(task.graph, task.parameters, training, held_out, task.settings)
    published = Published(counter, numbers, {k: v.shape for k, v in trainer.parameters().items()})
    sent = 0.0
    stopped = False
    try:
        for report in trainer.reports():
            now = time.monotonic()
            last = report.step == report.steps_total
            if last or now - sent >= REPORT_SECONDS:
                published.write(trainer.parameters())
                pipe.send(("report", report))
                sent = now
            if _told_to_stop(pipe):
                stopped = True
                break
    except TrainingDiverged as error:
        published.write(trainer.parameters())
        pipe.send(("failed", str(error)))
        return
    published.write(trainer.parameters())
    pipe.send(("done", "stopped" if stopped else "finished"))


def _told_to_stop(pipe: Connection) -> bool:
    """Read what the parent sent; wait here while paused. EOFError when the parent is gone."""
    paused = False
    while paused or pipe.poll():
        word = pipe.recv()
        if word == "stop":
            return True
        paused = word == "pause"
    return False
