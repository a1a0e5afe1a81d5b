"""Channels into rows and columns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from engine.extent import Blocks, Extent
from engine.layers.base import Array, Fix, OnnxOp, ShapeError, Spec, hyper
from engine.layers.rearrangement import Rearrangement, moved_spec

ORDERS = ("block first", "channel first")


@dataclass(frozen=True)
class DepthToSpace(Rearrangement):
    """Lays groups of channels out as small blocks of cells: fewer, larger maps.

    y[n, k, r·b + i, c·b + j] = x[n, (i·b + j)·K + k, r, c] ("block first") or
    x[n, k·b² + i·b + j, r, c] ("channel first", as PyTorch's PixelShuffle), with K maps coming out.

    Gradient: dy, each cell back where it came from.

    Source: Shi et al. 2016 (sub-pixel convolution); ONNX operator DepthToSpace.
    """

    title: ClassVar[str] = "Depth to space"
    slug: ClassVar[str] = "depthtospace"

    block: int = hyper(1, "Rows and columns of a block, b.", low=1, high=64, unit="cells")
    order: str = hyper("block first", "What runs fastest in the channels.", choices=ORDERS)

    def outputs(self, *specs: Spec) -> tuple[Spec, ...]:
        shape, area = specs[0].shape, self.block**2
        if len(shape) != 4 or shape[1] % area:
            raise ShapeError(
                f"maps whose channels divide by {area} for DepthToSpace",
                f"{specs[0]}",
                "Choose another block, or put a convolution with more kernels before it.",
                (Fix("Set block to 1", "set", 1, "block"),) if len(shape) == 4 else (),
            )
        _, channels, h, w = shape
        return moved_spec(specs[0], (channels // area, h * self.block, w * self.block))

    def move(self, x: Array, fill: float) -> Array:
        n, channels, h, w = x.shape
        b, maps = self.block, channels // self.block**2
        if self.order == "block first":
            cells = x.reshape(n, b, b, maps, h, w).transpose(0, 3, 4, 1, 5, 2)
        else:
            cells = x.reshape(n, maps, b, b, h, w).transpose(0, 1, 4, 2, 5, 3)
        return cells.reshape(n, maps, h * b, w * b)

    def extent(self, slot: int, *specs: Spec, port: int = 0) -> Extent:
        maps = self.outputs(*specs)[0].shape[1]
        return Blocks(maps, self.block, self.order == "channel first")

    @property
    def onnx(self) -> OnnxOp:
        mode = "DCR" if self.order == "block first" else "CRD"
        return OnnxOp("DepthToSpace", {"blocksize": self.block, "mode": mode})
