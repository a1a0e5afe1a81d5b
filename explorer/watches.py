"""Numbers that are followed over the steps of training: cells, and norms of layers.

Each time training brings new weights, the picture on the canvas is run again; what that run
recorded is a point of the line. Nothing is measured in between.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

from PySide6.QtCore import QCoreApplication, QObject, Signal

from engine.cell import Cell
from engine.explain import Place, Weight, look
from engine.statistics import norm
from engine.trace import Trace
from explorer.document import Document

Measure = Literal["value", "gradient", "norm", "gradient norm"]
MOST = 24
LONGEST = 4_000
"""Points of a line; beyond, every other one is left out."""


@dataclass(frozen=True, slots=True)
class Watch:
    """One number: of a place (``source``), or of all cells of a node's output where that is None.

    ``node`` is the id that it goes with.
    """

    node: str
    measure: Measure
    source: Cell | Weight | None = None

    @property
    def name(self) -> str:
        """What is followed, in few signs: ∂ marks a gradient."""
        mark = "∂" if self.measure.startswith("gradient") else ""
        if self.source is None:
            return f"‖{mark}{self.node}‖"
        return f"{mark}{self.source}"

    def read(self, trace: Trace) -> float | None:
        """The number at the end of a run; None where it has none."""
        backward = self.measure.startswith("gradient")
        if self.source is not None:
            return look(
                trace, len(trace), Place(self.source, "gradient" if backward else "forward")
            )
        array = trace.look("grad" if backward else "value", (self.node, 0))
        return None if array is None else norm(array)


Line = tuple[tuple[int, float], ...]
"""(step of training, number) of each run that was looked at."""


class Watches(QObject):
    """The watches of the document, and their lines; ``step`` says how far training is."""

    changed = Signal()

    def __init__(
        self, document: Document, step: Callable[[], int], parent: QObject | None = None
    ) -> None:
        super().__init__(parent)
        self.document = document
        self._step = step
        self.lines: dict[Watch, Line] = {}
        self._run: object = None
        document.run_changed.connect(self._look)
        document.sample_changed.connect(self._start_anew)
        document.renamed.connect(self.rename)
        document.network_changed.connect(self._keep_known)

    def add(self, watch: Watch) -> bool:
        """Follow one more number; False when there are too many."""
        if watch in self.lines:
            return True
        if len(self.lines) >= MOST:
            return False
        self.lines[watch] = self._points(watch, ())
        self.changed.emit()
        return True

    def remove(self, watch: Watch) -> None:
        """Follow it no longer."""
        if self.lines.pop(watch, None) is not None:
            self.changed.emit()

    def clear(self) -> None:
        """Follow nothing: another project comes."""
        self.lines, self._run = {}, None
        self.changed.emit()

    def rename(self, old: str, new: str) -> None:
        """A node has another id."""
        self.lines = {_renamed(watch, old, new): line for watch, line in self.lines.items()}
        self.changed.emit()

    def _keep_known(self) -> None:
        known = self.document.known_ids
        kept = {watch: line for watch, line in self.lines.items() if watch.node in known}
        if kept != self.lines:
            self.lines = kept
            self.changed.emit()

    def _start_anew(self) -> None:
        """Another picture gives other numbers: its line is another one."""
        self.lines = dict.fromkeys(self.lines, ())
        self._run = None

    def _look(self) -> None:
        run = self.document.run
        if run is None or run is self._run or not run.complete:
            return
        self._run = run
        self.lines = {watch: self._points(watch, line) for watch, line in self.lines.items()}
        if self.lines:
            self.changed.emit()

    def _points(self, watch: Watch, line: Line) -> Line:
        run = self.document.run
        value = watch.read(run.trace) if run is not None and run.complete else None
        if value is None:
            return line
        step = self._step()
        if line and step < line[-1][0]:
            line = ()  # training began again
        if line and step == line[-1][0]:
            line = line[:-1]
        line = (*line, (step, value))
        return line if len(line) <= LONGEST else line[::2]


def _renamed(watch: Watch, old: str, new: str) -> Watch:
    if watch.node != old:
        return watch
    source = watch.source
    if isinstance(source, Cell):
        source = replace(source, node=new)
    elif source is not None:
        source = replace(source, owner=new)
    return replace(watch, node=new, source=source)


def measure_text(measure: Measure) -> str:
    """What is measured, in words."""
    return {
        "value": QCoreApplication.translate("Watches", "value"),
        "gradient": QCoreApplication.translate("Watches", "gradient"),
        "norm": QCoreApplication.translate("Watches", "norm of the value"),
        "gradient norm": QCoreApplication.translate("Watches", "norm of the gradient"),
    }[measure]
