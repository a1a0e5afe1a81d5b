"""The run that is stepped through: one picture, one pass, and the position in it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from PySide6.QtCore import QObject, QTimer, Signal

from engine.optimizers import SGD
from explorer.document import Document
from explorer.notices import Say
from explorer.run import Run
from explorer.settings import Settings

FIRST_SECONDS = 0.03
"""How long a run may hold the window before the rest is computed in the background."""
STEP_RATE = 0.05
"""Learning rate of the update that stepping shows, unless the project says another."""


class Stepping(QObject):
    """Runs the document's network on its picture, moves the position, and plays."""

    playing_changed = Signal(bool)

    def __init__(
        self, document: Document, settings: Settings, say: Say, parent: QObject | None = None
    ) -> None:
        super().__init__(parent)
        self.document, self.settings = document, settings
        self._say = say
        self._holding = False
        self._wanted: int | None = None
        self._play = QTimer(self)
        self._play.timeout.connect(self._play_on)
        document.parameters_changed.connect(self.rerun)
        document.sample_changed.connect(self.rerun)

    # ---- the run ---------------------------------------------------------------------------

    @contextmanager
    def held(self) -> Iterator[None]:
        """Within, nothing runs; after it, the network as it then is."""
        self._holding = True
        try:
            yield
        finally:
            self._holding = False
        self.rerun()

    def stop(self) -> None:
        """Compute no further, and play no further."""
        self.play(False)
        if self.document.run is not None:
            self.document.run.stop()

    def rerun(self) -> None:
        """Run the current sample through the network as it now is."""
        if self._holding:
            return
        document = self.document
        old = document.run
        if old is not None:
            old.stop()
            old.deleteLater()
        self._wanted = None
        run = self._new_run()
        if run is None:
            document.set_run(None, 0)
            self.play(False)
            return
        same = old is not None and old.operations == run.operations
        position = document.position if same else run.forward_length
        run.advance(position, FIRST_SECONDS)
        reached = min(position, len(run.trace))
        document.set_run(run, reached)
        run.progressed.connect(self._progressed)
        if reached < position and not run.error:
            self._wanted = position
        run.finish_in_background()

    def _new_run(self) -> Run | None:
        """A run of the current sample, or None where network and sample do not make one."""
        document = self.document
        graph, sample = document.graph, document.sample
        if sample is None or not graph.nodes or not document.inference.valid:
            return None
        if document.structure_only:
            return None
        if graph.inputs[0].shape != sample.x.shape:
            return None  # only while another project comes in
        label = sample.label if sample.label in range(self._class_count()) else None
        try:
            run = Run(graph, document.parameters, sample.x, label, self._optimizer(), parent=self)
        except (ValueError, MemoryError) as error:
            self._say("warning", str(error) or type(error).__name__)
            return None
        run.failed.connect(lambda text: self._say("error", text))
        return run

    def _optimizer(self) -> SGD:
        """The update that stepping shows; a learning rate that makes no sense is not taken."""
        rate = self.document.settings.get("lr", STEP_RATE)
        usable = isinstance(rate, int | float) and not isinstance(rate, bool) and 0 < rate <= 100
        return SGD(lr=float(rate) if usable else STEP_RATE, momentum=0.0)

    def _class_count(self) -> int:
        """How many classes every loss can be given as its target."""
        document = self.document
        specs = (document.inference.specs.get(x.input) for x in document.graph.losses)
        return min((s.shape[1] for s in specs if s is not None and len(s.shape) == 2), default=0)

    def _progressed(self) -> None:
        """More was computed: move on to where the user wants to be."""
        document = self.document
        run = document.run
        if run is None or self.sender() is not run:
            return
        document.run_changed.emit()
        if self._wanted is None:
            return
        reached = min(self._wanted, len(run.trace))
        if reached == self._wanted or run.error:
            self._wanted = None
        document.set_position(reached)

    # ---- the position ----------------------------------------------------------------------

    def go_to(self, position: int) -> None:
        """Move to where ``position`` operations have been carried out.

        What takes long to compute is gone through as it becomes known.
        """
        run = self.document.run
        if run is None and self.document.structure_only:
            self._say("info", self.document.structure_text())
            return
        if run is None:
            self._say("info", self.tr("Mend the marked layers first: the network cannot run."))
            return
        position = max(0, min(position, len(run.operations)))
        self._wanted = None
        run.advance(position, FIRST_SECONDS)
        reached = min(position, len(run.trace))
        self.document.set_position(reached)
        if reached < position and not run.error:
            self._wanted = position
            run.finish_in_background()

    def next(self) -> None:
        """Carry out one operation."""
        self.go_to(self.document.position + 1)

    def back(self) -> None:
        """Go one operation back; a look-up, exact."""
        self.go_to(self.document.position - 1)

    def to_start(self) -> None:
        """Before the first operation."""
        self.go_to(0)

    def to_end(self) -> None:
        """After the last operation."""
        self.go_to(len(self.document.operations))

    def finish_phase(self) -> None:
        """To the end of the phase that the next operation belongs to (sums count as backward)."""
        operations = self.document.operations
        position = self.document.position

        def group(phase: str) -> str:
            return "backward" if phase == "accumulate" else phase

        if position < len(operations):
            wanted = group(operations[position].phase)
            while position < len(operations) and group(operations[position].phase) == wanted:
                position += 1
        self.go_to(position)

    def run_to(self, node_id: str = "") -> None:
        """To after the next operation of a node (the selected one unless named)."""
        node_id = node_id or next(iter(self.document.selection), "")
        operations = self.document.operations
        start = self.document.position
        if not operations:
            self.go_to(0)  # says why it cannot run
            return
        for i in (*range(start, len(operations)), *range(start)):
            if operations[i].node == node_id:
                self.go_to(i + 1)
                return
        self._say("info", self.tr("Select a layer first, then run to it."))

    # ---- playing ---------------------------------------------------------------------------

    def play(self, on: bool | None = None) -> None:
        """Start or pause playing (None switches)."""
        wanted = not self._play.isActive() if on is None else on
        if wanted and self.document.run is None:
            self.go_to(0)  # says why it cannot run
            self.playing_changed.emit(False)  # the button that was pressed comes up again
            return
        if wanted == self._play.isActive():
            return
        if wanted:
            if self.document.position >= len(self.document.operations):
                self.go_to(0)
            self._play.start(int(1000 / self.settings["play_speed"]))
        else:
            self._play.stop()
        self.playing_changed.emit(wanted)

    def set_play_speed(self, per_second: float) -> None:
        """Operations per second when playing."""
        self.settings.set("play_speed", float(per_second))
        self._play.setInterval(int(1000 / per_second))

    def _play_on(self) -> None:
        if self.document.position >= len(self.document.operations):
            self.play(False)
        else:
            self.next()
