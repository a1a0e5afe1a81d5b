"""Losses: from outputs and targets to one number, and its gradient."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Protocol

import numpy as np

from engine.described import Described
from engine.layers.base import (
    Array,
    Fix,
    HyperField,
    HyperparameterError,
    ShapeError,
    Spec,
    Term,
    Terms,
    hyper,
    in_words,
)


class LossFunction(Protocol):
    """What a loss must offer; ``forward`` returns (scalar, saved), ``backward`` dx.

    ``reads`` and ``feeds`` are the terms of the loss and of one score's gradient, as a layer's.
    """

    title: ClassVar[str]

    @classmethod
    def hyperparameters(cls) -> tuple[HyperField, ...]: ...
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


def check_batch(x: Array) -> None:
    """Raise TargetError where there is no sample: a mean over none is no number."""
    if not len(x):
        raise TargetError("Batch: expected at least 1 sample, received none.")


def check_number(owner: str, name: str, value: float) -> None:
    """Raise HyperparameterError unless a setting of a loss is a finite number."""
    if not np.isfinite(value):
        raise HyperparameterError(f"{owner}.{name}: expected a finite number, received {value!r}.")


def class_targets(x: Array, target: Array) -> Array:
    """``target`` as whole numbers (N,) below the K of x (N, K); raises TargetError."""
    target = np.asarray(target)
    n, classes = x.shape
    check_batch(x)
    if target.shape != (n,) or target.dtype.kind not in "iu":
        raise TargetError(
            f"Target: expected {n} whole numbers, received shape {target.shape} of {target.dtype}."
        )
    if not (target.min() >= 0 and target.max() < classes):
        raise TargetError(
            f"Target: expected classes 0 to {classes - 1}, received "
            f"{target.min()} to {target.max()}."
        )
    return target


def _check_classes(spec: Spec, loss: str) -> None:
    """Raise ShapeError unless ``spec`` is (N, K) with at least two classes."""
    if len(spec.shape) != 2:
        raise ShapeError(
            f"one row of numbers per picture for {loss}",
            in_words(spec),
            "Put a Flatten or a pooling before the output.",
            (Fix("Add Flatten", "insert", {"kind": "Flatten"}),) if len(spec.shape) > 2 else (),
        )
    if spec.shape[1] < 2:
        raise ShapeError(f"at least 2 classes for {loss}", f"{spec.shape[1]}", "Add outputs.")


@dataclass(frozen=True)
class CrossEntropy(Described):
    """How surprised the network is by the right answer: −log of the share it gave to it.

    L = −(1/N) Σ_n log p[n, t_n],  p = softmax(x)

    Gradient: dx = (p − y) / N, where y is 1 at the target: rows sum to 0.

    ``label_smoothing`` ε takes ε from the right answer and gives each of the K classes ε / K, so
    y is 1 − ε + ε / K at the target and ε / K elsewhere (Szegedy et al. 2016, section 7).
    ``class_weights`` w (K numbers) multiply y class by class, and Σ_n w[t_n] takes the place of N;
    then dx = (p · Σ_j y_j − y) / Σ_n w[t_n] (both as PyTorch).

    Input: logits (N, K); target: int (N,). Source: Bridle 1990.
    """

    title: ClassVar[str] = "Cross-entropy"

    label_smoothing: float = hyper(
        0.0,
        "How much of the right answer is given away, in equal parts to all classes",
        low=0,
        high=0.99,
    )
    class_weights: tuple[float, ...] = hyper(
        (), "What a sample of each class counts, one number a class; none: all count the same"
    )

    def __post_init__(self) -> None:
        if not 0 <= self.label_smoothing < 1:
            raise HyperparameterError(
                "CrossEntropy.label_smoothing: expected a number from 0 to below 1, received "
                f"{self.label_smoothing!r}."
            )
        if any(not (w >= 0 and np.isfinite(w)) for w in self.class_weights):
            raise HyperparameterError(
                "CrossEntropy.class_weights: expected numbers from 0, received "
                f"{self.class_weights!r}."
            )

    @property
    def _plain(self) -> bool:
        return not self.label_smoothing and not self.class_weights

    def check(self, spec: Spec) -> None:
        """Raise ShapeError unless ``spec`` is (N, K), with a weight for each class if any."""
        _check_classes(spec, "cross-entropy")
        if self.class_weights and len(self.class_weights) != spec.shape[1]:
            raise ShapeError(
                f"{len(self.class_weights)} classes, as many as class_weights",
                f"{spec.shape[1]}",
                "Give one weight for each class.",
            )

    def _wanted(self, saved: Mapping[str, Array]) -> tuple[Array, float]:
        """y (N, K) in float64, and what the sum over the samples is divided by."""
        p, target = saved["probabilities"], saved["target"]
        n, classes = p.shape
        y = np.full((n, classes), self.label_smoothing / classes)
        y[np.arange(n), target] += 1 - self.label_smoothing
        if not self.class_weights:
            return y, float(n)
        weights = np.array(self.class_weights)
        return y * weights, float(weights[target].sum())

    def forward(self, x: Array, target: Array) -> tuple[Array, Mapping[str, Array]]:
        """Return (loss of shape (), {"probabilities": (N, K), "target": (N,)})."""
        target = class_targets(x, target)
        shifted = x - x.max(1, keepdims=True)
        exp = np.exp(shifted)
        total = exp.sum(1, keepdims=True)
        saved = {"probabilities": exp / total, "target": target}
        if self._plain:
            losses = np.log(total[:, 0]) - shifted[np.arange(len(x)), target]
            return np.asarray(losses.mean(), x.dtype), saved
        y, divisor = self._wanted(saved)
        loss = (y * (np.log(total) - shifted)).sum() / divisor
        return np.asarray(loss, x.dtype), saved

    def backward(self, saved: Mapping[str, Array], weight: float = 1.0) -> Array:
        """dx (N, K)."""
        p, target = saved["probabilities"], saved["target"]
        if self._plain:
            dx = p.copy()
            dx[np.arange(len(p)), target] -= 1
            dx *= weight / len(p)
            return dx
        y, divisor = self._wanted(saved)
        return ((p * y.sum(1, keepdims=True) - y) * (weight / divisor)).astype(p.dtype)

    def reads(self, saved: Mapping[str, Array], x: Array, sample: int = 0) -> Terms:
        """The scores ``x`` (K,) of one sample, of which the loss is a formula; chosen: target."""
        terms = tuple(Term(("input", 0, (j,)), float(v), 1.0) for j, v in enumerate(x))
        samples = len(saved["probabilities"])
        formula = "log Σ_j exp(x_j) − x_t" if self._plain else "Σ_k y_k (log Σ_j exp(x_j) − x_k)"
        if samples > 1:
            formula = f"mean over {samples} samples of {formula}"
        return Terms(terms, "formula", formula, int(saved["target"][sample]))

    def feeds(
        self, cell: tuple[int, ...], saved: Mapping[str, Array], sample: int = 0, weight: float = 1
    ) -> Terms:
        """The two terms of score ``cell``'s gradient: its share p, and what was wanted of it."""
        y, divisor = self._wanted(saved)
        factor = weight / divisor
        # the share is a function of the scores: following it leads to this class's score
        share = Term(
            ("input", 0, cell),
            float(saved["probabilities"][(sample, *cell)]),
            factor * float(y[sample].sum()) if self.class_weights else factor,
            "p, the share",
        )
        wanted = float(y[(sample, *cell)])
        target = Term(("constant", "target"), wanted, -factor, "y, the right answer")
        return Terms((share, target), "sum", "p − y" if factor == 1 else "(p − y) · weight / N")


