"""Folding and unfolding of blocks: how one looks at the network, and no entry of the undo stack."""

from __future__ import annotations

from collections.abc import Iterable

from PySide6.QtCore import QObject

from explorer import folding
from explorer.document import Document
from explorer.notices import Say


class Folds(QObject):
    """Changes which groups the document shows as one card."""

    def __init__(self, document: Document, say: Say, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.document = document
        self._say = say

    def fold(self, paths: Iterable[str]) -> None:
        """Show these groups as one card each; says so where another layer lies between."""
        document, wanted = self.document, frozenset(paths)
        known = folding.groups(document.graph)
        for path in sorted(wanted):
            if len(known.get(path, ())) < folding.FEWEST:
                wanted -= {path}
            elif not self._foldable(path, known[path]):
                return
        document.set_folded(document.folded | wanted)
        left_open = wanted - document.view.key
        left_open -= {p for p in left_open if document.view.key & set(folding.parents(p))}
        if left_open:
            text = self.tr("{0} stays open: it and another folded block feed each other.")
            self._say("info", text.format(min(left_open)))

    def _foldable(self, path: str, ids: Iterable[str]) -> bool:
        amid = folding.between(self.document.graph, frozenset(ids))
        if amid is None:
            return True
        text = self.tr("{0} cannot be folded: {1} lies between its layers. Group it with them.")
        self._say("info", text.format(path, amid))
        return False

    def say_if_open(self, path: str) -> None:
        """Say it of a new group that could not be folded."""
        self._foldable(path, folding.groups(self.document.graph).get(path, ()))

    def unfold(self, paths: Iterable[str]) -> None:
        """Open these groups in their place; folded groups within them stay folded."""
        self.document.set_folded(self.document.folded - frozenset(paths))

    def toggle(self, ids: Iterable[str]) -> None:
        """Open the blocks that these are folded into, else fold the innermost around them."""
        document, chosen = self.document, frozenset(ids)
        folded = {card for card in document.view.cards(chosen) if card in document.view.blocks}
        if folded:
            self.unfold(folding.path_of(card) for card in folded)
            return
        paths = folding.innermost_open(document.graph, document.folded, chosen)
        if paths:
            self.fold(paths)
        else:
            self._say("info", self.tr("Select a block, or a layer of one, to fold it."))

    def fold_all(self) -> None:
        """Fold every block."""
        known = folding.groups(self.document.graph)
        if not known:
            self._say("info", self.tr("There are no blocks: select layers and press Ctrl+G."))
            return
        self.document.set_folded(self.document.folded | known.keys())

    def unfold_all(self) -> None:
        """Show every layer."""
        self.document.set_folded(frozenset())

    def reveal(self, name: str) -> None:
        """Open what a layer or block is folded into."""
        hiding = frozenset(folding.parents(name))
        self.document.set_folded(self.document.folded - hiding)
