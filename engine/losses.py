"""Losses: from outputs and targets to one number, and its gradient."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Protocol

import numpy as np

from engine.layers.base import Array, Fix, ShapeError, Spec, Term, Terms


class LossFunction(Protocol):
    """What a loss must offer; ``forward`` returns (scalar, saved), ``backward`` dx.

    ``reads`` and ``feeds`` are the terms of the loss and of one score's gradient, as a layer's.
    """

    title: ClassVar[str]

    def check(self, spec: Spec) -> None: ...
    def forward(self, x: Array, target: Array) -> tuple[Array, Mapping[str, Array]]: ...
    def backward(self, saved: Mapping[str, Array], weight: float = 1.0) -> Array: ...
    def reads(self, saved: Mapping[str, Array], x: Array, sample: int = 0) -> Terms: ...
    def feeds(
        self, cell: tuple[int, ...], saved: Mapping[str, Array], sample: int = 0, weight: float = 1
    ) -> Terms: ...


def softmax(x: Array) -> Array:
    """Shares (N, K) of scores x (N, K): positive, each row adds up to 1."""
    exp = np.exp(x - x.max(1, keepdims=True))
    return exp / exp.sum(1, keepdims=True)


class TargetError(ValueError):
    """A target does not fit the output; names expected and received."""


@dataclass(frozen=True)
class CrossEntropy:
    """How surprised the network is by the right answer: −log of the share it gave to it.

    L = −(1/N) Σ_n log p[n, t_n],  p = softmax(x)

    Gradient: dx = (p − y) / N, where y is 1 at the target: rows sum to 0.

    Input: logits (N, K); target: int (N,). Source: Bridle 1990.
    """

    title: ClassVar[str] = "Cross-entropy"

    def check(self, spec: Spec) -> None:
        """Raise ShapeError unless ``spec`` is (N, K)."""
        if len(spec.shape) != 2:
            raise ShapeError(
                "a vector per sample (N, F) for cross-entropy",
                f"{spec} (rank {len(spec.shape)} with the batch)",
                "Put a Flatten or a pooling before the output.",
                (Fix("Add Flatten", "insert", {"kind": "Flatten"}),) if len(spec.shape) > 2 else (),
            )
        if spec.shape[1] < 2:
            raise ShapeError(
                "at least 2 classes for cross-entropy", f"{spec.shape[1]}", "Add outputs."
            )

    def forward(self, x: Array, target: Array) -> tuple[Array, Mapping[str, Array]]:
        """Return (loss of shape (), {"probabilities": (N, K), "target": (N,)})."""
        target = np.asarray(target)
        n, classes = x.shape
        if target.shape != (n,) or target.dtype.kind not in "iu":
            raise TargetError(
                f"Target: expected {n} whole numbers, received shape {target.shape} "
                f"of {target.dtype}."
            )
        if n and not (target.min() >= 0 and target.max() < classes):
            raise TargetError(
                f"Target: expected classes 0 to {classes - 1}, received "
                f"{target.min()} to {target.max()}."
            )
        shifted = x - x.max(1, keepdims=True)
        exp = np.exp(shifted)
        total = exp.sum(1, keepdims=True)
        losses = np.log(total[:, 0]) - shifted[np.arange(n), target]
        return np.asarray(losses.mean(), x.dtype), {"probabilities": exp / total, "target": target}

    def backward(self, saved: Mapping[str, Array], weight: float = 1.0) -> Array:
        """dx (N, K)."""
        p, target = saved["probabilities"], saved["target"]
        dx = p.copy()
        dx[np.arange(len(p)), target] -= 1
        dx *= weight / len(p)
        return dx

    def reads(self, saved: Mapping[str, Array], x: Array, sample: int = 0) -> Terms:
        """The scores ``x`` (K,) of one sample, of which the loss is a formula; chosen: target."""
        terms = tuple(Term(("input", 0, (j,)), float(v), 1.0) for j, v in enumerate(x))
        samples = len(saved["probabilities"])
        formula = "log Σ_j exp(x_j) − x_t"
        if samples > 1:
            formula = f"mean over {samples} samples of {formula}"
        return Terms(terms, "formula", formula, int(saved["target"][sample]))

    def feeds(
        self, cell: tuple[int, ...], saved: Mapping[str, Array], sample: int = 0, weight: float = 1
    ) -> Terms:
        """The two terms of score ``cell``'s gradient: its share p, and 1 if it is the target."""
        p = saved["probabilities"]
        factor = weight / len(p)
        right = float(cell[0] == int(saved["target"][sample]))
        # the share is a function of the scores: following it leads to this class's score
        share = Term(("input", 0, cell), float(p[(sample, *cell)]), factor, "p, the share")
        target = Term(("constant", "target"), right, -factor, "y, the right answer")
        return Terms((share, target), "sum", "p − y" if factor == 1 else "(p − y) · weight / N")


LOSSES: dict[str, type[LossFunction]] = {"CrossEntropy": CrossEntropy}
