"""Channels side by side."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from engine.layers.base import Fix, ShapeError, Spec
from engine.layers.joining import Joining


@dataclass(frozen=True)
class Concat(Joining):
    """Puts the channels of its inputs one after another, so that later layers see them all.

    y = [x₁, x₂, …] along the channel axis

    Gradient: dy is cut at the same places; each input receives its own channels of it.

    Source: Szegedy et al. 2015; Huang et al. 2017, equation 2.
    """

    title: ClassVar[str] = "Concatenate"
    slug: ClassVar[str] = "concat"

    @property
    def _axis(self) -> int:
        return 1

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
        return self._joined(specs)


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