@dataclass(frozen=True)
class MeanSquaredError(Described):
    """How far the numbers lie from those that were wanted, squared and averaged.

    L = (1/M) Σ (x − y)², over all M numbers of all samples

    Gradient: dx = 2 (x − y) / M.

    Input: any shape; target: numbers of that shape, or for (N, K) the classes as int (N,), of
    which y is 1 at the target and 0 elsewhere. Source: Gauss 1809; PyTorch's MSELoss.
    """

    title: ClassVar[str] = "Mean squared error"

    def check(self, spec: Spec) -> None:
        """Any shape will do."""

    def forward(self, x: Array, target: Array) -> tuple[Array, Mapping[str, Array]]:
        """Return (loss of shape (), {"difference": x − y, "x": x})."""
        target = np.asarray(target)
        check_batch(x)
        if target.shape != x.shape and x.ndim == 2 and target.dtype.kind in "iu":
            classes = class_targets(x, target)
            target = np.zeros_like(x)
            target[np.arange(len(x)), classes] = 1
        if target.shape != x.shape or target.dtype.kind not in "iuf":
            raise TargetError(
                f"Target: expected numbers of shape {x.shape}, received shape {target.shape} "
                f"of {target.dtype}."
            )
        difference = x - target.astype(x.dtype)
        loss = np.square(difference, dtype=np.float64).mean()
        return np.asarray(loss, x.dtype), {"difference": difference, "x": x}

    def backward(self, saved: Mapping[str, Array], weight: float = 1.0) -> Array:
        """dx, of x's shape."""
        difference = saved["difference"]
        return difference * difference.dtype.type(2 * weight / difference.size)

    def reads(self, saved: Mapping[str, Array], x: Array, sample: int = 0) -> Terms:
        """The numbers ``x`` of one sample, of which the loss is a formula."""
        terms = tuple(Term(("input", 0, i), float(v), 1.0) for i, v in np.ndenumerate(x))
        return Terms(terms, "formula", "mean of (x − y)²")

    def feeds(
        self, cell: tuple[int, ...], saved: Mapping[str, Array], sample: int = 0, weight: float = 1
    ) -> Terms:
        """Two terms: the number itself, and what was wanted of it."""
        place = (sample, *cell)
        factor = 2 * weight / saved["x"].size
        x = float(saved["x"][place])
        wanted = x - float(saved["difference"][place])
        own = Term(("input", 0, cell), x, factor, "x")
        target = Term(("constant", "target"), wanted, -factor, "y, what was wanted")
        return Terms((own, target), "sum", "2 (x − y) / M")


