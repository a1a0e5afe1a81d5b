"""Fully connected layer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

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
    gathered,
    hyper,
    initialiser_hyper,
    weights,
)


@dataclass(frozen=True)
class Linear(Layer):
    """Connects every input number with every output number by a weight of its own.

    y[n, o] = b[o] + Σ_i W[o, i] · x[n, i]

    Gradient: dx = dy · W, so each input collects from every output in proportion to its weight;
    dW = dyᵀ · x, a sum over the samples; db = Σ_n dy.

    Weights start with He's variance, and smaller where a loss reads the layer, so that the first
    loss of a classifier lies near ln K.

    Source: Rumelhart, Hinton & Williams 1986.
    """

    title: ClassVar[str] = "Fully connected"
    category: ClassVar[str] = "Fully connected"
    slug: ClassVar[str] = "fc"

    out_features: int = hyper(10, "Numbers that come out.", low=1, high=1_000_000)
    bias: bool = hyper(True, "Add one trained number to each output.")
    initialiser: str = initialiser_hyper("automatic")

    def outputs(self, *specs: Spec) -> tuple[Spec, ...]:
        expect_vector(specs[0], "Linear")
        return (Spec((specs[0].shape[0], self.out_features), specs[0].dtype),)

    def parameters(self, *specs: Spec) -> dict[str, ParamSpec]:
        features = specs[0].shape[1]
        shape = (self.out_features, features)
        found = {"weight": weights(self.initialiser, shape, features, self.out_features)}
        if self.bias:
            found["bias"] = ParamSpec((self.out_features,), "zeros", features, decay=False)
        return found

    def cost(self, *specs: Spec) -> Cost:
        return Cost(super().cost(*specs).parameters, self.out_features * specs[0].shape[1])

    def forward(self, p: Mapping[str, Array], *xs: Array, ctx: Ctx = Ctx()) -> Result:
        y = xs[0] @ p["weight"].T
        if self.bias:
            y += p["bias"]
        return Result((y,), {"x": xs[0]})

    def backward(
        self,
        p: Mapping[str, Array],
        saved: Mapping[str, Array],
        dys: tuple[Array, ...],
        need: tuple[bool, ...],
        ctx: Ctx = Ctx(),
    ) -> Grads:
        (dy,) = dys
        dparams = {"weight": dy.T @ saved["x"]}
        if self.bias:
            dparams["bias"] = dy.sum(0)
        return Grads((dy @ p["weight"] if need[0] else None,), dparams)

    def reads(self, cell: tuple[int, ...], rec: Record, port: int = 0) -> Terms:
        (o,) = cell
        x, w = rec.xs[0], rec.params["weight"]
        terms = [
            Term(("input", 0, (i,)), float(x[i]), float(w[o, i]), f"W[{o},{i}]")
            for i in range(len(x))
        ]
        if self.bias:
            terms.append(Term(("param", "bias", (o,)), float(rec.params["bias"][o]), 1.0, "bias"))
        return Terms(tuple(terms), "sum", "Σ W·x + b")

    def feeds(self, cell: tuple[int, ...], rec: Record, slot: int = 0) -> Terms:
        (i,) = cell
        dy, w = rec.dys[0], rec.params["weight"]
        if dy is None:
            return Terms((), "sum")
        terms = tuple(
            Term(("output_grad", 0, (o,)), float(dy[o]), float(w[o, i]), f"W[{o},{i}]")
            for o in range(len(dy))
        )
        return Terms(terms, "sum", "Σ W·dy")

    def gathers(self, name: str, index: tuple[int, ...], rec: Record) -> Terms:
        dy = rec.dys[0]
        if dy is None or name == "bias":
            return gathered(dy, (index,), "dy")
        o, i = index
        term = Term(("output_grad", 0, (o,)), float(dy[o]), float(rec.xs[0][i]), f"x[{i}]")
        return Terms((term,), "sum", "dy·x")

    def extent(self, slot: int, *specs: Spec, port: int = 0) -> Extent:
        return Everything(specs[0].shape[1:], self.outputs(*specs)[0].shape[1:])

    @property
    def onnx(self) -> OnnxOp:
        return OnnxOp("Gemm", {"transB": 1}, ("weight", "bias") if self.bias else ("weight",))
