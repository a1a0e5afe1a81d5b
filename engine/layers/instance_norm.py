"""Instance normalisation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from engine.layers.base import OnnxOp, Spec, expect_rank
from engine.layers.sample_norm import SampleNorm


@dataclass(frozen=True)
class InstanceNorm(SampleNorm):
    """Gives each map of each sample mean 0 and spread 1, so that contrast no longer matters.

    y = γ_k · (x − μ) / √(σ² + ε) + β_k, with μ and σ² over the rows and columns of one map of one
    sample, in training and evaluation alike.

    Gradient: dx = γ/√(σ² + ε) · (dy − mean(dy) − x̂ · mean(dy · x̂)) with means over the map, so its
    sum over the map is 0; dγ = Σ dy · x̂, dβ = Σ dy. A map that is constant gets x̂ = 0; maps of a
    single cell are refused.

    Source: Ulyanov, Vedaldi & Lempitsky 2016; ONNX operator InstanceNormalization.
    """

    title: ClassVar[str] = "Instance normalisation"
    slug: ClassVar[str] = "instancenorm"

    def groups_of(self, channels: int) -> int:
        return channels

    def outputs(self, *specs: Spec) -> tuple[Spec, ...]:
        expect_rank(specs, 4, "InstanceNorm", "It needs maps: put it before the Flatten.")
        return super().outputs(*specs)

    @property
    def onnx(self) -> OnnxOp:
        return self._onnx("InstanceNormalization")
