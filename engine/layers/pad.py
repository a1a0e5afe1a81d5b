"""A frame around the maps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from engine.extent import Axes, Extent
from engine.layers.base import Array, Fix, OnnxOp, ShapeError, Spec, expect_rank, hyper, pair
from engine.layers.rearrangement import Rearrangement, framed, framed_axis
from engine.layers.window import LARGEST, padding_sides

MODES = ("zeros", "reflect", "edge")


@dataclass(frozen=True)
class Pad(Rearrangement):
    """Puts a frame around each map: zeros, the mirrored inside, or the edge again and again.

    y[n, k, r, c] = x[n, k, r − top, c − left] inside; in the frame 0 ("zeros"), the cell as far
    inside the edge as this one is outside ("reflect"; the edge itself is not repeated), or the
    nearest cell ("edge").

    ``channels`` puts maps of zeros in front of the others and behind them, as the shortcuts of
    residual networks do whose width grows (option A of He et al. 2016).

    Gradient: each input cell receives the sum of dy over the cells that repeat it, itself among
    them; of a frame of zeros nothing comes back.

    Source: ONNX operator Pad.
    """

    title: ClassVar[str] = "Pad"
    slug: ClassVar[str] = "pad"

    padding: int | tuple[int, ...] = hyper(
        1,
        "Width of the frame: one number, (rows, columns) or (top, left, bottom, right).",
        low=0,
        high=LARGEST,
        unit="cells",
    )
    mode: str = hyper("zeros", "What the frame is filled with.", choices=MODES)
    channels: int | tuple[int, int] = hyper(
        0,
        "Maps of zeros in front and behind: one number for both, or (in front, behind).",
        low=0,
        high=65536,
        unit="maps",
        later=True,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        padding_sides(self.padding)

    def outputs(self, *specs: Spec) -> tuple[Spec, ...]:
        expect_rank(specs, 4, "Pad", "A frame needs maps: put it before the Flatten.")
        (top, left), (bottom, right) = padding_sides(self.padding)
        n, c, h, w = specs[0].shape
        if self.mode == "reflect" and (max(top, bottom) >= h or max(left, right) >= w):
            raise ShapeError(
                f"maps larger than the frame of {max(top, left, bottom, right)} that mirrors them",
                f"{h}×{w}",
                "Use less padding or another mode.",
                (Fix("Set mode to edge", "set", "edge", "mode"),),
            )
        c += sum(pair(self.channels))
        return (Spec((n, c, h + top + bottom, w + left + right), specs[0].dtype),)

    @property
    def _mode(self) -> str:
        return "constant" if self.mode == "zeros" else self.mode

    def move(self, x: Array, fill: float) -> Array:
        before, after = padding_sides(self.padding)
        x = framed(x, (0, *before), (0, *after), self._mode, fill)
        front, behind = pair(self.channels)
        return framed(x, (front, 0, 0), (behind, 0, 0), "constant", fill) if front or behind else x

    def extent(self, slot: int, *specs: Spec, port: int = 0) -> Extent:
        channels, *size = specs[0].shape[1:]
        sides = zip(size, *padding_sides(self.padding), strict=True)
        maps = framed_axis(channels, *pair(self.channels), "constant")
        return Axes((maps, *(framed_axis(n, b, a, self._mode) for n, b, a in sides)))

    @property
    def onnx(self) -> OnnxOp:
        return OnnxOp("Pad", {"mode": self._mode})
