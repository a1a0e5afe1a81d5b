"""The number that is asked about: where it came from, and the way that led to it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from PySide6.QtCore import QObject, Signal

from engine.cell import Cell
from engine.explain import Direction, Place, Weight, look, why
from explorer.document import Document
from explorer.notices import Say
from explorer.stepping import Stepping
from explorer.trail import Trail


class Asking(QObject):
    """Moves the focus of the document, and remembers the way; neither is an undo entry."""

    trail_changed = Signal()
    """Another number is asked about, or the way that led to it is another."""

    def __init__(
        self,
        document: Document,
        stepping: Stepping,
        say: Say,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self.document, self.stepping, self._say = document, stepping, say
        self._walking = False
        self._trail = Trail(lambda place: place.source.node in document.known_ids)
        document.focus_changed.connect(self._focus_moved)
        document.position_changed.connect(self._follow_inside)

    def forget(self) -> None:
        """The next project's way begins."""
        self._trail.clear()

    def focus(self, target: object) -> None:
        """Mark one cell everywhere (and select its node); an id selects; None marks nothing.

        A Place says besides whether the value or the gradient is asked about, and may be a weight,
        which is no cell: then the ring stays where it is.
        """
        if isinstance(target, str):
            self.document.select({target})
        elif isinstance(target, Cell | Place):
            self._visit(target if isinstance(target, Place) else self._place_of_click(target))
        else:
            self.document.set_focus(None)

    @property
    def place(self) -> Place | None:
        """The number that is asked about."""
        here = self._trail.here
        if here is not None and isinstance(here.source, Cell) and self.document.focus is None:
            return None
        return here

    @property
    def way(self) -> tuple[Place, ...]:
        """The places that led to the present one, each a term of the one before it."""
        return () if self.place is None else self._trail.way

    @property
    def can_go_back(self) -> bool:
        """Whether a number was looked at before."""
        return self._trail.earlier() is not None

    @property
    def can_go_forward(self) -> bool:
        """Whether one has walked back, so that there is a number to return to."""
        return self._trail.later() is not None

    def _place_of_click(self, cell: Cell) -> Place:
        """A clicked cell is asked about on the side that is looked at, once that is known."""
        here, trace = self._trail.here, self.document.trace
        if here is not None and here.source == cell:
            return here
        wanted = Place(cell, here.direction if here is not None else "forward")
        if trace is None or look(trace, self.document.position, wanted) is None:
            return Place(cell)
        return wanted

    def _visit(self, place: Place) -> None:
        """Go to a place and remember the way."""
        if place.source.node in self.document.known_ids:
            self._trail.visit(place)
            self._show_place()

    def _show_place(self) -> None:
        place = self._trail.here
        if place is None:
            return
        if isinstance(place.source, Cell):
            self.document.set_focus(place.source)
        self.document.select({place.source.node})
        self.trail_changed.emit()

    def _focus_moved(self) -> None:
        """A focus that was renamed with its node is another place; one that went away is none."""
        focus, here = self.document.focus, self._trail.here
        if focus is not None and here is not None and isinstance(here.source, Cell):
            self._trail.rename(replace(here, source=focus))
        self.trail_changed.emit()

    def _follow_inside(self) -> None:
        """Inside of an operation the cell that one stands at is the focus: one place of the way."""
        sheet, at = self.stepping.sheet, self.document.inside
        if sheet is None or at is None:
            self._walking = False
            return
        place = sheet.place(sheet.here(at))
        if self._walking:
            self._trail.rename(place)
        else:
            self._trail.visit(place)
        self._walking = True
        if isinstance(place.source, Cell):
            self.document.set_focus(place.source, chosen=False)
        self.trail_changed.emit()

    def why(self) -> None:
        """Walk to the term that contributed most; from nothing, to the network's answer."""
        document, place = self.document, self.place
        if document.trace is None:
            self.stepping.go_to(0)  # says why there is nothing
            return
        if place is None:
            answer = self._answer()
            if answer is None:
                self._say("info", self.tr("Click a cell of a map first, then ask why."))
            else:
                self._visit(Place(answer))
            return
        found = why(document.graph, document.trace, document.explained, place)
        if found is not None:
            self._visit(found)
        elif look(document.trace, document.explained, place) is None:
            self._say("info", self.tr("This is not computed yet: step on first."))
        elif isinstance(place.source, Weight):
            self._say("info", self.tr("This is a weight: training made it. The way ends here."))
        elif place.source.node in document.graph.input_ids:
            self._say(
                "info", self.tr("This is a pixel: it was given to the network. The way ends here.")
            )
        else:
            self._say("info", self.tr("Nothing took part in this number. The way ends here."))

    def _answer(self) -> Cell | None:
        """The largest score of the network, once it is computed."""
        document = self.document
        refs = [x.input for x in document.graph.losses] or [r for _, r in document.graph.outputs]
        for ref in refs:
            trace = document.trace
            scores = trace.look("value", ref, document.position) if trace is not None else None
            if scores is not None and scores[0].size:
                index = np.unravel_index(int(scores[0].argmax()), scores[0].shape)
                return Cell(ref[0], ref[1], tuple(int(i) for i in index))
        return None

    def why_back(self, steps: int = 1) -> None:
        """Walk back to a number that was asked about before."""
        for _ in range(steps):
            earlier = self._trail.earlier()
            if earlier is None:
                break
            self._trail.go(earlier)
        self._show_place()

    def why_forward(self) -> None:
        """Walk forward again, where one has walked back."""
        later = self._trail.later()
        if later is not None:
            self._trail.go(later)
            self._show_place()

    def ask_side(self, cell: Cell, side: Direction) -> None:
        """A cell was clicked in a map of values, or of gradients: ask about that.

        The click has made the cell the focus already; then it is one place, not two.
        """
        wanted, here = Place(cell, side), self._trail.here
        if here is not None and here.source == cell and not here.followed:
            trace, position = self.document.trace, self.document.position
            if trace is not None and look(trace, position, wanted) is not None:
                self._trail.rename(wanted)
                self.trail_changed.emit()
        else:
            self._visit(wanted)

    def other_side(self) -> None:
        """Ask about the gradient of the number, or about the number of the gradient."""
        place = self.place
        if place is None:
            self.why()
            return
        other: Direction = "gradient" if place.direction == "forward" else "forward"
        self._visit(Place(place.source, other, followed=True))
