"""The residual paths of the present run, worked out beside the window when somebody looks."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import Any

import numpy as np
from PySide6.QtCore import QObject, QTimer, Signal

from engine.graph import Graph
from engine.paths import PathParts, PathWork, path_parts, path_work
from engine.workers import single_blas
from explorer.background import Background
from explorer.document import Document
from explorer.run import Run

MOST_WORK = 3e9
"""Multiply-adds up to which the parts are worked out unasked: under a second. More is offered."""
LITTLE_WORK = 3e8
"""Multiply-adds up to which nothing is said of the work: it is over before one could read it. Of
more, the parts are measured and not kept."""
SPEED = 4e9
"""Multiply-adds in double precision a second, until one piece of work has been measured."""
TELL_MILLISECONDS = 150
"""How often is said how far the work has come."""


class GivenUpError(Exception):
    """Another run came meanwhile, or nobody wants the parts any more."""


@dataclass(frozen=True)
class PathOffer:
    """What working out the parts would take; ``text`` says it. ``done`` of 1000 while it goes on,
    None while it waits to be asked for.
    """

    text: str
    done: int | None = None


class PathShares(QObject):
    """Follows the document while ``watch`` is on; ``parts`` are those of its latest whole run.

    Work of more than a second is offered and waits for ``begin``; ``cancel`` ends it.
    """

    changed = Signal()

    def __init__(self, document: Document, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.document = document
        self.parts: tuple[PathParts, ...] = ()
        self.note = ""
        """Why there are no parts, in words; empty where there are."""
        self.offer: PathOffer | None = None
        """The work that waits to be asked for, or goes on long enough to speak of."""
        self._worker = Background(self)
        self._watchers: set[str] = set()
        self._wanted = False
        self._graph: Graph | None = None
        self._work: PathWork | None = None
        self._run: Run | None = None
        self._ticket = 0
        self._speed = SPEED
        self._progress = (0, 1)
        self._teller = QTimer(self)
        self._teller.setInterval(TELL_MILLISECONDS)
        self._teller.timeout.connect(self._tell)
        document.run_changed.connect(self._look)
        document.network_changed.connect(self._look)

    @property
    def busy(self) -> bool:
        return self._worker.busy

    def watch(self, on: bool, who: str = "panel") -> None:
        """Work out the parts from now on, or no longer when nobody looks: ``who`` does."""
        (self._watchers.add if on else self._watchers.discard)(who)
        self._look()

    def begin(self) -> None:
        """Do the work that was offered, for this run and for those of this network that follow."""
        self._wanted = True
        self._look()

    def cancel(self) -> None:
        """Give the work up; it is offered again."""
        self._wanted = False
        self._give_up()
        self._look()

    def close(self) -> None:
        self._give_up()
        self._worker.close()

    def _give_up(self) -> None:
        self._ticket += 1  # the thread looks at it between two layers
        self._run = None
        self._teller.stop()

    def _show(
        self, parts: tuple[PathParts, ...], note: str, offer: PathOffer | None = None
    ) -> None:
        if (parts, note, offer) != (self.parts, self.note, self.offer):
            self.parts, self.note, self.offer = parts, note, offer
            self.changed.emit()

    def _look(self) -> None:
        document, run = self.document, self.document.run
        if not self._watchers:
            return
        graph = document.graph
        if graph is not self._graph:
            self._graph, self._wanted = graph, False
            self._work = path_work(graph, document.inference.specs, document.costs)
            if self._work.multiply_adds > LITTLE_WORK:
                self.parts = ()  # those of another network do not stand here for seconds
        work = self._work
        if work is None or not work.joins:
            self._give_up()
            self._show(
                (),
                self.tr(
                    "This network has no skip that meets a branch at an Add, and no Concat that "
                    "keeps a tensor beside what was made of it. Open the residual network (File "
                    "menu) to see its paths."
                ),
            )
            return
        if run is None or document.sample is None:
            self._give_up()
            if document.structure_only and not document.inference.errors:
                self._show((), document.structure_text())
            else:
                self._show((), self.tr("Nothing runs yet: mend the marked layers first."))
            return
        if run is self._run or run.target is None or not run.complete:
            return
        if work.multiply_adds > MOST_WORK and not self._wanted:
            self._give_up()
            self._show((), "", PathOffer(self._estimate(work)))
            return
        self._begin(graph, run, work)

    def _begin(self, graph: Graph, run: Run, work: PathWork) -> None:
        document = self.document
        self._run = run
        self._ticket += 1
        ticket = self._ticket
        parameters = dict(document.parameters)
        inputs = {graph.inputs[0].id: np.asarray(document.x)[None]}
        gains = dict(document.gains)
        targets = {loss.id: np.array([run.target]) for loss in graph.losses}
        self._progress = (0, work.multiply_adds)
        little = work.multiply_adds <= LITTLE_WORK

        def count(done: int, total: int) -> None:
            if ticket != self._ticket:
                raise GivenUpError
            self._progress = (done, total)

        def calculate() -> Any:
            started = time.perf_counter()
            # threads of BLAS beside the window's wait for each other: five times as long;
            # weights that are not finite have no shares
            with single_blas(), np.errstate(all="ignore"):
                parts = path_parts(
                    graph, parameters, inputs, targets, gains, keep=little, progress=count
                )
            return parts, time.perf_counter() - started

        def done(result: Any) -> None:
            if ticket != self._ticket:
                return  # another run came meanwhile
            self._teller.stop()
            if isinstance(result, tuple):
                parts, seconds = result
                if not little and seconds > 0:
                    self._speed = work.multiply_adds / seconds
                self._show(parts, "")
            else:
                self._show((), str(result) or type(result).__name__)

        if not little:
            self._tell()
            self._teller.start()
        self._worker.run(calculate, done)

    def _tell(self) -> None:
        work = self._work
        if work is not None:
            done, total = self._progress
            offer = PathOffer(self._estimate(work), round(1000 * done / max(1, total)))
            self._show(self.parts, "", offer)

    def _estimate(self, work: PathWork) -> str:
        seconds = work.multiply_adds / self._speed
        return self.tr(
            "{blocks} joins: {work:,} million multiply-adds in double precision, about {seconds} s "
            "here and {memory:,} MB of memory."
        ).format(
            blocks=work.joins,
            work=round(work.multiply_adds / 1e6),
            seconds=max(1, math.ceil(seconds)),
            memory=max(1, round(work.memory / 1e6)),
        )
