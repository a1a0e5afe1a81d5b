"""LeNet's output layer of radial basis functions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from engine.extent import Everything, Extent
from engine.layers.base import (
    Array,
    Cost,
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
    expect_vector,
    hyper,
)


@dataclass(frozen=True)
class RBF(Layer):
    """Measures how far the input lies from a pattern of each class: the nearest class wins.

    y[n, o] = Σ_i (x[n, i] − W[o, i])², so here the smallest number is the answer, not the largest

    ``negative`` gives −y, of which the largest is the answer, as everywhere else.

    Gradient: dx_i = Σ_o 2 dy_o (x_i − W_oi), pulling towards the patterns whose distance should
    shrink; dW_oi = −2 Σ_n dy_o (x_i − W_oi); of ``negative`` both with the other sign.

    The patterns start as random −1 and 1, one of the two choices in the paper (the other, used
    for its results, are drawn 7×12 bitmaps of the characters). It kept them fixed: not ``trained``.

    Source: LeCun et al. 1998, equation 7.
    """

    title: ClassVar[str] = "Radial basis functions"
    category: ClassVar[str] = "Fully connected"
    slug: ClassVar[str] = "rbf"

    out_features: int = hyper(10, "Classes, each with a pattern.", low=1, high=1_000_000)
    trained: bool = hyper(True, "Training moves the patterns; LeNet-5 kept them fixed.", later=True)
    negative: bool = hyper(
        False, "Give the distance with a minus, so that the largest number wins.", later=True
    )

    @property
    def sign(self) -> int:
        """What the distance is multiplied by."""
        return -1 if self.negative else 1

    def outputs(self, *specs: Spec) -> tuple[Spec, ...]:
        expect_vector(specs[0], "RBF")
        return (Spec((specs[0].shape[0], self.out_features), specs[0].dtype),)

    def parameters(self, *specs: Spec) -> dict[str, ParamSpec]:
        features = specs[0].shape[1]
        kind: Literal["weight", "statistic"] = "weight" if self.trained else "statistic"
        shape = (self.out_features, features)
        return {
            "weight": ParamSpec(shape, "signs", features, kind, decay=False, moves=self.trained)
        }

    def cost(self, *specs: Spec) -> Cost:
        return Cost(super().cost(*specs).parameters, self.out_features * specs[0].shape[1])

    def forward(self, p: Mapping[str, Array], *xs: Array, ctx: Ctx = Ctx()) -> Result:
        difference = xs[0][:, None, :] - p["weight"]
        return Result((self.sign * np.square(difference).sum(2),), {"x": xs[0]})

    def backward(
        self,
        p: Mapping[str, Array],
        saved: Mapping[str, Array],
        dys: tuple[Array, ...],
        need: tuple[bool, ...],
        ctx: Ctx = Ctx(),
    ) -> Grads:
        (dy,) = dys
        pull = 2 * self.sign * dy[:, :, None] * (saved["x"][:, None, :] - p["weight"])
        dparams = {"weight": -pull.sum(0)} if self.trained else {}
        return Grads((pull.sum(1) if need[0] else None,), dparams)

    def reads(self, cell: tuple[int, ...], rec: Record, port: int = 0) -> Terms:
        (o,) = cell
        terms = []
        for i, value in enumerate(rec.xs[0]):
            gap = self.sign * (float(value) - float(rec.params["weight"][o, i]))
            # (x − W)² = x · (x − W) − W · (x − W)
            terms.append(Term(("input", 0, (i,)), float(value), gap, f"x − W[{o},{i}]"))
            weight = float(rec.params["weight"][o, i])
            terms.append(Term(("param", "weight", (o, i)), weight, -gap, f"W[{o},{i}]"))
        return Terms(tuple(terms), "sum", "−Σ (x − W)²" if self.negative else "Σ (x − W)²")

    def feeds(self, cell: tuple[int, ...], rec: Record, slot: int = 0) -> Terms:
        (i,) = cell
        dy = rec.dys[0]
        if dy is None:
            return Terms((), "sum")
        terms = []
        for o, value in enumerate(dy):
            gap = self.sign * (float(rec.xs[0][i]) - float(rec.params["weight"][o, i]))
            terms.append(Term(("output_grad", 0, (o,)), float(value), 2 * gap, "2 (x − W)"))
        return Terms(tuple(terms), "sum", ("−" if self.negative else "") + "Σ 2 dy (x − W)")

    def gathers(self, name: str, index: tuple[int, ...], rec: Record) -> Terms:
        dy, (o, i) = rec.dys[0], index
        if dy is None:
            return Terms((), "sum")
        gap = self.sign * (float(rec.xs[0][i]) - float(rec.params["weight"][o, i]))
        term = Term(("output_grad", 0, (o,)), float(dy[o]), -2 * gap, "−2 (x − W)")
        return Terms((term,), "sum", ("" if self.negative else "−") + "2 dy (x − W)")

    def extent(self, slot: int, *specs: Spec, port: int = 0) -> Extent:
        return Everything(specs[0].shape[1:], self.outputs(*specs)[0].shape[1:])

    @property
    def onnx(self) -> OnnxOp:
        return OnnxOp("RBF", {}, ("weight",))
