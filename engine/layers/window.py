"""Geometry of sliding windows, shared by convolution and pooling.

Sizes follow the ONNX and PyTorch rule
``out = floor((in + before + after − dilation·(kernel − 1) − 1) / stride) + 1``; with ceil_mode the
quotient is rounded up and a last window that would start beyond input plus left padding is dropped.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import as_strided

from engine.layers.base import Array, Fix, HyperparameterError, ShapeError, Spec


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
            extent = self.dilation[i] * (self.kernel_size[i] - 1) + 1
            room = size + self.before[i] + self.after[i] - extent
            if room < 0:
                sizes.append(0)
                continue
            if self.ceil_mode:
                out = -(-room // self.stride[i]) + 1
                if (out - 1) * self.stride[i] >= size + self.before[i]:
                    out -= 1
            else:
                out = room // self.stride[i] + 1
            sizes.append(out)
        return sizes[0], sizes[1]

    def checked_output_size(self, spec: Spec, layer: str) -> tuple[int, int]:
        """(H, W) of the output; raises ShapeError when the window is larger than its input."""
        height, width = spec.shape[2:]
        out = self.output_size(height, width)
        if min(out) < 1:
            extent = tuple(
                d * (k - 1) + 1 for d, k in zip(self.dilation, self.kernel_size, strict=True)
            )
            missing = max(
                extent[0] - height - self.before[0] - self.after[0],
                extent[1] - width - self.before[1] - self.after[1],
            )
            padding = max(self.before) + -(-missing // 2)
            fits = tuple(
                max(1, (size + b + a - 1) // d + 1)
                for size, b, a, d in zip(
                    (height, width), self.before, self.after, self.dilation, strict=True
                )
            )
            kernel = (
                min(self.kernel_size[0], fits[0]),
                min(self.kernel_size[1], fits[1]),
            )
            fixes = [
                Fix(f"Set kernel_size to {kernel[0]}×{kernel[1]}", "set", kernel, "kernel_size")
            ]
            if layer.startswith("Conv") or all(padding <= k // 2 for k in self.kernel_size):
                fixes.insert(0, Fix(f"Set padding to {padding}", "set", padding, "padding"))
            raise ShapeError(
                f"an input at least as large as the {extent[0]}×{extent[1]} window of {layer}",
                f"{height}×{width} with padding {self.before} and {self.after}",
                "Use a smaller kernel_size or more padding.",
                tuple(fixes),
            )
        return out

    def padded_size(self, height: int, width: int) -> tuple[int, int]:
        """Rows and columns that the windows touch, padding and ceil_mode's overhang included."""
        out = self.output_size(height, width)
        sizes = [
            max(
                size + self.before[i] + self.after[i],
                (out[i] - 1) * self.stride[i] + self.dilation[i] * (self.kernel_size[i] - 1) + 1,
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
