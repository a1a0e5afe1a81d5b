"""The context menu: everything that a gesture does, for those who do not drag."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from PySide6.QtCore import QPointF
from PySide6.QtWidgets import QMenu

from explorer import theme
from explorer.canvas import legality
from explorer.canvas.edge_item import EdgeItem
from explorer.canvas.node_item import NodeItem

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
    if item is not None:
        _for_card(canvas, menu, item)
    elif edge is not None:
        _for_edge(canvas, menu, edge)
    tr = canvas.tr
    if not menu.isEmpty():
        menu.addSeparator()
    menu.addAction(theme.icon("fit"), tr("Fit the network"), canvas.fit)
    shown = canvas.minimap.isVisibleTo(canvas)
    text = tr("Hide the minimap") if shown else tr("Show the minimap")
    menu.addAction(text, lambda: canvas.set_minimap(not shown))
    everything = frozenset(canvas.network.items_by_id)
    action = menu.addAction(
        tr("Select everything"), lambda: canvas.select_requested.emit(everything)
    )
    action.setEnabled(bool(everything))
    return menu


def _for_card(canvas: Canvas, menu: QMenu, item: NodeItem) -> None:
    tr, name, network = canvas.tr, item.facts.id, canvas.network
    ids = network.selection if name in network.selection else frozenset({name})
    for _, fix in item.buttons():
        menu.addAction(theme.icon("check"), fix.text, partial(canvas.fix_requested.emit, name, fix))
    if item.buttons():
        menu.addSeparator()
    menu.addAction(theme.icon("inside"), tr("Open"), lambda: canvas.open_requested.emit(name))
    menu.addAction(
        theme.icon("run-to"), tr("Run to here"), lambda: canvas.run_to_requested.emit(name)
    )
    if item.facts.kind != "input":
        text = tr("No longer stop here") if item.stop else tr("Stop here (breakpoint)")
        menu.addAction(
            theme.icon("breakpoint"), text, lambda: canvas.breakpoint_requested.emit(name)
        )
    menu.addAction(tr("Zoom to it"), lambda: canvas.zoom_to(ids))
    menu.addSeparator()
    if item.facts.ports:
        targets = [
            (other.facts.id, slot)
            for other in network.items_by_id.values()
            if other.facts.id != name
            for slot in range(other.facts.all_slots)
            if (slot >= len(other.facts.slots) or other.facts.slots[slot] != (name, 0))
        ]
        above = network.graph.ancestors(name)
        targets = [
            (reader, slot)
            for reader, slot in targets
            if reader not in above
            and legality.may_fit(network.graph, network.inference, (name, 0), reader, slot)
        ]
        sub = menu.addMenu(theme.icon("connect"), tr("Connect its output to"))
        for reader, slot in targets[:_MOST]:
            sub.addAction(
                tr("{id}, input {slot}").format(id=reader, slot=slot + 1),
                partial(canvas.connect_requested.emit, (name, 0), reader, slot),
            )
        sub.setEnabled(bool(targets))
    for slot, ref in enumerate(item.facts.slots):
        if ref is not None and item.facts.kind == "node":
            menu.addAction(
                theme.icon("disconnect"),
                tr("Disconnect from {source}").format(source=ref[0]),
                partial(canvas.disconnect_requested.emit, name, slot),
            )
    menu.addSeparator()
    gap = 4.0 * theme.METRICS.space_4
    menu.addAction(
        theme.icon("copy"),
        tr("Duplicate"),
        lambda: canvas.duplicate_requested.emit(ids, gap, gap),
    )
    menu.addAction(theme.icon("delete"), tr("Delete"), lambda: canvas.delete_requested.emit(ids))


def _for_edge(canvas: Canvas, menu: QMenu, edge: EdgeItem) -> None:
    tr, facts = canvas.tr, edge.facts
    action = menu.addAction(
        theme.icon("disconnect"),
        tr("Disconnect {source} from {reader}").format(source=facts.ref[0], reader=facts.reader),
        lambda: canvas.disconnect_requested.emit(*facts.key),
    )
    action.setEnabled(facts.reader in canvas.network.graph.by_id)
    for name in (facts.ref[0], facts.reader):
        menu.addAction(
            tr("Select {id}").format(id=name),
            partial(canvas.select_requested.emit, frozenset({name})),
        )
