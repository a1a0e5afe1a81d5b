"""The window's side of a spawned process: start, pause, resume, stop, reports by a timer."""

from __future__ import annotations

import contextlib
import dataclasses
import multiprocessing
import os
import threading
import time
from collections.abc import Iterator
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any, Literal

from PySide6.QtCore import QObject, QTimer, Signal

from engine.parameters import check_parameters
from explorer import worker_child
from explorer.worker_child import Message, Published, Task

POLL_MILLISECONDS = 30
PATIENCE_SECONDS = 1.0
"""How long a process that has said its last word, or was told to end, may take to end."""
STOP_SECONDS = 3.0
"""How long a step, or the validation after an epoch, may go on after Stop."""

State = Literal["idle", "starting", "running", "paused", "stopping"]
_THREADS = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")
_ENVIRONMENT = threading.Lock()


class _Start:
    """A process on its way: made in a thread, because handing over a task waits for the child."""

    def __init__(self, task: Task) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, self._theirs = context.Pipe()
        self.process: BaseProcess | None = None
        self.published: Published | None = None
        self.error = ""
        self.thread = threading.Thread(target=self._run, args=(task,), name="worker-start")
        self.thread.start()

    def _run(self, task: Task) -> None:
        try:
            context = multiprocessing.get_context("spawn")
            specs = task.graph.parameter_specs(task.graph.check().specs)
            # what the network does not know is left out, what it needs must be there
            check_parameters(specs, task.parameters)
            shapes = {key: spec.shape for key, spec in specs.items()}
            counter = context.RawArray("q", 1)
            numbers = context.RawArray("f", Published.length(shapes))
            self.published = Published(counter, numbers, shapes)
            self.published.write(task.parameters)
            bare = dataclasses.replace(task, parameters={})
            process = context.Process(
                target=worker_child.main,
                args=(self._theirs, bare, counter, numbers, shapes),
                daemon=True,
            )
            with _fewer_threads():
                process.start()
            self.process = process
        except Exception as error:
            self.error = str(error) or type(error).__name__
        finally:
            self._theirs.close()


