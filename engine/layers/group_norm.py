"""Group normalisation."""

from __future__ import annotations

from dataclasses import dataclass
from math import gcd
from typing import ClassVar

from engine.layers.base import Fix, OnnxOp, ShapeError, Spec, expect_rank, hyper
from engine.layers.sample_norm import SampleNorm


@dataclass(frozen=True)
class GroupNorm(SampleNorm):
    """Gives each group of channels of each sample mean 0 and spread 1, whatever the batch size.

    y = γ_k · (x − μ) / √(σ² + ε) + β_k, with μ and σ² over the group's channels, rows and columns
    of one sample, in training and evaluation alike.

    Gradient: dx = (g − mean(g) − x̂ · mean(g · x̂)) / √(σ² + ε) with g = γ · dy and means over the
    group, so its sum over the group is 0; dγ = Σ dy · x̂, dβ = Σ dy. A group that is constant gets
    x̂ = 0.

    Source: Wu & He 2018; ONNX operator GroupNormalization.
    """

    title: ClassVar[str] = "Group normalisation"
    slug: ClassVar[str] = "gn"

    groups: int = hyper(1, "Channels are split into this many groups.", low=1, high=65536)

    def groups_of(self, channels: int) -> int:
        return self.groups

    def outputs(self, *specs: Spec) -> tuple[Spec, ...]:
        expect_rank(specs, 4, "GroupNorm", "It needs maps: put it before the Flatten.")
        channels = specs[0].shape[1]
        if channels % self.groups:
            groups = gcd(channels, self.groups)
            raise ShapeError(
                f"channels divisible by groups={self.groups}",
                f"{channels} channels",
                "Choose a number of groups that divides the channels.",
                (Fix(f"Set groups to {groups}", "set", groups, "groups"),),
            )
        return super().outputs(*specs)

    @property
    def onnx(self) -> OnnxOp:
        return self._onnx("GroupNormalization")
