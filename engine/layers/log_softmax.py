"""Logarithm of softmax."""

from __future__ import annotations

import math
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
class LogSoftmax(AcrossChannels):
    """Turns scores into the logarithms of shares that add up to 1, without losing small ones.

    y_i = x_i − log Σ_j exp(x_j), over axis 1 (the classes or channels)

    Gradient: dx_i = dy_i − exp(y_i) · Σ_j dy_j: each input gives back its share of the whole.

    Source: Bridle 1990; ONNX operator LogSoftmax.
    """

    title: ClassVar[str] = "Log-softmax"
    slug: ClassVar[str] = "logsoftmax"
    formula: ClassVar[str] = "x_i − log Σ_j exp(x_j)"
    gradient_formula: ClassVar[str] = "Σ_j dy_j · (δ_ij − exp(y_i))"

    def slope(self, i: int, j: int, y_i: float, y_j: float) -> float:
        return float(j == i) - math.exp(y_i)

    def forward(self, p: Mapping[str, Array], *xs: Array, ctx: Ctx = Ctx()) -> Result:
        shifted = xs[0] - xs[0].max(1, keepdims=True)
        y = shifted - np.log(np.exp(shifted).sum(1, keepdims=True))
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
        (dy,) = dys
        return Grads((dy - np.exp(saved["y"]) * dy.sum(1, keepdims=True),))

    @property
    def onnx(self) -> OnnxOp:
        return OnnxOp("LogSoftmax", {"axis": 1})
