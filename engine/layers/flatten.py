"""Maps to one vector."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from engine.layers.base import OnnxOp, Spec
from engine.layers.refolding import Refolding


@dataclass(frozen=True)
class Flatten(Refolding):
    """Writes all maps of a sample into one long row of numbers; nothing is computed.

    y[n, (k·H + r)·W + c] = x[n, k, r, c]

    Gradient: dy, put back into the shape of x.

    Source: ONNX operator Flatten with axis 1.
    """

    title: ClassVar[str] = "Flatten"
    slug: ClassVar[str] = "flatten"

    def outputs(self, *specs: Spec) -> tuple[Spec, ...]:
        (spec,) = specs
        return (Spec((spec.shape[0], int(np.prod(spec.shape[1:]))), spec.dtype),)

    @property
    def onnx(self) -> OnnxOp:
        return OnnxOp("Flatten", {"axis": 1})
