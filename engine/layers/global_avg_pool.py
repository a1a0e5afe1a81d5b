"""Average over a whole map."""

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
class GlobalAvgPool(GlobalPooling):
    """Replaces each map by its average, so that one number per channel remains.

    y[n, k, 0, 0] = (1 / (H·W)) Σ_{r, c} x[n, k, r, c]

    Gradient: every cell of a map receives the same share, dy / (H·W).

    Source: Lin, Chen & Yan 2014, section 3.2; ONNX operator GlobalAveragePool.
    """

    title: ClassVar[str] = "Global average pooling"
    slug: ClassVar[str] = "gap"

    def forward(self, p: Mapping[str, Array], *xs: Array, ctx: Ctx = Ctx()) -> Result:
        return Result((xs[0].mean((2, 3), keepdims=True),), {"x": xs[0]})

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
        area = x.shape[2] * x.shape[3]
        return Grads((np.broadcast_to(dy / dy.dtype.type(area), x.shape).copy(),))

    def reads(self, cell: tuple[int, ...], rec: Record, port: int = 0) -> Terms:
        k, x = cell[0], rec.xs[0]
        share = 1 / (x.shape[1] * x.shape[2])
        terms = tuple(
            Term(("input", 0, (k, r, c)), float(x[k, r, c]), share)
            for r, c in product(range(x.shape[1]), range(x.shape[2]))
        )
        return Terms(terms, "sum", "Σ x / (H·W)")

    def feeds(self, cell: tuple[int, ...], rec: Record, slot: int = 0) -> Terms:
        dy, x = rec.dys[0], rec.xs[0]
        if dy is None:
            return Terms((), "sum")
        share = 1 / (x.shape[1] * x.shape[2])
        term = Term(("output_grad", 0, (cell[0], 0, 0)), float(dy[cell[0], 0, 0]), share)
        return Terms((term,), "sum", "dy / (H·W)")

    @property
    def onnx(self) -> OnnxOp:
        return OnnxOp("GlobalAveragePool")
