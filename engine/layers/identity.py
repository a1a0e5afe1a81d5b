"""Identity."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from engine.layers.base import (
    Array,
    Ctx,
    Grads,
    Layer,
    OnnxOp,
    Record,
    Result,
    Spec,
    Term,
    Terms,
)


@dataclass(frozen=True)
class Identity(Layer):
    """Hands its numbers on unchanged: a named place in the network, such as a skip.

    y = x

    Gradient: dx = dy.

    Source: He et al. 2016 (Identity mappings), section 2; ONNX operator Identity.
    """

    title: ClassVar[str] = "Identity"
    category: ClassVar[str] = "Shape"
    slug: ClassVar[str] = "identity"

    def outputs(self, *specs: Spec) -> tuple[Spec, ...]:
        return (specs[0],)

    def forward(self, p: Mapping[str, Array], *xs: Array, ctx: Ctx = Ctx()) -> Result:
        return Result((xs[0],), {})

    def backward(
        self,
        p: Mapping[str, Array],
        saved: Mapping[str, Array],
        dys: tuple[Array, ...],
        need: tuple[bool, ...],
        ctx: Ctx = Ctx(),
    ) -> Grads:
        return Grads((dys[0] if need[0] else None,))

    def reads(self, cell: tuple[int, ...], rec: Record, port: int = 0) -> Terms:
        return Terms((Term(("input", 0, cell), float(rec.xs[0][cell]), 1.0),), "sum", "x")

    def feeds(self, cell: tuple[int, ...], rec: Record, slot: int = 0) -> Terms:
        dy = rec.dys[0]
        if dy is None:
            return Terms((), "sum")
        return Terms((Term(("output_grad", 0, cell), float(dy[cell]), 1.0),), "sum", "dy")

    @property
    def onnx(self) -> OnnxOp:
        return OnnxOp("Identity")
