"""Rows and columns into channels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from engine.extent import Blocks, Extent, Turned
from engine.layers.base import Array, Fix, OnnxOp, ShapeError, Spec, hyper
from engine.layers.rearrangement import Rearrangement, moved_spec

ORDERS = ("block first", "channel first")


@dataclass(frozen=True)
class SpaceToDepth(Rearrangement):
    """Stacks the cells of small blocks as channels: more, smaller maps, and nothing is lost.

    y[n, (i·b + j)·C + k, r, c] = x[n, k, r·b + i, c·b + j] ("block first"), or with k·b² + i·b + j
    for the channel ("channel first", as PyTorch's PixelUnshuffle).

    Gradient: dy, each cell back where it came from.

    Source: ONNX operator SpaceToDepth; the "focus" of YOLOv5.
    """

    title: ClassVar[str] = "Space to depth"
    slug: ClassVar[str] = "spacetodepth"

    block: int = hyper(1, "Rows and columns of a block, b.", low=1, high=64, unit="cells")

    order: str = hyper("block first", "What runs fastest in the channels.", choices=ORDERS)

    def outputs(self, *specs: Spec) -> tuple[Spec, ...]:
        shape, b = specs[0].shape, self.block
        if len(shape) != 4 or shape[2] % b or shape[3] % b:
            raise ShapeError(
                f"maps whose rows and columns divide by {b} for SpaceToDepth",
                f"{specs[0]}",
                "Choose another block or pad the maps.",
                (Fix("Set block to 1", "set", 1, "block"),) if len(shape) == 4 else (),
            )
        _, channels, h, w = shape
        return moved_spec(specs[0], (channels * b * b, h // b, w // b))

    def move(self, x: Array, fill: float) -> Array:
        n, channels, h, w = x.shape
        b = self.block
        cells = x.reshape(n, channels, h // b, b, w // b, b)
        places = (0, 3, 5, 1, 2, 4) if self.order == "block first" else (0, 1, 3, 5, 2, 4)
        cells = cells.transpose(places)
        return cells.reshape(n, channels * b * b, h // b, w // b)

    def extent(self, slot: int, *specs: Spec, port: int = 0) -> Extent:
        maps = specs[0].shape[1]
        return Turned(Blocks(maps, self.block, self.order == "channel first"))

    @property
    def onnx(self) -> OnnxOp:
        if self.order == "channel first":
            return OnnxOp("PixelUnshuffle")
        return OnnxOp("SpaceToDepth", {"blocksize": self.block})
