"""Layers copied with their weights: to the clipboard and back, or to a place beside."""

from __future__ import annotations

from collections.abc import Iterable

from PySide6.QtCore import QObject

from engine.graph import GraphError
from explorer import edits
from explorer.clipping import ClippingError, clip, from_text, to_text
from explorer.document import Document, Memory
from explorer.editing import Editing
from explorer.folding import card_id, copied, moved_folds, view
from explorer.notices import Say


class Clipboard(QObject):
    """What is put into the network is one undo entry, and selected."""

    def __init__(
        self, document: Document, editing: Editing, say: Say, parent: QObject | None = None
    ) -> None:
        super().__init__(parent)
        self.document, self._editing, self._say = document, editing, say

    def copy(self, ids: Iterable[str]) -> str:
        """Layers with their weights as text for the clipboard; empty when there are none."""
        document = self.document
        layout = self._editing.layouts.complete(view(document.graph, ()), document.content.layout)
        clipping = clip(document.graph, layout, document.parameters, set(ids))
        return to_text(clipping) if clipping.nodes else ""

    def paste(self, text: str) -> None:
        """Add layers from the clipboard, at the free place nearest to where they stood.

        Their weights come along.
        """
        document = self.document
        try:
            clipping = from_text(text)
            result, names = edits.pasted(document.graph, clipping.nodes)
        except (ClippingError, GraphError) as error:
            self._say("warning", str(error))
            return
        spots = {names[old]: spot for old, spot in clipping.layout.items()}
        places = edits.in_free_place(document.layout, spots)
        weights: Memory = {
            (names[owner], name, array.shape): array
            for (owner, name), array in clipping.weights.items()
            if owner in names
        }
        count = len(names)
        what = next(iter(names.values())) if count == 1 else self.tr("{0} layers").format(count)
        if self._editing.change(
            self.tr("Paste {0}").format(what), lambda _: result, places, restore=weights
        ):
            self.document.select(set(names.values()))
            self._editing.added.emit(frozenset(names.values()))
            if not clipping.complete:
                self._say(
                    "info", self.tr("The weights were too large to copy: these layers start anew.")
                )

    def duplicate(self, ids: Iterable[str], dx: float, dy: float) -> None:
        """Copy layers with their weights, and the connections among them, to a place beside."""
        document = self.document
        graph, layout = document.graph, document.layout
        result, names = edits.duplicated(graph, set(ids))
        if not names:
            return
        paths = copied(graph, names)[1]
        copies = {**names, **{card_id(old): card_id(new) for old, new in paths.items()}}
        positions = {
            new: (layout[old][0] + dx, layout[old][1] + dy)
            for old, new in copies.items()
            if old in layout
        }
        # Copies of blocks are folded where these are.
        document.set_folded(document.folded | moved_folds(document.folded, names))
        owners = {names[n.id]: n.owner for n in graph.nodes if n.id in names}
        weights: Memory = {
            (new, name, array.shape): array
            for new, owner in owners.items()
            for (o, name), array in document.parameters.items()
            if o == owner
        }
        if self._editing.change(
            self.tr("Duplicate {0}").format(", ".join(list(names)[:3])),
            lambda _: result,
            positions,
            restore=weights,
        ):
            self.document.select(set(names.values()))
