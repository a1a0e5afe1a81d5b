"""What dropping by chance shares: one mask number serves a cell, a map or a sample."""

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
class RandomMask(Layer):
    """Training: y = x · m / (1 − p), with m = 0 with probability p, else 1. Evaluation: y = x.

    Gradient: dx = dy · m / (1 − p), with the mask of forward.
    """

    abstract: ClassVar[bool] = True
    category: ClassVar[str] = "Regularisation"

    p: float = hyper(0.1, "Chance of each part to be set to zero.", low=0.0, high=0.95)

    def mask_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Shape of the mask for an input of that shape, with 1 where a number is shared."""
        raise NotImplementedError

    def outputs(self, *specs: Spec) -> tuple[Spec, ...]:
        return (specs[0],)

    def forward(self, p: Mapping[str, Array], *xs: Array, ctx: Ctx = Ctx()) -> Result:
        """``saved["mask"]``: 0 or 1 / (1 − p), in ``mask_shape``; none in evaluation."""
        (x,) = xs
        if ctx.mode == "eval" or not self.p:
            return Result((x,), {})
        mask = (ctx.rng().random(self.mask_shape(x.shape)) >= self.p).astype(x.dtype)
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
        if "mask" not in rec.saved:
            return 1.0
        mask = rec.saved["mask"][rec.sample]
        return float(mask[tuple(min(i, n - 1) for i, n in zip(cell, mask.shape, strict=True))])

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
