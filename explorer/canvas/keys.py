"""What the keyboard does on the canvas, and where the arrow keys lead."""

from __future__ import annotations

from PySide6.QtCore import QT_TRANSLATE_NOOP

from explorer.canvas.scene import NetworkScene

KEYS: tuple[tuple[str, str], ...] = (
    ("Arrows", QT_TRANSLATE_NOOP("Canvas", "go along the connections")),
    ("Shift+Arrows", QT_TRANSLATE_NOOP("Canvas", "extend the selection")),
    ("Ctrl+Arrows", QT_TRANSLATE_NOOP("Canvas", "nudge the selection")),
    ("Enter", QT_TRANSLATE_NOOP("Canvas", "open the layer")),
    ("Menu", QT_TRANSLATE_NOOP("Canvas", "everything that can be done with the layer")),
    ("Delete", QT_TRANSLATE_NOOP("Canvas", "delete the selection")),
    ("Ctrl+D", QT_TRANSLATE_NOOP("Canvas", "duplicate the selection")),
    ("Ctrl+A", QT_TRANSLATE_NOOP("Canvas", "select everything")),
    ("Escape", QT_TRANSLATE_NOOP("Canvas", "cancel what is dragged, then the selection")),
    ("Space", QT_TRANSLATE_NOOP("Canvas", "next operation")),
    ("N", QT_TRANSLATE_NOOP("Canvas", "next operation")),
    ("B", QT_TRANSLATE_NOOP("Canvas", "back one operation")),
    ("F", QT_TRANSLATE_NOOP("Canvas", "fit the network")),
    ("Z", QT_TRANSLATE_NOOP("Canvas", "zoom to the selection")),
    ("+", QT_TRANSLATE_NOOP("Canvas", "zoom in")),
    ("-", QT_TRANSLATE_NOOP("Canvas", "zoom out")),
    ("1", QT_TRANSLATE_NOOP("Canvas", "zoom to 100%")),
    ("[ and ]", QT_TRANSLATE_NOOP("Canvas", "page through the channels")),
    ("M", QT_TRANSLATE_NOOP("Canvas", "minimap")),
)


def travel(network: NetworkScene, way: tuple[int, int]) -> str | None:
    """The card that an arrow key leads to: down to a reader, up to a source, else sideways.

    With nothing selected it is the first card.
    """
    items = network.items_by_id
    here = next((name for name in items if name in network.selection), None)
    if here is None:
        return next(iter(items), None)
    at = items[here].pos()
    linked = [
        e.facts.reader if way[1] > 0 else e.facts.ref[0]
        for e in network.edges.values()
        if (e.facts.ref[0] if way[1] > 0 else e.facts.reader) == here
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
