"""The largest numbers along an axis, and where they were."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from engine.extent import Extent, Groups, along
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
    expect_axis,
    hyper,
)


@dataclass(frozen=True)
class TopK(Layer):
    """Keeps the k largest numbers along an axis, the largest first, and says where they were.

    y₁ = the k largest (or smallest) of x along the axis, in order;  y₂ = their places from 0

    Of equal numbers the first comes first. Detectors keep their best boxes so.

    Gradient: each of the k gives its dy back to the cell that it came from; all others get an exact
    zero, and so does whatever reads the places.

    Source: ONNX operator TopK.
    """

    title: ClassVar[str] = "Top k"
    category: ClassVar[str] = "Arithmetic"
    slug: ClassVar[str] = "topk"

    k: int = hyper(1, "How many are kept.", low=1, high=1 << 20)
    axis: int = hyper(1, "The axis along which they lie, from 1 (the channels).", low=1, high=16)
    largest: bool = hyper(True, "The largest ones; else the smallest.")

    def outputs(self, *specs: Spec) -> tuple[Spec, ...]:
        shape, axis = specs[0].shape, self.axis
        expect_axis(specs[0], axis, "TopK")
        if self.k > shape[axis]:
            raise ShapeError(
                f"at most {shape[axis]} to keep for TopK",
                f"{self.k}",
                "Keep no more than the axis has.",
                (Fix(f"Set k to {shape[axis]}", "set", shape[axis], "k"),),
            )
        spec = Spec((*shape[:axis], self.k, *shape[axis + 1 :]), specs[0].dtype)
        return spec, spec

    def forward(self, p: Mapping[str, Array], *xs: Array, ctx: Ctx = Ctx()) -> Result:
        """``saved["index"]``: int64, the places of the k along the axis."""
        (x,) = xs
        # what is no number comes first, so that it is not lost
        ranked = np.where(np.isnan(x), -np.inf, -x if self.largest else x)
        order = np.argsort(ranked, self.axis, kind="stable")
        index = order.take(range(self.k), self.axis)
        values = np.take_along_axis(x, index, self.axis)
        return Result((values, index.astype(x.dtype)), {"index": index, "shape": np.array(x.shape)})

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
        dx = np.zeros(tuple(int(n) for n in saved["shape"]), dys[0].dtype)
        np.put_along_axis(dx, saved["index"], dys[0], self.axis)
        return Grads((dx,))

    def _at(self, cell: tuple[int, ...], place: int) -> tuple[int, ...]:
        return (*cell[: self.axis - 1], place, *cell[self.axis :])

    def reads(self, cell: tuple[int, ...], rec: Record, port: int = 0) -> Terms:
        (x,) = rec.xs
        taken = int(rec.saved["index"][(rec.sample, *cell)])
        places = [self._at(cell, k) for k in range(x.shape[self.axis - 1])]
        terms = tuple(Term(("input", 0, place), float(x[place]), 1.0) for place in places)
        formula = "its place along the axis" if port else "the next in order"
        return Terms(terms, "formula", formula, taken)

    def feeds(self, cell: tuple[int, ...], rec: Record, slot: int = 0) -> Terms:
        dy, index = rec.dys[0], rec.saved["index"][rec.sample]
        places = (self._at(cell, rank) for rank in range(self.k))
        found = [place for place in places if int(index[place]) == cell[self.axis - 1]]
        if dy is None or not found:
            return Terms((), "sum")
        (place,) = found
        return Terms((Term(("output_grad", 0, place), float(dy[place]), 1.0),), "sum", "dy")

    def kinks(self, p: Mapping[str, Array], *xs: Array) -> float:
        (x,) = xs
        if x.shape[self.axis] < 2:
            return float("inf")
        return float(np.min(np.diff(np.sort(x, self.axis), axis=self.axis))) / 2

    def extent(self, slot: int, *specs: Spec, port: int = 0) -> Extent:
        size = specs[0].shape[self.axis]
        return along(specs[0].shape[1:], self.axis - 1, Groups(size, self.k))

    @property
    def onnx(self) -> OnnxOp:
        return OnnxOp("TopK", {"axis": self.axis, "largest": int(self.largest)})
