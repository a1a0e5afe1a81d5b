"""The gradient of one number of a network, where a loss would ask for an answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from engine.layers.base import Array, ShapeError, Spec, Term, Terms


@dataclass(frozen=True)
class Score:
    """The sum of a tensor, or of one of its channels (axis 1), over all samples.

    Gradient: 1 for every number that takes part, an exact zero for the others.
    """

    title: ClassVar[str] = "Score"

    channel: int | None = None

    def check(self, spec: Spec) -> None:
        channels = spec.shape[1] if len(spec.shape) > 1 else 0
        if self.channel is not None and not 0 <= self.channel < channels:
            raise ShapeError(
                f"a class from 0 to {channels - 1}", f"{self.channel}", "Choose another class."
            )

    def _taken(self, x: Array) -> Array:
        taken = np.ones_like(x)
        if self.channel is not None:
            taken[:] = 0
            taken[:, self.channel] = 1
        return taken

    def forward(self, x: Array, target: Array) -> tuple[Array, Mapping[str, Array]]:
        taken = self._taken(x)
        return np.asarray((x * taken).sum(dtype=np.float64)), {"taken": taken}

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
