"""Channels side by side."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from engine.extent import Axes, Extent, Slide
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
class Concat(Layer):
    """Puts the channels of its inputs one after another, so that later layers see them all.

    y = [x₁, x₂, …] along the channel axis

    Gradient: dy is cut at the same places; each input receives its own channels of it.

    Source: Szegedy et al. 2015; Huang et al. 2017, equation 2.
    """

    title: ClassVar[str] = "Concatenate"
    category: ClassVar[str] = "Combine"
    slug: ClassVar[str] = "concat"
    arity: ClassVar[tuple[int, int | None]] = (2, None)

    def outputs(self, *specs: Spec) -> tuple[Spec, ...]:
        first = specs[0]
        for slot, spec in enumerate(specs[1:], 1):
            if len(spec.shape) != len(first.shape) or spec.shape[2:] != first.shape[2:]:
                raise ShapeError(
                    f"inputs for Concat that differ in channels only, {first} as the first",
                    f"{spec} at input {slot + 1}",
                    "Bring both to the same height and width.",
                    _bring_together(first, spec, slot),
                )
        channels = sum(spec.shape[1] for spec in specs)
        return (Spec((first.shape[0], channels, *first.shape[2:]), first.dtype),)

    def forward(self, p: Mapping[str, Array], *xs: Array, ctx: Ctx = Ctx()) -> Result:
        widths = np.array([x.shape[1] for x in xs])
        return Result((np.concatenate(xs, 1),), {"channels": widths})

    def backward(
        self,
        p: Mapping[str, Array],
        saved: Mapping[str, Array],
        dys: tuple[Array, ...],
        need: tuple[bool, ...],
        ctx: Ctx = Ctx(),
    ) -> Grads:
        cuts = np.cumsum(saved["channels"])[:-1]
        parts = np.split(dys[0], cuts, 1)
        return Grads(tuple(g if n else None for g, n in zip(parts, need, strict=True)))

    def reads(self, cell: tuple[int, ...], rec: Record, port: int = 0) -> Terms:
        channel = cell[0]
        for slot, x in enumerate(rec.xs):
            if channel < len(x):
                index = (channel, *cell[1:])
                return Terms((Term(("input", slot, index), float(x[index]), 1.0),), "sum", "x")
            channel -= len(x)
        raise IndexError(f"Concat: expected a channel below {sum(map(len, rec.xs))}.")

    def feeds(self, cell: tuple[int, ...], rec: Record, slot: int = 0) -> Terms:
        dy = rec.dys[0]
        if dy is None:
            return Terms((), "sum")
        index = (cell[0] + sum(len(x) for x in rec.xs[:slot]), *cell[1:])
        return Terms((Term(("output_grad", 0, index), float(dy[index]), 1.0),), "sum")

    def extent(self, slot: int, *specs: Spec, port: int = 0) -> Extent:
        channels, *sizes = specs[slot].shape[1:]
        first = sum(spec.shape[1] for spec in specs[:slot])
        out = sum(spec.shape[1] for spec in specs)
        part = Slide(channels, out, before=first, frame=False)
        return Axes((part, *(Slide(size, size) for size in sizes)))

    @property
    def onnx(self) -> OnnxOp:
        return OnnxOp("Concat", {"axis": 1})


def _bring_together(first: Spec, other: Spec, slot: int) -> tuple[Fix, ...]:
    """What to put in front of one of two inputs so that only their channels differ."""
    if {len(first.shape), len(other.shape)} == {2, 4}:
        maps = 0 if len(first.shape) == 4 else slot
        return (Fix("Add Flatten", "insert", {"kind": "Flatten"}, slot=maps),)
    if len(first.shape) == len(other.shape) == 4:
        for small, large, where in ((other, first, 0), (first, other, slot)):
            factor = large.shape[2] // small.shape[2]
            if factor > 1 and large.shape[2:] == tuple(factor * s for s in small.shape[2:]):
                layer = {"kind": "MaxPool2d", "kernel_size": factor, "stride": factor}
                text = f"Add {factor}×{factor} max pooling"
                return (Fix(text, "insert", layer, slot=where),)
    return ()
