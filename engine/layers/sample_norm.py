"""What normalisations within one sample share: mean and variance over groups of its channels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from engine.extent import Axes, Extent, Groups
from engine.layers.base import (
    Array,
    Ctx,
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
    gathered,
    hyper,
)


def standardised(
    x: Array, axes: tuple[int, ...], eps: float, centred: bool = True
) -> tuple[Array, Array]:
    """(x̂, 1 / √(σ² + ε)) over the axes, which the second keeps with size 1.

    Without ``centred`` the mean stays and σ² is the mean of squares.
    """
    if centred:
        # two passes, because E[x²] − μ² cancels; sums in float64, because they are long
        x = x - x.mean(axes, np.float64, keepdims=True).astype(x.dtype)
    var = np.square(x).mean(axes, np.float64, keepdims=True).astype(x.dtype)
    inv_std = 1 / np.sqrt(var + x.dtype.type(eps))
    return x * inv_std, inv_std


def through_standardised(
    g: Array, xhat: Array, inv_std: Array, axes: tuple[int, ...], centred: bool = True
) -> Array:
    """The gradient of x from that of x̂."""
    inner = g - g.mean(axes, np.float64, keepdims=True).astype(g.dtype) if centred else g
    mean_gx = (g * xhat).mean(axes, np.float64, keepdims=True).astype(g.dtype)
    return (inner - xhat * mean_gx) * inv_std


@dataclass(frozen=True)
class SampleNorm(Layer):
    """y = γ · (x − μ) / √(σ² + ε) + β, with μ and σ² of a group of channels of one sample.

    Gradient: dx = (g − mean(g) − x̂ · mean(g · x̂)) / √(σ² + ε) with g = γ · dy and means over the
    group, so its sum over the group is 0; dγ = Σ dy · x̂, dβ = Σ dy.
    """

    abstract: ClassVar[bool] = True
    category: ClassVar[str] = "Normalisation"

    eps: float = hyper(1e-5, "Added to the variance, against division by 0.", low=1e-12, high=1.0)
    affine: bool = hyper(True, "Scale and shift the result by trained numbers.")

    def groups_of(self, channels: int) -> int:
        """Into how many groups the channels are split."""
        raise NotImplementedError

    def _parameter_shape(self, spec: Spec) -> tuple[int, ...]:
        return (spec.shape[1],)

    def outputs(self, *specs: Spec) -> tuple[Spec, ...]:
        shape = specs[0].shape
        size = int(np.prod(shape[1:])) // self.groups_of(shape[1])
        if size < 2:
            raise ShapeError(
                f"at least 2 numbers to take the mean of for {type(self).__name__}",
                f"{specs[0]}, with {size} in each group",
                "Put it where the maps are larger.",
            )
        return (specs[0],)

    def parameters(self, *specs: Spec) -> dict[str, ParamSpec]:
        if not self.affine:
            return {}
        shape = self._parameter_shape(specs[0])
        return {
            "weight": ParamSpec(shape, "ones", decay=False),
            "bias": ParamSpec(shape, "zeros", decay=False),
        }

    def _fit(self, parameter: Array, rank: int) -> Array:
        """A parameter in the shape that meets (N, C, …)."""
        return parameter.reshape(*parameter.shape, *[1] * (rank - 1 - parameter.ndim))

    def forward(self, p: Mapping[str, Array], *xs: Array, ctx: Ctx = Ctx()) -> Result:
        """``saved``: "xhat" of x's shape, "inv_std" (N, groups)."""
        (x,) = xs
        rows = x.reshape(len(x), self.groups_of(x.shape[1]), -1)
        xhat, inv_std = standardised(rows, (2,), self.eps)
        xhat = xhat.reshape(x.shape)
        y = xhat
        if self.affine:
            y = xhat * self._fit(p["weight"], x.ndim) + self._fit(p["bias"], x.ndim)
        return Result((y,), {"xhat": xhat, "inv_std": inv_std[..., 0]})

    def backward(
        self,
        p: Mapping[str, Array],
        saved: Mapping[str, Array],
        dys: tuple[Array, ...],
        need: tuple[bool, ...],
        ctx: Ctx = Ctx(),
    ) -> Grads:
        (dy,), xhat, inv_std = dys, saved["xhat"], saved["inv_std"]
        dparams = {}
        g = dy
        if self.affine:
            shape = p["weight"].shape
            axes = (0, *range(1 + len(shape), dy.ndim))
            dparams = {
                "weight": (dy * xhat).sum(axes, np.float64).astype(dy.dtype),
                "bias": dy.sum(axes, np.float64).astype(dy.dtype),
            }
            g = dy * self._fit(p["weight"], dy.ndim)
        if not need[0]:
            return Grads((None,), dparams)
        g, rows = g.reshape(*inv_std.shape, -1), xhat.reshape(*inv_std.shape, -1)
        dx = through_standardised(g, rows, inv_std[..., None], (2,))
        return Grads((dx.reshape(dy.shape),), dparams)

    def _gamma(self, cell: tuple[int, ...], rec: Record) -> float:
        if not self.affine:
            return 1.0
        weight = rec.params["weight"]
        return float(weight[cell[: weight.ndim]])

    def _inv_std(self, cell: tuple[int, ...], rec: Record) -> tuple[int, float]:
        """(first channel of the cell's group, 1 / √(σ² + ε))."""
        channels = rec.xs[0].shape[0]
        per_group = channels // self.groups_of(channels)
        group = cell[0] // per_group
        return group * per_group, float(rec.saved["inv_std"][rec.sample, group])

    def reads(self, cell: tuple[int, ...], rec: Record, port: int = 0) -> Terms:
        _, inv_std = self._inv_std(cell, rec)
        slope = self._gamma(cell, rec) * inv_std
        x = float(rec.xs[0][cell])
        mean = x - float(rec.saved["xhat"][(rec.sample, *cell)]) / inv_std
        terms = [
            Term(("input", 0, cell), x, slope, "γ/√(σ² + ε)"),
            Term(("constant", "mean"), mean, -slope, "μ"),
        ]
        if self.affine:
            bias = rec.params["bias"]
            index = cell[: bias.ndim]
            terms.append(Term(("param", "bias", index), float(bias[index]), 1.0, "β"))
        return Terms(tuple(terms), "sum", "γ (x − μ) / √(σ² + ε) + β")

    def feeds(self, cell: tuple[int, ...], rec: Record, slot: int = 0) -> Terms:
        """Every cell of the group takes part, because it helped to make mean and variance."""
        dy = rec.dys[0]
        if dy is None:
            return Terms((), "sum")
        first, inv_std = self._inv_std(cell, rec)
        xhat = rec.saved["xhat"][rec.sample]
        per_group = len(xhat) // self.groups_of(len(xhat))
        here = float(xhat[cell])
        part = xhat[first : first + per_group]
        terms = []
        for index, other in np.ndenumerate(part):
            place = (first + index[0], *index[1:])
            factor = float(place == cell) - (1 + here * float(other)) / part.size
            slope = inv_std * factor * self._gamma(place, rec)
            terms.append(Term(("output_grad", 0, place), float(dy[place]), slope))
        return Terms(tuple(terms), "sum", "(g − mean g − x̂ · mean(g · x̂)) / √(σ² + ε), g = γ dy")

    def gathers(self, name: str, index: tuple[int, ...], rec: Record) -> Terms:
        dy, xhat = rec.dys[0], rec.saved["xhat"][rec.sample]
        if dy is None:
            return Terms((), "sum")
        places = [(*index, *place) for place in np.ndindex(*dy.shape[len(index) :])]
        if name == "bias":
            return gathered(dy, places)
        terms = tuple(
            Term(("output_grad", 0, place), float(dy[place]), float(xhat[place]), "x̂")
            for place in places
        )
        return Terms(terms, "sum", "Σ dy · x̂")

    def extent(self, slot: int, *specs: Spec, port: int = 0) -> Extent:
        channels, *sizes = specs[0].shape[1:]
        maps = Groups(channels, channels, self.groups_of(channels))
        return Axes((maps, *(Groups(size, size) for size in sizes)))

    def _onnx(self, op: str) -> OnnxOp:
        return OnnxOp(op, {"epsilon": self.eps}, ("weight", "bias") if self.affine else ())
