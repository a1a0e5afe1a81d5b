"""Requests from views come in here; changes of the document go out. Nothing is drawn here.

Edits, the selection and what is asked about are here; the run, the pictures and the projects each
have an object of their own.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from PySide6.QtCore import QObject, Signal
from PySide6.QtGui import QUndoStack

from engine import building_blocks as blocks
from engine.building_blocks import Block
from engine.cell import Cell
from engine.explain import Direction, Place, Weight, look, why
from engine.graph import Graph, GraphError, Node, Ref
from engine.layers.base import (
    Fix,
    HyperparameterError,
    Layer,
    ShapeError,
    layer_from_dict,
)
from engine.muting import is_muted, mute, unmute
from explorer import edits
from explorer.alignment import Side, Way, aligned, arranged, distributed
from explorer.canvas import geometry
from explorer.checker import Checker
from explorer.clipping import ClippingError, clip, from_text, to_text
from explorer.document import Content, Document, Memory
from explorer.edits import Edit
from explorer.folding import (
    card_id,
    common_group,
    copied,
    grouped,
    groups,
    moved_folds,
    regrouped,
    ungrouped,
    view,
)
from explorer.folds import Folds
from explorer.layouts import Layouts
from explorer.notices import Level, Notice
from explorer.own_blocks import BlockError, OwnBlocks, part
from explorer.pictures import Pictures
from explorer.projects import Projects
from explorer.settings import Settings
from explorer.stepping import Stepping
from explorer.trail import Trail
from explorer.what_ifs import WhatIfs


class Controller(QObject):
    """Owns the undo stack; changes the document."""

    notice = Signal(object)
    arranged = Signal()
    trail_changed = Signal()
    """Another number is asked about, or the way that led to it is another."""
    project_replaced = Signal()
    """Another project is about to be shown: what belongs to the one before must end."""

    def __init__(
        self, document: Document, settings: Settings, parent: QObject | None = None
    ) -> None:
        super().__init__(parent)
        self.document, self.settings = document, settings
        self.undo_stack = QUndoStack(self)
        self.layouts = Layouts()
        self.stepping = Stepping(document, settings, self._say, self)
        self.what_ifs = WhatIfs(document, self)
        self.checker = Checker(document, self._say, self)
        self.pictures = Pictures(document, self._say, self)
        self.projects = Projects(
            document,
            settings,
            self.undo_stack,
            self.layouts,
            self.stepping,
            self.pictures,
            self._say,
            self,
        )
        self.undo_stack.cleanChanged.connect(self._stack_moved)
        self.undo_stack.indexChanged.connect(self._stack_moved)
        self.projects.replacing.connect(self._forget_project)
        self.projects.arranged.connect(self.arranged)
        self.stepping.breakpoints_edited.connect(self.projects.note_change)
        document.placer = self.layouts.complete
        self.own_blocks = OwnBlocks(settings.path.parent / "blocks", self)
        self.folds = Folds(document, self._say, self)
        document.network_changed.connect(self._tell_of_structure)
        self._structure_told = False
        document.focus_changed.connect(self._focus_moved)
        document.position_changed.connect(self._follow_inside)
        self._walking = False
        self._trail = Trail(lambda place: place.source.node in document.known_ids)
        self._checkpoint: dict[tuple[str, str], Any] = {}

    # ---- beginning and end -----------------------------------------------------------------

    def start(self, path: Path | None = None) -> None:
        """What the program opens with; see ``Projects.start``."""
        self.projects.start(path)

    def close(self) -> None:
        """The window closes: stop running, keep what is not saved."""
        self.stepping.stop()
        self.checker.close()
        self.pictures.close()
        self.projects.close()

    def _stack_moved(self, _now: object = None) -> None:
        self.projects.note_edit()

    def _forget_project(self) -> None:
        self.project_replaced.emit()
        self._trail.clear()
        self._checkpoint = {}

    def _say(self, level: Level, text: str) -> None:
        self.notice.emit(Notice(level, text))

    def _tell_of_structure(self) -> None:
        """An edit or a file made it one: say so, once."""
        structure = self.document.structure_only
        if structure and not self._structure_told:
            self._say("info", self.document.structure_text())
        self._structure_told = structure

    # ---- edits -----------------------------------------------------------------------------

    def _edit(
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
        if self._edit(text, change, added=(node.id, x, y)):
            self.select({node.id})

    def add_layer(self, layer: Layer, x: float, y: float) -> None:
        """Put a layer onto the canvas, connected to nothing."""
        node = self._new_node(layer)
        if self._edit(self.tr("Add {0}").format(node.id), lambda g: g.add(node), {node.id: (x, y)}):
            self.select({node.id})

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
        if self._edit(text, change, added=(node.id, x, y + height + geometry.ROW_GAP)):
            self.select({node.id})

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
        if self._splice(text, lambda g: blocks.appended(g, block, ref, spec, path), ref):
            self.select(self._members(path))

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
        if self._splice(text, lambda g: blocks.spliced(g, nodes, ref, end), ref):
            self.select(self._members(path))

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

    def _splice(self, text: str, change: Callable[[Graph], Graph], ref: Ref) -> bool:
        """Add several layers behind a tensor: those below make room, or all is laid out anew."""
        document = self.document
        automatic = self.layouts.is_automatic(document.view, document.layout)
        before = set(document.graph.by_id)
        try:
            graph = change(document.graph)
        except GraphError as error:
            self._say("warning", str(error))
            return False
        positions: dict[str, tuple[float, float]] = {}
        new = {n.id for n in graph.nodes} - before
        if automatic:
            positions = self.layouts.place(view(graph, document.folded))
        else:
            spots = edits.placed_behind(document.layout, graph, new, document.view.card(ref[0]))
            positions = spots
        if not self._edit(text, lambda _: graph, positions):
            return False
        if automatic:
            self.arranged.emit()
        return True

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

    def replace_layer(self, node_id: str, layer: Layer) -> None:
        """Put another layer in the place of one, keeping its connections."""
        if node_id in self.document.graph.by_id:
            self._edit(
                self.tr("Replace {0}").format(node_id),
                lambda g: edits.replaced(g, node_id, layer),
            )

    def connect_tensor(self, ref: Ref, reader: str, slot: int) -> None:
        """Draw a connection."""
        self._edit(
            self.tr("Connect {0} to {1}").format(ref[0], reader),
            lambda g: g.connect(ref, reader, slot),
        )

    def disconnect_tensor(self, reader: str, slot: int) -> None:
        """Remove a connection."""
        if any(loss.id == reader for loss in self.document.graph.losses):
            self._say("info", self.tr("The loss needs an input: connect another tensor instead."))
            return
        self._edit(self.tr("Disconnect {0}").format(reader), lambda g: g.disconnect(reader, slot))

    def delete(self, ids: Iterable[str]) -> None:
        """Remove layers; what read them reads their input instead."""
        graph, ids = self.document.graph, set(ids)
        wanted = [n.id for n in graph.nodes if n.id in ids]
        if not wanted:
            if ids:
                self._say("info", self.tr("The input and the loss of a network stay."))
            return
        shared = [n.id for n in graph.nodes if n.params in wanted and n.id not in wanted]
        if shared:
            self._say(
                "warning",
                self.tr("{0} uses the weights of a layer to be deleted. Delete it too.").format(
                    shared[0]
                ),
            )
            return
        text = (
            self.tr("Delete {0}").format(wanted[0])
            if len(wanted) == 1
            else self.tr("Delete {0} layers").format(len(wanted))
        )
        self._edit(text, lambda g: g.remove(wanted))

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
            self.undo_stack.push(Edit(document, document.content, after, text, gesture))

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
        if self._edit(
            self.tr("Duplicate {0}").format(", ".join(list(names)[:3])),
            lambda _: result,
            positions,
            restore=weights,
        ):
            self.select(set(names.values()))

    def copy(self, ids: Iterable[str]) -> str:
        """Layers with their weights as text for the clipboard; empty when there are none."""
        document = self.document
        layout = self.layouts.complete(view(document.graph, ()), document.content.layout)
        clipping = clip(document.graph, layout, document.parameters, set(ids))
        return to_text(clipping) if clipping.nodes else ""

    def paste(self, text: str) -> None:
        """Add layers from the clipboard, beside where they stood; their weights come along."""
        document = self.document
        try:
            clipping = from_text(text)
            result, names = edits.pasted(document.graph, clipping.nodes)
        except (ClippingError, GraphError) as error:
            self._say("warning", str(error))
            return
        shift = 0.0
        taken = set(document.layout.values())
        while any((x + shift, y + shift) in taken for x, y in clipping.layout.values()):
            shift += geometry.COLUMN_GAP
        places = {names[old]: (x + shift, y + shift) for old, (x, y) in clipping.layout.items()}
        weights: Memory = {
            (names[owner], name, array.shape): array
            for (owner, name), array in clipping.weights.items()
            if owner in names
        }
        count = len(names)
        what = next(iter(names.values())) if count == 1 else self.tr("{0} layers").format(count)
        if self._edit(self.tr("Paste {0}").format(what), lambda _: result, places, restore=weights):
            self.select(set(names.values()))
            if not clipping.complete:
                self._say(
                    "info", self.tr("The weights were too large to copy: these layers start anew.")
                )

    def change_layer(self, node_id: str, layer: Layer, *, slid: bool = True) -> None:
        """Give a node other hyper-parameters.

        ``slid``: one of many values on the way of a slider, which become one undo entry.
        """
        node = self.document.graph.by_id.get(node_id)
        if node is None:
            return
        changed = [
            f.name
            for f in layer.hyperparameters()
            if getattr(layer, f.name) != getattr(node.layer, f.name, None)
        ]
        if not changed:
            return
        value = getattr(layer, changed[0])
        self._edit(
            self.tr("Set {0} of {1} to {2}").format(changed[0], node_id, value),
            lambda g: g.replace_node(node_id, layer=layer),
            gesture=f"set {node_id}.{changed[0]}" if slid else "",
        )

    def rename(self, node_id: str, name: str) -> None:
        """Give a node another id; its weights, place, selection and focus go with it."""
        self._edit(
            self.tr("Rename {0} to {1}").format(node_id, name),
            lambda g: g.rename(node_id, name),
            renamed={node_id: name},
        )

    # ---- blocks ----------------------------------------------------------------------------

    def group(self, ids: Iterable[str]) -> None:
        """Make a block of layers: a part of their names, with a frame around them."""
        chosen = set(ids) & self.document.graph.by_id.keys()
        if not chosen:
            self._say("info", self.tr("Select layers first: they become a block."))
            return
        path, names = grouped(self.document.graph, chosen)
        text = self.tr("Group into {0}").format(path)
        if self._edit(text, lambda g: g.renamed(names), renamed=names):
            self.folds.say_if_open(path)

    def ungroup(self, what: str | Iterable[str]) -> None:
        """Take a block apart: its layers stay, their names lose its part. Ids stand for theirs."""
        path = what if isinstance(what, str) else common_group(what)
        names = ungrouped(self.document.graph, path)
        if not path or not names:
            self._say("info", self.tr("Select a block, or a layer of it, to take it apart."))
            return
        text = self.tr("Take {0} apart").format(path)
        self._edit(text, lambda g: g.renamed(names), renamed=names)

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
        self._edit(text, lambda g: g.renamed(names), renamed=names)

    def mute(self, ids: Iterable[str]) -> None:
        """Have layers passed by, or, where all of them are, have them back."""
        document = self.document
        chosen = [n for n in document.graph.nodes if n.id in set(ids)]
        if not chosen:
            self._say("info", self.tr("Select layers first: they are passed by."))
            return
        names = {n.id for n in chosen}
        what = chosen[0].id if len(chosen) == 1 else self.tr("{0} layers").format(len(chosen))
        if all(map(is_muted, chosen)):
            self._edit(self.tr("Unmute {0}").format(what), lambda g: unmute(g, names))
        else:
            inference = document.inference
            self._edit(self.tr("Mute {0}").format(what), lambda g: mute(g, inference, names))

    def apply_fix(self, node_id: str, fix: Fix) -> None:
        """Carry out the change that an error offered."""
        if fix.action == "set":
            node = self.document.graph.by_id.get(node_id)
            if node is None:
                return
            try:
                changed: Any = replace(node.layer, **{fix.name: fix.value})
            except HyperparameterError as error:
                self._say("warning", str(error))
                return
            self.change_layer(node_id, changed, slid=False)
            return
        try:
            layer = layer_from_dict(fix.value)
        except HyperparameterError as error:
            self._say("warning", str(error))
            return
        card = self.document.view.card(node_id)
        x, y = self.document.layout.get(card, (0.0, 0.0))
        self.insert_layer(layer, node_id, fix.slot, x, y)

    def arrange(self) -> None:
        """Lay the whole network out anew."""
        document = self.document
        view = document.view
        after = document.content.arranged(view.key, self.layouts.place(view))
        if after != document.content:
            self.undo_stack.push(
                Edit(document, document.content, after, self.tr("Arrange the network"))
            )
            self.arranged.emit()

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
            self.undo_stack.push(Edit(document, document.content, after, text))

    def undo(self) -> None:
        """Take back the last edit; the run and the view stay."""
        self.undo_stack.undo()

    def redo(self) -> None:
        """Do again what was taken back."""
        self.undo_stack.redo()

    # ---- selection and focus ---------------------------------------------------------------

    def select(self, ids: Iterable[str]) -> None:
        """Select these nodes, inputs or losses; unknown ids are left out."""
        self.document.set_selection(frozenset(ids) & self.document.known_ids)

    def select_all(self) -> None:
        """Select every layer."""
        self.select(self.document.graph.by_id)

    def focus(self, target: object) -> None:
        """Mark one cell everywhere (and select its node); an id selects; None marks nothing.

        A Place says besides whether the value or the gradient is asked about, and may be a weight,
        which is no cell: then the ring stays where it is.
        """
        if isinstance(target, str):
            self.select({target})
        elif isinstance(target, Cell | Place):
            self._visit(target if isinstance(target, Place) else self._place_of_click(target))
        else:
            self.document.set_focus(None)

    @property
    def place(self) -> Place | None:
        """The number that is asked about."""
        here = self._trail.here
        if here is not None and isinstance(here.source, Cell) and self.document.focus is None:
            return None
        return here

    @property
    def way(self) -> tuple[Place, ...]:
        """The places that led to the present one, each a term of the one before it."""
        return () if self.place is None else self._trail.way

    @property
    def can_go_back(self) -> bool:
        """Whether a number was looked at before."""
        return self._trail.earlier() is not None

    @property
    def can_go_forward(self) -> bool:
        """Whether one has walked back, so that there is a number to return to."""
        return self._trail.later() is not None

    def _place_of_click(self, cell: Cell) -> Place:
        """A clicked cell is asked about on the side that is looked at, once that is known."""
        here, trace = self._trail.here, self.document.trace
        if here is not None and here.source == cell:
            return here
        wanted = Place(cell, here.direction if here is not None else "forward")
        if trace is None or look(trace, self.document.position, wanted) is None:
            return Place(cell)
        return wanted

    def _visit(self, place: Place) -> None:
        """Go to a place and remember the way."""
        if place.source.node in self.document.known_ids:
            self._trail.visit(place)
            self._show_place()

    def _show_place(self) -> None:
        place = self._trail.here
        if place is None:
            return
        if isinstance(place.source, Cell):
            self.document.set_focus(place.source)
        self.select({place.source.node})
        self.trail_changed.emit()

    def _focus_moved(self) -> None:
        """A focus that was renamed with its node is another place; one that went away is none."""
        focus, here = self.document.focus, self._trail.here
        if focus is not None and here is not None and isinstance(here.source, Cell):
            self._trail.rename(replace(here, source=focus))
        self.trail_changed.emit()

    def _follow_inside(self) -> None:
        """Inside of an operation the cell that one stands at is the focus: one place of the way."""
        sheet, at = self.stepping.sheet, self.document.inside
        if sheet is None or at is None:
            self._walking = False
            return
        cell = sheet.cell(sheet.here(at))
        place = Place(cell, "forward" if sheet.side == "output" else "gradient")
        if self._walking:
            self._trail.rename(place)
        else:
            self._trail.visit(place)
        self._walking = True
        self.document.set_focus(cell, chosen=False)
        self.trail_changed.emit()

    def why(self) -> None:
        """Walk to the term that contributed most; from nothing, to the network's answer."""
        document, place = self.document, self.place
        if document.trace is None:
            self.stepping.go_to(0)  # says why there is nothing
            return
        if place is None:
            answer = self._answer()
            if answer is None:
                self._say("info", self.tr("Click a cell of a map first, then ask why."))
            else:
                self._visit(Place(answer))
            return
        found = why(document.graph, document.trace, document.explained, place)
        if found is not None:
            self._visit(found)
        elif look(document.trace, document.explained, place) is None:
            self._say("info", self.tr("This is not computed yet: step on first."))
        elif isinstance(place.source, Weight):
            self._say("info", self.tr("This is a weight: training made it. The way ends here."))
        elif place.source.node in document.graph.input_ids:
            self._say(
                "info", self.tr("This is a pixel: it was given to the network. The way ends here.")
            )
        else:
            self._say("info", self.tr("Nothing took part in this number. The way ends here."))

    def _answer(self) -> Cell | None:
        """The largest score of the network, once it is computed."""
        document = self.document
        refs = [x.input for x in document.graph.losses] or [r for _, r in document.graph.outputs]
        for ref in refs:
            trace = document.trace
            scores = trace.look("value", ref, document.position) if trace is not None else None
            if scores is not None and scores[0].size:
                index = np.unravel_index(int(scores[0].argmax()), scores[0].shape)
                return Cell(ref[0], ref[1], tuple(int(i) for i in index))
        return None

    def why_back(self, steps: int = 1) -> None:
        """Walk back to a number that was asked about before."""
        for _ in range(steps):
            earlier = self._trail.earlier()
            if earlier is None:
                break
            self._trail.go(earlier)
        self._show_place()

    def why_forward(self) -> None:
        """Walk forward again, where one has walked back."""
        later = self._trail.later()
        if later is not None:
            self._trail.go(later)
            self._show_place()

    def ask_side(self, cell: Cell, side: Direction) -> None:
        """A cell was clicked in a map of values, or of gradients: ask about that.

        The click has made the cell the focus already; then it is one place, not two.
        """
        wanted, here = Place(cell, side), self._trail.here
        if here is not None and here.source == cell and not here.followed:
            trace, position = self.document.trace, self.document.position
            if trace is not None and look(trace, position, wanted) is not None:
                self._trail.rename(wanted)
                self.trail_changed.emit()
        else:
            self._visit(wanted)

    def other_side(self) -> None:
        """Ask about the gradient of the number, or about the number of the gradient."""
        place = self.place
        if place is None:
            self.why()
            return
        other: Direction = "gradient" if place.direction == "forward" else "forward"
        self._visit(Place(place.source, other, followed=True))

    # ---- training --------------------------------------------------------------------------

    def before_training(self) -> None:
        """Remember the weights, so that they come back in one click."""
        self._checkpoint = {k: np.array(v) for k, v in self.document.parameters.items()}

    def adopt(self, parameters: Mapping[tuple[str, str], Any]) -> None:
        """Take over weights that training reached, where they still fit the network."""
        document = self.document
        taken = {
            key: parameters[key]
            for key, now in document.parameters.items()
            if key in parameters and parameters[key].shape == now.shape
        }
        if not taken:
            return
        document.set_parameters({**document.parameters, **taken})
        self.projects.note_change()

    def restore_weights(self) -> None:
        """Bring back the weights from before the last training."""
        if not self._checkpoint:
            self._say("info", self.tr("Nothing was trained yet."))
            return
        self.adopt(self._checkpoint)
        self._say("success", self.tr("The weights are those from before training."))
