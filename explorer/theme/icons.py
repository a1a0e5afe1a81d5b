"""Icons that follow the theme and are sharp at any size and scale."""

from __future__ import annotations

from PySide6.QtCore import QPointF, QRect, QRectF, QSize, Qt
from PySide6.QtGui import QIcon, QIconEngine, QPainter, QPixmap
from PySide6.QtSvg import QSvgRenderer

from explorer.theme.icon_files import ICON_DIRECTORY, icon_names, svg
from explorer.theme.in_force import current
from explorer.theme.tokens import Tokens

_clones: list[QIconEngine] = []


class _SvgIconEngine(QIconEngine):
    """Draws one SVG in the colour of the theme in force, at the exact size that is asked for."""

    def __init__(self, name: str, token: str) -> None:
        super().__init__()
        self._name = name
        self._token = token

    def clone(self) -> QIconEngine:
        # A clone that only C++ knows is collected under Qt's feet (PySide 6.11): one is kept per
        # detached icon, which is rare, since copies of an icon share their engine.
        result = _SvgIconEngine(self._name, self._token)
        _clones.append(result)
        return result

    def _colour(self, mode: QIcon.Mode) -> str:
        tokens = current()
        if mode == QIcon.Mode.Disabled:
            return tokens.text_disabled
        return str(getattr(tokens, self._token))

    def paint(self, painter: QPainter, rect: QRect, mode: QIcon.Mode, state: QIcon.State) -> None:
        renderer = QSvgRenderer(svg(self._name, self._colour(mode)))
        side = min(rect.width(), rect.height())
        centre = QPointF(rect.center()) + QPointF(0.5, 0.5)
        renderer.render(painter, QRectF(centre.x() - side / 2, centre.y() - side / 2, side, side))

    def pixmap(self, size: QSize, mode: QIcon.Mode, state: QIcon.State) -> QPixmap:
        return self.scaledPixmap(size, mode, state, 1.0)

    def scaledPixmap(
        self, size: QSize, mode: QIcon.Mode, state: QIcon.State, scale: float
    ) -> QPixmap:
        """``size`` is in device-independent pixels: the scale multiplies it."""
        result = QPixmap(round(size.width() * scale), round(size.height() * scale))
        result.setDevicePixelRatio(scale)
        result.fill(Qt.GlobalColor.transparent)
        painter = QPainter(result)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        self.paint(painter, QRect(0, 0, size.width(), size.height()), mode, state)
        painter.end()
        return result


def icon(name: str, token: str = "text") -> QIcon:
    """An icon that follows the theme and is sharp at any size and scale.

    ``token`` names its colour. Raises KeyError, naming the icons that exist, for an unknown name.
    """
    if not (ICON_DIRECTORY / f"{name}.svg").is_file():
        raise KeyError(f"no icon {name!r}: expected one of {', '.join(icon_names())}")
    if token not in Tokens.colour_names():
        raise KeyError(f"no colour {token!r} for icon {name!r}: see theme.Tokens")
    return QIcon(_SvgIconEngine(name, token))
