"""One run of a plan in the window's process, carried out in slices that keep the window alive."""

from __future__ import annotations

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
from engine.plan import Batch, compile
from engine.recording import Recording
from engine.trace import Gains, Operation, Step, Trace

SLICE_SECONDS = 0.008
TELL_SECONDS = 0.1
"""How often the views hear of a run that is computed in the background."""


class Run(QObject):
    """Steps one sample through a network, traced. ``advance`` computes; looking back never does.

    Without a label the network's own guess is taken as the answer (``assumed_target``), as soon
    as it is known.
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
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self.graph = graph
        self.trace = Trace()
        self.assumed_target = label is None
        self.error = ""
        plan = compile(graph, parameters, batch=1, mode=mode)
        self._target = np.array([label or 0], np.int64)
        batch = Batch.of(graph, np.asarray(x)[None], self._target)
        self.operations: tuple[Operation, ...] = plan.operations()
        self.forward_length = sum(o.phase == "forward" for o in self.operations)
        """Number of forward steps."""
        self._steps: Iterator[Step] | None = plan.run(
            batch, optimizer=optimizer, trace=self.trace, gains=gains
        )
        self._told = time.perf_counter()
        self._timer = QTimer(self)
        self._timer.setInterval(0)
        self._timer.timeout.connect(self._slice)

    @property
    def target(self) -> int | None:
        """The class taken as the right answer; None while an assumed one is not known yet."""
        if self.graph.answering is None:
            return None
        if self.assumed_target and len(self.trace) < self.forward_length:
            return None
        return int(self._target[0])

    @property
    def complete(self) -> bool:
        """Whether every step was carried out."""
        return len(self.trace) == len(self.operations)

    def advance(self, position: int, seconds: float | None = None) -> bool:
        """Compute until ``position`` steps are recorded or the time is up; True when reached."""
        if self._compute(position, seconds):
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
        return moved

    def finish_in_background(self) -> None:
        """Compute the rest in slices, whenever the window has nothing else to do."""
        if self._steps is not None:
            self._timer.start()

    def stop(self) -> None:
        """Compute no further."""
        self._timer.stop()
        self._steps = None

    def _slice(self) -> None:
        self._compute(len(self.operations), SLICE_SECONDS)
        now = time.perf_counter()
        if self._steps is None:
            self._timer.stop()
        elif now - self._told < TELL_SECONDS:
            return
        self._told = now
        self.progressed.emit()

    def _guess(self) -> None:
        """Forward is done: where nobody said the right answer, the network's own counts."""
        loss = self.graph.answering
        value = self.trace.look("value", loss.input) if loss is not None else None
        if not self.assumed_target or loss is None or value is None:
            return
        logits = evidence(loss.function, value)
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
            self.failed.emit(self.error)
        if len(self.trace) == len(self.operations):
            self._steps = None


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
        self._told = 0.0
        self._timer = QTimer(self)
