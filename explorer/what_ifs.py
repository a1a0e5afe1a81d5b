"""What if a skip counted half, or a pixel were another: asked of the document, which runs anew."""

from __future__ import annotations

import math

import numpy as np
from PySide6.QtCore import QObject

from engine.cell import Cell
from engine.gains import gained_inputs
from explorer.document import Document


class WhatIfs(QObject):
    """Changes the document's what-if; the network and the picture stay as they are."""

    def __init__(self, document: Document, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.document = document

    def set_gain(self, node_id: str, slot: int, gain: float) -> None:
        """What if an input of a join counted times ``gain``; 1 is how the network is."""
        others = {k: v for k, v in self.document.gains.items() if k != (node_id, slot)}
        there = slot in gained_inputs(self.document.graph, node_id)
        if there and gain != 1.0 and math.isfinite(gain):
            others[node_id, slot] = gain
        self.document.set_gains(others)

    def set_pixel(self, cell: Cell, value: float) -> None:
        """What if a number of the picture were another."""
        document = self.document
        sample, graph = document.sample, document.graph
        if sample is None or not graph.inputs or cell.node != graph.inputs[0].id:
            return
        shape = sample.x.shape
        fits = len(cell.index) == len(shape) and all(
            0 <= i < n for i, n in zip(cell.index, shape, strict=True)
        )
        if not fits or not math.isfinite(value):
            return
        pixels = {k: v for k, v in document.pixels.items() if k != cell.index}
        if np.float32(value) != np.float32(sample.x[cell.index]):
            pixels[cell.index] = float(value)
        document.set_pixels(pixels)

    def reset(self) -> None:
        """The network and the picture as they are."""
        self.document.set_gains({})
        self.document.set_pixels({})
