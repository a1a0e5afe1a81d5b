"""The whole network as one item, for zooms at which cards would be too small to read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QRectF, Qt
from PySide6.QtGui import QColor, QPainter, QPainterPath
from PySide6.QtWidgets import QGraphicsItem, QStyleOptionGraphicsItem, QWidget

from explorer import theme
from explorer.canvas import geometry, ink
from explorer.canvas.node_item import THUMBNAIL, NodeItem
from explorer.tensors.scales import format_number

if TYPE_CHECKING:
    from explorer.canvas.scene import NetworkScene

# Below this zoom even an enlarged name would not fit into a card.
NAMES_FROM = 0.2
# Below this one ports would leave nothing of a card to drag it by.
PORTS_FROM = 0.16
PORT_PIXELS = 3.0
# A card without maps of at least so many pixels of the screen shows what kind of layer it is.
GLYPHS_FROM = 12.0
# Of more cards than these, glyphs would take more than half of the time of a frame.
MOST_GLYPHS = 500


class FarItem(QGraphicsItem):
    """Rectangles, strips and lines of everything that is exposed, in one paint."""

    def __init__(self, scene: NetworkScene) -> None:
        super().__init__()
        self._scene = scene
        self._bounds = QRectF()
        self._paths: dict[tuple[str, float, tuple[float, ...]], QPainterPath] = {}
        self._paths_of: object = None
        self.setVisible(False)
        self.setFlag(QGraphicsItem.GraphicsItemFlag.ItemUsesExtendedStyleOption, True)

    def set_bounds(self, bounds: QRectF) -> None:
        if bounds != self._bounds:
            self.prepareGeometryChange()
            self._bounds = bounds

    def forget_paths(self) -> None:
        """After a change of any edge."""
        self._paths_of = None

    def boundingRect(self) -> QRectF:
        return self._bounds

    def _lines(self) -> dict[tuple[str, float, tuple[float, ...]], QPainterPath]:
        tokens = theme.current()
        if self._paths_of is not tokens:
            self._paths_of = tokens
            self._paths = {}
            for edge in self._scene.edges.values():
                colour, width, dash = edge.style(tokens)
                if edge.mark:
                    colour = tokens.error if edge.mark == "illegal" else tokens.success
                    width = theme.metrics().line_strong + 1
                key = (colour, round(width * 2) / 2, dash if edge.norm == 0 else ())
                path = self._paths.setdefault(key, QPainterPath())
                first, *others = edge.route.coarse
                path.moveTo(*first)
                for x, y in others:
                    path.lineTo(x, y)
        return self._paths

    def paint(
        self,
        painter: QPainter,
        option: QStyleOptionGraphicsItem,
        widget: QWidget | None = None,
    ) -> None:
        zoom = option.levelOfDetailFromTransform(painter.worldTransform())
        tokens, now = theme.current(), theme.metrics()
        exposed: QRectF = option.exposedRect
        painter.setRenderHint(QPainter.RenderHint.Antialiasing, zoom > NAMES_FROM)
        for (colour, width, dash), path in self._lines().items():
            # Whole pixels: of these one is drawn several times faster than a fraction.
            painter.setPen(ink.pen(colour, max(1, round(width * zoom)), dash, True))
            painter.drawPath(path)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing, False)
        cards = self._scene.items_by_id.values()
        everything = exposed.contains(self._scene.bounds)
        seen = [i for i in cards if everything or exposed.intersects(i.scene_rect())]
        painter.setPen(ink.pen(tokens.border, now.hairline, (), True))
        painter.setBrush(QColor(tokens.surface))
        painter.drawRects(
            [r.translated(i.pos()) for i in seen if i.facts.layers for r in geometry.STACK]
        )
        passed_by = [item for item in seen if item.facts.muted]
        painter.drawRects([item.scene_rect() for item in seen if not item.facts.muted])
        if passed_by:
            painter.setOpacity(theme.MUTED_OPACITY)
            painter.drawRects([item.scene_rect() for item in passed_by])
            painter.setOpacity(1.0)
        small = zoom < THUMBNAIL
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform, not small)
        draw, scene = painter.drawImage, self._scene
        for item in seen:
            if item.needs_picture and scene.may_compose(item):
                item.picture("value")
                item.picture("grad")
            if item.facts.muted:
                painter.setOpacity(theme.MUTED_OPACITY)
            for rect, image in item.far_pictures(small):
                draw(rect, image)
            if item.facts.muted:
                painter.setOpacity(1.0)
        device = painter.device()
        ratio = device.devicePixelRatio() if device is not None else 1
        if geometry.HEIGHT * zoom * ratio >= GLYPHS_FROM:
            blank = [i for i in seen if not i.computed and i.facts.trouble is None]
            if len(blank) <= MOST_GLYPHS:
                self._paint_glyphs(painter, blank, zoom, ratio)
        painter.setBrush(Qt.BrushStyle.NoBrush)
        for item in seen:
            if item.field is not None:
                rects = [r.translated(item.pos()) for r in item.field_rects("value")]
                ink.draw_field(painter, rects, item.field_changed, True)  # maps are small here
                painter.setBrush(Qt.BrushStyle.NoBrush)
            ring = _ring(item, tokens)
            if ring:
                painter.setPen(ink.pen(ring, now.line_strong, (), True))
                painter.drawRect(item.scene_rect())
        stops = [item for item in seen if item.stop == "on"]
        if stops:
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(QColor(tokens.error))
            side = geometry.STOP_RADIUS * 4
            for item in stops:
                middle = item.pos() + geometry.STOP_POINT
                painter.drawRect(QRectF(middle.x() - side / 2, middle.y() - side / 2, side, side))
        if zoom >= NAMES_FROM:
            self._paint_names(painter, zoom, seen, tokens)
        if scene.ports_shown:
            self._paint_ports(painter, zoom, seen, tokens)
        scene.frames_item.paint_far_names(painter, zoom, exposed)

    def _paint_glyphs(
        self, painter: QPainter, items: list[NodeItem], zoom: float, ratio: float
    ) -> None:
        """Right below the name, or in the middle of a card that is too small for one."""
        card = geometry.BODY if zoom >= NAMES_FROM else geometry.CARD
        side = card.height() * 0.62
        square = QRectF(0, 0, side, side)
        square.moveCenter(card.center())
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform, True)
        for item in items:
            glyph = ink.far_glyph(item.facts.icon, "text_muted", side * zoom * ratio)
            painter.setOpacity(theme.MUTED_OPACITY if item.facts.muted else 1.0)
            rect = square.translated(item.pos())
            painter.drawPixmap(rect, glyph, QRectF(glyph.rect()))
        painter.setOpacity(1.0)

    def _paint_ports(
        self, painter: QPainter, zoom: float, seen: list[NodeItem], tokens: theme.Tokens
    ) -> None:
        """As on the cards, but never smaller than can be met with the mouse."""
        painter.setRenderHint(QPainter.RenderHint.Antialiasing, True)
        radius = max(geometry.PORT_RADIUS, PORT_PIXELS / zoom)
        for item in seen:
            facts = item.facts
            ports = [("in", i, item.input_point(i)) for i in range(facts.all_slots)]
            ports += [("out", i, item.output_point(i)) for i in range(facts.ports)]
            for side, number, centre in ports:
                lit = item.lit_port == (side, number)
                filled = side == "in" and number < len(facts.slots)
                filled = filled and facts.slots[number] is not None
                colour = tokens.accent if lit else tokens.border_strong
                painter.setPen(ink.pen(colour, 1.0, (), True))
                painter.setBrush(QColor(colour if lit or filled else tokens.surface))
                grown = radius * (1.5 if lit else 1.0)
                painter.drawEllipse(centre, grown, grown)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing, False)

    def _paint_names(
        self, painter: QPainter, zoom: float, seen: list[NodeItem], tokens: theme.Tokens
    ) -> None:
        pixels = ink.legible(zoom, 1, int(geometry.HEADER_HEIGHT))
        painter.setFont(ink.font("strong", pixels))
        shapes = int(geometry.HEADER.width())
        for item in seen:
            painter.setPen(QColor(tokens.text if item.computed else tokens.text_muted))
            painter.setOpacity(theme.MUTED_OPACITY if item.facts.muted else 1.0)
            area = geometry.HEADER.translated(item.pos())
            name = ink.elided(item.facts.name, "strong", pixels, shapes)
            painter.drawText(area, Qt.AlignmentFlag.AlignVCenter, name)
            if item.loss is not None:
                painter.setPen(QColor(tokens.phase_loss))
                body = geometry.BODY.translated(item.pos())
                painter.drawText(body, Qt.AlignmentFlag.AlignCenter, format_number(item.loss))
            if item.facts.trouble is not None:
                painter.setPen(QColor(tokens.error))
                body = geometry.BODY.translated(item.pos())
                painter.drawText(body, Qt.AlignmentFlag.AlignCenter, "!")
        painter.setOpacity(1.0)


def _ring(item: NodeItem, tokens: theme.Tokens) -> str:
    """The colour around a card, by what matters most; empty for none."""
    if item.mark:
        return tokens.error if item.mark == "illegal" else tokens.success
    if item.phase:
        return tokens.phase(item.phase)
    if item.selected:
        return tokens.accent
    if item.facts.trouble is not None:
        return tokens.error
    return tokens.focus_ring if item.focus is not None else ""
