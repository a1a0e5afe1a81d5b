"""Fonts, glyphs and pens of the canvas, made once per theme and reused by every paint."""

from __future__ import annotations

from functools import lru_cache

from PySide6.QtCore import QPointF, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QFont, QFontMetricsF, QPainter, QPen, QPixmap, QPolygonF

from explorer import theme
from explorer.theme import FontRole

# Glyphs are drawn from pixmaps that are sharp up to 300%.
_GLYPH_SCALE = 3


def legible(zoom: float, least: int, most: int) -> int:
    """Pixels of a text in scene units: grows when zoomed out so that it can still be read.

    Between ``least``, its size at 100%, and ``most``, what there is room for.
    """
    return min(most, max(least, round(theme.metrics().text_small / max(zoom, 0.01))))


@lru_cache(maxsize=256)
def font(role: FontRole, pixels: int) -> QFont:
    """A font of the scale at another size, for text that must stay legible when zoomed out."""
    result = theme.font(role)
    result.setPixelSize(pixels)
    return result


@lru_cache(maxsize=256)
def metrics(role: FontRole, pixels: int) -> QFontMetricsF:
    return QFontMetricsF(font(role, pixels))


@lru_cache(maxsize=8192)
def elided(text: str, role: FontRole, pixels: int, width: int) -> str:
    """The text, shortened where it is wider than ``width``; of a path the last parts stay whole."""
    measure = metrics(role, pixels)
    mode = Qt.TextElideMode.ElideRight
    if "/" in text and " " not in text:
        mode = Qt.TextElideMode.ElideLeft
        while measure.horizontalAdvance(text) > width and "/" in text.rstrip("/"):
            text = text.partition("/")[2]
    return measure.elidedText(text, mode, width)


@lru_cache(maxsize=512)
def _glyph(name: str, token: str, tokens: str, side: int) -> QPixmap:
    pixels = side * _GLYPH_SCALE
    return theme.icon(name, token).pixmap(QSize(pixels, pixels), 1.0)


@lru_cache(maxsize=512)
def _glyph_of(name: str, token: str, tokens: str, pixels: int) -> QPixmap:
    return theme.icon(name, token).pixmap(QSize(pixels, pixels), 1.0)


def far_glyph(name: str, token: str, pixels: float) -> QPixmap:
    """A named icon of about so many pixels of the screen, to be drawn many times."""
    return _glyph_of(name, token, theme.current().name, max(4, 2 * round(pixels / 2)))


def draw_glyph(painter: QPainter, name: str, token: str, rect: QRectF) -> None:
    """A named icon in a token's colour."""
    pixmap = _glyph(name, token, theme.current().name, int(rect.width()))
    painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform, True)
    painter.drawPixmap(rect, pixmap, QRectF(pixmap.rect()))


@lru_cache(maxsize=1024)
def pen(colour: str, width: float, dash: tuple[float, ...] = (), cosmetic: bool = False) -> QPen:
    """A pen with round ends; ``dash`` in pen widths."""
    result = QPen(QColor(colour), width)
    result.setCapStyle(Qt.PenCapStyle.FlatCap if dash else Qt.PenCapStyle.RoundCap)
    result.setJoinStyle(Qt.PenJoinStyle.RoundJoin)
    if dash:
        result.setDashPattern(list(dash))
    result.setCosmetic(cosmetic)
    return result


def draw_field(painter: QPainter, rects: list[QRectF], changed: bool, whole: bool) -> None:
    """Outline what the focused cell sees, or what it changes."""
    smooth = painter.testRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing, False)  # thin lines stay crisp
    painter.setBrush(Qt.BrushStyle.NoBrush)
    for pen_ in theme.field_pens(changed, whole):
        painter.setPen(pen_)
        painter.drawRects(rects)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing, smooth)


def draw_fold_glyph(painter: QPainter, box: QRectF, colour: str, plus: bool) -> None:
    """A square with a minus, or a plus where something is folded."""
    side = box.width()
    square = box.adjusted(side * 0.12, side * 0.12, -side * 0.12, -side * 0.12)
    painter.setPen(pen(colour, max(1.0, side / 12)))
    painter.setBrush(Qt.BrushStyle.NoBrush)
    painter.drawRoundedRect(square, side * 0.15, side * 0.15)
    middle, arm = square.center(), square.width() * 0.27
    painter.drawLine(middle - QPointF(arm, 0), middle + QPointF(arm, 0))
    if plus:
        painter.drawLine(middle - QPointF(0, arm), middle + QPointF(0, arm))


def arrow(tip: QPointF, way: QPointF, size: float) -> QPolygonF:
    """A triangle at ``tip`` that points along the unit vector ``way``."""
    across = QPointF(-way.y(), way.x())
    foot = tip - way * size
    return QPolygonF([tip, foot + across * (size * 0.55), foot - across * (size * 0.55)])
