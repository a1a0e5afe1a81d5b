"""Tensors side by side along any axis."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from engine.layers.base import ShapeError, Spec, expect_axis, hyper
from engine.layers.joining import Joining


@dataclass(frozen=True)
class Join(Joining):
    """Puts its inputs one after another along any axis, as rows below each other.

    y = [x₁, x₂, …] along the axis

    Gradient: dy is cut at the same places; each input receives its own part of it.

    Source: ONNX operator Concat.
    """

    title: ClassVar[str] = "Join"
    slug: ClassVar[str] = "join"

    axis: int = hyper(1, "The axis along which they lie, from 1 (the channels).", low=1, high=16)

    @property
    def _axis(self) -> int:
        return self.axis

    def outputs(self, *specs: Spec) -> tuple[Spec, ...]:
        first, axis = specs[0], self.axis
        expect_axis(first, self.axis, "Join")
        for slot, spec in enumerate(specs[1:], 1):
            same = len(spec.shape) == len(first.shape) and all(
                first.shape[i] == spec.shape[i] for i in range(len(first.shape)) if i != axis
            )
            if not same:
                raise ShapeError(
                    f"inputs for Join that differ in axis {axis} only, {first} as the first",
                    f"{spec} at input {slot + 1}",
                    "Bring all to the same size along the other axes.",
                )
        return self._joined(specs)
