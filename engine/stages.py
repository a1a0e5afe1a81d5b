"""A number that is made in stages: a loss, the gradient of a score, and a weight's update.

What was recorded (scores, targets, gradients, weights) is taken as it is; the stages between are
worked out here in double precision by the formulas of ``losses`` and ``optimizers``, and the last
one is the recorded number again, but for the rounding of the run.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from engine.layers.base import Array, Terms
from engine.losses import CrossEntropy, Hinge, LeNetLoss, MeanSquaredError, Total
from engine.optimizers import SGD, Adam, Optimizer, RMSProp


@dataclasses.dataclass(frozen=True, eq=False)
class Stage:
    """One line of the working: ``values`` float64 (n,), one number or one for each class.

    ``name`` is the sign for it, ``formula`` says how it follows from the lines above, ``picked``
    is the entry that the next line takes.
    """

    name: str
    formula: str
    values: Array
    picked: int | None = None

    @property
    def number(self) -> float | None:
        """The value of a line with one number."""
        return float(self.values[0]) if self.values.size == 1 else None


def _line(name: str, formula: str, values: Any, picked: int | None = None) -> Stage:
    return Stage(name, formula, np.atleast_1d(np.asarray(values, np.float64)).ravel(), picked)


def _text(value: float) -> str:
    """A constant of a formula with its sign as on the screen: 0.9, 1e−8."""
    return f"{value:.6g}".replace("e-0", "e−").replace("-", "−") if value else "0"


def _signed(value: float) -> str:
    return f"({_text(value)})" if value < 0 else _text(value)


# ---- losses --------------------------------------------------------------------------------


def loss_stages(
    function: Any, x: Array, saved: Mapping[str, Array], sample: int = 0
) -> tuple[Stage, ...]:
    """How a loss comes from the scores x (N, …) of the batch, for one sample of it.

    Raises TypeError for a loss whose working nobody wrote down.
    """
    makes = _LOSSES.get(type(function))
    if makes is None:
        raise TypeError(f"Stages: expected one of the losses, received {type(function).__name__}.")
    return tuple(makes(function, x.astype(np.float64), saved, sample))


def _mean(stages: list[Stage], own: Array, sample: int, divisor: float, what: str) -> list[Stage]:
    """Add the other samples' numbers and divide; ``own`` (N,) has one number a sample."""
    total = float(own.sum())
    if len(own) > 1:
        rest = total - float(own[sample])
        stages.append(_line("others", f"the same of the {len(own) - 1} other samples", rest))
        stages.append(_line("Σ", "added up", total))
    stages.append(_line("L", f"÷ {_text(divisor)}, {what}", total / divisor))
    return stages


def _cross_entropy(
    f: CrossEntropy, x: Array, saved: Mapping[str, Array], sample: int
) -> list[Stage]:
    target = saved["target"]
    rows = np.arange(len(x))
    shifted = x - x.max(1, keepdims=True)
    exp = np.exp(shifted)
    total = exp.sum(1, keepdims=True)
    logs = shifted - np.log(total)
    t = int(target[sample])
    stages = [
        _line("x", "the scores", x[sample]),
        _line("x − m", "less the largest, m: exp cannot overflow", shifted[sample]),
        _line("exp", "exp(x − m)", exp[sample]),
        _line("Σ", "the sum of exp", total[sample]),
        _line("p", "softmax: exp ÷ Σ", exp[sample] / total[sample]),
        _line("log p", "(x − m) − log Σ", logs[sample], t),
    ]
    if not f.label_smoothing and not f.class_weights:
        stages.append(_line("−log p", f"of class {t}, the right one", -logs[sample, t]))
        return _mean(stages, -logs[rows, target], sample, len(x), "the number of samples")
    y, divisor = f._wanted(saved)
    stages += [
        _line("y", "what is wanted, smoothed and weighted", y[sample]),
        _line("−y log p", "class by class", -y[sample] * logs[sample]),
        _line("Σ", "added up over the classes", -(y[sample] * logs[sample]).sum()),
    ]
    return _mean(stages, -(y * logs).sum(1), sample, divisor, "the weight of the samples")


def _mean_squared_error(
    f: MeanSquaredError, x: Array, saved: Mapping[str, Array], sample: int
) -> list[Stage]:
    difference = saved["difference"].astype(np.float64)
    squares = np.square(difference).reshape(len(x), -1)
    stages = [
        _line("x", "the numbers", x[sample]),
        _line("y", "what was wanted", x[sample] - difference[sample]),
        _line("x − y", "the difference", difference[sample]),
        _line("(x − y)²", "squared", squares[sample]),
        _line("Σ", "added up", squares[sample].sum()),
    ]
    return _mean(stages, squares.sum(1), sample, x.size, "the count of all numbers")


