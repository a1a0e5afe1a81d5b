"""Requests whose answer stands in a panel, which comes to the front with it."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QObject

from engine.cell import Cell
from engine.explain import Direction, Place
from explorer import panels
from explorer.controller import Controller
from explorer.docks import Docks
from explorer.document import Document
from explorer.notices import Say
from explorer.watches import Watch, Watches


class AnswerPanels(QObject):
    """Asks, and shows the panel that answers, unless the canvas stands alone on a projector."""

    def __init__(
        self,
        document: Document,
        controller: Controller,
        docks: Docks,
        watches: Watches,
        presenting: Callable[[], bool],
        say: Say,
        parent: QObject,
    ) -> None:
        super().__init__(parent)
        self._document, self._controller = document, controller
        self._docks, self._watches = docks, watches
        self._presenting, self._say = presenting, say
        self._extra = ""
        document.position_changed.connect(self._leave_inside)

    def _bring(self, name: str) -> None:
        if not self._presenting():
            self._docks.bring(name)

    def show_panel(self, name: str) -> None:
        """A panel to the front; "weights" is that page of the inspector.

        Of those that the workspace does not have by itself, only the last one stays.
        """
        if name == "weights":
            inspector = self._docks.panel("inspector")
            if isinstance(inspector, panels.Inspector):
                inspector.show_tab("weights")
            name = "inspector"
        if self._docks[name].isHidden():
            if self._extra and self._extra != name:
                self._docks[self._extra].hide()
            self._extra = name
        self._docks.bring(name)

    # ---- where a number came from ----------------------------------------------------------

    def why(self) -> None:
        """Walk to the term that contributed most, and show the number that it leads to."""
        self._controller.asking.why()
        self._bring("cell")

    def other_side(self) -> None:
        """Ask about the gradient of the number, or about the number of the gradient."""
        self._controller.asking.other_side()
        self._bring("cell")

    def explain(self, target: object) -> None:
        """A number was chosen outside the panels beside: say where it came from, if there."""
        self._controller.asking.focus(target)
        if isinstance(target, Cell | Place) and not self._docks["cell"].isHidden():
            self._docks["cell"].raise_()

    def cell_chosen(self, cell: object) -> None:
        """A cell was clicked on the canvas: say where it came from."""
        if not self._answered(cell):
            self.explain(cell)

    def cell_chosen_beside(self, cell: object) -> None:
        """A cell was clicked in a panel, which stays in front."""
        if not self._answered(cell):
            self._controller.asking.focus(cell)

    def _answered(self, cell: object) -> bool:
        """A cell answers what is asked, where it is one of the choices."""
        stepping = self._controller.stepping
        asked = stepping.question
        if asked is None or cell not in asked.cells:
            return False
        stepping.answer(asked.cells.index(cell))
        return True

    def side_asker(self, side: Direction) -> Callable[[object], None]:
        """The slot for cells that are clicked in maps of values, or of gradients."""

        def ask(cell: object) -> None:
            if isinstance(cell, Cell):
                self._controller.asking.ask_side(cell, side)

        return ask

    def watch(self) -> None:
        """Follow the selected number, else the gradient of the selected layer."""
        d, place = self._document, self._controller.asking.place
        if place is not None:
            forward = place.direction == "forward"
            wanted = Watch(place.source.node, "value" if forward else "gradient", place.source)
        elif len(d.selection) == 1:
            wanted = Watch(next(iter(d.selection)), "gradient norm")
        else:
            self._say("info", self.tr("Click a cell or select a layer first, then watch it."))
            return
        if not self._watches.add(wanted):
            text = self.tr("No more than {0} numbers are watched at once.")
            self._say("info", text.format(len(self._watches.lines)))
            return
        self._bring("watches")

    # ---- layers and blocks -----------------------------------------------------------------

    def look_inside(self) -> None:
        """Into the operation, and its panel to the front."""
        self._controller.stepping.look_inside()
        if self._document.inside is not None:
            self._docks.bring("inside")  # also in a presentation, which shows nothing else of it

    def _leave_inside(self) -> None:
        """A presentation is canvas and narration again once nothing is looked into."""
        if self._presenting() and self._document.inside is None:
            self._docks["inside"].hide()

    def open_node(self, node_id: str) -> None:
        """Select a node and show its tensors."""
        self._controller.select({node_id})
        self._docks.bring("inspector")

    def rename_block(self, path: str) -> None:
        """A block is renamed where its name stands: in the outline."""
        outline = self._docks.panel("outline")
        self._docks.bring("outline")
        if isinstance(outline, panels.Outline):
            outline.edit_group(path)

    def save_block(self) -> None:
        """Keep the selection in the palette, where its name can be typed at once."""
        if name := self._controller.blocks.save_block(self._document.selection):
            palette = self._docks.panel("layers")
            self._docks.bring("layers")
            if isinstance(palette, panels.Palette):
                palette.edit_own_block(name)
