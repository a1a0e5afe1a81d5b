"""Where max pooling chose, as marks and windows for a grid; read from the recorded argmax."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from engine.cell import Cell
from engine.graph import Node
from engine.layers.base import Array
from explorer.panels.inspector.lens import Lens
from explorer.tensors.marks import Marks, Window


@dataclass(frozen=True, eq=False)
class Choice:
    """The marks of one pooling, and how many cells won several windows, how many windows tied."""

    marks: Marks
    overlaps: int
    ties: int

    def of_channel(self, channel: int) -> Marks:
        """The marks of one channel."""
        here = self.marks.places[:, 0] == channel
        tied = self.marks.tied
        return Marks(
            self.marks.places[here],
            self.marks.windows[here],
            None if tied is None else tied[here],
        )


def colour_number(row: int, column: int) -> int:
    """The colour of a window: neighbours differ."""
    return column % 3 + 3 * (row % 2)


def choice_of(layer: Any, x: Array, y: Array, argmax: Array) -> Choice:
    """The marks of a max pooling.

    ``x`` (C, H, W) is its input, ``y`` (C, H_out, W_out) its output, ``argmax`` (C, H_out, W_out)
    the recorded flat index row·W + column of each winner. A window is tied where a second cell of
    it has the same value; the first in reading order won.
    """
    rows, columns = argmax.shape[1:]
    c, r, k = np.indices(argmax.shape, np.int64)
    winner_row, winner_column = np.divmod(argmax, x.shape[2])
    places = np.stack([c.ravel(), winner_row.ravel(), winner_column.ravel()], 1)
    numbers = (k % 3 + 3 * (r % 2)).ravel()
    padded = layer.window.pad(x[None], -np.inf)
    equal = np.zeros(argmax.shape, np.int64)
    height, width = layer.window.kernel_size
    for i in range(height):
        for j in range(width):
            equal += layer.window.tap(padded, i, j, (rows, columns))[0] == y
    tied = (equal > 1).ravel()
    flat = c.ravel() * (x.shape[1] * x.shape[2]) + argmax.ravel()
    counts = np.bincount(flat, minlength=x.size)
    return Choice(Marks(places, numbers, tied), int((counts > 1).sum()), int(tied.sum()))


def padding_of(layer: Any) -> tuple[int, int, int, int]:
    """(top, left, bottom, right) of a layer with a sliding window; zeros for any other."""
    window = getattr(layer, "window", None)
    if window is None:
        return 0, 0, 0, 0
    return (*window.before, *window.after)


def window_at(layer: Any, row: int, column: int) -> Window | None:
    """The window on the input that made the output cell (row, column); None without windows."""
    window = getattr(layer, "window", None)
    if window is None:
        return None
    top, left = window.source(row, column, 0, 0)
    height, width = (
        d * (k - 1) + 1 for d, k in zip(window.dilation, window.kernel_size, strict=True)
    )
    return Window(top, left, height, width, colour_number(row, column))


def winner_of(lens: Lens, node: Node, cell: Cell) -> Cell | None:
    """The cell of the input that a max pooling recorded for an output cell; None without one."""
    ref = node.inputs[0]
    argmax = lens.array(lens.key("saved", (node.id, "argmax")))
    x = lens.value(ref) if ref is not None else None
    if ref is None or argmax is None or x is None or argmax[0][cell.index] < 0:
        return None
    row, column = divmod(int(argmax[0][cell.index]), x.shape[-1])
    return Cell(ref[0], ref[1], (cell.channel, row, column))


def readers_of(layer: Any, cell: Cell, node: str, out: tuple[int, int]) -> tuple[Cell, ...]:
    """The output cells of ``node`` (of the same channel) whose window holds this input cell."""
    window = getattr(layer, "window", None)
    if window is None or len(cell.index) != 3:
        return ()
    channel, row, column = cell.index
    return tuple(Cell(node, 0, (channel, r, c)) for r, c, _, _ in window.readers(row, column, out))