@dataclass(frozen=True)
class Hinge(Described):
    """Asks of the right score to lead every other one by a margin, and is content beyond that.

    L = (1/N) Σ_n (1/K) Σ_{j ≠ t} max(0, margin − x_t + x_j)

    Gradient: each j within the margin receives 1 / (N·K), the target minus one for each of them;
    at the kink, where the margin is met exactly, 0 (as PyTorch).

    Input: scores (N, K); target: int (N,). Source: Crammer & Singer 2001; PyTorch's
    MultiMarginLoss.
    """

    title: ClassVar[str] = "Hinge"

    margin: float = hyper(1.0, "By how much the right score is to lead every other one")

    def __post_init__(self) -> None:
        check_number("Hinge", "margin", self.margin)

    def check(self, spec: Spec) -> None:
        """Raise ShapeError unless ``spec`` is (N, K)."""
        _check_classes(spec, "hinge")

    def forward(self, x: Array, target: Array) -> tuple[Array, Mapping[str, Array]]:
        """Return (loss of shape (), {"within": 1 where the margin is broken, "target": (N,)})."""
        target = class_targets(x, target)
        rows = np.arange(len(x))
        gaps = x.dtype.type(self.margin) - x[rows, target][:, None] + x
        gaps[rows, target] = 0
        gaps = np.where(gaps > 0, gaps, gaps * 0)  # NaN stays
        loss = gaps.sum(dtype=np.float64) / x.size
        return np.asarray(loss, x.dtype), {"within": (gaps > 0).astype(x.dtype), "target": target}

    def backward(self, saved: Mapping[str, Array], weight: float = 1.0) -> Array:
        """dx (N, K)."""
        dx = saved["within"].copy()
        dx[np.arange(len(dx)), saved["target"]] = -dx.sum(1)
        return dx * dx.dtype.type(weight / dx.size)

    def reads(self, saved: Mapping[str, Array], x: Array, sample: int = 0) -> Terms:
        """The scores ``x`` (K,) of one sample, of which the loss is a formula; chosen: target."""
        terms = tuple(Term(("input", 0, (j,)), float(v), 1.0) for j, v in enumerate(x))
        formula = "mean of max(0, margin − x_t + x_j)"
        return Terms(terms, "formula", formula, int(saved["target"][sample]))

    def feeds(
        self, cell: tuple[int, ...], saved: Mapping[str, Array], sample: int = 0, weight: float = 1
    ) -> Terms:
        """One term: how many scores within the margin this one is blamed for."""
        within = saved["within"]
        count = float(within[(sample, *cell)])
        if cell[0] == int(saved["target"][sample]):
            count = -float(within[sample].sum())
        term = Term(("constant", "within the margin"), count, weight / within.size)
        return Terms((term,), "sum", "broken margins / (N · K)")


