"""The window's side of a spawned process: start, pause, resume, stop, reports by a timer."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
from collections.abc import Mapping
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any, Literal

from PySide6.QtCore import QObject, QTimer, Signal

from explorer import worker_child
from explorer.worker_child import Published, Task

POLL_MILLISECONDS = 30
PATIENCE_SECONDS = 1.0
"""How long a process may take to end by itself when the window closes."""

State = Literal["idle", "starting", "running", "paused", "stopping"]
_THREADS = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")


class Worker(QObject):
    """Drives one task in a process of its own. Nothing here waits for that process."""

    state_changed = Signal(str)
    reported = Signal(object)
    finished = Signal(object)
    failed = Signal(str)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.state: State = "idle"
        self.process_id: int | None = None
        self._process: BaseProcess | None = None
        self._pipe: Connection | None = None
        self._published: Published | None = None
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
        context = multiprocessing.get_context("spawn")
        shapes = {k: v.shape for k, v in task.parameters.items()}
        size = sum(v.size for v in task.parameters.values())
        counter = context.RawArray("q", 1)
        numbers = context.RawArray("f", max(1, size))
        self._published = Published(counter, numbers, _in_plan_order(task, shapes))
        ours, theirs = context.Pipe()
        process = context.Process(
            target=worker_child.main, args=(theirs, task, counter, numbers), daemon=True
        )
        with _fewer_threads():
            process.start()
        theirs.close()
        self._process, self._pipe = process, ours
        self.process_id = process.pid
        self._set_state("starting")
        self._timer.start()

    def pause(self) -> None:
        """Hold the task after its current step."""
        if self.state == "running" and self._send("pause"):
            self._set_state("paused")

    def resume(self) -> None:
        """Let a held task go on."""
        if self.state == "paused" and self._send("resume"):
            self._set_state("running")

    def stop(self) -> None:
        """Ask the task to end after its current step; ``finished`` follows."""
        if self.busy and self.state != "stopping" and self._send("stop"):
            self._set_state("stopping")

    def parameters(self) -> dict[tuple[str, str], Any] | None:
        """The newest parameters that the process published, or None."""
        return self._published.read() if self._published else None

    def _send(self, word: str) -> bool:
        if self._pipe is None:
            return False
        try:
            self._pipe.send(word)
        except OSError:
            return False
        return True

    def _poll(self) -> None:
        pipe = self._pipe
        if pipe is None:
            return
        report = None
        ending: tuple[str, Any] | None = None
        try:
            while ending is None and pipe.poll():
                kind, value = pipe.recv()
                if kind == "started":
                    if self.state == "starting":
                        self._set_state("running")
                elif kind == "report":
                    report = value  # only the newest is shown
                else:
                    ending = kind, value
        except (EOFError, OSError):
            code = self._process.exitcode if self._process else None
            ending = "failed", self.tr("The process ended unexpectedly (code {0}).").format(code)
        if report is not None:
            self.reported.emit(report)
        if ending is None:
            return
        self._end()
        kind, value = ending
        if kind == "done":
            self.finished.emit(value)
        else:
            self.failed.emit(value)

    def _end(self) -> None:
        """Let go of the process, which ends when its pipe closes."""
        self._timer.stop()
        if self._pipe is not None:
            self._pipe.close()
        process, self._process, self._pipe = self._process, None, None
        self.process_id = None
        if process is not None:
            process.join(PATIENCE_SECONDS)
            if process.is_alive():
                process.kill()
                process.join(PATIENCE_SECONDS)
            with contextlib.suppress(ValueError):
                process.close()
        self._set_state("idle")

    def close(self) -> None:
        """End the process now; nothing is reported any more."""
        self._send("stop")
        self._end()


def _in_plan_order(
    task: Task, shapes: Mapping[tuple[str, str], tuple[int, ...]]
) -> dict[tuple[str, str], tuple[int, ...]]:
    """The shapes in the order in which the process writes them."""
    specs = task.graph.parameter_specs(task.graph.infer().specs)
    return {key: spec.shape for key, spec in specs.items() if key in shapes}


@contextlib.contextmanager
def _fewer_threads() -> Any:
    """Leave one core's worth of BLAS threads to the window (read when the child imports NumPy)."""
    count = str(max(1, (os.cpu_count() or 2) - 1))
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
