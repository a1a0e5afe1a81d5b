"""Stochastic depth."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from engine.layers.random_mask import RandomMask


@dataclass(frozen=True)
class StochasticDepth(RandomMask):
    """While training, switches the branch that it ends off for randomly chosen samples.

    Training: y = x · m / (1 − p), with m = 0 with probability p, else 1, one m for each sample.
    Evaluation: y = x. Put before the Add of a residual block, it leaves the skip alone there.

    Gradient: dx = dy · m / (1 − p), with the mask of forward: a branch that was off learns
    nothing from that sample.

    The mask depends on the run's seed, step and node alone, so a step can be repeated exactly.

    Source: Huang et al. 2016 (there evaluation multiplies by 1 − p; here training divides by it).
    """

    title: ClassVar[str] = "Stochastic depth"
    slug: ClassVar[str] = "drop"

    def mask_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        return (shape[0], *[1] * (len(shape) - 1))
