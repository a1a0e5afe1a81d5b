"""Local response normalisation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from engine.extent import Axes, Extent, Slide
from engine.layers.base import (
    Array,
    Ctx,
    Grads,
    HyperparameterError,
    Layer,
    OnnxOp,
    Record,
    Result,
    Spec,
    Term,
    Terms,
    expect_rank,
    hyper,
)


@dataclass(frozen=True)
class LRN(Layer):
    """Weakens a number where the neighbouring channels are strong at the same place.

    y_i = x_i · d_i^(−β),  d_i = k + a · Σ_j x_j², over the n channels j around i (fewer at the
    first and last channels); a = α / n, or α itself without ``divide``.

    Gradient: dx_i = d_i^(−β) dy_i − 2aβ x_i Σ_j dy_j x_j d_j^(−β−1), over the channels j whose
    neighbourhood contains i: a strong neighbour takes gradient away.

    PyTorch and ONNX divide α by n; AlexNet's paper does not (n = 5, α = 0.0001, β = 0.75, k = 2).
    An even n is refused: PyTorch and ONNX disagree on which side it reaches further.

    Source: Krizhevsky, Sutskever & Hinton 2012, section 3.3; ONNX operator LRN.
    """

    title: ClassVar[str] = "Local response normalisation"
    category: ClassVar[str] = "Normalisation"
    slug: ClassVar[str] = "lrn"

    size: int = hyper(5, "Neighbouring channels that count, n.", low=1, high=255, unit="channels")
    alpha: float = hyper(1e-4, "How much the neighbours weigh, α.", low=0.0, high=100.0)
    beta: float = hyper(0.75, "How strongly the sum acts, β.", low=0.0, high=10.0)
    k: float = hyper(2.0, "What is added, so that nothing is divided by 0.", low=1e-6, high=100.0)
    divide: bool = hyper(False, "Divide α by n, as PyTorch and ONNX do and AlexNet's paper not.")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.size % 2 == 0:
            raise HyperparameterError(f"LRN.size: expected an odd number, received {self.size}.")

    @property
    def factor(self) -> float:
        """a, what the sum of squares is multiplied by."""
        return self.alpha / self.size if self.divide else self.alpha

    def outputs(self, *specs: Spec) -> tuple[Spec, ...]:
        expect_rank(specs, 4, "LRN", "It needs maps: put it before the Flatten.")
        return (specs[0],)

    def _sum(self, a: Array) -> Array:
        """For each channel the sum over its neighbourhood."""
        channels = a.shape[1]
        padded = np.zeros((len(a), channels + self.size - 1, *a.shape[2:]), a.dtype)
        padded[:, self.size // 2 : self.size // 2 + channels] = a
        total = np.zeros_like(a)
        for offset in range(self.size):
            total += padded[:, offset : offset + channels]
        return total

    def forward(self, p: Mapping[str, Array], *xs: Array, ctx: Ctx = Ctx()) -> Result:
        """``saved``: "x" and "divisor" d, both (N, C, H, W)."""
        (x,) = xs
        divisor = x.dtype.type(self.k) + x.dtype.type(self.factor) * self._sum(x * x)
        return Result((x * divisor**-self.beta,), {"x": x, "divisor": divisor})

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
        x, d, (dy,) = saved["x"], saved["divisor"], dys
        # i lies in the neighbourhood of j where j lies in that of i
        shares = self._sum(dy * x * d ** (-self.beta - 1))
        return Grads((dy * d**-self.beta - 2 * self.factor * self.beta * x * shares,))

    def reads(self, cell: tuple[int, ...], rec: Record, port: int = 0) -> Terms:
        weaken = float(rec.saved["divisor"][(rec.sample, *cell)]) ** -self.beta
        term = Term(("input", 0, cell), float(rec.xs[0][cell]), weaken, "d^(−β)")
        return Terms((term,), "sum", "x_i · (k + a · Σ_j x_j²)^(−β)")

    def feeds(self, cell: tuple[int, ...], rec: Record, slot: int = 0) -> Terms:
        i, *place = cell
        dy, x = rec.dys[0], rec.xs[0]
        if dy is None:
            return Terms((), "sum")
        reach = self.size // 2
        terms = []
        for j in range(max(0, i - reach), min(len(x), i + reach + 1)):
            index = (j, *place)
            d = float(rec.saved["divisor"][(rec.sample, *index)])
            slope = -2 * self.factor * self.beta * float(x[cell]) * float(x[index])
            slope *= d ** (-self.beta - 1)
            slope += d**-self.beta if j == i else 0.0
            terms.append(Term(("output_grad", 0, index), float(dy[index]), slope, f"channel {j}"))
        return Terms(tuple(terms), "sum", "d_i^(−β) dy_i − 2aβ x_i Σ_j dy_j x_j d_j^(−β−1)")

    def extent(self, slot: int, *specs: Spec, port: int = 0) -> Extent:
        channels, *sizes = specs[0].shape[1:]
        near = Slide(channels, channels, self.size, before=self.size // 2, frame=False)
        return Axes((near, *(Slide(size, size) for size in sizes)))

    @property
    def onnx(self) -> OnnxOp:
        return OnnxOp(
            "LRN",
            {
                "size": self.size,
                "alpha": float(self.factor * self.size),
                "beta": float(self.beta),
                "bias": float(self.k),
            },
        )
