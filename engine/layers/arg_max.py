"""The place of the largest number along an axis."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from engine.extent import Extent, Matched, Slide
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
    expect_axis,
    hyper,
)


@dataclass(frozen=True)
class ArgMax(Layer):
    """Says which cell along an axis has the largest number, counted from 0: the chosen class.

    y = the k for which x at k is the largest (or the smallest) along the axis

    Of equal ones the first is taken, or the ``last``. The places are whole numbers in the tensor's
    own type.

    Gradient: exactly zero: a small change of a number changes no place. That is why classifiers are
    trained on the scores, and not on the class that they choose.

    Source: ONNX operators ArgMax and ArgMin.
    """

    title: ClassVar[str] = "Place of the largest"
    category: ClassVar[str] = "Arithmetic"
    slug: ClassVar[str] = "argmax"

    operation: str = hyper("max", "Which number is looked for.", choices=("max", "min"))
    axis: int = hyper(1, "The axis along which is looked, from 1 (the channels).", low=1, high=16)
    keep: bool = hyper(True, "Keep this axis, with size 1.")
    last: bool = hyper(False, "Of equal numbers take the last.")

    def outputs(self, *specs: Spec) -> tuple[Spec, ...]:
        shape, axis = specs[0].shape, self.axis
        expect_axis(specs[0], axis, "ArgMax")
        middle = (1,) if self.keep else ()
        return (Spec((*shape[:axis], *middle, *shape[axis + 1 :]), specs[0].dtype),)

    def _places(self, x: Array, axis: int) -> Array:
        """The places with the axis kept."""
        find = np.argmax if self.operation == "max" else np.argmin
        if self.last:
            return x.shape[axis] - 1 - find(np.flip(x, axis), axis, keepdims=True)
        return np.asarray(find(x, axis, keepdims=True))

    def forward(self, p: Mapping[str, Array], *xs: Array, ctx: Ctx = Ctx()) -> Result:
        (x,) = xs
        y = self._places(x, self.axis).astype(x.dtype)
        if not self.keep:
            y = y.squeeze(self.axis)
        return Result((y,), {"shape": np.array(x.shape)})

    def backward(
        self,
        p: Mapping[str, Array],
        saved: Mapping[str, Array],
        dys: tuple[Array, ...],
        need: tuple[bool, ...],
        ctx: Ctx = Ctx(),
    ) -> Grads:
        shape = tuple(int(n) for n in saved["shape"])
        return Grads((np.zeros(shape, dys[0].dtype) if need[0] else None,))

    def reads(self, cell: tuple[int, ...], rec: Record, port: int = 0) -> Terms:
        (x,) = rec.xs
        at = self.axis - 1
        rest = cell[at + 1 :] if self.keep else cell[at:]
        places = [(*cell[:at], k, *rest) for k in range(x.shape[at])]
        terms = tuple(Term(("input", 0, place), float(x[place]), 1.0) for place in places)
        word = "largest" if self.operation == "max" else "smallest"
        chosen = int(rec.ys[0][cell])
        return Terms(terms, "formula", f"the place of the {word}", chosen)

    def feeds(self, cell: tuple[int, ...], rec: Record, slot: int = 0) -> Terms:
        return Terms((), "sum")

    def kinks(self, p: Mapping[str, Array], *xs: Array) -> float:
        (x,) = xs
        if x.shape[self.axis] < 2:
            return float("inf")
        ordered = np.sort(x if self.operation == "max" else -x, axis=self.axis)
        best, second = (ordered.take(i, self.axis) for i in (-1, -2))
        return float(np.min(best - second)) / 2

    def extent(self, slot: int, *specs: Spec, port: int = 0) -> Extent:
        shape, out = specs[0].shape[1:], self.outputs(*specs)[0].shape[1:]
        left = [i for i in range(len(shape)) if i + 1 != self.axis]
        made = left if self.keep else range(len(left))
        pairs = ((i, o, Slide(shape[i], shape[i])) for i, o in zip(left, made, strict=True))
        return Matched(shape, out, tuple(pairs))

    @property
    def onnx(self) -> OnnxOp:
        last = {"select_last_index": 1} if self.last else {}
        return OnnxOp("ArgMax", {"axis": self.axis, "keepdims": int(self.keep), **last})
