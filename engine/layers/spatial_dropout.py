"""Spatial dropout."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from engine.layers.base import Spec, expect_rank
from engine.layers.random_mask import RandomMask


@dataclass(frozen=True)
class SpatialDropout(RandomMask):
    """While training, sets whole randomly chosen maps to zero: neighbours would betray one cell.

    Training: y = x · m / (1 − p), with m = 0 with probability p, else 1, one m for each map of
    each sample. Evaluation: y = x.

    Gradient: dx = dy · m / (1 − p), with the mask of forward.

    The mask depends on the run's seed, step and node alone, so a step can be repeated exactly.

    Source: Tompson et al. 2015, section 3.2; PyTorch's Dropout2d.
    """

    title: ClassVar[str] = "Spatial dropout"
    slug: ClassVar[str] = "spatialdropout"

    def mask_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        return (*shape[:2], 1, 1)

    def outputs(self, *specs: Spec) -> tuple[Spec, ...]:
        expect_rank(specs, 4, "SpatialDropout", "Use Dropout for a vector.")
        return (specs[0],)
