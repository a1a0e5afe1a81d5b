"""What runs in the spawned process: training and export. No Qt here.

The parent sends "pause", "resume" or "stop" through the pipe; this side sends ``Message``s. When
the pipe closes, or the parent is gone, the process ends.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from multiprocessing import parent_process
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Literal, NamedTuple, Protocol

import numpy as np

from engine import checkpoint as checkpoints
from engine.atomic_file import reason
from engine.data.preprocessing import Preprocessing
from engine.export import ExportOptions, export
from engine.graph import Graph
from engine.layers.base import Array
from engine.train import Trainer, TrainingDiverged, TrainSettings

REPORT_SECONDS = 0.05
"""Reports are not sent more often than this; the last one always is."""
PUBLISH_SECONDS = 0.2
"""Weights are not published more often than this, nor for more than a tenth of the time."""
KEEP_SECONDS = 10.0
"""A checkpoint is not written more often than this, nor for more than a tenth of the time."""
MOST_CHECKPOINTS = 5
"""How many checkpoints a folder keeps; the oldest go."""
FLOW_SHARE = 0.02
"""Share of the time in which training measures what flows through the layers."""
NICENESS = 10
ORPHAN_SECONDS = 1.0
"""How long what is being written may take to be cleaned up when the parent is gone."""

OwnerName = tuple[str, str]
Shapes = Mapping[OwnerName, tuple[int, ...]]


@dataclass(frozen=True, eq=False)
class TrainTask:
    """Train a network on a data set of ``engine.data.catalogue``.

    With ``checkpoint`` the run is kept in that file as it goes; at the end it is removed.
    ``resume`` goes on with the run of that file, whose settings and weights count.
    """

    graph: Graph
    parameters: Mapping[OwnerName, Array]
    dataset: str
    preprocessing: Preprocessing
    settings: TrainSettings
    checkpoint: Path | None = None
    resume: bool = False


@dataclass(frozen=True, eq=False)
class ExportTask:
    """Write a network for other programs; a report is (stage, share) of ``engine.export``."""

    graph: Graph
    parameters: Mapping[OwnerName, Array]
    path: Path
    preprocessing: Preprocessing | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    options: ExportOptions = field(default_factory=ExportOptions)


Task = TrainTask | ExportTask


Kind = Literal["started", "note", "report", "flow", "done", "failed"]


class Message(NamedTuple):
    """What the process says; ``process`` is the id of the process that says it."""

    kind: Kind
    value: Any
    process: int


class _ByName(Protocol):
    def __getitem__(self, key: OwnerName, /) -> Array: ...


class Published:
    """Parameters in shared memory, readable while the other process goes on writing.

    ``numbers`` holds two sets of the float32 parameters in the order of ``shapes``, ``counter``
    how many sets were written (int64): the last one, number n, is whole and lies at n modulo 2. A
    process that is killed while writing leaves it so. One process writes, one reads.
    """

    def __init__(self, counter: Any, numbers: Any, shapes: Shapes) -> None:
        self._counter = np.frombuffer(counter, np.int64)
        self._sets = np.frombuffer(numbers, np.float32).reshape(2, -1)
        self._shapes = dict(shapes)

    @staticmethod
    def length(shapes: Shapes) -> int:
        """How many float32 the shared ``numbers`` must hold (at least 2)."""
        return 2 * max(1, sum(int(np.prod(shape)) for shape in shapes.values()))

    def write(self, parameters: _ByName) -> None:
        """Replace what can be read; raises ValueError where a shape is another."""
        number = int(self._counter[0]) + 1
        into, at = self._sets[number % 2], 0
        for key, shape in self._shapes.items():
            values = parameters[key]
            if values.shape != shape:
                raise ValueError(
                    f"{key[1]} of {key[0]}: expected shape {shape}, received {values.shape}."
                )
            into[at : at + values.size].reshape(shape)[...] = values
            at += values.size
        self._counter[0] = number

    @property
    def count(self) -> int:
        """How many sets were written so far."""
        return int(self._counter[0])

    def read(self) -> dict[OwnerName, Array] | None:
        """Copies of the newest parameters; None before the first.

        Tried again when two sets were written meanwhile, which would touch the one being read.
        """
        while (number := int(self._counter[0])) > 0:
            copy = self._sets[number % 2].copy()
            if int(self._counter[0]) == number:
                return self._cut(copy)
        return None

    def _cut(self, flat: Array) -> dict[OwnerName, Array]:
        found, at = {}, 0
        for key, shape in self._shapes.items():
            size = int(np.prod(shape))
            found[key] = flat[at : at + size].reshape(shape)
            at += size
        return found


def main(pipe: Connection, task: Task, counter: Any, numbers: Any, shapes: Shapes) -> None:
    """Carry out a task; never raises, and ends when the pipe is closed.

    The task's parameters come in shared memory, in which training puts its own.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which closes the pipe
    signal.signal(signal.SIGTERM, _leave)
    with contextlib.suppress(OSError, AttributeError):
        os.nice(NICENESS)
    threading.Thread(target=_end_with_parent, name="parent-watch", daemon=True).start()

    def send(kind: Kind, value: Any) -> None:
        pipe.send(Message(kind, value, os.getpid()))

    try:
        published = Published(counter, numbers, shapes)
        parameters = published.read() or {}
        send("started", None)
        if isinstance(task, ExportTask):
            _export(pipe, send, task, parameters)
        else:
            _train(pipe, send, task, parameters, published)
    except (BrokenPipeError, EOFError, ConnectionResetError):
        return
    except Exception as error:
        with contextlib.suppress(OSError):
            send("failed", str(error) or type(error).__name__)
    finally:
        with contextlib.suppress(OSError):
            pipe.close()


