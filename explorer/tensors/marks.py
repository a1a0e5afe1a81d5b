"""What lies on the cells of a tensor: windows, and the cells that were chosen in them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QPainter, QPen

from explorer import theme
from explorer.tensors.painting import Sight
from explorer.tensors.scales import Kind

# From these sizes of a cell in pixels on, the detail can be told apart.
MARKS_FROM = 4.0
WINDOWS_FROM = 3.0


@dataclass(frozen=True, eq=False)
class Marks:
    """Cells that were chosen, such as the argmax of each pooling window.

    ``places`` (n, 3) holds channel, row and column; ``windows`` (n,) which window chose it;
    ``tied`` (n,) whether a rule had to decide between equal values.
    """

    places: NDArray[np.integer]
    windows: NDArray[np.integer]
    tied: NDArray[np.bool_] | None = None

    def __post_init__(self) -> None:
        n = len(self.windows)
        if self.places.shape != (n, 3):
            raise ValueError(
                f"marks: expected places of shape ({n}, 3) for {n} windows, got {self.places.shape}"
            )
        if self.tied is not None and self.tied.shape != (n,):
            raise ValueError(f"marks: expected {n} flags for ties, got {self.tied.shape}")


@dataclass(frozen=True)
class Window:
    """A window on maps, in cells; it may reach into the padding, below zero.

    ``channels`` are the maps that it lies on, None for all.
    """

    top: int
    left: int
    height: int
    width: int
    number: int = 0
    channels: tuple[int, ...] | None = None


@dataclass(frozen=True, eq=False)
class MarkTable:
    """Marks by cell: each cell once, with the first window that chose it and how many did."""

    places: NDArray[np.integer]
    windows: NDArray[np.integer]
    counts: NDArray[np.integer]
    tied: NDArray[np.bool_]

    @classmethod
    def of(cls, marks: Marks) -> MarkTable:
        """Sum marks up; ``places`` of the result are in ascending order."""
        places, first, inverse, counts = np.unique(
            marks.places, axis=0, return_index=True, return_inverse=True, return_counts=True
        )
        tied = np.zeros(len(places), bool)
        if marks.tied is not None:
            np.logical_or.at(tied, inverse.reshape(-1), marks.tied)
        return cls(places, marks.windows[first], counts, tied)


def paint_windows(sight: Sight, windows: Sequence[Window]) -> None:
    """Outline windows on the maps in sight, each in its colour."""
    at, painter = sight.at, sight.painter
    tokens, m = theme.current(), theme.metrics()
    painter.setBrush(Qt.BrushStyle.NoBrush)
    for channel in sight.channels:
        corner = at.layout.channel_rect(channel).topLeft()
        for window in windows:
            if window.channels is not None and channel not in window.channels:
                continue
            colour = tokens.windows[window.number % len(tokens.windows)]
            painter.setPen(QPen(QColor(colour), m.line))
            rect = at.on_screen(
                QRectF(
                    corner.x() + window.left,
                    corner.y() + window.top,
                    window.width,
                    window.height,
                )
            )
            inset = m.line / 2
            painter.drawRect(rect.adjusted(inset, inset, -inset, -inset))


def paint_marks(sight: Sight, marks: MarkTable, kind: Kind) -> None:
    """Dots on the cells in sight, in the colours of their windows; rings on a gradient."""
    at, painter = sight.at, sight.painter
    tokens, m = theme.current(), theme.metrics()
    places, windows, counts, tied = marks.places, marks.windows, marks.counts, marks.tied
    wanted = np.isin(places[:, 0], sight.channels)
    zoom = at.view.zoom
    # on a gradient the cell's own colour is the message: marks go around it
    hollow = kind == "diverging" and zoom < m.numbers_from
    size = zoom if hollow else min(zoom * 0.8, max(m.mark, zoom * 0.3))
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    numbers = theme.font("small")
    numbers.setPixelSize(max(7, min(numbers.pixelSize(), int(size * 0.9))))
    for place, window, count, tie in zip(
        places[wanted].tolist(),
        windows[wanted].tolist(),
        counts[wanted].tolist(),
        tied[wanted].tolist(),
        strict=True,
    ):
        # With its number in it, a value stays readable beside the mark in the corner.
        rect = at.on_screen(at.layout.cell_rect(*place))
        if not rect.adjusted(-4, -4, 4, 4).intersects(sight.visible):
            continue
        centre = rect.center()
        if zoom >= m.numbers_from:
            centre = rect.topRight() + QPointF(-size / 2 - 2, size / 2 + 2)
        colour = QColor(tokens.windows[window % len(tokens.windows)])
        painter.setPen(QPen(QColor(tokens.focus_halo), m.hairline))
        painter.setBrush(colour)
        if hollow:
            painter.setPen(QPen(colour, m.line))
            painter.setBrush(Qt.BrushStyle.NoBrush)
        if tie:  # a square says that a rule decided, without relying on colour
            painter.drawRect(QRectF(centre.x() - size / 2, centre.y() - size / 2, size, size))
        else:
            painter.drawEllipse(centre, size / 2, size / 2)
        if count > 1 and size >= 8:
            painter.setFont(numbers)
            painter.setPen(QColor(tokens.focus_halo))
            painter.drawText(
                QRectF(centre.x() - size, centre.y() - size, 2 * size, 2 * size),
                int(Qt.AlignmentFlag.AlignCenter),
                str(count),
            )
        elif count > 1:
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.setPen(QPen(colour, m.hairline))
            painter.drawEllipse(centre, size / 2 + 2, size / 2 + 2)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing, False)
