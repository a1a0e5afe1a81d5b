"""Where the cards stand: moved by hand, put in line, laid out anew."""

from __future__ import annotations

from collections.abc import Mapping

from PySide6.QtCore import QObject

from explorer.alignment import Side, Way, aligned, arranged, distributed
from explorer.document import Document
from explorer.editing import Editing
from explorer.notices import Say


class Arranging(QObject):
    """The network stays; each is one undo entry, and moves of one gesture become one."""

    def __init__(
        self, document: Document, editing: Editing, say: Say, parent: QObject | None = None
    ) -> None:
        super().__init__(parent)
        self.document, self._editing, self._say = document, editing, say

    def move(self, positions: Mapping[str, tuple[float, float]]) -> None:
        """Put nodes elsewhere."""
        document = self.document
        known = document.layout.keys()
        after = document.move(
            {k: (float(x), float(y)) for k, (x, y) in positions.items() if k in known}
        )
        if after != document.content:
            gesture = "move " + " ".join(sorted(positions))
            moved = [name.removesuffix("/") for name in list(positions)[:3]]
            text = self.tr("Move {0}").format(", ".join(moved))
            self._editing.push(after, text, gesture)

    def arrange(self) -> None:
        """Lay the whole network out anew."""
        document = self.document
        view = document.view
        after = document.content.arranged(view.key, self._editing.layouts.place(view))
        if after != document.content:
            self._editing.push(after, self.tr("Arrange the network"))
            self._editing.arranged.emit()

    def align(self, side: Side) -> None:
        """Put the selected cards in line."""
        places = self._selected_places()
        if len(places) < 2:
            self._say("info", self.tr("Select two layers or more to align them."))
            return
        text = {
            "left": self.tr("Align {0} cards left"),
            "centre": self.tr("Align the centres of {0} cards"),
            "right": self.tr("Align {0} cards right"),
            "top": self.tr("Align {0} cards at the top"),
            "middle": self.tr("Align the middles of {0} cards"),
            "bottom": self.tr("Align {0} cards at the bottom"),
        }[side]
        self._place(aligned(places, side), text.format(len(places)))

    def distribute(self, way: Way) -> None:
        """Put the selected cards at equal distances."""
        places = self._selected_places()
        if len(places) < 3:
            self._say("info", self.tr("Select three layers or more to distribute them."))
            return
        self._place(distributed(places, way), self.tr("Distribute {0} cards").format(len(places)))

    def arrange_selection(self) -> None:
        """Lay the selected cards out anew; the others stay."""
        places, shown = self._selected_places(), self.document.view.graph
        if not places:
            self._say("info", self.tr("Select layers first: they are laid out anew."))
            return
        text = self.tr("Arrange {0} cards").format(len(places))
        self._place(arranged(shown, places, places), text)

    def _selected_places(self) -> dict[str, tuple[float, float]]:
        document = self.document
        cards = document.view.cards(document.selection)
        return {card: spot for card, spot in document.layout.items() if card in cards}

    def _place(self, positions: Mapping[str, tuple[float, float]], text: str) -> None:
        """Put cards elsewhere, as one entry of its own."""
        document = self.document
        after = document.move(positions)
        if after != document.content:
            self._editing.push(after, text)
