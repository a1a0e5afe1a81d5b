"""The same numbers with other axes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from engine.layers.base import Fix, OnnxOp, ShapeError, Spec, hyper
from engine.layers.refolding import Refolding


@dataclass(frozen=True)
class View(Refolding):
    """Reads the same numbers of a sample with other axes, of any number; none of them changes.

    y = x, cut anew in the order of memory (the last axis runs fastest). One size may be −1: as
    many as fill the rest. Without sizes each sample is a single number.

    Gradient: dx = dy in x's shape.

    Source: ONNX operators Reshape, Squeeze, Unsqueeze and Flatten; PyTorch's view.
    """

    title: ClassVar[str] = "View"
    slug: ClassVar[str] = "view"

    shape: tuple[int, ...] = hyper(
        (-1,), "Sizes of a sample; −1 for as many as fit.", low=-1, high=1 << 30
    )

    def outputs(self, *specs: Spec) -> tuple[Spec, ...]:
        sample = specs[0].shape[1:]
        count, sizes = int(np.prod(sample)), list(self.shape)
        known = int(np.prod([size for size in sizes if size >= 0]))
        free = sizes.count(-1)
        if free == 1 and known > 0 and count % known == 0:
            sizes[sizes.index(-1)] = count // known
        elif free or known != count:
            raise ShapeError(
                f"sizes with {count} numbers for View, as many as {specs[0]} has",
                f"{'×'.join(map(str, self.shape)) or 'a single number'}",
                "Choose sizes with that product.",
                (Fix("Make it one row of numbers", "set", (-1,), "shape"),),
            )
        return (Spec((specs[0].shape[0], *sizes), specs[0].dtype),)

    @property
    def onnx(self) -> OnnxOp:
        return OnnxOp("View")
