"""Checks of single gradients, worked out beside the window."""

from __future__ import annotations

from typing import Any

import numpy as np
from PySide6.QtCore import QObject

from engine.cell_check import CellCheck, check_cell
from engine.explain import Place, look
from explorer.background import Background
from explorer.document import Document
from explorer.narration import check_parts
from explorer.notices import Say


class Checker(QObject):
    """Measures the slope of the loss at a number; what it found is said with the present step."""

    def __init__(self, document: Document, say: Say, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.document = document
        self._say = say
        self._worker = Background(self)

    def close(self) -> None:
        """The window closes."""
        self._worker.close()

    @property
    def busy(self) -> bool:
        """Whether a gradient is being checked."""
        return self._worker.busy

    def check(self, place: Place | None) -> None:
        """Measure the slope of the loss at a number, and say it beside its gradient."""
        document, run = self.document, self.document.run
        if run is None or document.sample is None:
            text = self.tr("Mend the marked layers first: the network cannot run.")
            self._say("info", document.structure_text() if document.structure_only else text)
            return
        if place is None:
            self._say("info", self.tr("Click a number first, then check its gradient."))
            return
        source, position = place.source, document.position
        gradient = look(run.trace, document.explained, Place(source, "gradient"))
        if gradient is None:
            self._say("info", self.tr("It has no gradient yet: step on into the backward pass."))
            return
        if self._worker.busy:
            return
        graph, parameters = document.graph, dict(document.parameters)
        inputs = {graph.inputs[0].id: np.asarray(document.x)[None]}
        label = run.target  # none where no loss is of classes, such as a sum: the run takes this
        if label is None:
            label = document.sample.label or 0
        targets = {loss.id: np.array([label]) for loss in graph.losses}
        gains = dict(document.gains)

        def work() -> CellCheck:
            with np.errstate(all="ignore"):
                return check_cell(graph, parameters, inputs, targets, source, gains)

        def done(result: Any) -> None:
            if not isinstance(result, CellCheck):
                self._say("warning", str(result) or type(result).__name__)
            elif document.run is run and document.position == position:
                words = check_parts(result, gradient)
                document.set_position(position, document.stop, document.inside, words)

        self._worker.run(work, done)