def _hinge(f: Hinge, x: Array, saved: Mapping[str, Array], sample: int) -> list[Stage]:
    target, rows = saved["target"], np.arange(len(x))
    t = int(target[sample])
    gaps = f.margin - x[rows, target][:, None] + x
    broken = np.where(gaps > 0, gaps, gaps * 0)
    broken[rows, target] = 0
    stages = [
        _line("x", "the scores", x[sample], t),
        _line(f"{_text(f.margin)} − x_t + x", f"t = {t}, the right class", gaps[sample]),
        _line("max(0, ·)", "of the other classes", broken[sample]),
        _line("Σ", "added up over the classes", broken[sample].sum()),
    ]
    return _mean(stages, broken.sum(1), sample, x.size, "samples × classes")


def _lenet_loss(f: LeNetLoss, x: Array, saved: Mapping[str, Array], sample: int) -> list[Stage]:
    target, rows = saved["target"], np.arange(len(x))
    t = int(target[sample])
    d = -x if f.negative else x
    largest = np.maximum((-d).max(1), -f.j)
    exp = np.exp(-d - largest[:, None])
    total = exp.sum(1) + np.exp(-f.j - largest)
    logs = np.log(total) + largest
    own = d[rows, target] + logs
    stages = [_line("x", "the scores", x[sample])] if f.negative else []
    stages += [
        _line("d", "the distances" + (", −x" if f.negative else ""), d[sample], t),
        _line("exp(−d)", "large where the distance is small", np.exp(-d[sample])),
        _line("Σ", f"their sum and exp(−{_text(f.j)})", math.exp(logs[sample])),
        _line("log Σ", "pushes the other classes away", logs[sample]),
        _line("d_t + log Σ", f"t = {t}, the right class", own[sample]),
    ]
    return _mean(stages, own, sample, len(x), "the number of samples")


def _total(f: Total, x: Array, saved: Mapping[str, Array], sample: int) -> list[Stage]:
    sums = x.reshape(len(x), -1).sum(1)
    stages = [_line("x", "the numbers", x[sample]), _line("Σ", "added up", sums[sample])]
    return _mean(stages, sums, sample, len(x), "the number of samples")


_LOSSES: dict[type, Callable[..., list[Stage]]] = {
    CrossEntropy: _cross_entropy,
    MeanSquaredError: _mean_squared_error,
    Hinge: _hinge,
    LeNetLoss: _lenet_loss,
    Total: _total,
}


def gradient_stages(terms: Terms) -> tuple[Stage, ...]:
    """How the gradient of one score comes from its terms, as the loss states them."""
    found = terms.terms
    factors = [term.coefficient for term in found]
    # of every class something was wanted, also of those that are not the right one
    notes = [term.note.replace("the right answer", "what was wanted of it") for term in found]
    names = [(note or "term").split(", ") for note in notes]
    if len(found) == 2 and factors[0] == -factors[1]:
        (first, *one), (second, *two) = names
        stages = [
            _line(first, ", ".join(one), found[0].value),
            _line(second, ", ".join(two), found[1].value),
            _line(f"{first} − {second}", "the difference", found[0].value - found[1].value),
        ]
        if factors[0] != 1:
            total = math.fsum(t.product for t in found)
            stages.append(_line("dx", f"× {_signed(factors[0])}: {terms.formula}", total))
        return tuple(stages)
    stages = []
    for term, (name, *rest) in zip(found, names, strict=True):
        note = f"{_signed(term.value)} × {_signed(term.coefficient)}"
        stages.append(_line(name, ", ".join([*rest, note]), term.product))
    stages.append(_line("dx", terms.formula, math.fsum(t.product for t in found)))
    return tuple(stages)


# ---- updates -------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Pull:
    """What one update knew of one weight: its gradient, and the length of the whole gradient."""

    weight: float
    gradient: float
    length: float = 0.0


def update_stages(
    optimizer: Optimizer, history: Sequence[Pull], decays: bool = True
) -> tuple[Stage, ...]:
    """How the last update of ``history`` moved one weight.

    ``history`` has every update since the optimizer's vectors were zero, the one to show last.
    ``decays``: whether weight decay concerns this weight at all. Raises TypeError for a rule
    whose working nobody wrote down.
    """
    rules: tuple[tuple[type, type[_Working]], ...] = (
        (SGD, _Momentum),
        (Adam, _Moments),
        (RMSProp, _Squares),
    )
    working = next((w for rule, w in rules if isinstance(optimizer, rule)), None)
    if working is None:
        raise TypeError(f"Stages: expected an optimizer, received {type(optimizer).__name__}.")
    made, stages = working(optimizer), []
    for step, pull in enumerate(history, 1):
        stages = _update(optimizer, made, pull, step, decays)
    return tuple(stages)


