"""The gradient of one number of a network, where a loss would ask for an answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from engine.described import Described
from engine.layers.base import Array, ShapeError, Spec, Term, Terms, hyper


@dataclass(frozen=True)
class Score(Described):
    """The sum of a tensor over all samples, or of what ``index`` picks of each.

    ``index`` (class,), (channel,) or (channel, row, column) leaves the batch axis out. Gradient: 1
    for every number that takes part, an exact zero for the others.
    """

    title: ClassVar[str] = "Score"

    index: tuple[int, ...] = hyper(
        (), "Which number of each sample: class, channel, or channel, row and column; none: all"
    )

    def check(self, spec: Spec) -> None:
        sizes = spec.shape[1:]
        inside = all(0 <= i < size for i, size in zip(self.index, sizes, strict=False))
        if len(self.index) > len(sizes) or not inside:
            one = len(self.index) == 1
            raise ShapeError(
                f"a class from 0 to {(*sizes, 0)[0] - 1}" if one else f"a cell of {spec}",
                f"{self.index[0] if one else self.index}",
                f"Choose another {'class' if one else 'cell'}.",
            )

    @property
    def _place(self) -> tuple[slice | int, ...]:
        return (slice(None), *self.index)

    def forward(self, x: Array, target: Array) -> tuple[Array, Mapping[str, Array]]:
        taken = np.zeros_like(x)
        taken[self._place] = 1
        return np.asarray(x[self._place].sum(dtype=np.float64)), {"taken": taken}

    def backward(self, saved: Mapping[str, Array], weight: float = 1.0) -> Array:
        return saved["taken"] * saved["taken"].dtype.type(weight)

    def reads(self, saved: Mapping[str, Array], x: Array, sample: int = 0) -> Terms:
        terms = [
            Term(("input", 0, index), float(x[index]), 1.0)
            for index in map(tuple, np.argwhere(saved["taken"][sample]).tolist())
        ]
        return Terms(tuple(terms), "sum", "Σ x")

    def feeds(
        self, cell: tuple[int, ...], saved: Mapping[str, Array], sample: int = 0, weight: float = 1
    ) -> Terms:
        taken = float(saved["taken"][(sample, *cell)])
        return Terms((Term(("constant", "score"), 1.0, taken * weight),), "sum", "1 if it counts")
