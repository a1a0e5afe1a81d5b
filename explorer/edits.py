"""The undo command: one for every edit, because the network is a value."""

from __future__ import annotations

from PySide6.QtGui import QUndoCommand

from explorer.document import Content, Document

MERGE_ID = 1


class Edit(QUndoCommand):
    """Replaces one content by another.

    ``gesture`` names what may merge: edits in a row with the same gesture (a slider being dragged,
    nodes being nudged) become one entry.
    """

    def __init__(
        self, document: Document, before: Content, after: Content, text: str, gesture: str = ""
    ) -> None:
        super().__init__(text)
        self._document, self._before, self._after = document, before, after
        self._gesture = gesture

    def redo(self) -> None:
        self._document.set_content(self._after)

    def undo(self) -> None:
        self._document.set_content(self._before)

    def id(self) -> int:
        return MERGE_ID if self._gesture else -1

    def mergeWith(self, other: QUndoCommand) -> bool:
        if not isinstance(other, Edit) or other._gesture != self._gesture:
            return False
        self._after = other._after
        self.setObsolete(self._after == self._before)
        return True
