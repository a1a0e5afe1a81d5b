"""Layers and blocks put into a network: onto an edge, beside, or behind what is selected."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from PySide6.QtCore import QObject

from engine import building_blocks as blocks
from engine.building_blocks import Block
from engine.graph import Graph, GraphError, Node, Ref
from engine.layers.base import HyperparameterError, Layer
from explorer import edits
from explorer.canvas import geometry
from explorer.document import Document
from explorer.editing import Editing
from explorer.folding import common_group
from explorer.notices import Say
from explorer.own_blocks import BlockError, OwnBlocks, part


class Adding(QObject):
    """Each is one undo entry; what was added is selected."""

    def __init__(
        self,
        document: Document,
        editing: Editing,
        own_blocks: OwnBlocks,
        say: Say,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self.document, self._editing, self._say = document, editing, say
        self.own_blocks = own_blocks

    def _new_node(self, layer: Layer, among: Iterable[str] = ()) -> Node:
        """A layer with a free id, in the group that those ``among`` which it stands have."""
        group = common_group(among)
        stem = f"{group}/{layer.slug}" if group else layer.slug
        count = max(1, layer.arity[0])
        return Node(self.document.graph.fresh_id(stem), layer, (None,) * count)

    def insert_layer(self, layer: Layer, reader: str, slot: int, x: float, y: float) -> None:
        """Put a layer onto the edge that enters ``reader`` at ``slot``."""
        self.insert_before(layer, ((reader, slot),), x, y)

    def insert_before(
        self, layer: Layer, inputs: Sequence[tuple[str, int]], x: float, y: float
    ) -> None:
        """Put a layer between a tensor and several inputs that read it."""
        (reader, slot), *others = inputs
        try:
            source = self.document.graph.source_of(reader, slot)
        except GraphError:
            source = None
        ends = [source[0] if source is not None else "", *(name for name, _ in inputs)]
        node = self._new_node(layer, ends)

        def change(graph: Graph) -> Graph:
            graph = graph.insert(node, reader, slot)
            for other in others:
                graph = graph.connect((node.id, 0), *other)
            return graph

        text = self.tr("Insert {0}").format(node.id)
        if self._editing.change(text, change, added=(node.id, x, y)):
            self.document.select({node.id})

    def add_layer(self, layer: Layer, x: float, y: float) -> None:
        """Put a layer onto the canvas, connected to nothing."""
        node = self._new_node(layer)
        if self._editing.change(
            self.tr("Add {0}").format(node.id), lambda g: g.add(node), {node.id: (x, y)}
        ):
            self.document.select({node.id})

    def append_layer(self, layer: Layer) -> None:
        """Put a layer behind the selected one, or before the loss when none is selected."""
        graph, layout = self.document.graph, self.document.layout
        node = self._new_node(layer)
        chosen = sorted(self.document.selection & (graph.by_id.keys() | graph.input_ids))
        if chosen:
            ref: Ref = self._last_of(chosen)
            node = self._new_node(layer, (ref[0], *(n for n, _ in graph.readers.get(ref, ()))))
        text = self.tr("Add {0}").format(node.id)
        if chosen:
            change = lambda g: edits.appended(g, node, ref)  # noqa: E731
        elif graph.losses and graph.losses[0].input[0] in self.document.known_ids:
            ref = graph.losses[0].input
            change = lambda g: g.insert(node, g.losses[0].id, 0)  # noqa: E731
        else:
            self.add_layer(layer, *self._free_place())
            return
        x, y = layout.get(self.document.view.card(ref[0]), (0.0, 0.0))
        _, height = geometry.size_of()
        if self._editing.change(text, change, added=(node.id, x, y + height + geometry.ROW_GAP)):
            self.document.select({node.id})

    def append_block(self, block: Block) -> None:
        """Put a block of layers behind the selected one, or before the loss."""
        graph = self.document.graph
        ref = self._entry()
        if ref is None:
            self._say("info", self.tr("Select the layer that the block is to stand behind."))
            return
        spec = self.document.inference.specs.get(ref)
        path = blocks.free_path(graph, block.description.path)
        text = self.tr("Add {0}").format(path)
        change = lambda g: blocks.appended(g, block, ref, spec, path)  # noqa: E731
        if self._editing.splice(text, change, self.document.view.card(ref[0])):
            self.document.select(self._members(path))

    def append_own_block(self, name: str, factor: float = 1.0) -> None:
        """Put one of the user's blocks behind the selected layer, or before the loss."""
        graph, ref = self.document.graph, self._entry()
        if ref is None:
            self._say("info", self.tr("Select the layer that the block is to stand behind."))
            return
        path = blocks.free_path(graph, re.sub(r"[^A-Za-z0-9_.-]+", "_", name) + "_")
        try:
            nodes, end = part(self.own_blocks.load(name), path, ref, factor)
        except (BlockError, HyperparameterError) as error:
            self._say("warning", str(error))
            return
        text = self.tr("Add {0}").format(path)
        change = lambda g: blocks.spliced(g, nodes, ref, end)  # noqa: E731
        if self._editing.splice(text, change, self.document.view.card(ref[0])):
            self.document.select(self._members(path))

    def _entry(self) -> Ref | None:
        """The tensor that something is put behind: of the selected layer, else what is judged."""
        graph = self.document.graph
        chosen = sorted(self.document.selection & (graph.by_id.keys() | graph.input_ids))
        if chosen:
            return self._last_of(chosen)
        if graph.losses and graph.losses[0].input[0] in self.document.known_ids:
            return graph.losses[0].input
        return None

    def _last_of(self, ids: Sequence[str]) -> Ref:
        """What leaves the last of these: behind a block that was just added stands the next."""
        graph, chosen = self.document.graph, set(ids)
        order = [n.id for n in graph.order if n.id in chosen]
        return self._end_of(order[-1:] or ids)

    def _members(self, path: str) -> list[str]:
        return [n.id for n in self.document.graph.nodes if n.id.startswith(f"{path}/")]

    def _end_of(self, ids: Sequence[str]) -> Ref:
        """The tensor behind which a layer is put: a folded block's output, else the first's."""
        view = self.document.view
        card = view.card(ids[0])
        return view.source((card, 0)) if card in view.blocks else (ids[0], 0)

    def _free_place(self) -> tuple[float, float]:
        """Below everything, at the left."""
        places = self.document.layout.values()
        if not places:
            return 0.0, 0.0
        below = max(y for _, y in places) + geometry.HEIGHT + geometry.ROW_GAP
        return min(x for x, _ in places), below