class Worker(QObject):
    """Drives one task in a process of its own. Nothing but ``close`` waits for that process."""

    state_changed = Signal(str)
    reported = Signal(object)
    """The newest report (of a training, ``engine.train.Report``)."""
    flow_measured = Signal(object)
    """What flowed through the layers in a step (``engine.training_flow.FlowPoint``); none is left
    out."""
    noted = Signal(str)
    """A sentence about the task that is under way."""
    finished = Signal(object)
    """The task's result ("finished", "stopped" or a path); the process has ended."""
    failed = Signal(str)
    """Why the task could not be carried out; the process has ended."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.state: State = "idle"
        self.process_id: int | None = None
        self.reporter_id: int | None = None
        """Id of the process that made the newest report, as that process said it."""
        self._start: _Start | None = None
        self._process: BaseProcess | None = None
        self._pipe: Connection | None = None
        self._published: Published | None = None
        self._ending: tuple[str, Any] | None = None
        self._deadline = float("inf")
        self._timer = QTimer(self)
        self._timer.setInterval(POLL_MILLISECONDS)
        self._timer.timeout.connect(self._poll)

    def _set_state(self, state: State) -> None:
        if state != self.state:
            self.state = state
            self.state_changed.emit(state)

    @property
    def busy(self) -> bool:
        """Whether a task is under way."""
        return self.state != "idle"

    def start(self, task: Task) -> None:
        """Begin a task in a new process; raises RuntimeError when one is under way."""
        if self.busy:
            raise RuntimeError("Worker: expected to be idle, but a task is under way. Stop it.")
        self._start = _Start(task)
        self._pipe = self._start.pipe
        self._published = None
        self._ending, self._deadline = None, float("inf")
        self.process_id = self.reporter_id = None
        self._timer.start()
        self._set_state("starting")

    def pause(self) -> None:
        """Hold the task after its current step."""
        if self.state == "running" and self._send("pause"):
            self._set_state("paused")

    def resume(self) -> None:
        """Let a held task go on."""
        if self.state == "paused" and self._send("resume"):
            self._set_state("running")

    def stop(self) -> None:
        """Ask the task to end after its current step; ``finished`` follows.

        One that does not answer in time is ended; the weights that it published last remain.
        """
        if self.state in ("starting", "running", "paused"):
            self._send("stop")
            self._deadline = time.monotonic() + STOP_SECONDS
            self._set_state("stopping")

    def parameters(self) -> dict[tuple[str, str], Any] | None:
        """The newest parameters that the task published, or None where there are none."""
        published = self._published
        # the first set is what the task began with
        return published.read() if published is not None and published.count > 1 else None

    def _send(self, word: str) -> bool:
        if self._pipe is None:
            return False
        try:
            self._pipe.send(word)
        except OSError:
            return False
        return True

    def _poll(self) -> None:
        if self._start is not None and not self._take_over(self._start):
            return
        pipe, report = self._pipe, None
        if pipe is not None and self._ending is None:
            report = self._listen(pipe)
        if report is not None:
            self.reporter_id = report.process
            self.reported.emit(report.value)
        if self._pipe is not pipe:
            return  # whoever heard the report closed the worker
        self._mind_the_end()

    def _take_over(self, start: _Start) -> bool:
        """Receive the process that a thread has started; False while it is still at it."""
        if start.thread.is_alive():
            return False
        start.thread.join()
        self._start = None
        self._process, self._published = start.process, start.published
        if start.process is None:
            self._ending = "failed", start.error
        else:
            self.process_id = start.process.pid
        return True

    def _listen(self, pipe: Connection) -> Message | None:
        """Read all messages; return the newest report."""
        report: Message | None = None
        try:
            while self._ending is None and pipe.poll():
                message: Message = pipe.recv()
                if message.kind == "started":
                    if self.state == "starting":
                        self._set_state("running")
                elif message.kind == "report":
                    report = message
                elif message.kind == "flow":
                    self.flow_measured.emit(message.value)
                elif message.kind == "note":
                    self.noted.emit(message.value)
                else:
                    self._ending = message.kind, message.value
                    self._deadline = time.monotonic() + PATIENCE_SECONDS
        except (EOFError, OSError):
            self._ending = "lost", None
            self._deadline = time.monotonic() + PATIENCE_SECONDS
        return report

    def _mind_the_end(self) -> None:
        """Once the process has ended say how; end one that takes too long."""
        process = self._process
        late = time.monotonic() > self._deadline
        if process is not None:
            if late and process.is_alive():
                if self._ending is None:  # told to stop, but busy with something long
                    self._ending = "done", "stopped"
                process.kill()
            if self._ending is None or process.is_alive():
                return
        if self._ending is None:
            return
        kind, value = self._ending
        if kind == "lost":
            code = process.exitcode if process is not None else None
            kind, value = (
                "failed",
                self.tr("The process ended unexpectedly (code {0}).").format(code),
            )
        self._let_go()
        self._set_state("idle")
        if kind == "done":
            self.finished.emit(value)
        else:
            self.failed.emit(value)

    def _let_go(self) -> None:
        self._timer.stop()
        if self._pipe is not None:
            self._pipe.close()
        if self._process is not None:
            self._process.join(PATIENCE_SECONDS)
            with contextlib.suppress(ValueError):
                self._process.close()
        self._process, self._pipe, self._start = None, None, None
        self.process_id = None

    def close(self) -> None:
        """End the process now and wait for it; nothing is reported any more.

        ``parameters`` still gives what was published last.
        """
        self._timer.stop()
        if self._start is not None:
            self._start.thread.join()
            self._take_over(self._start)
        if self._process is not None:
            self._process.terminate()
            self._process.join(PATIENCE_SECONDS)
            if self._process.is_alive():
                self._process.kill()
        self._let_go()
        self._set_state("idle")


@contextlib.contextmanager
def _fewer_threads() -> Iterator[None]:
    """Leave one core's worth of BLAS threads to the window (read when the child imports NumPy)."""
    count = str(max(1, (os.cpu_count() or 2) - 1))
    with _ENVIRONMENT:
        before = {name: os.environ.get(name) for name in _THREADS}
        os.environ.update(dict.fromkeys(_THREADS, count))
        try:
            yield
        finally:
            for name, value in before.items():
                if value is None:
                    os.environ.pop(name, None)
                else:
                    os.environ[name] = value
