"""Dropout."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from engine.layers.base import hyper
from engine.layers.random_mask import RandomMask


@dataclass(frozen=True)
class Dropout(RandomMask):
    """While training, sets randomly chosen numbers to zero so that no unit relies on another.

    Training: y = x · m / (1 − p), with m = 0 with probability p, else 1. Evaluation: y = x.

    Gradient: dx = dy · m / (1 − p), with the mask of forward.

    The mask depends on the run's seed, step and node alone, so a step can be repeated exactly.

    Source: Srivastava et al. 2014 (in the inverted form).
    """

    title: ClassVar[str] = "Dropout"
    slug: ClassVar[str] = "dropout"

    p: float = hyper(0.5, "Share of the numbers that are set to zero.", low=0.0, high=0.95)

    def mask_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        return shape
