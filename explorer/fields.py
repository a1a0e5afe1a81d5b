"""What the focused cell sees and changes: asked of the engine once, for all views that show it."""

from __future__ import annotations

import contextlib

from PySide6.QtCore import QObject, QTimer, Signal

from engine.fields import Fields, fields_of
from engine.graph import GraphError
from explorer.document import Document
from explorer.settings import Settings

# From so many layers on, the fields come after the ring: they would take too long at once.
MANY = 1000


class FieldsInSight(QObject):
    """Follows the focus of the document. ``found`` is for words, ``shown`` for what is drawn."""

    found_changed = Signal(object)  # Fields, or None without a focus
    shown_changed = Signal(object)  # the same while they are to be drawn, else None

    def __init__(
        self, document: Document, settings: Settings, parent: QObject | None = None
    ) -> None:
        super().__init__(parent)
        self._document, self._settings = document, settings
        self.found: Fields | None = None
        self._soon = QTimer(self)
        self._soon.setSingleShot(True)
        self._soon.setInterval(0)
        self._soon.timeout.connect(self._refresh)
        document.focus_changed.connect(self._follow)
        # at once: nothing of the network before may be drawn on the next one
        document.network_changed.connect(self._refresh)

    @property
    def on(self) -> bool:
        """Whether the fields are drawn."""
        return bool(self._settings["receptive_field"])

    @property
    def shown(self) -> Fields | None:
        """What is to be drawn: fields of a cell that the user chose."""
        return self.found if self.on and self._document.focus_chosen else None

    def toggle(self) -> None:
        """Draw the fields, or no longer; remembered."""
        self._settings.set("receptive_field", not self.on)
        self.shown_changed.emit(self.shown)

    def _follow(self) -> None:
        """With the ring, so that both are painted at once; a large network gets the ring first."""
        if len(self._document.graph.nodes) < MANY:
            self._refresh()
        else:
            self._soon.start()

    def _refresh(self) -> None:
        self._soon.stop()
        document, cell = self._document, self._document.focus
        found = None
        if cell is not None and (cell.node, cell.port) in document.inference.specs:
            with contextlib.suppress(GraphError):  # the layer has become smaller than the index
                found = fields_of(document.graph, cell, document.inference.specs)
        self.found = found
        self.found_changed.emit(found)
        self.shown_changed.emit(self.shown)
