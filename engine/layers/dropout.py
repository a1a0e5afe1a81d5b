"""Dropout."""

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
    hyper,
)


@dataclass(frozen=True)
class Dropout(Layer):
    """While training, sets randomly chosen numbers to zero so that no unit relies on another.

    Training: y = x · m / (1 − p), with m = 0 with probability p, else 1. Evaluation: y = x.

    Gradient: dx = dy · m / (1 − p), with the mask of forward.

    The mask depends on the run's seed, step and node alone, so a step can be repeated exactly.

    Source: Srivastava et al. 2014 (in the inverted form).
    """

    title: ClassVar[str] = "Dropout"
    category: ClassVar[str] = "Regularisation"
    slug: ClassVar[str] = "dropout"

    p: float = hyper(0.5, "Share of the numbers that are set to zero.", low=0.0, high=0.95)

    def outputs(self, *specs: Spec) -> tuple[Spec, ...]:
        return (specs[0],)

    def forward(self, p: Mapping[str, Array], *xs: Array, ctx: Ctx = Ctx()) -> Result:
        """``saved["mask"]``: 0 or 1 / (1 − p) per cell; empty in evaluation."""
        (x,) = xs
        if ctx.mode == "eval" or not self.p:
            return Result((x,), {})
        mask = (ctx.rng().random(x.shape) >= self.p).astype(x.dtype)
        mask *= x.dtype.type(1 / (1 - self.p))
        return Result((x * mask,), {"mask": mask})

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
        return Grads((dys[0] * saved["mask"] if "mask" in saved else dys[0],))

    def _factor(self, cell: tuple[int, ...], rec: Record) -> float:
        return float(rec.saved["mask"][rec.sample][cell]) if "mask" in rec.saved else 1.0

    def reads(self, cell: tuple[int, ...], rec: Record, port: int = 0) -> Terms:
        term = Term(("input", 0, cell), float(rec.xs[0][cell]), self._factor(cell, rec))
        return Terms((term,), "sum", "x · m / (1 − p)")

    def feeds(self, cell: tuple[int, ...], rec: Record, slot: int = 0) -> Terms:
        dy = rec.dys[0]
        if dy is None:
            return Terms((), "sum")
        term = Term(("output_grad", 0, cell), float(dy[cell]), self._factor(cell, rec))
        return Terms((term,), "sum", "dy · m / (1 − p)")

    @property
    def onnx(self) -> OnnxOp:
        return OnnxOp("Dropout")
