"""Numbers that are followed over the steps of training: cells, and norms of layers.

Each time training brings new weights, the picture on the canvas is run again; what that run
recorded is a point of the line. Nothing is measured in between. Watches are kept with the project,
with their lines and the mark of the picture that these are of.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

import numpy as np
from PySide6.QtCore import QCoreApplication, QObject, Signal

from engine.cell import Cell
from engine.explain import Place, Weight, look
from engine.packed import packed, unpacked
from engine.statistics import norm
from engine.trace import Trace
from explorer.document import Document

Measure = Literal["value", "gradient", "norm", "gradient norm"]
KEPT = "watches"
"""Their name in the settings of a project."""
MOST = 24
LONGEST = 4_000
"""Points of a line; beyond, every other one is left out."""
KEPT_POINTS = 1_000
"""Points of a line in a file."""


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
    edited = Signal()
    """The user follows one more number, or one less."""

    def __init__(
        self, document: Document, step: Callable[[], int], parent: QObject | None = None
    ) -> None:
        super().__init__(parent)
        self.document = document
        self._step = step
        self.lines: dict[Watch, Line] = {}
        self._marks: dict[Watch, int] = {}
        """The picture of each line that came with the project."""
        self._run: object = None
        document.keeping.connect(self._keep)
        document.loaded.connect(self._read)
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
        self.edited.emit()
        return True

    def remove(self, watch: Watch) -> None:
        """Follow it no longer."""
        self._marks.pop(watch, None)
        if self.lines.pop(watch, None) is not None:
            self.changed.emit()
            self.edited.emit()

    def clear(self) -> None:
        """Follow nothing: another project comes."""
        self.lines, self._marks, self._run = {}, {}, None
        self.changed.emit()

    def _keep(self, kept: dict[str, Any]) -> None:
        kept[KEPT] = to_plain(self.lines, self._mark, self._marks)

    def _read(self) -> None:
        """Take over the watches of a project that was opened, with their lines."""
        known = self.document.known_ids
        found = from_plain(self.document.settings.get(KEPT))
        self.lines = {w: line for w, (line, _) in found.items() if w.node in known}
        self._marks = {w: mark for w, (_, mark) in found.items() if w.node in known}
        self._run = None
        self.changed.emit()

    @property
    def _mark(self) -> int:
        """Of the picture that the network is shown, and of what counts as right."""
        sample = self.document.sample
        if sample is None:
            return 0
        return zlib.crc32(np.ascontiguousarray(sample.x).tobytes(), sample.label or 0)

    def rename(self, old: str, new: str) -> None:
        """A node has another id."""
        self.lines = {_renamed(watch, old, new): line for watch, line in self.lines.items()}
        self._marks = {_renamed(watch, old, new): mark for watch, mark in self._marks.items()}
        self.changed.emit()

    def _keep_known(self) -> None:
        known = self.document.known_ids
        kept = {watch: line for watch, line in self.lines.items() if watch.node in known}
        if kept != self.lines:
            self.lines = kept
            self.changed.emit()

    def _start_anew(self) -> None:
        """Another picture gives other numbers: its line is another one.

        Lines that came with the project stay until there are points to replace them.
        """
        self.lines = {w: line if w in self._marks else () for w, line in self.lines.items()}
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
        if watch in self._marks:
            same = self._marks[watch] == self._mark
            if not same and line and step == line[-1][0]:
                return line  # nothing was trained since: what it was stays in sight
            del self._marks[watch]
            line = line if same else ()
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


# ---- keeping -----------------------------------------------------------------------------------


def to_plain(
    lines: Mapping[Watch, Line], mark: int, marks: Mapping[Watch, int]
) -> list[dict[str, Any]]:
    """For the project's settings; ``mark`` is of the picture of all lines without one of their own.

    A long line is thinned to ``KEPT_POINTS``.
    """
    found = []
    for watch, line in lines.items():
        entry: dict[str, Any] = {"node": watch.node, "measure": watch.measure}
        source = watch.source
        if isinstance(source, Cell):
            entry |= {"port": source.port, "index": list(source.index)}
        elif source is not None:
            entry |= {"parameter": source.name, "index": list(source.index)}
        every = -(-len(line) // KEPT_POINTS)
        kept = line[::-1][:: max(1, every)][::-1]  # the last one stays
        entry["picture"] = marks.get(watch, mark)
        entry["line"] = packed(np.array(kept, np.float64))
        found.append(entry)
    return found


def from_plain(data: object) -> dict[Watch, tuple[Line, int]]:
    """What ``to_plain`` wrote, each with the mark of its picture; other entries are left out."""
    entries = data[:MOST] if isinstance(data, list) else []
    found = (_entry(entry) for entry in entries if isinstance(entry, dict))
    return {watch: (line, mark) for watch, line, mark in filter(None, found)}


def _entry(entry: Mapping[str, Any]) -> tuple[Watch, Line, int] | None:
    node, mark = entry.get("node"), entry.get("picture")
    measure: Measure | None = next(
        (m for m in get_args(Measure) if m == entry.get("measure")), None
    )
    if not isinstance(node, str) or measure is None or type(mark) is not int:
        return None
    source: Cell | Weight | None = None
    if "index" in entry:
        index, name, port = entry["index"], entry.get("parameter"), entry.get("port", 0)
        if not isinstance(index, list) or any(type(i) is not int or i < 0 for i in index):
            return None
        if isinstance(name, str):
            source = Weight(node, name, tuple(index))
        elif name is None and type(port) is int and port >= 0:
            source = Cell(node, port, tuple(index))
        else:
            return None
    if (source is None) != measure.endswith("norm"):
        return None
    try:
        points = unpacked(entry.get("line")).reshape(-1, 2)
    except ValueError:
        return None
    steps = points[:, 0]
    if len(points) > LONGEST or not np.isfinite(steps).all() or (np.diff(steps) <= 0).any():
        return None
    return Watch(node, measure, source), tuple((int(s), float(v)) for s, v in points), mark


def measure_text(measure: Measure) -> str:
    """What is measured, in words."""
    return {
        "value": QCoreApplication.translate("Watches", "value"),
        "gradient": QCoreApplication.translate("Watches", "gradient"),
        "norm": QCoreApplication.translate("Watches", "norm of the value"),
        "gradient norm": QCoreApplication.translate("Watches", "norm of the gradient"),
    }[measure]
