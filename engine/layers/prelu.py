"""Parametric rectified linear unit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from engine.layers.base import (
    Array,
    Ctx,
    Grads,
    Layer,
    OnnxOp,
    ParamSpec,
    Record,
    Result,
    Spec,
    Term,
    Terms,
    hyper,
)


@dataclass(frozen=True)
class PReLU(Layer):
    """A leaky ReLU that learns its slope for negative numbers, one for each channel.

    y = x where x > 0, else a_k · x

    Gradient: dx = dy where x > 0, else a_k · dy (also at x = 0, as PyTorch); da_k = Σ dy · x over
    the cells of the channel where x ≤ 0, in all samples. With ``shared`` one slope serves all.

    Source: He et al. 2015, section 2.1 (slopes start at 0.25); ONNX operator PRelu.
    """

    title: ClassVar[str] = "PReLU"
    category: ClassVar[str] = "Activation"
    slug: ClassVar[str] = "prelu"

    shared: bool = hyper(False, "One slope for all channels instead of one for each.")

    def outputs(self, *specs: Spec) -> tuple[Spec, ...]:
        return (specs[0],)

    def parameters(self, *specs: Spec) -> dict[str, ParamSpec]:
        shape = (1 if self.shared else specs[0].shape[1],)
        return {"weight": ParamSpec(shape, "constant", value=0.25, decay=False)}

    def forward(self, p: Mapping[str, Array], *xs: Array, ctx: Ctx = Ctx()) -> Result:
        (x,) = xs
        return Result((np.where(x > 0, x, x * _along(p["weight"], x.ndim)),), {"x": x})

    def backward(
        self,
        p: Mapping[str, Array],
        saved: Mapping[str, Array],
        dys: tuple[Array, ...],
        need: tuple[bool, ...],
        ctx: Ctx = Ctx(),
    ) -> Grads:
        x, (dy,) = saved["x"], dys
        axes = tuple(i for i in range(x.ndim) if i != 1 or self.shared)
        total = np.where(x > 0, 0, dy * x).sum(axes, np.float64)
        dparams = {"weight": np.asarray(total).reshape(p["weight"].shape).astype(dy.dtype)}
        if not need[0]:
            return Grads((None,), dparams)
        return Grads((np.where(x > 0, dy, dy * _along(p["weight"], x.ndim)),), dparams)

    def _slope(self, cell: tuple[int, ...], rec: Record) -> float:
        if rec.xs[0][cell] > 0:
            return 1.0
        return float(rec.params["weight"][0 if self.shared else cell[0]])

    def reads(self, cell: tuple[int, ...], rec: Record, port: int = 0) -> Terms:
        x = float(rec.xs[0][cell])
        note = "x > 0" if x > 0 else "a, the learnt slope"
        term = Term(("input", 0, cell), x, self._slope(cell, rec), note)
        return Terms((term,), "sum", "x, or a · x where x ≤ 0")

    def feeds(self, cell: tuple[int, ...], rec: Record, slot: int = 0) -> Terms:
        dy = rec.dys[0]
        if dy is None:
            return Terms((), "sum")
        term = Term(("output_grad", 0, cell), float(dy[cell]), self._slope(cell, rec))
        return Terms((term,), "sum", "dy, or a · dy where x ≤ 0")

    def gathers(self, name: str, index: tuple[int, ...], rec: Record) -> Terms:
        """Only cells at or below 0 were multiplied by the slope."""
        dy, x = rec.dys[0], rec.xs[0]
        if dy is None:
            return Terms((), "sum")
        terms = tuple(
            Term(("output_grad", 0, cell), float(dy[cell]), float(x[cell]), "x")
            for cell in np.ndindex(*x.shape)
            if x[cell] <= 0 and (self.shared or cell[0] == index[0])
        )
        return Terms(terms, "sum", "Σ dy · x where x ≤ 0")

    def kinks(self, p: Mapping[str, Array], *xs: Array) -> float:
        return float(np.min(np.abs(xs[0])))

    @property
    def onnx(self) -> OnnxOp:
        return OnnxOp("PRelu", {}, ("weight",))


def _along(weight: Array, rank: int) -> Array:
    """A number per channel in the shape that meets axis 1 of an array of that rank."""
    return weight.reshape(-1, *[1] * (rank - 2))
