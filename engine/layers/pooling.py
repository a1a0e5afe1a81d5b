"""What poolings share: a window that slides over each map by itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from engine.extent import Axes, Extent, Groups, Slide
from engine.layers.base import HyperparameterError, Layer, Spec, expect_rank, hyper, pair
from engine.layers.window import LARGEST, Window, padding_sides


@dataclass(frozen=True)
class GlobalPooling(Layer):
    """Makes one number of each whole map.

    Gradient: dy goes back to cells of its own map.
    """

    abstract: ClassVar[bool] = True
    category: ClassVar[str] = "Pooling"

    def outputs(self, *specs: Spec) -> tuple[Spec, ...]:
        expect_rank(specs, 4, type(self).__name__, "Pooling needs maps: put it before the Flatten.")
        return (Spec((*specs[0].shape[:2], 1, 1), specs[0].dtype),)

    def extent(self, slot: int, *specs: Spec, port: int = 0) -> Extent:
        channels, height, width = specs[0].shape[1:]
        return Axes((Slide(channels, channels), Groups(height, 1), Groups(width, 1)))


@dataclass(frozen=True)
class Pooling(Layer):
    """Makes one number of each window of a map.

    Gradient: dy goes back to the cells of its window; where windows overlap, the shares add.
    """

    abstract: ClassVar[bool] = True
    category: ClassVar[str] = "Pooling"

    kernel_size: int | tuple[int, int] = hyper(
        2, "Rows and columns of the window.", low=1, high=LARGEST, unit="cells"
    )
    stride: int | tuple[int, int] = hyper(
        2, "Cells that the window moves each time.", low=1, high=LARGEST, unit="cells"
    )
    padding: int | tuple[int, ...] = hyper(
        0, "Cells around the input.", low=0, high=LARGEST // 2, unit="cells"
    )

    @property
    def window(self) -> Window:
        """The geometry of the sliding window."""
        raise NotImplementedError

    def sliding(self, dilation: int | tuple[int, int], ceil_mode: bool) -> Window:
        """A window of this size, stride and padding."""
        before, after = padding_sides(self.padding)
        size, stride = pair(self.kernel_size), pair(self.stride)
        return Window(size, stride, before, after, pair(dilation), ceil_mode)

    def __post_init__(self) -> None:
        super().__post_init__()
        window = self.window
        for i, extent in enumerate(window.extent):
            side = max(window.before[i], window.after[i])
            if side > extent // 2:
                raise HyperparameterError(
                    f"{type(self).__name__}.padding: expected at most half the window "
                    f"({extent // 2}), received {side}."
                )

    def outputs(self, *specs: Spec) -> tuple[Spec, ...]:
        expect_rank(specs, 4, type(self).__name__, "Pooling needs maps: put it before the Flatten.")
        out = self.window.checked_output_size(specs[0], self)
        return (Spec((*specs[0].shape[:2], *out), specs[0].dtype),)

    def extent(self, slot: int, *specs: Spec, port: int = 0) -> Extent:
        return self.window.reach_in_maps(specs[0])

    def attributes(self) -> dict[str, Any]:
        """The attributes that the ONNX operators of poolings have in common."""
        window = self.window
        return {
            "kernel_shape": list(window.kernel_size),
            "strides": list(window.stride),
            "pads": [*window.before, *window.after],
            "ceil_mode": int(window.ceil_mode),
        }
