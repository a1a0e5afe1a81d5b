"""What the keyboard does on the canvas, and where the arrow keys lead."""

from __future__ import annotations

from PySide6.QtCore import QCoreApplication

from explorer.canvas.scene import NetworkScene


def keys() -> tuple[tuple[str, str], ...]:
    """Each key of the canvas and what it does, for the shortcut sheet and screen readers."""

    def tr(text: str) -> str:
        return QCoreApplication.translate("Canvas", text)

    return (
        ("Arrows", tr("go along the connections")),
        ("Shift+Arrows", tr("extend the selection")),
        ("Ctrl+Arrows", tr("nudge the selection")),
        ("Enter", tr("open the layer")),
        ("Menu", tr("everything that can be done with the layer")),
        ("Delete", tr("delete the selection")),
        ("Ctrl+D", tr("duplicate the selection")),
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
