"""Layer normalisation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from engine.layers.base import OnnxOp, Spec
from engine.layers.sample_norm import SampleNorm


@dataclass(frozen=True)
class LayerNorm(SampleNorm):
    """Gives all numbers of each sample together mean 0 and spread 1, maps or a vector.

    y = γ · (x − μ) / √(σ² + ε) + β, with μ and σ² over everything of one sample, in training and
    evaluation alike; γ and β have a number for each cell.

    Gradient: dx = (g − mean(g) − x̂ · mean(g · x̂)) / √(σ² + ε) with g = γ · dy and means over the
    sample, so its sum over the sample is 0; dγ = Σ_n dy · x̂, dβ = Σ_n dy.

    Source: Ba, Kiros & Hinton 2016; ONNX operator LayerNormalization (axis 1).
    """

    title: ClassVar[str] = "Layer normalisation"
    slug: ClassVar[str] = "ln"

    def groups_of(self, channels: int) -> int:
        return 1

    def _parameter_shape(self, spec: Spec) -> tuple[int, ...]:
        return spec.shape[1:]

    @property
    def onnx(self) -> OnnxOp:
        return self._onnx("LayerNormalization")
