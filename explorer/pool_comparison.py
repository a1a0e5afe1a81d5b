"""What the other kind of pooling makes of the same maps, worked out while somebody looks."""

from __future__ import annotations

from typing import Any

from PySide6.QtCore import QObject, Signal

from engine.other_pooling import OtherPooling, pooled_otherwise
from explorer.background import Background
from explorer.document import Document

AT_ONCE = 100_000
"""Cells of an input up to which it takes less than a frame; more are worked out in a thread."""


class PoolComparison(QObject):
    """Follows the document at one pooling layer; ``found`` is of the position shown, or None."""

    changed = Signal()

    def __init__(self, document: Document, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.document = document
        self.found: OtherPooling | None = None
        self.note = ""
        """Why there is nothing to compare, in words."""
        self._node = ""
        self._asked: tuple[Any, ...] = ()
        self._worker = Background(self)
        document.run_changed.connect(self._look)
        document.position_changed.connect(self._look)

    def compare(self, node_id: str) -> None:
        """From now on at this layer; an empty id: nobody looks."""
        if node_id != self._node:
            self._node = node_id
            self._look()

    def close(self) -> None:
        self._worker.close()

    def _show(self, found: OtherPooling | None, note: str = "") -> None:
        if found is not self.found or note != self.note:
            self.found, self.note = found, note
            self.changed.emit()

    def _look(self) -> None:
        d = self.document
        node, trace = d.graph.by_id.get(self._node), d.trace
        ref = node.inputs[0] if node is not None and node.inputs else None
        if node is None or trace is None or ref is None:
            self._asked = ()
            self._show(None)
            return
        ran = trace.latest("value", (node.id, 0), d.position)
        sent = bool(trace.sent(node.id, min(d.position, len(trace))))
        asked = (trace, node.layer, ref, ran, sent)
        if self._asked and asked[0] is self._asked[0] and asked[1:] == self._asked[1:]:
            return
        self._asked = asked
        x = trace.look("value", ref, d.position)
        if ran is None or x is None:
            self._show(None, self.tr("Step forward through this layer to compare."))
            return
        dy = trace.look("grad", (node.id, 0), d.position) if sent else None
        layer, maps, gradient = node.layer, x[0], None if dy is None else dy[0]

        def done(result: Any) -> None:
            if asked is not self._asked:
                return  # another step came meanwhile
            if isinstance(result, OtherPooling):
                self._show(result)
            else:
                self._show(None, str(result) or type(result).__name__)

        if maps.size > AT_ONCE:
            self._show(None, self.tr("Pools the maps by the other kind…"))
            self._worker.run(lambda: pooled_otherwise(layer, maps, gradient), done)
            return
        try:
            done(pooled_otherwise(layer, maps, gradient))
        except (ValueError, MemoryError) as error:
            done(error)
