"""Normalisation along the last axes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from engine.extent import Extent, Matched, Slide
from engine.layers.base import (
    Array,
    Ctx,
    Fix,
    Grads,
    Layer,
    OnnxOp,
    ParamSpec,
    Record,
    Result,
    ShapeError,
    Spec,
    Term,
    Terms,
    expect_axis,
    gathered,
    hyper,
)
from engine.layers.sample_norm import standardised, through_standardised


@dataclass(frozen=True)
class FeatureNorm(Layer):
    """Gives every row of numbers along the last axes mean 0 and spread 1, then scale and shift.

    x̂ = (x − μ) / √(σ² + ε), y = γ x̂ + β, with μ and σ² over the axes from ``axis`` on and γ and
    β of the sizes of these axes. Without ``centred`` μ is 0 and σ² the mean of squares (RMS norm).

    Gradient: dx = (g − mean(g) − x̂ · mean(g · x̂)) / √(σ² + ε) with g = γ · dy (without
    ``centred`` mean(g) is left out); dγ = Σ dy · x̂ and dβ = Σ dy over all rows.

    Source: Ba, Kiros & Hinton 2016; ONNX operators LayerNormalization and RMSNormalization.
    """

    title: ClassVar[str] = "Feature normalisation"
    category: ClassVar[str] = "Normalisation"
    slug: ClassVar[str] = "featurenorm"

    axis: int = hyper(1, "The first of the axes, from 1 (the channels).", low=1, high=16)
    eps: float = hyper(1e-5, "Added to the variance, against division by 0.", low=1e-12, high=1.0)
    centred: bool = hyper(True, "Take the mean away.")
    scale: bool = hyper(True, "Multiply by trained numbers.")
    bias: bool = hyper(True, "Add trained numbers.")

    def outputs(self, *specs: Spec) -> tuple[Spec, ...]:
        shape = specs[0].shape
        expect_axis(specs[0], self.axis, "FeatureNorm")
        if int(np.prod(shape[self.axis :])) < 2:
            raise ShapeError(
                "at least 2 numbers to take the mean of for FeatureNorm",
                f"{specs[0]} from axis {self.axis} on",
                "Choose an earlier axis.",
                (Fix("Set axis to 1", "set", 1, "axis"),) if int(np.prod(shape[1:])) > 1 else (),
            )
        return (specs[0],)

    def parameters(self, *specs: Spec) -> dict[str, ParamSpec]:
        shape = specs[0].shape[self.axis :]
        found = {"weight": ParamSpec(shape, "ones", decay=False)} if self.scale else {}
        if self.bias:
            found["bias"] = ParamSpec(shape, "zeros", decay=False)
        return found

    def forward(self, p: Mapping[str, Array], *xs: Array, ctx: Ctx = Ctx()) -> Result:
        """``saved``: "xhat" of x's shape, "inv_std" with the axes kept, of size 1."""
        (x,) = xs
        axes = tuple(range(self.axis, x.ndim))
        xhat, inv_std = standardised(x, axes, self.eps, self.centred)
        y = xhat * p["weight"] if self.scale else xhat
        return Result((y + p["bias"] if self.bias else y,), {"xhat": xhat, "inv_std": inv_std})

    def backward(
        self,
        p: Mapping[str, Array],
        saved: Mapping[str, Array],
        dys: tuple[Array, ...],
        need: tuple[bool, ...],
        ctx: Ctx = Ctx(),
    ) -> Grads:
        (dy,), xhat = dys, saved["xhat"]
        rows, axes = tuple(range(self.axis)), tuple(range(self.axis, dy.ndim))
        dparams = {}
        if self.scale:
            dparams["weight"] = (dy * xhat).sum(rows, np.float64).astype(dy.dtype)
        if self.bias:
            dparams["bias"] = dy.sum(rows, np.float64).astype(dy.dtype)
        if not need[0]:
            return Grads((None,), dparams)
        g = dy * p["weight"] if self.scale else dy
        dx = through_standardised(g, xhat, saved["inv_std"], axes, self.centred)
        return Grads((dx,), dparams)

    def _slope(self, cell: tuple[int, ...], rec: Record) -> tuple[float, float]:
        """(γ, 1 / √(σ² + ε)) at a cell."""
        gamma = float(rec.params["weight"][cell[self.axis - 1 :]]) if self.scale else 1.0
        row = (*cell[: self.axis - 1], *[0] * (len(cell) - self.axis + 1))
        return gamma, float(rec.saved["inv_std"][(rec.sample, *row)])

    def reads(self, cell: tuple[int, ...], rec: Record, port: int = 0) -> Terms:
        gamma, inv_std = self._slope(cell, rec)
        x = float(rec.xs[0][cell])
        terms = [Term(("input", 0, cell), x, gamma * inv_std, "γ/√(σ² + ε)")]
        if self.centred:
            mean = x - float(rec.saved["xhat"][(rec.sample, *cell)]) / inv_std
            terms.append(Term(("constant", "mean"), mean, -gamma * inv_std, "μ"))
        if self.bias:
            index = cell[self.axis - 1 :]
            terms.append(Term(("param", "bias", index), float(rec.params["bias"][index]), 1.0, "β"))
        return Terms(tuple(terms), "sum", "γ (x − μ) / √(σ² + ε) + β")

    def feeds(self, cell: tuple[int, ...], rec: Record, slot: int = 0) -> Terms:
        """Every cell of the row takes part, because it helped to make mean and variance."""
        dy = rec.dys[0]
        if dy is None:
            return Terms((), "sum")
        xhat = rec.saved["xhat"][rec.sample]
        front = cell[: self.axis - 1]
        row = xhat[front]
        here = float(xhat[cell])
        terms = []
        for index, other in np.ndenumerate(row):
            place = (*front, *index)
            gamma, inv_std = self._slope(place, rec)
            share = (float(self.centred) + here * float(other)) / row.size
            factor = float(place == cell) - share
            terms.append(
                Term(("output_grad", 0, place), float(dy[place]), gamma * inv_std * factor)
            )
        return Terms(tuple(terms), "sum", "(g − mean g − x̂ · mean(g · x̂)) / √(σ² + ε), g = γ dy")

    def gathers(self, name: str, index: tuple[int, ...], rec: Record) -> Terms:
        dy, xhat = rec.dys[0], rec.saved["xhat"][rec.sample]
        if dy is None:
            return Terms((), "sum")
        places = [(*row, *index) for row in np.ndindex(*dy.shape[: self.axis - 1])]
        if name == "bias":
            return gathered(dy, places)
        terms = tuple(
            Term(("output_grad", 0, place), float(dy[place]), float(xhat[place]), "x̂")
            for place in places
        )
        return Terms(terms, "sum", "Σ dy · x̂ over the rows")

    def extent(self, slot: int, *specs: Spec, port: int = 0) -> Extent:
        shape = specs[0].shape[1:]
        front = ((i, i, Slide(shape[i], shape[i])) for i in range(self.axis - 1))
        return Matched(shape, shape, tuple(front))

    @property
    def onnx(self) -> OnnxOp:
        params = [*(["weight"] if self.scale else []), *(["bias"] if self.bias else [])]
        return OnnxOp("FeatureNorm", {"epsilon": float(self.eps)}, tuple(params))
