"""Maximum of a whole map."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from typing import ClassVar

import numpy as np

from engine.layers.base import (
    Array,
    Ctx,
    Grads,
    OnnxOp,
    Record,
    Result,
    Term,
    Terms,
)
from engine.layers.pooling import GlobalPooling


@dataclass(frozen=True)
class GlobalMaxPool(GlobalPooling):
    """Keeps only the largest number of each map, which tells whether a feature is anywhere.

    y[n, k, 0, 0] = max_{r, c} x[n, k, r, c]

    Gradient: all of dy goes to the cell that won, every other cell gets an exact zero.

    Ties: the first in row-major order wins. NaN wins over every number, the first of several.

    Source: Oquab et al. 2015, section 3; ONNX operator GlobalMaxPool.
    """

    title: ClassVar[str] = "Global max pooling"
    slug: ClassVar[str] = "gmp"

    def forward(self, p: Mapping[str, Array], *xs: Array, ctx: Ctx = Ctx()) -> Result:
        """``saved["argmax"]``: int64 (N, C, 1, 1), index row·W + column."""
        (x,) = xs
        flat = x.reshape(*x.shape[:2], -1)
        argmax = flat.argmax(2)[:, :, None]
        y = np.take_along_axis(flat, argmax, 2)
        return Result((y[..., None],), {"argmax": argmax[..., None], "x": x})

    def backward(
        self,
        p: Mapping[str, Array],
        saved: Mapping[str, Array],
        dys: tuple[Array, ...],
        need: tuple[bool, ...],
        ctx: Ctx = Ctx(),
    ) -> Grads:
        if not need[0]:
            return Grads((None,))
        x, (dy,) = saved["x"], dys
        dx = np.zeros((*x.shape[:2], x.shape[2] * x.shape[3]), dy.dtype)
        np.put_along_axis(dx, saved["argmax"][..., 0], dy[..., 0], 2)
        return Grads((dx.reshape(x.shape),))

    def _winner(self, k: int, rec: Record) -> int:
        return int(rec.saved["argmax"][rec.sample, k, 0, 0])

    def reads(self, cell: tuple[int, ...], rec: Record, port: int = 0) -> Terms:
        k, x = cell[0], rec.xs[0]
        terms = tuple(
            Term(("input", 0, (k, r, c)), float(x[k, r, c]), 1.0)
            for r, c in product(range(x.shape[1]), range(x.shape[2]))
        )
        return Terms(terms, "max", "max x", self._winner(k, rec))

    def feeds(self, cell: tuple[int, ...], rec: Record, slot: int = 0) -> Terms:
        k, r, c = cell
        dy, x = rec.dys[0], rec.xs[0]
        if dy is None:
            return Terms((), "sum")
        won = self._winner(k, rec) == r * x.shape[2] + c
        note = "it won" if won else "it did not win"
        term = Term(("output_grad", 0, (k, 0, 0)), float(dy[k, 0, 0]), float(won), note)
        return Terms((term,), "sum", "dy where it won")

    def kinks(self, p: Mapping[str, Array], *xs: Array) -> float:
        flat = np.sort(xs[0].reshape(*xs[0].shape[:2], -1), 2)
        if flat.shape[2] < 2:
            return float("inf")
        return float(np.min(flat[:, :, -1] - flat[:, :, -2]))

    @property
    def onnx(self) -> OnnxOp:
        return OnnxOp("GlobalMaxPool")
