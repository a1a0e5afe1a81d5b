"""What convolutions share: how kernels slide, how weights start, and groups of channels."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

from engine.layers.base import (
    Fix,
    Layer,
    OnnxOp,
    ParamSpec,
    ShapeError,
    Spec,
    hyper,
    initialiser_hyper,
    pair,
    weights,
)
from engine.layers.window import LARGEST, Window, padding_sides


def kernel_size_hyper(default: int) -> Any:
    """The size of a kernel."""
    return hyper(default, "Rows and columns of the kernel.", low=1, high=LARGEST, unit="cells")


def stride_hyper() -> Any:
    """How far a kernel moves."""
    return hyper(1, "Cells that the kernel moves each time.", low=1, high=LARGEST, unit="cells")


def padding_hyper() -> Any:
    """The frame of zeros around the input of a convolution."""
    return hyper(
        0,
        "Zeros around the input: one number, (rows, columns) or (top, left, bottom, right).",
        low=0,
        high=LARGEST,
        unit="cells",
    )


@dataclass(frozen=True)
class Convolution(Layer):
    """Kernels that slide over maps; a subclass says in which direction the numbers go.

    Gradient: dW is a sum over all positions, because one kernel serves them all.
    """

    abstract: ClassVar[bool] = True
    category: ClassVar[str] = "Convolution"

    out_channels: int = hyper(8, "Number of kernels, each makes one map.", low=1, high=65536)
    kernel_size: int | tuple[int, int] = kernel_size_hyper(3)
    stride: int | tuple[int, int] = stride_hyper()
    padding: int | tuple[int, ...] = padding_hyper()
    dilation: int | tuple[int, int] = hyper(
        1, "Distance between neighbouring kernel cells.", low=1, high=LARGEST, unit="cells"
    )
    groups: int = hyper(
        1, "Channels are split into this many independent groups.", low=1, high=65536
    )
    bias: bool = hyper(True, "Add one trained number to each map.")
    initialiser: str = initialiser_hyper()

    def __post_init__(self) -> None:
        super().__post_init__()
        padding_sides(self.padding)

    @property
    def sliding(self) -> Window:
        """The geometry of the sliding kernel."""
        before, after = padding_sides(self.padding)
        return Window(pair(self.kernel_size), pair(self.stride), before, after, pair(self.dilation))

    def check_groups(self, channels: int) -> None:
        """Raise ShapeError unless the groups divide the channels of the input and the output."""
        if channels % self.groups or self.out_channels % self.groups:
            groups = math.gcd(channels, self.out_channels, self.groups)
            raise ShapeError(
                f"input channels and out_channels divisible by groups={self.groups}",
                f"{channels} input channels and out_channels={self.out_channels}",
                "Choose a number of groups that divides both.",
                (Fix(f"Set groups to {groups}", "set", groups, "groups"),),
            )

    def kernels(self, shape: tuple[int, ...], fan_in: int, fan_out: int) -> dict[str, ParamSpec]:
        """The weights of ``shape`` and a bias for each map, where there is one."""
        found = {"weight": weights(self.initialiser, shape, fan_in, fan_out)}
        if self.bias:
            found["bias"] = ParamSpec((self.out_channels,), "zeros", fan_in, decay=False)
        return found

    def bind(self, op: str, **attributes: Any) -> OnnxOp:
        """The mapping to operator ``op``, with what the operators have in common."""
        (top, left), (bottom, right) = padding_sides(self.padding)
        return OnnxOp(
            op,
            {
                "kernel_shape": list(pair(self.kernel_size)),
                "strides": list(pair(self.stride)),
                "pads": [top, left, bottom, right],
                "dilations": list(pair(self.dilation)),
                "group": self.groups,
                **attributes,
            },
            ("weight", "bias") if self.bias else ("weight",),
        )

    def multiply_adds(self, maps: Spec, *inputs: Spec) -> int:
        """Each kernel is laid once at every cell of ``maps``."""
        height, width = maps.shape[2:]
        return self.parameters(*inputs)["weight"].size * height * width
