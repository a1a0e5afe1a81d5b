"""Blocks: layers grouped and taken apart, and those that the user keeps in the palette."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from PySide6.QtCore import QObject

from engine.graph import Graph
from explorer import dragged_blocks, edits
from explorer.clipping import clip
from explorer.document import Document
from explorer.dragged_blocks import AnyBlock
from explorer.editing import Editing
from explorer.folding import EdgeKey, common_group, grouped, groups, regrouped, ungrouped
from explorer.folds import Folds
from explorer.notices import Say
from explorer.own_blocks import BlockError, OwnBlocks


class BlockEdits(QObject):
    """A block is a part of its layers' names; each edit renames them, as one undo entry."""

    def __init__(
        self,
        document: Document,
        editing: Editing,
        own_blocks: OwnBlocks,
        folds: Folds,
        say: Say,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self.document, self._editing, self._say = document, editing, say
        self.own_blocks, self._folds = own_blocks, folds

    def group(self, ids: Iterable[str]) -> None:
        """Make a block of layers: a part of their names, with a frame around them."""
        chosen = set(ids) & self.document.graph.by_id.keys()
        if not chosen:
            self._say("info", self.tr("Select layers first: they become a block."))
            return
        path, names = grouped(self.document.graph, chosen)
        text = self.tr("Group into {0}").format(path)
        if self._editing.change(text, lambda g: g.renamed(names), renamed=names):
            self._folds.say_if_open(path)

    def ungroup(self, what: str | Iterable[str]) -> None:
        """Take a block apart: its layers stay, their names lose its part. Ids stand for theirs."""
        path = what if isinstance(what, str) else common_group(what)
        names = ungrouped(self.document.graph, path)
        if not path or not names:
            self._say("info", self.tr("Select a block, or a layer of it, to take it apart."))
            return
        text = self.tr("Take {0} apart").format(path)
        self._editing.change(text, lambda g: g.renamed(names), renamed=names)

    def rename_group(self, path: str, new: str) -> None:
        """Give a block another name, or another place among the blocks."""
        graph = self.document.graph
        if new == path:
            return
        if new in groups(graph) or new in graph.by_id or new.startswith(f"{path}/"):
            text = self.tr("There is a block or layer {0} already. Choose another name.")
            self._say("warning", text.format(new))
            return
        names = regrouped(graph, path, new)
        text = self.tr("Rename {0} to {1}").format(path, new)
        self._editing.change(text, lambda g: g.renamed(names), renamed=names)

    # ---- dropped on the canvas ---------------------------------------------------------------

    def insert(self, block: AnyBlock, inputs: Sequence[EdgeKey]) -> None:
        """Put a block between a tensor and those inputs that read it."""
        document = self.document
        source = document.graph.source_of(*inputs[0])
        above = document.view.card(source[0]) if source is not None else ""
        text = self.tr("Insert {0}").format(dragged_blocks.title(block))
        inference = document.inference
        self._splice(text, lambda g: dragged_blocks.inserted(g, inference, block, inputs), above)

    def put_instead(self, block: AnyBlock, ids: Iterable[str]) -> None:
        """Put a block in the place of layers, of their width and stride."""
        document, chosen = self.document, frozenset(ids)
        members = [n for n in document.graph.nodes if n.id in chosen]
        sources = [r[0] for n in members for r in n.sources if r[0] not in chosen]
        above = document.view.card(sources[0]) if sources else ""
        old = members[0].id if len(members) == 1 else common_group(chosen)
        text = self.tr("Replace {0} by {1}").format(old, dragged_blocks.title(block))
        inference = document.inference
        self._splice(text, lambda g: dragged_blocks.instead(g, inference, block, chosen), above)

    def add(self, block: AnyBlock, x: float, y: float) -> None:
        """Put a block onto the canvas, connected to nothing."""
        document = self.document
        graph, path = dragged_blocks.loose(document.graph, block)
        new = {n.id for n in graph.nodes} - document.graph.by_id.keys()
        places = edits.in_free_place(document.layout, edits.placed_at(graph, new, x, y))
        text = self.tr("Add {0}").format(dragged_blocks.title(block))
        if self._editing.change(text, lambda _: graph, places):
            self._select(path)
            self._editing.added.emit(frozenset(new))

    def _splice(self, text: str, made: Callable[[Graph], tuple[Graph, str]], above: str) -> None:
        paths: list[str] = []

        def change(graph: Graph) -> Graph:
            after, path = made(graph)
            paths.append(path)
            return after

        if self._editing.splice(text, change, above):
            self._select(paths[-1])

    def _select(self, path: str) -> None:
        self.document.select(
            {n.id for n in self.document.graph.nodes if n.id.startswith(f"{path}/")}
        )

    # ---- the user's own ----------------------------------------------------------------------

    def save_block(self, ids: Iterable[str]) -> str:
        """Keep layers in the user's palette; returns the name, empty where that cannot be."""
        document = self.document
        clipping = clip(document.graph, document.layout, {}, set(ids))
        if not clipping.nodes:
            self._say("info", self.tr("Select layers first: they are kept as a block."))
            return ""
        group = common_group(node.id for node in clipping.nodes)
        name = self.own_blocks.free_name(group.rpartition("/")[2] or clipping.nodes[0].layer.slug)
        try:
            self.own_blocks.save(name, clipping)
        except BlockError as error:
            self._say("warning", str(error))
            return ""
        self._say("success", self.tr("Kept as {0}, among the blocks of the palette.").format(name))
        return name

    def rename_own_block(self, name: str, new: str) -> None:
        """Give one of the user's blocks another name."""
        try:
            self.own_blocks.rename(name, new.strip())
        except BlockError as error:
            self._say("warning", str(error))
            self.own_blocks.changed.emit()

    def delete_own_block(self, name: str) -> None:
        """Take one of the user's blocks out of the palette; networks keep what is in them."""
        try:
            self.own_blocks.delete(name)
        except BlockError as error:
            self._say("warning", str(error))
            return
        self._say("info", self.tr("{0} is no longer among the blocks.").format(name))
