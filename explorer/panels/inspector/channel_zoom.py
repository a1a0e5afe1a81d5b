"""Keeps one channel of two grids as large as the grids allow."""

from __future__ import annotations

from PySide6.QtCore import QEvent, QObject, QSignalBlocker, QTimer, Signal

from engine.cell import Cell
from explorer import theme
from explorer.tensors.geometry import View
from explorer.tensors.grid import TensorGrid


class ChannelZoom(QObject):
    """Follows the size of the grids; the user's own zoom holds until another channel."""

    changed = Signal()
    """The pair is looked at from nearer or farther."""

    def __init__(self, first: TensorGrid, second: TensorGrid) -> None:
        super().__init__(first)
        self._grids = first, second
        self._cell: Cell | None = None
        first.installEventFilter(self)

    def set_channel(self, cell: Cell | None) -> None:
        """Look at the channel of this cell, its first one, or at all channels for None."""
        fitted = self._grids[0].view.fit
        if cell == self._cell and (cell is None or not fitted):
            return
        self._cell = cell
        if cell is None:
            self._fit()
        else:
            self._apply()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if event.type() == QEvent.Type.Resize and self._cell is not None:
            # All of it first: the arrangement of the channels depends on the size.
            self._fit()
            self._apply()
        elif event.type() == QEvent.Type.Resize:
            QTimer.singleShot(0, self, self._fitted)  # when the grid has fitted itself
        return super().eventFilter(watched, event)

    def _fit(self) -> None:
        """Silently: a grid that is linked to these has a size and a zoom of its own."""
        for grid in self._grids:
            with QSignalBlocker(grid):
                grid.fit()

    def _fitted(self) -> None:
        self.changed.emit()

    def _apply(self) -> None:
        first = self._view(self._grids[0])
        for grid in self._grids:
            view = self._view(grid) or first  # the second may have a tensor of another name
            if view is not None:
                grid.set_view(view)
        self.changed.emit()

    def _view(self, grid: TensorGrid) -> View | None:
        maps = grid.maps
        rect = grid.rect_of(self._cell) if self._cell is not None else None
        if rect is None or not maps.size:
            return None
        height, width = maps.shape[1:]
        edge = theme.metrics().space_1
        zoom = min((grid.width() - 2 * edge) / width, (grid.height() - 2 * edge) / height)
        zoom = min(float(theme.metrics().cell_max), max(zoom, 0.01))
        zoom = float(int(zoom)) if zoom >= 2 else zoom
        view = grid.view
        x, y = (rect.x() - view.x) / view.zoom, (rect.y() - view.y) / view.zoom
        return View(
            zoom,
            round(grid.width() / 2 - (x + width / 2) * zoom),
            round(grid.height() / 2 - (y + height / 2) * zoom),
            False,
        )
