"""What the keyboard does on the canvas, and where the arrow keys lead."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QCoreApplication, Qt
from PySide6.QtGui import QKeyEvent

from explorer import theme
from explorer.canvas import geometry
from explorer.canvas.scene import NetworkScene

if TYPE_CHECKING:
    from explorer.canvas.view import Canvas


def keys() -> tuple[tuple[str, str], ...]:
    """Each key of the canvas and what it does, for the shortcut sheet and screen readers."""

    def tr(text: str) -> str:
        return QCoreApplication.translate("Canvas", text)

    return (
        ("Arrows", tr("go along the connections")),
        ("Shift+Arrows", tr("extend the selection")),
        ("Ctrl+Arrows", tr("nudge the selection")),
        ("Enter", tr("open the layer, or unfold the block")),
        ("Menu", tr("everything that can be done with the layer")),
        ("Delete", tr("delete the selection")),
        ("Ctrl+Shift+D", tr("duplicate the selection")),
        ("Ctrl+A", tr("select everything")),
        ("Escape", tr("cancel what is dragged, then the selection")),
        ("Space", tr("next operation")),
        ("N", tr("next operation")),
        ("B", tr("back one operation")),
        ("F", tr("fit the network")),
        ("Z", tr("zoom to the selection")),
        ("+", tr("zoom in")),
        ("-", tr("zoom out")),
        ("1", tr("zoom to 100%")),
        ("[ and ]", tr("page through the channels")),
        ("M", tr("minimap")),
    )


def travel(network: NetworkScene, way: tuple[int, int]) -> str | None:
    """The card that an arrow key leads to: down to a reader, up to a source, else sideways.

    With nothing selected it is the first card.
    """
    items = network.items_by_id
    chosen = network.view.cards(network.selection)
    here = next((name for name in items if name in chosen), None)
    if here is None:
        return next(iter(items), None)
    at = items[here].pos()
    linked = [
        e.facts.reader if way[1] > 0 else e.facts.start[0]
        for e in network.edges.values()
        if (e.facts.start[0] if way[1] > 0 else e.facts.reader) == here
    ]
    if way[1]:
        # Of several the one that lies straight ahead.
        return min(
            linked,
            key=lambda n: (abs(items[n].pos().x() - at.x()) + abs(items[n].pos().y() - at.y()), n),
            default=None,
        )
    beside = [name for name, item in items.items() if (item.pos().x() - at.x()) * way[0] > 1]
    return min(
        beside,
        key=lambda n: (abs(items[n].pos().x() - at.x()) + 3 * abs(items[n].pos().y() - at.y()), n),
        default=None,
    )


def press(canvas: Canvas, event: QKeyEvent) -> bool:
    """Do what a key means on the canvas; False for a key that it does not have."""
    key, held = event.key(), event.modifiers()
    control = bool(held & Qt.KeyboardModifier.ControlModifier)
    arrows = {
        Qt.Key.Key_Up: (0, -1),
        Qt.Key.Key_Down: (0, 1),
        Qt.Key.Key_Left: (-1, 0),
        Qt.Key.Key_Right: (1, 0),
    }
    chosen = canvas.network.selection
    cards = canvas.network.view.cards(chosen)
    if key == Qt.Key.Key_Escape:
        if canvas.cancel_gesture():
            return True
        canvas.say("")
        if chosen:
            canvas.select_requested.emit(frozenset())
            return True
        return False
    if canvas.gesture is not None:
        return False
    if key in arrows:
        return _arrow(canvas, arrows[Qt.Key(key)], held)
    if control:
        if key == Qt.Key.Key_A:
            view = canvas.network.view
            canvas.select_requested.emit(view.ids(canvas.network.items_by_id))
            return True
        # Without Shift it is the window's: draw a digit.
        if key == Qt.Key.Key_D and held & Qt.KeyboardModifier.ShiftModifier and chosen:
            canvas.duplicate_requested.emit(chosen, geometry.COLUMN_GAP, geometry.COLUMN_GAP)
            return True
        return False
    if held & (Qt.KeyboardModifier.AltModifier | Qt.KeyboardModifier.MetaModifier):
        return False
    if key == Qt.Key.Key_Delete:
        if chosen:
            canvas.delete_requested.emit(chosen)
        return bool(chosen)
    if key == Qt.Key.Key_Space and event.isAutoRepeat():
        return True  # holding it is not many steps
    if key in (Qt.Key.Key_Space, Qt.Key.Key_N):
        canvas.next_requested.emit()
    elif key == Qt.Key.Key_B:
        canvas.back_requested.emit()
    elif key in (Qt.Key.Key_F, Qt.Key.Key_Home):
        canvas.fit()
    elif key == Qt.Key.Key_Z and chosen:
        canvas.zoom_to(chosen)
    elif key in (Qt.Key.Key_Plus, Qt.Key.Key_Equal):
        canvas.set_zoom(canvas.zoom * 1.25)
    elif key == Qt.Key.Key_Minus:
        canvas.set_zoom(canvas.zoom / 1.25)
    elif key == Qt.Key.Key_1:
        canvas.set_zoom(1.0)
    elif key == Qt.Key.Key_M:
        canvas.set_minimap(not canvas.minimap.isVisibleTo(canvas))
    elif key in (Qt.Key.Key_Return, Qt.Key.Key_Enter) and len(cards) == 1:
        canvas.open_card(next(iter(cards)))
    elif key in (Qt.Key.Key_BracketLeft, Qt.Key.Key_BracketRight):
        for name in cards:
            item = canvas.network.items_by_id.get(name)
            by = 1 if key == Qt.Key.Key_BracketRight else -1
            if item is not None and item.set_page(item.page + by):
                canvas.network.touch(item)
    else:
        return False
    return True


def _arrow(canvas: Canvas, way: tuple[int, int], held: Qt.KeyboardModifier) -> bool:
    chosen = canvas.network.selection
    cards = canvas.network.view.cards(chosen)
    if held & Qt.KeyboardModifier.ControlModifier:
        by = theme.METRICS.space_2 * (4 if held & Qt.KeyboardModifier.ShiftModifier else 1)
        moved = {
            name: (item.pos().x() + way[0] * by, item.pos().y() + way[1] * by)
            for name, item in canvas.network.items_by_id.items()
            if name in cards
        }
        if moved:
            canvas.move_requested.emit(moved)
        return bool(moved)
    target = travel(canvas.network, way)
    if target is None:
        return bool(canvas.network.items_by_id)
    grown = canvas.network.view.ids({target})
    if held & Qt.KeyboardModifier.ShiftModifier:
        grown |= chosen
    canvas.select_requested.emit(grown)
    canvas.reveal(target)
    return True
