"""Softmax."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from engine.layers.across_channels import AcrossChannels
from engine.layers.base import (
    Array,
    Ctx,
    Grads,
    OnnxOp,
    Result,
)


@dataclass(frozen=True)
class Softmax(AcrossChannels):
    """Turns scores into shares that are positive and add up to 1.

    y_i = exp(x_i) / Σ_j exp(x_j), over axis 1 (the classes or channels)

    Gradient: dx_i = y_i · (dy_i − Σ_j y_j dy_j): every output takes part in every input's
    gradient, because raising one share lowers the others.

    Source: Bridle 1990.
    """

    title: ClassVar[str] = "Softmax"
    slug: ClassVar[str] = "softmax"
    formula: ClassVar[str] = "exp(x_i) / Σ_j exp(x_j)"
    gradient_formula: ClassVar[str] = "Σ_j dy_j · y_i (δ_ij − y_j)"

    def slope(self, i: int, j: int, y_i: float, y_j: float) -> float:
        return y_i * (float(j == i) - y_j)

    def forward(self, p: Mapping[str, Array], *xs: Array, ctx: Ctx = Ctx()) -> Result:
        e = np.exp(xs[0] - xs[0].max(1, keepdims=True))
        y = e / e.sum(1, keepdims=True)
        return Result((y,), {"y": y})

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
        y, (dy,) = saved["y"], dys
        return Grads((y * (dy - (y * dy).sum(1, keepdims=True)),))

    @property
    def onnx(self) -> OnnxOp:
        return OnnxOp("Softmax", {"axis": 1})
