"""The residual paths of the present run, worked out beside the window when somebody looks."""

from __future__ import annotations

from typing import Any

import numpy as np
from PySide6.QtCore import QObject, Signal

from engine.graph import Graph
from engine.paths import Meeting, PathParts, path_parts, residual_joins
from explorer.background import Background
from explorer.document import Document

MOST_WORK = 4e9
"""Multiply-adds up to which the parts are worked out: a few seconds in the background."""
MOST_MEMORY = 5e8


class PathShares(QObject):
    """Follows the document while ``watch`` is on; ``parts`` are those of its latest whole run."""

    changed = Signal()

    def __init__(self, document: Document, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.document = document
        self.parts: tuple[PathParts, ...] = ()
        self.note = ""
        """Why there are no parts, in words; empty where there are."""
        self._worker = Background(self)
        self._watching = False
        self._graph = Graph()
        self._joins: tuple[Meeting, ...] = ()
        self._run: object = None
        self._ticket = 0
        document.run_changed.connect(self._look)
        document.network_changed.connect(self._look)

    @property
    def busy(self) -> bool:
        return self._worker.busy

    def watch(self, on: bool) -> None:
        """Work out the parts from now on, or no longer: nobody looks."""
        self._watching = on
        self._look()

    def close(self) -> None:
        self._worker.close()

    def _show(self, parts: tuple[PathParts, ...], note: str) -> None:
        if (parts, note) != (self.parts, self.note):
            self.parts, self.note = parts, note
            self.changed.emit()

    def _look(self) -> None:
        document, run = self.document, self.document.run
        if not self._watching:
            return
        graph = document.graph
        if graph is not self._graph:
            self._graph, self._joins = graph, residual_joins(graph)
        joins = self._joins
        if not joins:
            self._run = None
            self._show(
                (),
                self.tr(
                    "This network has no skip that meets a branch at an Add. Open the residual "
                    "network (File menu) to see its paths."
                ),
            )
            return
        if run is None or document.sample is None:
            self._run = None
            self._show((), self.tr("Nothing runs yet: mend the marked layers first."))
            return
        if self._too_large(len(joins)):
            self._run = None
            self._show(
                (),
                self.tr(
                    "{0} blocks need {0} + 1 passes in double precision: too many for this "
                    "network here."
                ).format(len(joins)),
            )
            return
        target = run.target
        if run is self._run or target is None or not run.complete:
            return
        self._run = run
        self._ticket += 1
        ticket = self._ticket
        parameters = dict(document.parameters)
        inputs = {graph.inputs[0].id: np.asarray(document.x)[None]}
        gains = dict(document.gains)
        targets = {loss.id: np.array([target]) for loss in graph.losses}

        def work() -> Any:
            with np.errstate(all="ignore"):  # weights that are not finite have no shares
                return path_parts(graph, parameters, inputs, targets, gains)

        def done(result: Any) -> None:
            if ticket != self._ticket:
                return  # another run came meanwhile
            if isinstance(result, tuple):
                self._show(result, "")
            else:
                self._show((), str(result) or type(result).__name__)

        self._worker.run(work, done)

    def _too_large(self, blocks: int) -> bool:
        document = self.document
        work = sum(cost.multiply_adds for cost in document.costs.values())
        cells = sum(int(np.prod(spec.shape)) for spec in document.inference.specs.values())
        return 3 * work * (blocks + 1) > MOST_WORK or 3 * 8 * cells * (blocks + 1) > MOST_MEMORY
