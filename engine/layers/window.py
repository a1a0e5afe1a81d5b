"""Geometry of sliding windows, shared by convolution and pooling.

Sizes follow the ONNX and PyTorch rule
``out = floor((in + before + after − dilation·(kernel − 1) − 1) / stride) + 1``; with ceil_mode the
quotient is rounded up and a last window that would start beyond input plus left padding is dropped.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
from numpy.lib.stride_tricks import as_strided

from engine.extent import Axes, Axis, Slide
from engine.layers.base import Array, Fix, HyperparameterError, ShapeError, Spec, Term

LARGEST = 1024
"""Cells of the largest window, step and frame: more than any map that is looked at has."""


class Sliding(Protocol):
    """A layer that moves a window over its input."""

    @property
    def window(self) -> Window: ...


@dataclass(frozen=True)
class Window:
    """A window that slides over (H, W): all pairs are (rows, columns).

    ``before`` and ``after`` are the rows and columns of padding at the top-left and bottom-right.
    """

    kernel_size: tuple[int, int]
    stride: tuple[int, int] = (1, 1)
    before: tuple[int, int] = (0, 0)
    after: tuple[int, int] = (0, 0)
    dilation: tuple[int, int] = (1, 1)
    ceil_mode: bool = False

    def output_size(self, height: int, width: int) -> tuple[int, int]:
        """(H, W) of the output; may be zero or negative when the window does not fit."""
        sizes = []
        for i, size in enumerate((height, width)):
            room = size + self.before[i] + self.after[i] - self.extent[i]
            if self.ceil_mode:
                out = -(-room // self.stride[i]) + 1
                if (out - 1) * self.stride[i] >= size + self.before[i]:
                    out -= 1
            else:
                out = room // self.stride[i] + 1
            sizes.append(max(0, out))
        return sizes[0], sizes[1]

    @property
    def extent(self) -> tuple[int, int]:
        """Rows and columns from the first to the last cell of the window, dilation included."""
        return (
            self.dilation[0] * (self.kernel_size[0] - 1) + 1,
            self.dilation[1] * (self.kernel_size[1] - 1) + 1,
        )

    def checked_output_size(self, spec: Spec, layer: Sliding) -> tuple[int, int]:
        """(H, W) of the output; raises ShapeError when the window is larger than its input.

        ``layer`` is the owner of this window; only changes of it that mend the error are offered.
        """
        height, width = spec.shape[2:]
        out = self.output_size(height, width)
        if min(out) < 1:
            rooms = [
                size + b + a
                for size, b, a in zip((height, width), self.before, self.after, strict=True)
            ]
            padding = max(
                -(-(e - size) // 2) for e, size in zip(self.extent, (height, width), strict=True)
            )
            kernel = tuple(
                min(k, max(1, (room - 1) // d + 1))
                for k, room, d in zip(self.kernel_size, rooms, self.dilation, strict=True)
            )
            fixes = (
                Fix(f"Set padding to {padding}", "set", padding, "padding"),
                Fix(f"Set kernel_size to {kernel[0]}×{kernel[1]}", "set", kernel, "kernel_size"),
            )
            (top, left), (bottom, right) = self.before, self.after
            padded = "without padding"
            if top or left or bottom or right:
                padded = f"with padding {top}, {left}, {bottom}, {right} (top, left, bottom, right)"
            raise ShapeError(
                f"an input at least as large as the {self.extent[0]}×{self.extent[1]} window "
                f"of {type(layer).__name__}",
                f"{height}×{width} {padded}",
                "Use a smaller kernel_size or more padding.",
                tuple(fix for fix in fixes if _mends(fix, layer, height, width)),
            )
        return out

    def padded_size(self, height: int, width: int) -> tuple[int, int]:
        """Rows and columns that the windows touch, padding and ceil_mode's overhang included."""
        out = self.output_size(height, width)
        sizes = [
            max(
                size + self.before[i] + self.after[i],
                (out[i] - 1) * self.stride[i] + self.extent[i],
            )
            for i, size in enumerate((height, width))
        ]
        return sizes[0], sizes[1]

    def pad(self, x: Array, value: float = 0.0) -> Array:
        """A copy of x (N, C, H, W) with its padding filled with ``value``."""
        n, c, h, w = x.shape
        rows, columns = self.padded_size(h, w)
        padded = np.full((n, c, rows, columns), value, x.dtype)
        self.body(padded, h, w)[...] = x
        return padded

    def body(self, padded: Array, height: int, width: int) -> Array:
        """The view of a padded array that holds the input itself."""
        top, left = self.before
        return padded[:, :, top : top + height, left : left + width]

    def view(self, padded: Array, out: tuple[int, int]) -> Array:
        """A view (N, C, H_out, W_out, K_rows, K_columns) of the padded array; nothing is copied."""
        n, c = padded.shape[:2]
        sn, sc, sh, sw = padded.strides
        return as_strided(
            padded,
            (n, c, *out, *self.kernel_size),
            (
                sn,
                sc,
                sh * self.stride[0],
                sw * self.stride[1],
                sh * self.dilation[0],
                sw * self.dilation[1],
            ),
            writeable=False,
        )

    def tap(self, padded: Array, row: int, column: int, out: tuple[int, int]) -> Array:
        """The writable view (N, C, H_out, W_out) of what kernel position (row, column) touches."""
        top, left = row * self.dilation[0], column * self.dilation[1]
        return padded[
            :,
            :,
            top : top + (out[0] - 1) * self.stride[0] + 1 : self.stride[0],
            left : left + (out[1] - 1) * self.stride[1] + 1 : self.stride[1],
        ]

    def source(self, row: int, column: int, i: int, j: int) -> tuple[int, int]:
        """Input (row, column) under kernel position (i, j) of output cell; may lie in padding."""
        return (
            row * self.stride[0] - self.before[0] + i * self.dilation[0],
            column * self.stride[1] - self.before[1] + j * self.dilation[1],
        )

    def reach(self, height: int, width: int, out: tuple[int, int], channels: Axis) -> Axes:
        """How far output cells (``out`` rows, columns) reach into (``height``, ``width``)."""
        axes = (
            Slide(
                size, out[i], self.kernel_size[i], self.stride[i], self.before[i], self.dilation[i]
            )
            for i, size in enumerate((height, width))
        )
        return Axes((channels, *axes))

    def reach_in_maps(self, spec: Spec) -> Axes:
        """The extent of a layer that treats each map by itself, as poolings do."""
        channels, height, width = spec.shape[1:]
        out = self.output_size(height, width)
        return self.reach(height, width, out, Slide(channels, channels))

    def gathers(self, dy: Array, x: Array, o: int, k: int, i: int, j: int) -> tuple[Term, ...]:
        """Terms of the gradient of kernel cell (i, j): output map ``o`` reads input map ``k``.

        ``dy`` (H_out, W_out) is the gradient of the output, ``x`` (H, W) the input; positions at
        which the cell lay on padding took no part.
        """
        terms = []
        for row, column in np.ndindex(*dy.shape):
            r, c = self.source(row, column, i, j)
            if 0 <= r < x.shape[0] and 0 <= c < x.shape[1]:
                place = ("output_grad", 0, (o, row, column))
                note = f"x[{k},{r},{c}]"
                terms.append(Term(place, float(dy[row, column]), float(x[r, c]), note))
        return tuple(terms)

    def readers(self, row: int, column: int, out: tuple[int, int]) -> list[tuple[int, ...]]:
        """Every (output row, output column, i, j) whose kernel position (i, j) is this cell."""
        found: list[tuple[int, ...]] = []
        for i in range(self.kernel_size[0]):
            r, rest = divmod(row + self.before[0] - i * self.dilation[0], self.stride[0])
            if rest or not 0 <= r < out[0]:
                continue
            for j in range(self.kernel_size[1]):
                c, rest = divmod(column + self.before[1] - j * self.dilation[1], self.stride[1])
                if not rest and 0 <= c < out[1]:
                    found.append((r, c, i, j))
        return found


def padding_sides(padding: int | tuple[int, ...]) -> tuple[tuple[int, int], tuple[int, int]]:
    """((top, left), (bottom, right)) from one number, (rows, columns) or all four sides.

    The order of four is ONNX's: top, left, bottom, right.
    """
    if isinstance(padding, int):
        return (padding, padding), (padding, padding)
    if len(padding) == 2:
        return (padding[0], padding[1]), (padding[0], padding[1])
    if len(padding) == 4:
        return (padding[0], padding[1]), (padding[2], padding[3])
    raise HyperparameterError(
        "padding: expected one number, (rows, columns) or (top, left, bottom, right), "
        f"received {len(padding)} numbers."
    )


def _mends(fix: Fix, layer: Any, height: int, width: int) -> bool:
    if fix.name not in layer.__dataclass_fields__:
        return False
    try:
        mended = replace(layer, **{fix.name: fix.value})
    except HyperparameterError:
        return False
    return min(mended.window.output_size(height, width)) >= 1