def _leave(_signal: int, _frame: Any) -> None:
    """Unwind, so that a file that is being written is removed."""
    raise SystemExit(1)


def _end_with_parent() -> None:
    """Wait for the parent's end, which a long step would notice late, and end with it."""
    parent = parent_process()
    if parent is None:
        return
    parent.join()
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(ORPHAN_SECONDS)
    os._exit(1)


class _StoppedError(Exception):
    """The parent wants the export to end."""


def _export(
    pipe: Connection, send: Any, task: ExportTask, parameters: Mapping[OwnerName, Array]
) -> None:
    sent = -REPORT_SECONDS
    told = ""

    def tell(stage: str, share: float) -> None:
        nonlocal sent, told
        now = time.monotonic()
        if stage != told or now - sent >= REPORT_SECONDS:
            send("report", (stage, share))
            sent, told = now, stage
        if _told_to_stop(pipe):
            raise _StoppedError

    try:
        found = export(
            task.path,
            task.graph,
            parameters,
            task.options,
            preprocessing=task.preprocessing,
            metadata=task.metadata,
            progress=tell,
        )
    except _StoppedError:
        send("done", "stopped")
    except OSError as error:
        send("failed", f"{task.path}: {reason(error, task.path)}")
    else:
        send("done", found)


def _train(
    pipe: Connection,
    send: Any,
    task: TrainTask,
    parameters: Mapping[OwnerName, Array],
    published: Published,
) -> None:
    from engine.data import catalogue

    training, held_out = catalogue.load(task.dataset, task.preprocessing)
    if task.resume and task.checkpoint is not None:
        run = checkpoints.load(task.checkpoint)
        trainer = Trainer.resume(run, training, held_out, graph=task.graph, flow_share=FLOW_SHARE)
    else:
        trainer = Trainer(
            task.graph, parameters, training, held_out, task.settings, flow_share=FLOW_SHARE
        )
    for note in trainer.notes:
        send("note", note)
    weights = trainer.plan.weights
    sent = publish_after = 0.0
    keep_after = time.monotonic() + KEEP_SECONDS

    def on_pause() -> None:
        published.write(weights)
        _keep(trainer, task)

    stopped = _told_to_stop(pipe)
    reports = trainer.reports()
    try:
        while not stopped and (report := next(reports, None)) is not None:
            if trainer.flow is not None and trainer.flow.step == report.step:
                send("flow", trainer.flow)
            now = time.monotonic()
            if now >= publish_after:
                published.write(weights)
                done = time.monotonic()
                publish_after = done + max(PUBLISH_SECONDS, 10 * (done - now))
            if report.step == report.steps_total or now - sent >= REPORT_SECONDS:
                send("report", report)
                sent = now
            if now >= keep_after:
                begun = time.monotonic()
                _keep(trainer, task)
                done = time.monotonic()
                keep_after = done + max(KEEP_SECONDS, 10 * (done - begun))
            stopped = _told_to_stop(pipe, on_pause)
    except TrainingDiverged as error:
        published.write(weights)
        _forget(task)
        send("failed", str(error))
        return
    published.write(weights)
    if stopped:
        _keep(trainer, task)
    else:
        _forget(task)
    send("done", "stopped" if stopped else "finished")


def _keep(trainer: Trainer, task: TrainTask) -> None:
    """Write the run to its file, and remove the oldest runs beside it."""
    path = task.checkpoint
    if path is None or not trainer.step:
        return
    # a run that cannot be kept goes on: the window then has nothing to offer
    with contextlib.suppress(OSError, checkpoints.CheckpointError):
        path.parent.mkdir(parents=True, exist_ok=True)
        checkpoints.save(trainer.checkpoint(task.dataset), path)
        by_age = sorted(path.parent.glob(f"*{path.suffix}"), key=lambda p: p.stat().st_mtime)
        for old in by_age[:-MOST_CHECKPOINTS]:
            old.unlink(missing_ok=True)


def _forget(task: TrainTask) -> None:
    """There is nothing to go on with."""
    if task.checkpoint is not None:
        with contextlib.suppress(OSError):
            task.checkpoint.unlink(missing_ok=True)


def _told_to_stop(pipe: Connection, on_pause: Any = None) -> bool:
    """Read what the parent sent; wait here while paused. EOFError when the parent is gone."""
    paused = False
    while paused or pipe.poll():
        word = pipe.recv()
        if word == "stop":
            return True
        if word == "pause" and not paused and on_pause is not None:
            on_pause()  # what is looked at meanwhile is the weights of this moment
        paused = word == "pause"
    return False
