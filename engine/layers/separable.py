"""What layers share that mix the rows and the columns of each map by a matrix of their own."""

from __future__ import annotations

import numpy as np

from engine.layers.base import Array


def product(rows: Array, x: Array, columns: Array) -> Array:
    """rows · x · columnsᵀ for each map of x (N, C, H, W), in x's dtype.

    A factor of 0 takes no part: 0 · NaN would spread NaN over the whole map.
    """
    for matrix in (rows, columns):  # each pass multiplies from the left and turns the maps
        y = np.empty((*x.shape[:2], x.shape[3], len(matrix)), x.dtype)
        for i, factors in enumerate(matrix.astype(x.dtype)):
            used = np.flatnonzero(factors)
            y[..., i] = factors[used] @ x[:, :, used]
        x = y
    return x
