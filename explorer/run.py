"""One run of a plan in the window's process: in slices, or beside the window in a thread."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
from PySide6.QtCore import QObject, QTimer, Signal

from engine.graph import Graph
from engine.layers.base import Mode
from engine.losses import evidence
from engine.optimizers import Optimizer
from engine.parameters import Parameters
from engine.plan import Batch, Plan, compile
from engine.recording import Recording
from engine.trace import Gains, Operation, Step, Trace
from explorer.background import POLL_MILLISECONDS, Background

SLICE_SECONDS = 0.008
TELL_SECONDS = 0.1
"""How often the views hear of a run that is computed in the background."""
HEAVY_WORK = 100_000_000
"""Multiply-adds from which on one operation can take longer than the window may stand still."""
HEAVY_WEIGHTS = 5_000_000
"""The same for the update, which is one operation for all weights."""


class Run(QObject):
    """Steps one sample through a network, traced. ``advance`` computes; looking back never does.

    Without a label the network's own guess is taken as the answer (``assumed_target``), as soon
    as it is known.

    A ``heavy`` network, such as ResNet-50 at 224×224, is computed in a thread, one operation after
    the other as elsewhere: whoever asks waits as long as it says, and hears of the rest.
    """

    progressed = Signal()
    failed = Signal(str)

    def __init__(
        self,
        graph: Graph,
        parameters: Parameters,
        x: Any,
        label: int | None,
        optimizer: Optimizer,
        *,
        mode: Mode = "eval",
        gains: Gains | None = None,
        heavy: bool | None = None,
        plan: Plan | None = None,
        parent: QObject | None = None,
    ) -> None:
        """``plan``: the graph compiled with these parameters for one sample, where that is done."""
        super().__init__(parent)
        self.graph = graph
        self.heavy = is_heavy(graph, parameters) if heavy is None else heavy
        self.trace = Trace()
        self.assumed_target = label is None
        self.error = ""
        plan = plan or compile(graph, parameters, batch=1, mode=mode)
        self._target = np.array([label or 0], np.int64)
        batch = Batch.of(graph, np.asarray(x)[None], self._target)
        self.operations: tuple[Operation, ...] = plan.operations()
        self.forward_length = sum(o.phase == "forward" for o in self.operations)
        """Number of forward steps."""
        self._steps: Iterator[Step] | None = plan.run(
            batch, optimizer=optimizer, trace=self.trace, gains=gains
        )
        self._answer = plan.value
        self._prepare()
        if self.heavy:
            self._timer.setInterval(POLL_MILLISECONDS)
        self._timer.timeout.connect(self._slice)

    def _prepare(self) -> None:
        self._told = time.perf_counter()
        self._failed = self._left = False
        self._done = len(self.trace)  # with what follows a step, such as the guess
        self._timer = QTimer(self)
        self._timer.setInterval(0)
        self._background = Background(self)
        self._goal = 0  # how far the thread is to go
        self._missed = 0  # what was asked for last and took longer than there was time
        self._working = False
        self._stepped = threading.Event()

    @property
    def target(self) -> int | None:
        """The class taken as the right answer; None while an assumed one is not known yet."""
        if self.graph.answering is None:
            return None
        if self.assumed_target and self._done < self.forward_length:
            return None
        return int(self._target[0])

    @property
    def complete(self) -> bool:
        """Whether every step was carried out."""
        return len(self.trace) == len(self.operations)

    def advance(self, position: int, seconds: float | None = None) -> bool:
        """Compute until ``position`` steps are recorded or the time is up; True when reached."""
        if self._await(position, seconds) if self.heavy else self._compute(position, seconds):
            self.progressed.emit()
        return len(self.trace) >= min(position, len(self.operations))

    def _compute(self, position: int, seconds: float | None) -> bool:
        """``advance`` without telling; True when a step was carried out or failed."""
        start = time.perf_counter()
        moved = False
        while len(self.trace) < position and self._steps is not None:
            self._next()
            moved = True
            if seconds is not None and time.perf_counter() - start > seconds:
                break
        self._tell_failure()
        return moved

    def _await(self, position: int, seconds: float | None) -> bool:
        """``_compute`` by the thread; it goes on when the time is up."""
        before, end = len(self.trace), time.perf_counter() + (seconds or 0.0)
        self._aim(min(position, len(self.operations)))
        while self._done < position and self._background.busy:
            if not self._working:
                self._background.finish()  # it ended, maybe just before more was asked for
                continue
            left = None if seconds is None else end - time.perf_counter()
            if left is not None and left <= 0:
                break
            self._stepped.clear()
            if self._done < position and self._working:
                self._stepped.wait(left)
        self._missed = position if len(self.trace) < position else 0
        return len(self.trace) > before

    def _aim(self, position: int) -> None:
        """Have the thread go on at least to here."""
        self._goal = max(self._goal, position)
        if self._steps is not None and len(self.trace) < self._goal and not self._background.busy:
            self._working = True
            self._background.run(self._work, self._worked)

    def _work(self) -> None:
        """In the thread: it alone steps the plan and adds to the trace meanwhile."""
        try:
            while len(self.trace) < self._goal and self._steps is not None:
                self._next()
                self._stepped.set()
        finally:
            self._working = False
            self._stepped.set()

    def _worked(self, result: object) -> None:
        """In the window's thread: the thread has ended."""
        if self._left:
            self._steps = None
            self.deleteLater()
            return
        if isinstance(result, BaseException):
            self._steps = None
            raise result  # not one of a network's: a mistake of the program
        self._tell_failure()
        self._aim(self._goal)

    def finish_in_background(self) -> None:
        """Compute the rest beside the window, or whenever it has nothing else to do."""
        if self._steps is not None or self._background.busy:
            self._timer.start()
            if self.heavy:
                self._aim(len(self.operations))

    def stop(self) -> None:
        """Compute no further; the operation under way is waited for."""
        self._timer.stop()
        self._goal = 0
        self._background.close()
        self._steps = None

    def leave(self) -> None:
        """Compute no further, tell nothing more, and go as soon as the operation under way ended.

        Unlike ``stop`` this waits for nothing: another run takes the place of this one.
        """
        self._timer.stop()
        self._goal = 0
        self._left = True
        if not self._background.busy:
            self._steps = None
            self.deleteLater()

    def _slice(self) -> None:
        if not self.heavy:
            self._compute(len(self.operations), SLICE_SECONDS)
        now = time.perf_counter()
        if self._steps is None:
            self._timer.stop()
        elif 0 < self._missed <= len(self.trace):
            self._missed = 0  # somebody waits for it
        elif now - self._told < TELL_SECONDS:
            return
        self._told = now
        self.progressed.emit()

    def _guess(self) -> None:
        """Forward is done: where nobody said the right answer, the network's own counts."""
        loss = self.graph.answering
        if not self.assumed_target or loss is None:
            return
        # of the plan, not the trace: the window may be reading that
        logits = evidence(loss.function, self._answer(loss.input))
        if logits is not None and not np.isnan(logits).all():
            self._target[0] = int(np.nanargmax(logits[0]))

    def _next(self) -> None:
        assert self._steps is not None
        try:
            # weights that are not finite give cells that are not finite: shown, not warned about
            with np.errstate(all="ignore"):
                next(self._steps)
            if len(self.trace) == self.forward_length:
                self._guess()
        except StopIteration:
            self._steps = None
        except (ValueError, ArithmeticError, MemoryError, LookupError) as error:
            self._steps = None
            self.error = str(error) or type(error).__name__
            self.trace.failure = self.error
            self._failed = True
        if len(self.trace) == len(self.operations):
            self._steps = None
        self._done = len(self.trace)

    def _tell_failure(self) -> None:
        if self._failed:
            self._failed = False
            self.failed.emit(self.error)


def is_heavy(graph: Graph, parameters: Parameters) -> bool:
    """Whether one operation, or making the plan, can take longer than the window may stand."""
    if sum(array.size for array in parameters.values()) >= HEAVY_WEIGHTS:
        return True
    costs = graph.costs(graph.infer().specs)
    return sum(cost.multiply_adds for cost in costs.values()) >= HEAVY_WORK


class Replay(Run):
    """A run that was recorded: all of it is there, and nothing is computed."""

    def __init__(self, recording: Recording, parent: QObject | None = None) -> None:
        QObject.__init__(self, parent)
        self.graph, self.trace = recording.project.graph, recording.trace
        self.assumed_target = recording.assumed_target
        self.error = recording.trace.failure or ""
        self._target = np.array([recording.target or 0], np.int64)
        self.operations = tuple(step.operation for step in recording.trace.steps)
        self.forward_length = sum(o.phase == "forward" for o in self.operations)
        self._steps = None
        self.heavy = False
        self._prepare()
