"""Element-wise sum, where a skip meets its branch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import reduce
from operator import add
from typing import ClassVar

from engine.layers.base import (
    Array,
    Ctx,
    Fix,
    Grads,
    Layer,
    OnnxOp,
    Record,
    Result,
    ShapeError,
    Spec,
    Term,
    Terms,
)


@dataclass(frozen=True)
class Add(Layer):
    """Adds its inputs cell by cell: here a skip meets the branch that it went around.

    y = x₁ + x₂ + … (all of one shape)

    Gradient: each input receives the whole of dy, unchanged. Where the inputs came from one
    tensor, their gradients are added there, in an accumulate step of its own.

    Source: He et al. 2016, equation 1.
    """

    title: ClassVar[str] = "Add"
    category: ClassVar[str] = "Combine"
    slug: ClassVar[str] = "add"
    arity: ClassVar[tuple[int, int | None]] = (2, None)

    def outputs(self, *specs: Spec) -> tuple[Spec, ...]:
        first = specs[0]
        for slot, spec in enumerate(specs[1:], 1):
            if spec.shape == first.shape:
                continue
            fixes: tuple[Fix, ...] = ()
            if len(spec.shape) == len(first.shape) == 4:
                smaller, larger = (slot, first) if spec.shape[2:] <= first.shape[2:] else (0, spec)
                target = spec if smaller == slot else first
                wide = 0 if smaller == slot else slot
                stride = -(-larger.shape[2] // target.shape[2])
                layer = {
                    "kind": "Conv2d",
                    "out_channels": target.shape[1],
                    "kernel_size": 1,
                    "stride": stride,
                    "bias": False,
                }
                if -(-larger.shape[2] // stride) == target.shape[2] and (
                    -(-larger.shape[3] // stride) == target.shape[3]
                ):
                    fixes = (Fix("Add 1×1 projection", "insert", layer, slot=wide),)
            raise ShapeError(
                f"inputs of one shape for Add, {first} as the first",
                f"{spec} at input {slot + 1}",
                "Change one path, or put a 1×1 convolution on the other.",
                fixes,
            )
        return (first,)

    def forward(self, p: Mapping[str, Array], *xs: Array, ctx: Ctx = Ctx()) -> Result:
        return Result((reduce(add, xs),), {})

    def backward(
        self,
        p: Mapping[str, Array],
        saved: Mapping[str, Array],
        dys: tuple[Array, ...],
        need: tuple[bool, ...],
        ctx: Ctx = Ctx(),
    ) -> Grads:
        return Grads(tuple(dys[0] if wanted else None for wanted in need))

    def reads(self, cell: tuple[int, ...], rec: Record, port: int = 0) -> Terms:
        terms = tuple(Term(("input", i, cell), float(x[cell]), 1.0) for i, x in enumerate(rec.xs))
        return Terms(terms, "sum", "x₁ + x₂")

    def feeds(self, cell: tuple[int, ...], rec: Record, slot: int = 0) -> Terms:
        dy = rec.dys[0]
        if dy is None:
            return Terms((), "sum")
        return Terms((Term(("output_grad", 0, cell), float(dy[cell]), 1.0),), "sum")

    @property
    def onnx(self) -> OnnxOp:
        return OnnxOp("Sum")
