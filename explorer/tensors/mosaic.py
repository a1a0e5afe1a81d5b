"""Many channels as one picture: composed once by NumPy into the memory of one QImage."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QRect, QRectF
from PySide6.QtGui import QImage

from engine.extent import Box, Span
from explorer import theme
from explorer.tensors.scales import Lut, Scale, colourise, lut, scale_for


@dataclass(frozen=True)
class Arrangement:
    """A tensor of any rank (without the batch axis) seen as C maps of H × W.

    Rank 3 is (C, H, W) itself; a vector is F cells; rank 2 is one map; of a higher rank, such as
    a weight (O, I, kh, kw), the last two axes are the map and the others count the maps.
    """

    shape: tuple[int, ...]

    @property
    def is_vector(self) -> bool:
        return len(self.shape) <= 1

    @property
    def maps(self) -> tuple[int, int, int]:
        """(C, H, W)."""
        if self.is_vector:
            return (self.shape[0] if self.shape else 1), 1, 1
        return math.prod(self.shape[:-2]), self.shape[-2], self.shape[-1]

    @property
    def columns(self) -> int | None:
        """How many maps make a row by their meaning: the inputs of a kernel; None if free."""
        return self.shape[-3] if len(self.shape) > 3 else None

    def index(self, channel: int, row: int, column: int) -> tuple[int, ...]:
        """The index into the tensor of a place in its maps."""
        if not self.shape:
            return ()
        if self.is_vector:
            return (channel,)
        outer = np.unravel_index(channel, self.shape[:-2]) if len(self.shape) > 2 else ()
        return (*(int(i) for i in outer), row, column)

    def place(self, index: tuple[int, ...]) -> tuple[int, int, int] | None:
        """(channel, row, column) of an index, or None if it is not one of this tensor."""
        if len(index) != len(self.shape):
            return None
        if any(not 0 <= i < n for i, n in zip(index, self.shape, strict=True)):
            return None
        if not index:
            return 0, 0, 0
        if self.is_vector:
            return index[0], 0, 0
        channel = 0
        for i, n in zip(index[:-2], self.shape[:-2], strict=True):
            channel = channel * n + i
        return channel, index[-2], index[-1]

    def spans(self, box: Box) -> tuple[Span, Span, Span] | None:
        """(channels, rows, columns) of a box of the tensor; None if it is not one of its rank."""
        if len(box) != len(self.shape) or not box:
            return None
        if self.is_vector:
            return box[0], (0, 1), (0, 1)
        channels = (0, 1)
        for (first, end), size in zip(box[:-2], self.shape[:-2], strict=True):
            channels = (channels[0] * size + first, (channels[1] - 1) * size + end)
        return channels, box[-2], box[-1]

    def view(self, array: NDArray) -> NDArray:
        """The array reshaped to (C, H, W), without a copy where its memory allows."""
        return np.asarray(array).reshape(self.maps)


@dataclass(frozen=True)
class MosaicLayout:
    """Where each cell of C maps of H × W lies; lengths are in units of the caller's choice."""

    channels: int
    height: int
    width: int
    columns: int
    gap: float
    cell: float

    @property
    def rows(self) -> int:
        """How many rows of maps there are."""
        return -(-self.channels // self.columns) if self.channels else 0

    @property
    def pitch_x(self) -> float:
        return self.width * self.cell + self.gap

    @property
    def pitch_y(self) -> float:
        return self.height * self.cell + self.gap

    @property
    def size(self) -> tuple[float, float]:
        """Width and height of the whole picture."""
        if not self.channels:
            return 0.0, 0.0
        columns = min(self.columns, self.channels)
        return columns * self.pitch_x - self.gap, self.rows * self.pitch_y - self.gap

    def channel_rect(self, channel: int) -> QRectF:
        row, column = divmod(channel, self.columns)
        return QRectF(
            column * self.pitch_x,
            row * self.pitch_y,
            self.width * self.cell,
            self.height * self.cell,
        )

    def cell_rect(self, channel: int, row: int, column: int) -> QRectF:
        corner = self.channel_rect(channel).topLeft()
        return QRectF(
            corner.x() + column * self.cell, corner.y() + row * self.cell, self.cell, self.cell
        )

    def hit(self, x: float, y: float) -> tuple[int, int, int] | None:
        """(channel, row, column) under a point, or None in a gap and outside."""
        if x < 0 or y < 0 or not self.channels:
            return None
        map_column, map_row = int(x // self.pitch_x), int(y // self.pitch_y)
        channel = map_row * self.columns + map_column
        if map_column >= self.columns or channel >= self.channels:
            return None
        column = int((x - map_column * self.pitch_x) // self.cell)
        row = int((y - map_row * self.pitch_y) // self.cell)
        if row >= self.height or column >= self.width:
            return None
        return channel, row, column


def layout_of(
    C: int,
    H: int,
    W: int,
    width: float,
    height: float | None = None,
    *,
    gap: float = 1.0,
    columns: int | None = None,
) -> MosaicLayout:
    """The layout of C maps of H × W that has the largest cells within width × height.

    Without a height the picture is about as wide as it is high. The cell is 1: scale the whole
    to fit. ``gap`` is measured in cells.
    """
    if C <= 0 or H <= 0 or W <= 0:
        return MosaicLayout(0, max(H, 0), max(W, 0), 1, gap, 1.0)
    if columns is None:
        height = width if height is None else height
        best = 0.0
        columns = 1
        # The best number of columns is near the one that balances the aspect ratios.
        balance = math.sqrt(C * (H + gap) / (W + gap) * max(width, 1) / max(height, 1))
        for candidate in {max(1, min(C, round(balance) + d)) for d in range(-3, 4)}:
            rows = -(-C // candidate)
            fit = min(width / (candidate * (W + gap)), height / (rows * (H + gap)))
            # Of equal fits the fuller last row is the better picture.
            if fit > best * 1.0001 or (fit >= best and candidate < columns):
                best, columns = fit, candidate
    return MosaicLayout(C, H, W, max(1, min(columns, C)), gap, 1.0)


def _blank(width: int, height: int, colour: int) -> tuple[QImage, NDArray[np.uint32]]:
    """A QImage that owns its memory, and a view of it; rows of 32-bit pixels are never padded."""
    image = QImage(max(1, width), max(1, height), QImage.Format.Format_RGB32)
    pixels = np.frombuffer(image.bits(), np.uint32).reshape(image.height(), image.width())
    pixels.fill(colour)
    return image, pixels


def _rgb(colour: str) -> int:
    return 0xFF000000 | int(colour[1:7], 16)


def mosaic(
    array: NDArray,
    columns: int,
    gap: int,
    scale: Scale,
    cell: int = 1,
    *,
    table: Lut | None = None,
    gap_colour: str | None = None,
) -> QImage:
    """All channels of an array (C, H, W) as one image, ``columns`` maps to a row.

    Each value is ``cell`` × ``cell`` pixels, maps are ``gap`` pixels apart. The image owns its
    memory. An empty array gives one pixel of the gap's colour. Raises ValueError for another rank.
    """
    if array.ndim != 3:
        raise ValueError(
            f"mosaic: expected an array (channels, rows, columns), got shape {array.shape}; "
            "reshape it with Arrangement.view"
        )
    tokens = theme.current()
    table = table or lut(tokens, scale.kind)
    background = _rgb(gap_colour or tokens.cell_gap)
    C, H, W = array.shape
    if 0 in (C, H, W):
        return _blank(1, 1, background)[0]
    columns = max(1, min(columns, C))
    rows = -(-C // columns)
    pitch_x, pitch_y = W * cell + gap, H * cell + gap
    image, pixels = _blank(columns * pitch_x - gap, rows * pitch_y - gap, background)
    colours = colourise(array, scale, table)
    if cell > 1:
        colours = colours.repeat(cell, axis=1).repeat(cell, axis=2)
    for row in range(rows):
        band = colours[row * columns : (row + 1) * columns]
        top = row * pitch_y
        strip_rows = pixels[top : top + H * cell]
        full = len(band) * pitch_x
        if full <= strip_rows.shape[1]:
            target = strip_rows[:, :full].reshape(H * cell, len(band), pitch_x)
            target[:, :, : W * cell] = band.transpose(1, 0, 2)
        else:  # the last map has no gap after it
            whole = len(band) - 1
            if whole:
                target = strip_rows[:, : whole * pitch_x].reshape(H * cell, whole, pitch_x)
                target[:, :, : W * cell] = band[:-1].transpose(1, 0, 2)
            strip_rows[:, whole * pitch_x : whole * pitch_x + W * cell] = band[-1]
    return image


@dataclass(frozen=True)
class Strip:
    """The few channels of a tensor that stand in a node, and what is left out."""

    image: QImage
    tiles: tuple[QRect, ...]  # one per channel that is shown; one for all bars of a vector
    first: int  # the first channel or feature that is shown
    shown: int
    total: int
    pages: int
    page: int

    @property
    def label(self) -> str:
        """Such as "1–8 of 32"; empty when everything is shown."""
        if self.shown >= self.total:
            return ""
        return f"{self.first + 1}–{self.first + self.shown} of {self.total}"


def _resample(maps: NDArray, height: int, width: int) -> NDArray:
    """Maps (n, H, W) at another size: repeated when larger, averaged when smaller.

    An average over a NaN or an infinity is not finite either, so it cannot be overlooked.
    """
    for axis, wanted in ((1, height), (2, width)):
        size = maps.shape[axis]
        if wanted < size:
            edges = np.arange(wanted) * size // wanted
            counts = np.diff(np.append(edges, size)).astype(maps.dtype)
            shape = [1, 1, 1]
            shape[axis] = wanted
            with np.errstate(over="ignore", invalid="ignore"):
                maps = np.add.reduceat(maps, edges, axis=axis) / counts.reshape(shape)
        elif wanted > size:
            maps = maps.take(np.arange(wanted) * size // wanted, axis=axis)
    return maps


def _bars(values: NDArray, scale: Scale, table: Lut, height: int, width: int) -> NDArray:
    """Bars of a vector as colours (height, width), 0 where nothing is drawn."""
    zero = scale.position(0.0) if scale.low <= 0 <= scale.high else 0.0
    bar = max(1, width // max(1, len(values)))
    finite = np.where(np.isfinite(values), values, 0).astype(np.float64)
    spread = scale.high / 2 - scale.low / 2
    top = np.full(len(values), zero)
    if spread > 0:
        with np.errstate(over="ignore"):
            top = np.clip((finite / 2 - scale.low / 2) / spread, 0, 1)
    top = np.where(np.isfinite(values), top, 1.0)  # what is not finite is a full bar of its colour
    level = (np.arange(height)[::-1] + 0.5) / height
    low, high = np.minimum(top, zero), np.maximum(top, zero)
    inside = (level[:, None] >= low) & (level[:, None] < high)
    # A bar lower than a pixel still shows as one, so that a zero is visible.
    flat = np.flatnonzero(~inside.any(axis=0))
    inside[height - 1 - np.minimum(height - 1, (top[flat] * height).astype(int)), flat] = True
    colours = np.where(inside, colourise(values, scale, table)[None, :], 0).astype(np.uint32)
    gap = 1 if bar >= 3 else 0
    colours = colours.repeat(bar, axis=1).reshape(height, len(values), bar)
    if gap:
        colours[:, :, bar - gap :] = 0
    return colours.reshape(height, -1)


def strip(
    array: NDArray,
    max_channels: int = 8,
    height: int | None = None,
    page: int = 0,
    *,
    scale: Scale | None = None,
    gap: int = 2,
    pixel_ratio: float = 1.0,
) -> Strip:
    """A page of up to ``max_channels`` channels side by side, for a node on the canvas.

    ``array`` has any rank without the batch axis. A vector is drawn as bars from zero, as many to
    a page as fit at two pixels each. ``height`` is in device-independent pixels. Pages beyond the
    last show the last.
    """
    m = theme.metrics()
    tokens = theme.current()
    side = max(1, round((height or m.strip_height) * pixel_ratio))
    space = max(1, round(gap * pixel_ratio))
    arrangement = Arrangement(np.shape(array))
    array = np.asarray(array)
    if array.dtype not in (np.float32, np.float64):
        array = array.astype(np.float64)
    maps = arrangement.view(array)
    C, H, W = maps.shape
    scale = scale or scale_for(array, "sequential")
    table = lut(tokens, scale.kind)
    background = _rgb(tokens.cell_gap)
    vector = arrangement.is_vector
    full_width = max_channels * side + (max_channels - 1) * space
    per_page = max(1, full_width // 2) if vector else max(1, max_channels)
    pages = max(1, -(-C // per_page))
    page = max(0, min(page, pages - 1))
    first = page * per_page
    shown = maps[first : first + per_page]
    n = len(shown)
    if n == 0 or H == 0 or W == 0:
        image = _blank(side, side, background)[0]
        image.setDevicePixelRatio(pixel_ratio)
        return Strip(image, (), 0, 0, C, 1, 0)
    if vector:
        bars = _bars(shown.reshape(-1), scale, table, side, min(full_width, n * side))
        image, pixels = _blank(bars.shape[1], side, background)
        np.copyto(pixels, bars, where=bars != 0)
        tiles: tuple[QRect, ...] = (QRect(0, 0, bars.shape[1], side),)
    else:
        wide = max(1, round(side * min(2.0, max(0.5, W / H))))
        image, pixels = _blank(n * (wide + space) - space, side, background)
        if scale.per_channel:
            # The range is that of the whole channel, not of its averaged picture.
            parts = [
                colourise(
                    _resample(shown[i : i + 1], side, wide),
                    scale_for(shown[i], scale.kind),
                    table,
                )[0]
                for i in range(n)
            ]
        else:
            parts = list(colourise(_resample(shown, side, wide), scale, table))
        for i, part in enumerate(parts):
            pixels[:, i * (wide + space) : i * (wide + space) + wide] = part
        tiles = tuple(QRect(i * (wide + space), 0, wide, side) for i in range(n))
    image.setDevicePixelRatio(pixel_ratio)
    return Strip(image, tiles, first, n, C, pages, page)