@dataclass(frozen=True)
class LeNetLoss(Described):
    """Asks for a small distance to the right pattern and large ones to all others.

    E = (1/N) Σ_n (x_t + log(exp(−j) + Σ_i exp(−x_i))), for distances x such as those of RBF

    Gradient: dx_i = ((i = t) − exp(−x_i) / (exp(−j) + Σ_k exp(−x_k))) / N. The constant j keeps
    classes from being pushed away that are far already.

    Input: distances (N, K), the smallest is the answer, or with ``negative`` their negatives, the
    largest is the answer (dx then has the other sign); target: int (N,). Source: LeCun et al. 1998,
    equation 9.
    """

    title: ClassVar[str] = "LeNet's loss"

    j: float = hyper(
        1.0, "Classes whose distance is beyond this one are hardly pushed away any further"
    )
    negative: bool = hyper(False, "Whether the numbers are distances with a minus, largest best")

    def __post_init__(self) -> None:
        check_number("LeNetLoss", "j", self.j)

    def check(self, spec: Spec) -> None:
        """Raise ShapeError unless ``spec`` is (N, K)."""
        _check_classes(spec, "LeNet's loss")

    def forward(self, x: Array, target: Array) -> tuple[Array, Mapping[str, Array]]:
        """Return (loss of shape (), {"shares": (N, K), "target": (N,)})."""
        target = class_targets(x, target)
        x = -x if self.negative else x
        largest = np.maximum((-x).max(1, keepdims=True), -self.j)
        exp = np.exp(-x - largest)
        total = exp.sum(1, keepdims=True) + np.exp(-self.j - largest)
        losses = x[np.arange(len(x)), target] + (np.log(total) + largest)[:, 0]
        loss = np.asarray(losses.mean(dtype=np.float64), x.dtype)
        return loss, {"shares": (exp / total).astype(x.dtype), "target": target}

    def backward(self, saved: Mapping[str, Array], weight: float = 1.0) -> Array:
        """dx (N, K)."""
        dx = -saved["shares"]
        dx[np.arange(len(dx)), saved["target"]] += 1
        return dx * dx.dtype.type(self._sign * weight / len(dx))

    @property
    def _sign(self) -> int:
        return -1 if self.negative else 1

    def reads(self, saved: Mapping[str, Array], x: Array, sample: int = 0) -> Terms:
        """The distances ``x`` (K,) of one sample; chosen: the target."""
        sign = float(self._sign)
        terms = tuple(Term(("input", 0, (i,)), float(v), sign) for i, v in enumerate(x))
        formula = "x_t + log(exp(−j) + Σ_i exp(−x_i))"
        return Terms(terms, "formula", formula, int(saved["target"][sample]))

    def feeds(
        self, cell: tuple[int, ...], saved: Mapping[str, Array], sample: int = 0, weight: float = 1
    ) -> Terms:
        """Two terms: 1 if it is the target, and the share of its exp(−x)."""
        factor = self._sign * weight / len(saved["shares"])
        right = float(cell[0] == int(saved["target"][sample]))
        share = float(saved["shares"][(sample, *cell)])
        target = Term(("constant", "target"), right, factor, "y, the right answer")
        pushed = Term(("input", 0, cell), share, -factor, "share of exp(−x)")
        return Terms((target, pushed), "sum", "(y − share) · weight / N")


