"""The context menu: everything that a gesture does, for those who do not drag."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from PySide6.QtCore import QPointF
from PySide6.QtWidgets import QMenu

from engine.gains import gained_inputs
from engine.muting import is_muted
from explorer import folding, theme
from explorer.canvas import legality
from explorer.canvas.edge_item import EdgeItem
from explorer.canvas.node_item import NodeItem
from explorer.narration import join_at

if TYPE_CHECKING:
    from explorer.canvas.view import Canvas

# A submenu longer than this is no longer a way to choose.
_MOST = 24


def context_menu(
    canvas: Canvas, item: NodeItem | None, edge: EdgeItem | None, at: QPointF
) -> QMenu:
    """The menu for a card, an edge or the empty canvas; it deletes itself when closed."""
    menu = QMenu(canvas)
    menu.setObjectName("canvas_menu")
    menu.aboutToHide.connect(menu.deleteLater)
    frame = canvas.network.frames_item.at(at, canvas.zoom)
    if item is not None:
        _for_card(canvas, menu, item)
    elif frame is not None:
        _for_group(canvas, menu, frame.path)
    elif edge is not None:
        _for_edge(canvas, menu, edge)
    tr = canvas.tr
    if not menu.isEmpty():
        menu.addSeparator()
    menu.addAction(theme.icon("fit"), tr("Fit the network"), canvas.fit)
    if folding.groups(canvas.network.graph):
        menu.addAction(tr("Fold all blocks"), canvas.fold_all_requested.emit)
        action = menu.addAction(tr("Unfold all blocks"), canvas.unfold_all_requested.emit)
        action.setEnabled(bool(canvas.network.view.blocks))
    shown = canvas.minimap.isVisibleTo(canvas)
    text = tr("Hide the minimap") if shown else tr("Show the minimap")
    menu.addAction(text, lambda: canvas.set_minimap(not shown))
    everything = canvas.network.view.ids(canvas.network.items_by_id)
    action = menu.addAction(
        tr("Select everything"), lambda: canvas.select_requested.emit(everything)
    )
    action.setEnabled(bool(everything))
    return menu


def _for_card(canvas: Canvas, menu: QMenu, item: NodeItem) -> None:
    tr, name, network = canvas.tr, item.facts.id, canvas.network
    own = network.view.ids({name})
    ids = network.selection if own <= network.selection else own
    for _, fix in item.buttons():
        menu.addAction(theme.icon("check"), fix.text, partial(canvas.fix_requested.emit, name, fix))
    if item.buttons():
        menu.addSeparator()
    block = folding.path_of(name)
    if block:
        _for_group(canvas, menu, block)
    else:
        menu.addAction(theme.icon("inside"), tr("Open"), lambda: canvas.open_requested.emit(name))
        menu.addAction(
            theme.icon("run-to"), tr("Run to here"), lambda: canvas.run_to_requested.emit(name)
        )
    if item.facts.kind not in ("input", "block"):
        text = tr("No longer stop here") if item.stop else tr("Stop here (breakpoint)")
        menu.addAction(
            theme.icon("breakpoint"), text, lambda: canvas.breakpoint_requested.emit(name)
        )
    if not block:
        menu.addAction(tr("Zoom to it"), lambda: canvas.zoom_to(ids))
        for path in reversed(folding.parents(name)):
            _fold_action(canvas, menu, path)
    if ids & network.graph.by_id.keys():
        menu.addAction(
            theme.icon("group"), tr("Group into a block"), lambda: canvas.group_requested.emit(ids)
        )
        layers = [network.graph.by_id[one] for one in ids if one in network.graph.by_id]
        text = tr("Unmute") if all(map(is_muted, layers)) else tr("Mute (pass by)")
        menu.addAction(text, lambda: canvas.mute_requested.emit(ids))
    menu.addSeparator()
    if item.facts.ports:
        ref = item.facts.sent(0)
        targets = [
            (other.facts.id, slot)
            for other in network.items_by_id.values()
            if other.facts.id != name and other.facts.kind != "block"
            for slot in range(other.facts.all_slots)
            if (slot >= len(other.facts.slots) or other.facts.slots[slot] != ref)
        ]
        above = network.graph.ancestors(ref[0])
        targets = [
            (reader, slot)
            for reader, slot in targets
            if reader not in above
            and legality.may_fit(network.graph, network.inference, ref, reader, slot)
        ]
        sub = menu.addMenu(theme.icon("connect"), tr("Connect its output to"))
        for reader, slot in targets[:_MOST]:
            sub.addAction(
                tr("{id}, input {slot}").format(id=reader, slot=slot + 1),
                partial(canvas.connect_requested.emit, ref, reader, slot),
            )
        sub.setEnabled(bool(targets))
    for slot, entering in enumerate(item.facts.slots):
        if entering is not None and item.facts.kind == "node":
            menu.addAction(
                theme.icon("disconnect"),
                tr("Disconnect from {source}").format(source=entering[0]),
                partial(canvas.disconnect_requested.emit, name, slot),
            )
    if not block:
        for slot in gained_inputs(network.graph, name):
            _what_if(canvas, menu, name, slot)
    menu.addSeparator()
    gap = 4.0 * theme.METRICS.space_4
    menu.addAction(
        theme.icon("copy"),
        tr("Duplicate"),
        lambda: canvas.duplicate_requested.emit(ids, gap, gap),
    )
    menu.addAction(theme.icon("delete"), tr("Delete"), lambda: canvas.delete_requested.emit(ids))


def _what_if(canvas: Canvas, menu: QMenu, reader: str, slot: int) -> None:
    """Let an input of a join count more, less or not at all, without a change of the network."""
    tr, graph = canvas.tr, canvas.network.graph
    name = join_at(graph, reader).names[gained_inputs(graph, reader).index(slot)]
    sub = menu.addMenu(
        theme.icon("eye-off"), tr("What if, {path} of {join}").format(path=name, join=reader)
    )
    sub.setObjectName(f"what-if {reader} {slot}")
    for text, gain in (
        (tr("Mute it (× 0)"), 0.0),
        (tr("Half of it (× 0.5)"), 0.5),
        (tr("Twice of it (× 2)"), 2.0),
        (tr("As it is (× 1)"), 1.0),
    ):
        sub.addAction(text, partial(canvas.gain_requested.emit, reader, slot, gain))


def _fold_action(canvas: Canvas, menu: QMenu, path: str) -> None:
    """Fold an open group; where that cannot be, the entry says what lies between."""
    graph = canvas.network.graph
    layers = canvas.network.graph_group(path)
    if len(layers) < folding.FEWEST:
        return
    amid = folding.between(graph, layers)
    if amid is None:
        menu.addAction(
            theme.icon("group"),
            canvas.tr("Fold {0}").format(path),
            lambda: canvas.fold_requested.emit(frozenset({path})),
        )
    else:
        text = canvas.tr("{0} cannot be folded: {1} lies between its layers")
        menu.addAction(theme.icon("group"), text.format(path, amid)).setEnabled(False)


def _for_group(canvas: Canvas, menu: QMenu, path: str) -> None:
    """What can be done with a group, folded or open."""
    tr = canvas.tr
    paths, layers = frozenset({path}), canvas.network.graph_group(path)
    if folding.card_id(path) in canvas.network.items_by_id:
        menu.addAction(
            theme.icon("group"),
            tr("Unfold {0}").format(path),
            lambda: canvas.unfold_requested.emit(paths),
        )
    else:
        _fold_action(canvas, menu, path)
    menu.addAction(tr("Zoom to it"), lambda: canvas.zoom_to(layers))
    menu.addAction(tr("Rename {0}…").format(path), lambda: canvas.rename_group_requested.emit(path))
    menu.addAction(
        tr("Take the block {0} apart").format(path), lambda: canvas.ungroup_requested.emit(path)
    )


def _for_edge(canvas: Canvas, menu: QMenu, edge: EdgeItem) -> None:
    tr, facts, view = canvas.tr, edge.facts, canvas.network.view
    if len(facts.inputs) == 1:
        reader, slot = facts.inputs[0]
        action = menu.addAction(
            theme.icon("disconnect"),
            tr("Disconnect {source} from {reader}").format(source=facts.ref[0], reader=reader),
            lambda: canvas.disconnect_requested.emit(reader, slot),
        )
        action.setEnabled(reader in canvas.network.graph.by_id)
        if slot in gained_inputs(canvas.network.graph, reader):
            _what_if(canvas, menu, reader, slot)
    for card in (facts.start[0], facts.reader):
        menu.addAction(
            tr("Select {id}").format(id=card.removesuffix("/")),
            partial(canvas.select_requested.emit, view.ids({card})),
        )
