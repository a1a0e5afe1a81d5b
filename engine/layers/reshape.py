"""Another shape for the same numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from engine.layers.base import Fix, OnnxOp, ShapeError, Spec, hyper
from engine.layers.refolding import Refolding


@dataclass(frozen=True)
class Reshape(Refolding):
    """Reads the same numbers as maps of another size; none of them changes.

    y = x, cut anew into (channels, rows, columns) in the order channel, row, column. With
    ``channels`` 0 there are as many as fill the size.

    Gradient: dx = dy in x's shape.

    Source: ONNX operator Reshape.
    """

    title: ClassVar[str] = "Reshape"
    slug: ClassVar[str] = "reshape"

    channels: int = hyper(0, "Maps that come out; 0 for as many as fit.", low=0, high=1_000_000)
    rows: int = hyper(1, "Rows of each map.", low=1, high=65536)
    columns: int = hyper(1, "Columns of each map.", low=1, high=65536)

    def outputs(self, *specs: Spec) -> tuple[Spec, ...]:
        n, *sizes = specs[0].shape
        count, area = int(np.prod(sizes)), self.rows * self.columns
        channels = self.channels or count // area
        if channels * area != count:
            fits = count % area == 0
            raise ShapeError(
                f"{self.channels or 'a multiple of'} × {self.rows} × {self.columns} numbers"
                if self.channels
                else f"a multiple of {self.rows} × {self.columns} numbers",
                f"{count} ({specs[0]})",
                "Choose sizes whose product is the number of numbers.",
                (Fix("Set channels to 0", "set", 0, "channels"),) if fits else (),
            )
        return (Spec((n, channels, self.rows, self.columns), specs[0].dtype),)

    @property
    def onnx(self) -> OnnxOp:
        return OnnxOp("Reshape")