@dataclass(frozen=True)
class Total(Described):
    """Adds the numbers up as they are: nothing is asked of them, each is followed backward.

    L = (1/N) Σ x

    Gradient: every number receives 1 / N, for one sample exactly 1. With it the backward pass
    shows how the output depends on everything before it, and nothing else.

    Input: any shape; the target is not looked at. Source: the gradient of a sum of outputs, as
    ``backward`` of PyTorch's ``sum``.
    """

    title: ClassVar[str] = "Sum of the output"

    def check(self, spec: Spec) -> None:
        """Any shape will do."""

    def forward(self, x: Array, target: Array) -> tuple[Array, Mapping[str, Array]]:
        """Return (loss of shape (), {"x": x})."""
        check_batch(x)
        return np.asarray(x.sum(dtype=np.float64) / len(x), x.dtype), {"x": x}

    def backward(self, saved: Mapping[str, Array], weight: float = 1.0) -> Array:
        """dx, of x's shape."""
        x = saved["x"]
        return np.full(x.shape, weight / len(x), x.dtype)

    def reads(self, saved: Mapping[str, Array], x: Array, sample: int = 0) -> Terms:
        """The numbers ``x`` of one sample, which add up to its share of the loss."""
        terms = tuple(Term(("input", 0, i), float(v), 1.0) for i, v in np.ndenumerate(x))
        return Terms(terms, "sum", "Σ x")

    def feeds(
        self, cell: tuple[int, ...], saved: Mapping[str, Array], sample: int = 0, weight: float = 1
    ) -> Terms:
        """One term: each number counts once."""
        term = Term(("constant", "counts once"), 1.0, weight / len(saved["x"]), "1 / N")
        return Terms((term,), "sum", "1 / N")


LOSSES: dict[str, type[LossFunction]] = {
    "CrossEntropy": CrossEntropy,
    "MeanSquaredError": MeanSquaredError,
    "Hinge": Hinge,
    "LeNetLoss": LeNetLoss,
    "Total": Total,
}

OF_CLASSES = (CrossEntropy, MeanSquaredError, Hinge, LeNetLoss)
"""Losses whose target is the right class of each sample."""


def evidence(function: LossFunction, x: Array) -> Array | None:
    """What a loss judges as (N, K) numbers of which the largest is the answer; None if it is none.

    Distances, of which the smallest is the answer, come with a minus.
    """
    if not isinstance(function, OF_CLASSES) or x.ndim != 2:
        return None
    return -x if isinstance(function, LeNetLoss) and not function.negative else x


def suited(spec: Spec) -> tuple[LossFunction, ...]:
    """The losses that a tensor fits, with their usual settings, the likeliest first.

    Left out are those whose target, one class a sample, could not be given: the mean squared error
    of a tensor that is not (N, K).
    """
    found: list[LossFunction] = []
    for kind in LOSSES.values():
        # like the others, of scores of which the largest is the answer
        function = LeNetLoss(negative=True) if kind is LeNetLoss else kind()
        try:
            function.check(spec)
            if isinstance(function, MeanSquaredError):
                _check_classes(spec, "a class")
        except ShapeError:
            continue
        found.append(function)
    return tuple(found)