def _update(optimizer: Any, working: _Working, pull: Pull, step: int, decays: bool) -> list[Stage]:
    w, g = pull.weight, pull.gradient
    stages = [_line("w", "the weight before", w), _line("g", "its gradient", g)]
    longest = optimizer.clip_norm
    if longest and math.isfinite(pull.length) and pull.length > longest:
        g *= longest / pull.length
        note = f"{_text(longest)} ÷ {_text(pull.length)}, the length of the whole gradient"
        stages.append(_line("g", f"clipped: × {note}", g))
    decay = optimizer.weight_decay if decays else 0.0
    if decay and optimizer.decay_in_gradient:
        g += decay * w
        stages.append(_line("g", f"+ {_text(decay)} · w, weight decay", g))
    move = working.move(stages, g, step)
    if decay and not optimizer.decay_in_gradient:
        shrink = optimizer.lr * decay * w
        move += shrink
        stages.append(
            _line("decay", f"{_text(optimizer.lr)} · {_text(decay)} · w, apart from g", shrink)
        )
        stages.append(_line("step", "both together", move))
    stages.append(_line("w", "w − step: the weight after", w - move))
    return stages


class _Working:
    """The vectors of a rule at one weight, and the lines that a move takes."""

    def __init__(self, rule: Any) -> None:
        self.rule = rule
        self.first = self.second = 0.0

    def move(self, stages: list[Stage], g: float, step: int) -> float:
        raise NotImplementedError


class _Momentum(_Working):
    """SGD."""

    def move(self, stages: list[Stage], g: float, step: int) -> float:
        lr, mu = self.rule.lr, self.rule.momentum
        direction, name = g, "g"
        if mu:
            before, self.first = self.first, mu * self.first + g
            stages.append(_line("v", "the velocity before", before))
            stages.append(_line("v", f"{_text(mu)} · v + g", self.first))
            direction, name = self.first, "v"
            if self.rule.nesterov:
                direction, name = g + mu * self.first, "n"
                stages.append(
                    _line("n", f"g + {_text(mu)} · v, looking ahead (Nesterov)", direction)
                )
        stages.append(_line("step", f"{_text(lr)} · {name}", lr * direction))
        return float(lr * direction)


class _Moments(_Working):
    """Adam and AdamW."""

    def move(self, stages: list[Stage], g: float, step: int) -> float:
        rule = self.rule
        b1, b2 = rule.beta1, rule.beta2
        before = (self.first, self.second)
        self.first = b1 * self.first + (1 - b1) * g
        self.second = b2 * self.second + (1 - b2) * g * g
        mean, square = self.first / (1 - b1**step), self.second / (1 - b2**step)
        scale = math.sqrt(square) + rule.eps
        move = rule.lr * mean / scale
        stages += [
            _line("m", "the mean of g before", before[0]),
            _line("m", f"{_text(b1)} · m + {_text(1 - b1)} · g", self.first),
            _line("v", "the mean of g² before", before[1]),
            _line("v", f"{_text(b2)} · v + {_text(1 - b2)} · g²", self.second),
            _line("m′", f"m ÷ (1 − {_text(b1)}^{step})", mean),
            _line("v′", f"v ÷ (1 − {_text(b2)}^{step})", square),
            _line("√v′ + ε", f"ε = {_text(rule.eps)}", scale),
            _line("step", f"{_text(rule.lr)} · m′ ÷ (√v′ + ε)", move),
        ]
        return float(move)


class _Squares(_Working):
    """RMSProp."""

    def move(self, stages: list[Stage], g: float, step: int) -> float:
        rule = self.rule
        before, self.first = self.first, rule.alpha * self.first + (1 - rule.alpha) * g * g
        scale = math.sqrt(self.first) + rule.eps
        direction = g / scale
        stages += [
            _line("s", "the mean of g² before", before),
            _line("s", f"{_text(rule.alpha)} · s + {_text(1 - rule.alpha)} · g²", self.first),
            _line("√s + ε", f"ε = {_text(rule.eps)}", scale),
            _line("g ÷ (√s + ε)", "the gradient by its usual size", direction),
        ]
        name = "this"
        if rule.momentum:
            old, self.second = self.second, rule.momentum * self.second + direction
            stages.append(_line("v", "the velocity before", old))
            stages.append(_line("v", f"{_text(rule.momentum)} · v + g ÷ (√s + ε)", self.second))
            direction, name = self.second, "v"
        stages.append(_line("step", f"{_text(rule.lr)} · {name}", rule.lr * direction))
        return float(rule.lr * direction)
