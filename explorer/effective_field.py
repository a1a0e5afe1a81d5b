"""How much each pixel really changes a cell: measured beside the window, while somebody looks."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from PySide6.QtCore import QObject, QTimer, Signal

from engine.cell import Cell
from engine.fields import Fields, Spread, centre, effective_receptive_field, fields_of, spread
from engine.graph import Graph, GraphError, Ref
from engine.layers.base import Array
from engine.workers import single_blas
from explorer.background import Background
from explorer.document import Document
from explorer.pictures import Pictures

Over = Literal["pictures", "picture"]
MOST_PICTURES = 64
"""How many of the shipped pictures are averaged over, where that takes no longer than a second."""
MOST_WORK = 6e9
"""Multiply-adds for all pictures together, forward and back."""
BATCH = 8


class GivenUpError(Exception):
    """Another cell or network is asked about."""


@dataclass(frozen=True, eq=False)
class Measured:
    """Mean |∂ cell / ∂ input| (C, H, W) over so many pictures; ``fields`` are the theoretical."""

    cell: Cell
    input: str
    graph: Graph
    effective: Array
    pictures: int
    fields: Fields
    spread: Spread | None


class EffectiveField(QObject):
    """Follows the chosen cell, else the middle one of the selected layer."""

    changed = Signal()

    def __init__(
        self, document: Document, pictures: Pictures, parent: QObject | None = None
    ) -> None:
        super().__init__(parent)
        self._document, self._pictures = document, pictures
        self._worker = Background(self)
        self._watching = False
        self._ticket = 0
        self._asked: tuple[Any, ...] | None = None
        self.over: Over = "pictures"
        self.measured: Measured | None = None
        self.note = ""
        """Why there is no measurement, in words."""
        self.progress: tuple[int, int] | None = None
        """Pictures that are done, of how many, while it is being measured."""
        self._counted = (0, 1)
        self._soon = QTimer(self)
        self._soon.setSingleShot(True)
        self._soon.setInterval(0)
        self._soon.timeout.connect(self._look)
        self._teller = QTimer(self)
        self._teller.setInterval(100)
        self._teller.timeout.connect(self._tell)
        for signal in (
            document.focus_changed,
            document.selection_changed,
            document.network_changed,
            document.parameters_changed,
            document.sample_changed,
            document.what_if_changed,
        ):
            signal.connect(self._ask)

    @property
    def busy(self) -> bool:
        return self._worker.busy

    def watch(self, on: bool) -> None:
        """Measure from now on, or no longer: nobody looks."""
        self._watching = on
        self._ask()

    def set_over(self, over: Over) -> None:
        """Average over the shipped pictures, or take the one that is shown."""
        self.over = over
        self._ask()

    def close(self) -> None:
        self._ticket += 1
        self._worker.close()

    def cell(self) -> Cell | None:
        """The cell that is asked about: the chosen one, else the middle of the selected layer."""
        d = self._document
        if d.focus is not None and d.focus.node in d.graph.by_id:
            return d.focus
        last = self.measured
        if d.focus is not None and last is not None and last.graph is d.graph:
            return last.cell  # a pixel of the picture was chosen: what counts for it is no question
        chosen = [name for name in d.selection if name in d.graph.by_id]
        ref: Ref | None = (chosen[0], 0) if len(chosen) == 1 else None
        if ref is None:
            maps = [n.id for n in d.graph.order if len(_shape(d, (n.id, 0))) == 4]
            ref = (maps[-1], 0) if maps else None
        specs = d.inference.specs
        return centre(ref, specs) if ref is not None and ref in specs else None

    def _ask(self) -> None:
        if self._watching:
            self._soon.start()

    def _show(self, measured: Measured | None, note: str = "") -> None:
        self.measured, self.note, self.progress = measured, note, None
        self._teller.stop()
        self.changed.emit()

    def _look(self) -> None:
        d, cell = self._document, self.cell()
        signature = (d.graph, id(d.parameters), cell, self.over, self._sample_key())
        if signature == self._asked:
            return
        self._asked = signature
        self._ticket += 1
        if cell is None or len(d.graph.inputs) != 1 or len(d.graph.inputs[0].shape) != 3:
            self._show(None, self.tr("Select a layer of a network that looks at one picture."))
            return
        if d.structure_only or d.inference.errors or d.x is None:
            text = d.structure_text() if d.structure_only else ""
            self._show(None, text or self.tr("Nothing runs yet: mend the marked layers first."))
            return
        try:
            fields = fields_of(d.graph, cell, d.inference.specs)
        except GraphError as error:
            self._show(None, str(error))
            return
        self._begin(cell, fields)

    def _sample_key(self) -> Any:
        d = self._document
        if self.over == "picture":
            return (id(d.sample), tuple(d.pixels.items()))
        return d.graph.inputs[0].shape if d.graph.inputs else None

    def _begin(self, cell: Cell, fields: Fields) -> None:
        d, ticket = self._document, self._ticket
        graph, parameters = d.graph, dict(d.parameters)
        name = graph.inputs[0].id
        if self.over == "picture":
            found = [np.asarray(d.x)]
        else:
            work = 3 * max(1, sum(cost.multiply_adds for cost in d.costs.values()))
            found = self._pictures.some(max(1, min(MOST_PICTURES, math.floor(MOST_WORK / work))))
        pictures = np.stack(found)
        self._counted = (0, len(pictures))

        def count(done: int, total: int) -> None:
            if ticket != self._ticket:
                raise GivenUpError
            self._counted = (done, total)

        def calculate() -> Measured:
            # threads of BLAS beside the window's would wait for each other
            with single_blas(), np.errstate(all="ignore"):
                effective = effective_receptive_field(
                    graph, parameters, cell, pictures, batch=BATCH, progress=count
                )
            return Measured(cell, name, graph, effective, len(pictures), fields, spread(effective))

        def done(result: Any) -> None:
            if ticket != self._ticket:
                return
            if isinstance(result, Measured):
                self._show(result)
            else:
                self._show(None, str(result) or type(result).__name__)

        self._teller.start()
        self._worker.run(calculate, done)

    def _tell(self) -> None:
        if self._counted != self.progress:
            self.progress = self._counted
            self.changed.emit()


def _shape(document: Document, ref: Ref) -> tuple[int, ...]:
    spec = document.inference.specs.get(ref)
    return () if spec is None else tuple(spec.shape)
