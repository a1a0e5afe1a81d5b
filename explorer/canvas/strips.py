"""The pictures inside a card: a page of channels, or the input's picture, composed once each."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QPointF, QRectF
from PySide6.QtGui import QImage, QPainter

from engine.extent import Box
from explorer.canvas import geometry
from explorer.tensors.mosaic import Arrangement, Strip, mosaic, strip
from explorer.tensors.scales import Kind, Scale, scale_for

# Larger maps are averaged down: they would be drawn smaller than a pixel a cell anyway.
LARGEST = 96
# Bars and averaged maps are composed finer than 100%, so that they stay crisp when zoomed in.
FINENESS = 2.0


@dataclass(frozen=True)
class Picture:
    """A page of channels as one image, and where each lies, in scene units from its corner."""

    image: QImage
    size: tuple[float, float]
    tiles: tuple[QRectF, ...]  # one per channel, or one for all bars of a vector
    first: int
    shown: int
    total: int
    page: int
    pages: int
    scale: Scale
    arrangement: Arrangement
    bars: bool = False

    @property
    def label(self) -> str:
        """Such as "1–8 of 32"; empty when everything is shown."""
        if self.shown >= self.total:
            return ""
        return f"{self.first + 1}–{self.first + self.shown} of {self.total}"

    def index_at(self, point: QPointF) -> tuple[int, ...] | None:
        """The index of the tensor's cell under a point, or None beside the maps."""
        for i, tile in enumerate(self.tiles):
            if not tile.contains(point):
                continue
            across = (point.x() - tile.left()) / tile.width()
            down = (point.y() - tile.top()) / tile.height()
            if self.bars:
                bar = self.first + min(self.shown - 1, int(across * self.shown))
                return self.arrangement.index(bar, 0, 0)
            _, rows, columns = self.arrangement.maps
            return self.arrangement.index(
                self.first + i,
                min(rows - 1, int(down * rows)),
                min(columns - 1, int(across * columns)),
            )
        return None

    def page_of(self, index: tuple[int, ...]) -> int | None:
        """The page that shows a cell, or None when the tensor has no such cell."""
        place = self.arrangement.place(index)
        if place is None or not self.pages:
            return None
        per_page = self.shown if self.pages == 1 else max(1, -(-self.total // self.pages))
        if self.pages > 1 and self.page < self.pages - 1:
            per_page = self.shown
        return place[0] // max(1, per_page)

    def rects_of(self, index: tuple[int, ...]) -> tuple[QRectF, QRectF] | None:
        """The channel and the cell of an index, or None when they are not on this page."""
        place = self.arrangement.place(index)
        if place is None:
            return None
        channel, row, column = place
        i = channel - self.first
        if not 0 <= i < self.shown:
            return None
        if self.bars:
            tile = self.tiles[0]
            wide = tile.width() / self.shown
            bar = QRectF(tile.left() + i * wide, tile.top(), wide, tile.height())
            return bar, bar
        tile = self.tiles[min(i, len(self.tiles) - 1)]
        _, rows, columns = self.arrangement.maps
        cell = QRectF(
            tile.left() + tile.width() * column / columns,
            tile.top() + tile.height() * row / rows,
            tile.width() / columns,
            tile.height() / rows,
        )
        return tile, cell

    def rects_of_box(self, box: Box) -> list[QRectF]:
        """The part of a box that is on this page: one for each channel, one for whole channels."""
        spans = self.arrangement.spans(box)
        if spans is None or not self.tiles:
            return []
        (first, end), (top, bottom), (left, right) = spans
        first, end = max(first - self.first, 0), min(end - self.first, self.shown)
        if first >= end:
            return []
        if self.bars:
            tile = self.tiles[0]
            wide = tile.width() / self.shown
            return [
                QRectF(tile.left() + first * wide, tile.top(), (end - first) * wide, tile.height())
            ]
        tiles = self.tiles[first:end] or self.tiles[-1:]
        _, rows, columns = self.arrangement.maps
        if (bottom - top, right - left) == (rows, columns):
            return [tiles[0].united(tiles[-1])]
        return [
            QRectF(
                tile.left() + tile.width() * left / columns,
                tile.top() + tile.height() * top / rows,
                tile.width() * (right - left) / columns,
                tile.height() * (bottom - top) / rows,
            )
            for tile in tiles
        ]

    def draw(self, painter: QPainter, corner: QPointF, zoom: float) -> None:
        """Paint with sharp cells where a cell is at least a pixel, averaged where it is less."""
        target = QRectF(corner, corner + QPointF(*self.size))
        pixels = self.size[0] * zoom / max(1, self.image.width())
        smooth = QPainter.RenderHint.SmoothPixmapTransform
        painter.setRenderHint(smooth, pixels < 1)
        painter.drawImage(target, self.image, QRectF(self.image.rect()))


def compose(
    array: NDArray,
    kind: Kind,
    page: int = 0,
    side: float = geometry.TILE,
    width: float = geometry.STRIP_WIDTH,
    most: int = geometry.CHANNELS,
) -> Picture:
    """A page of up to ``most`` channels of an array without its batch axis, within a width.

    All channels share one scale, that of the whole tensor. One value per channel is a bar.
    """
    array = np.asarray(array)
    shape = np.shape(array)
    arrangement = Arrangement(shape)
    channels, rows, columns = arrangement.maps
    scale = scale_for(array, kind)
    if arrangement.is_vector or rows * columns == 1:
        flat = array.reshape(-1)
        made = strip(flat, most, int(side), page, scale=scale, pixel_ratio=FINENESS)
        return _from_strip(made, arrangement, scale, True)
    cell = min(side / rows, 2 * side / columns, width / columns)
    if max(rows, columns) > LARGEST:
        made = strip(array, most, int(side), page, scale=scale, pixel_ratio=FINENESS)
        return _from_strip(made, arrangement, scale, False)
    # The gap is a whole number of image pixels, at most TILE_GAP wide, so that a page fits.
    finer = math.ceil(cell / geometry.TILE_GAP)
    unit = cell / finer
    gap = max(1, int(geometry.TILE_GAP / unit))
    pitch = columns * cell + gap * unit
    per_page = max(1, min(most, int((width + gap * unit + 0.01) // pitch)))
    pages = max(1, -(-channels // per_page))
    page = max(0, min(page, pages - 1))
    first = page * per_page
    shown = arrangement.view(array)[first : first + per_page]
    image = mosaic(shown, per_page, gap, scale, finer)
    tiles = tuple(QRectF(i * pitch, 0, columns * cell, rows * cell) for i in range(len(shown)))
    size = (image.width() * unit, image.height() * unit)
    return Picture(image, size, tiles, first, len(shown), channels, page, pages, scale, arrangement)


def compose_picture(array: NDArray, kind: Kind, side: float) -> Picture:
    """The input as a picture: three channels as red, green and blue, one as grey, else channel 0.

    A gradient (``kind`` diverging) of three channels shows the first that is largest by norm.
    """
    array = np.asarray(array)
    if array.ndim == 3 and array.shape[0] == 3 and kind == "grey":
        low, high = float(np.nanmin(array)), float(np.nanmax(array))
        span = high - low if high > low else 1.0
        level = np.nan_to_num((array - low) / span * 255).clip(0, 255).astype(np.uint32)
        pixels = (0xFF000000 | (level[0] << 16) | (level[1] << 8) | level[2]).astype(np.uint32)
        rows, columns = pixels.shape
        image = QImage(
            np.ascontiguousarray(pixels).tobytes(),
            columns,
            rows,
            4 * columns,
            QImage.Format.Format_RGB32,
        ).copy()
        cell = side / max(rows, columns)
        tile = QRectF(0, 0, columns * cell, rows * cell)
        return Picture(
            image,
            (tile.width(), tile.height()),
            (tile,),
            0,
            1,
            1,
            0,
            1,
            Scale("grey", low, high),
            Arrangement(array.shape),
        )
    return compose(array, kind, 0, side, side, 1)


def _from_strip(made: Strip, arrangement: Arrangement, scale: Scale, bars: bool) -> Picture:
    size = (made.image.width() / FINENESS, made.image.height() / FINENESS)
    tiles = tuple(
        QRectF(t.x() / FINENESS, t.y() / FINENESS, t.width() / FINENESS, t.height() / FINENESS)
        for t in made.tiles
    )
    return Picture(
        made.image,
        size,
        tiles,
        made.first,
        made.shown,
        made.total,
        made.page,
        made.pages,
        scale,
        arrangement,
        bars,
    )
