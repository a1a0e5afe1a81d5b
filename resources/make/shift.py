"""Augmentation of training pictures by whole-pixel shifts."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def random_shift(
    x: NDArray[np.float32], random: np.random.Generator, most: int = 2
) -> NDArray[np.float32]:
    """Each picture of (n, C, H, W) moved by up to ``most`` pixels along each axis.

    What comes in at the border is the picture's own top left value: paper, in digits.
    """
    n, _, height, width = x.shape
    paper = x[:, :, :1, :1]
    padded = np.empty((*x.shape[:2], height + 2 * most, width + 2 * most), x.dtype)
    padded[...] = paper
    padded[:, :, most:-most, most:-most] = x
    windows = np.lib.stride_tricks.sliding_window_view(padded, (height, width), (2, 3))
    row, column = random.integers(0, 2 * most + 1, (2, n))
    return windows[np.arange(n), :, row, column]
