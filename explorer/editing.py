"""How an edit is made: tried, then one entry of the undo stack, or refused with a reason."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from PySide6.QtCore import QObject, Signal
from PySide6.QtGui import QUndoStack

from engine.graph import Graph, GraphError
from engine.layers.base import HyperparameterError, ShapeError
from explorer import edits
from explorer.document import Content, Document, Memory
from explorer.edits import Edit
from explorer.folding import moved_folds, view
from explorer.layouts import Layouts
from explorer.notices import Say


class Editing(QObject):
    """Owns the undo stack and knows how a network is laid out; all edits go through here."""

    arranged = Signal()
    """The network stands in other places."""
    added = Signal(object)
    """These ids are new, and may stand where nobody looks."""

    def __init__(self, document: Document, say: Say, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.document, self._say = document, say
        self.undo_stack = QUndoStack(self)
        self.layouts = Layouts()

    def change(
        self,
        text: str,
        change: Callable[[Graph], Graph],
        positions: Mapping[str, tuple[float, float]] | None = None,
        *,
        gesture: str = "",
        added: tuple[str, float, float] | None = None,
        restore: Memory | None = None,
        renamed: Mapping[str, str] | None = None,
    ) -> bool:
        """Try a change of the network; push it as one undo entry, or say why it cannot be.

        ``added`` = (id, x, y) is a new node on the way: an automatic layout is made anew, one
        made by hand stays and makes room.
        """
        document = self.document
        try:
            graph = change(document.graph)
            edits.check(graph)
        except (GraphError, ShapeError, HyperparameterError, IndexError) as error:
            self._say("warning", str(error))
            return False
        automatic = added is not None and self.layouts.is_automatic(document.view, document.layout)
        before = document.content.renamed(renamed) if renamed else document.content
        folded = moved_folds(document.folded, renamed) if renamed else document.folded
        shown = view(graph, folded)
        if automatic:
            layout = self.layouts.place(shown)
        else:
            layout = dict(document.layout)
            if renamed:
                layout = dict(Content(layout=layout).renamed(renamed).layout)
            if added is not None:
                layout = edits.with_room(layout, *added)
            layout.update(positions or {})
            known = shown.graph.by_id.keys() | graph.input_ids | {x.id for x in graph.losses}
            layout = {k: v for k, v in layout.items() if k in known}
        if shown.key and self.layouts.is_automatic(view(document.graph, ()), before.layout):
            # It is made when the blocks are opened: a large network is edited folded for that.
            before = replace(before, layout={})
        after = replace(before.arranged(shown.key, layout), graph=graph)
        if after == document.content:
            return False
        self.undo_stack.push(
            Edit(document, document.content, after, text, gesture, restore, renamed)
        )
        if automatic:
            self.arranged.emit()
        return True

    def splice(self, text: str, change: Callable[[Graph], Graph], above: str) -> bool:
        """Add several layers below a card: those below make room, or all is laid out anew.

        As ``change``: one undo entry, or it is said why it cannot be.
        """
        document = self.document
        automatic = self.layouts.is_automatic(document.view, document.layout)
        before = set(document.graph.by_id)
        try:
            graph = change(document.graph)
        except (GraphError, HyperparameterError) as error:
            self._say("warning", str(error))
            return False
        positions: dict[str, tuple[float, float]] = {}
        new = {n.id for n in graph.nodes} - before
        if automatic:
            positions = self.layouts.place(view(graph, document.folded))
        else:
            positions = edits.placed_behind(document.layout, graph, new, above)
        if not self.change(text, lambda _: graph, positions):
            return False
        if automatic:
            self.arranged.emit()
        return True

    def push(self, after: Content, text: str, gesture: str = "") -> None:
        """One undo entry that only moves cards."""
        document = self.document
        self.undo_stack.push(Edit(document, document.content, after, text, gesture))
