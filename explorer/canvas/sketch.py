"""What a gesture draws while it lasts: a wire, ghosts of cards, a rubber band."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QPainter
from PySide6.QtWidgets import QGraphicsItem, QStyleOptionGraphicsItem, QWidget

from explorer import theme
from explorer.canvas import geometry, ink


class Sketch(QGraphicsItem):
    """One item above all cards; empty when no gesture is under way."""

    def __init__(self) -> None:
        super().__init__()
        self.setZValue(10)
        self._wire: geometry.Route | None = None
        self._mark = ""
        self._ghosts: tuple[QRectF, ...] = ()
        self._title = ""
        self._band = QRectF()

    def draw_wire(self, start: QPointF, end: QPointF, mark: str = "") -> None:
        """A connection that is being drawn."""
        self.prepareGeometryChange()
        self._wire, self._mark = geometry.direct_route(start, end), mark

    def draw_ghosts(self, rects: Sequence[QRectF], title: str = "", mark: str = "") -> None:
        """Outlines of cards that a drop would make."""
        self.prepareGeometryChange()
        self._ghosts, self._title, self._mark = tuple(rects), title, mark

    def draw_band(self, band: QRectF) -> None:
        """A rubber band."""
        self.prepareGeometryChange()
        self._band = band

    def clear(self) -> None:
        self.prepareGeometryChange()
        self._wire, self._ghosts, self._band = None, (), QRectF()
        self._title = self._mark = ""

    def boundingRect(self) -> QRectF:
        box = QRectF(self._band)
        for rect in self._ghosts:
            box = box.united(rect)
        if self._wire is not None:
            box = box.united(self._wire.box)
        margin = theme.METRICS.space_4
        return box.adjusted(-margin, -margin, margin, margin) if not box.isNull() else box

    def paint(
        self,
        painter: QPainter,
        option: QStyleOptionGraphicsItem,
        widget: QWidget | None = None,
    ) -> None:
        tokens, m, now = theme.current(), theme.METRICS, theme.metrics()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        colour = {"illegal": tokens.error, "warning": tokens.warning, "legal": tokens.success}.get(
            self._mark, tokens.accent
        )
        dash = (2.0, 2.0) if self._mark == "illegal" else ()
        for rect in self._ghosts:
            painter.setPen(ink.pen(colour, now.line, (4.0, 3.0)))
            painter.setBrush(tokens.colour("surface", 0.8))
            painter.drawRoundedRect(rect, m.radius_large, m.radius_large)
            if self._title:
                painter.setPen(QColor(tokens.text))
                zoom = option.levelOfDetailFromTransform(painter.worldTransform())
                pixels = ink.legible(zoom, m.text_body, int(rect.height() / 4))
                painter.setFont(ink.font("strong", pixels))
                wide = int(rect.width()) - 2 * m.space_2
                title = ink.elided(self._title, "strong", pixels, wide)
                painter.drawText(rect, Qt.AlignmentFlag.AlignCenter, title)
        if self._wire is not None:
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.setPen(ink.pen(colour, now.line_strong, dash))
            painter.drawPath(self._wire.path)
            painter.setBrush(QColor(colour))
            painter.drawEllipse(self._wire.end, m.space_1, m.space_1)
        if not self._band.isNull():
            painter.setRenderHint(QPainter.RenderHint.Antialiasing, False)
            painter.setPen(ink.pen(tokens.accent, now.hairline, (), True))
            painter.setBrush(tokens.colour("accent", 0.12))
            painter.drawRect(self._band)
