"""The lines of the one focus and of its fields, the same on canvas, grids and charts."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtGui import QColor, QPen

from explorer.theme.in_force import current, metrics
from explorer.theme.tokens import METRICS, PRESENTATION


def field_pens(changed: bool, whole: bool = False) -> tuple[QPen, ...]:
    """The lines around the field of the focused cell, to be drawn in this order: halo and line.

    Of its ring's colour but thinner; dashed around what it changes, unbroken around what it sees.
    Around a ``whole`` tensor, which says little, a faint line alone.
    """
    tokens, m = current(), metrics()
    line = QPen(QColor(tokens.focus_ring), m.line)
    if whole:
        line = QPen(tokens.colour("focus_ring", 0.6), m.hairline)
    halo = QPen(QColor(tokens.focus_halo), 2 * m.line)
    if changed:
        line.setCapStyle(Qt.PenCapStyle.FlatCap)
        line.setDashPattern(list(m.dash_field))
    for pen in (halo, line):
        pen.setJoinStyle(Qt.PenJoinStyle.MiterJoin)
        pen.setCosmetic(True)
    return (line,) if whole else (halo, line)


def focus_pens(presentation: bool | None = None) -> tuple[QPen, QPen]:
    """The halo and the ring of the one focus, to be drawn in this order."""
    tokens = current()
    m = metrics() if presentation is None else (PRESENTATION if presentation else METRICS)
    pens = []
    for colour, width in (
        (tokens.focus_halo, m.focus_width + m.halo_width / 2),
        (tokens.focus_ring, m.focus_width),
    ):
        pen = QPen(QColor(colour), width)
        pen.setJoinStyle(Qt.PenJoinStyle.MiterJoin)
        pen.setCosmetic(True)
        pens.append(pen)
    return pens[0], pens[1]
