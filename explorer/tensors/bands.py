"""The maps of a tensor as a few images, each composed when it is first in sight."""

from __future__ import annotations

from PySide6.QtCore import QRectF, Qt
from PySide6.QtGui import QImage, QPainter

from explorer.tensors.geometry import Geometry
from explorer.tensors.mosaic import mosaic
from explorer.tensors.scales import Scale

# A band of the mosaic has about this many values, so that composing one takes a millisecond.
BAND_VALUES = 1 << 17


class Bands:
    """Rows of maps as images, and those reduced to the present zoom."""

    def __init__(self) -> None:
        self._bands: dict[int, QImage] = {}
        self._scaled: dict[int, tuple[float, QImage]] = {}

    def forget(self) -> None:
        """The maps, their layout or their colours are others."""
        self._bands.clear()
        self._scaled.clear()

    def paint(
        self, painter: QPainter, at: Geometry, scale: Scale, visible: QRectF, ratio: float
    ) -> None:
        """Draw the part of the maps that is in sight; ``ratio`` of device pixels to pixels."""
        layout, view = at.layout, at.view
        step = _rows_per_band(at)
        bands = -(-layout.rows // step)
        height = step * layout.pitch_y
        first = max(0, int((visible.top() - view.y) / view.zoom // height))
        last = min(bands - 1, int((visible.bottom() - view.y) / view.zoom // height))
        for band in range(first, last + 1):
            image = self._band(band, at, scale)
            target = at.on_screen(
                QRectF(0, band * height, float(image.width()), float(image.height()))
            )
            if not target.intersects(visible):
                continue
            if view.zoom < 1:
                small = self._smaller(band, image, view.zoom * ratio, ratio)
                painter.drawImage(target.topLeft(), small)
                continue
            part = target.intersected(visible)
            source = QRectF(
                (part.x() - target.x()) / view.zoom,
                (part.y() - target.y()) / view.zoom,
                part.width() / view.zoom,
                part.height() / view.zoom,
            )
            painter.drawImage(part, image, source)

    def _band(self, band: int, at: Geometry, scale: Scale) -> QImage:
        """Some rows of maps as one image, composed when it is first visible."""
        if band not in self._bands:
            layout = at.layout
            size = _rows_per_band(at) * layout.columns
            part = at.maps[band * size : (band + 1) * size]
            self._bands[band] = mosaic(part, layout.columns, int(layout.gap), scale)
        return self._bands[band]

    def _smaller(self, band: int, image: QImage, factor: float, ratio: float) -> QImage:
        """A band reduced by averaging, so that no row of cells is skipped."""
        kept = self._scaled.get(band)
        if kept is None or kept[0] != factor:
            small = image.scaled(
                max(1, round(image.width() * factor)),
                max(1, round(image.height() * factor)),
                Qt.AspectRatioMode.IgnoreAspectRatio,
                Qt.TransformationMode.SmoothTransformation,
            )
            small.setDevicePixelRatio(ratio)
            self._scaled[band] = (factor, small)
            return small
        return kept[1]


def _rows_per_band(at: Geometry) -> int:
    layout = at.layout
    return max(1, BAND_VALUES // max(1, layout.columns * layout.height * layout.width))
