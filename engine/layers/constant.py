"""The same tensor for every sample."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from engine.extent import Extent, Nothing
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
    gathered,
    hyper,
)


@dataclass(frozen=True)
class Constant(Layer):
    """Gives the same tensor for every sample, whatever the input shows.

    y[n] = W. The input only says how many samples there are.

    Gradient: dW = Σ_n dy; the input's gradient is exactly zero.

    Source: ONNX operator Constant; the class token of a vision transformer.
    """

    title: ClassVar[str] = "Constant"
    category: ClassVar[str] = "Arithmetic"
    slug: ClassVar[str] = "constant"

    shape: tuple[int, ...] = hyper((4,), "Sizes of the tensor.", low=1, high=1 << 30)

    def outputs(self, *specs: Spec) -> tuple[Spec, ...]:
        return (Spec((specs[0].shape[0], *self.shape), specs[0].dtype),)

    def parameters(self, *specs: Spec) -> dict[str, ParamSpec]:
        return {"weight": ParamSpec(self.shape, "ones", decay=False)}

    def forward(self, p: Mapping[str, Array], *xs: Array, ctx: Ctx = Ctx()) -> Result:
        w = p["weight"]
        return Result((np.broadcast_to(w, (len(xs[0]), *w.shape)).copy(),), {"x": xs[0]})

    def backward(
        self,
        p: Mapping[str, Array],
        saved: Mapping[str, Array],
        dys: tuple[Array, ...],
        need: tuple[bool, ...],
        ctx: Ctx = Ctx(),
    ) -> Grads:
        dx = np.zeros_like(saved["x"]) if need[0] else None
        return Grads((dx,), {"weight": dys[0].sum(0)})

    def reads(self, cell: tuple[int, ...], rec: Record, port: int = 0) -> Terms:
        value = float(rec.params["weight"][cell])
        return Terms((Term(("param", "weight", cell), value, 1.0),), "sum", "W")

    def feeds(self, cell: tuple[int, ...], rec: Record, slot: int = 0) -> Terms:
        return Terms((), "sum", "nothing: the input's numbers are not used")

    def gathers(self, name: str, index: tuple[int, ...], rec: Record) -> Terms:
        return gathered(rec.dys[0], (index,), "dy")

    def extent(self, slot: int, *specs: Spec, port: int = 0) -> Extent:
        return Nothing()

    @property
    def onnx(self) -> OnnxOp:
        return OnnxOp("Constant", {}, ("weight",))
