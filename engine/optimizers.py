"""Optimizers on flat vectors: all trained parameters of a network are one array."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass
from typing import Any, ClassVar, Protocol

import numpy as np

from engine.layers.base import Array, HyperparameterError
from engine.statistics import norm


class Optimizer(Protocol):
    """A rule that moves parameters against their gradient; a frozen value of hyper-parameters.

    ``clip_norm``: a gradient longer than this is shortened to it (0: never). ``decay_biases``:
    weight decay concerns biases and the scales of normalisations too.
    """

    title: ClassVar[str]
    slots: ClassVar[int]

    @property
    def clip_norm(self) -> float: ...
    @property
    def decay_biases(self) -> bool: ...

    def update(
        self,
        p: Array,
        g: Array,
        state: list[Array],
        step: int,
        out: Array,
        decays: Array | None = None,
    ) -> None: ...


_RANGES: dict[str, tuple[Callable[[float], bool], str]] = {
    "lr": (lambda v: 0 < v <= 100, "a number above 0, at most 100"),
    "momentum": (lambda v: 0 <= v < 1, "a number from 0 to below 1"),
    "beta1": (lambda v: 0 <= v < 1, "a number from 0 to below 1"),
    "beta2": (lambda v: 0 <= v < 1, "a number from 0 to below 1"),
    "eps": (lambda v: 0 < v <= 1, "a number above 0, at most 1"),
    "alpha": (lambda v: 0 <= v < 1, "a number from 0 to below 1"),
    "weight_decay": (lambda v: 0 <= v <= 1, "a number from 0 to 1"),
    "clip_norm": (lambda v: 0 <= v <= 1e6, "a number from 0 (never clip) to 1000000"),
}
"""By the name of a number: what is allowed, and that in words."""
_SWITCHES = ("nesterov", "decay_biases")
_TITLES = {"lr": "Learning rate", "weight_decay": "Weight decay"}


def _check(name: str, value: Any) -> None:
    if name in _SWITCHES:
        if not isinstance(value, bool):
            raise HyperparameterError(f"{name}: expected true or false, received {value!r}.")
        return
    allowed, words = _RANGES[name]
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not allowed(value):
        title = _TITLES.get(name, name.capitalize().replace("_", " "))
        raise HyperparameterError(f"{title}: expected {words}, received {value!r}.")


@dataclass(frozen=True)
class Rule:
    """What all optimizers have: bounds of the gradient, and what weight decay concerns.

    A number out of its range raises HyperparameterError.

    ``decay_in_gradient``: weight decay is added to the gradient; else the weights shrink apart
    from it, by lr · weight_decay.
    """

    title: ClassVar[str] = ""
    slots: ClassVar[int] = 0
    decay_in_gradient: ClassVar[bool] = True

    _: KW_ONLY
    clip_norm: float = 0.0
    decay_biases: bool = True

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            _check(field.name, getattr(self, field.name))

    @property
    def lr(self) -> float:
        """The learning rate; every rule has it as a field."""
        raise NotImplementedError

    @property
    def weight_decay(self) -> float:
        """How strongly weights are pulled towards zero; every rule has it as a field."""
        raise NotImplementedError

    def move(self, p: Array, g: Array, state: list[Array], step: int) -> Array:
        """What the gradient g subtracts from p, a new array; ``state`` is changed in place."""
        raise NotImplementedError

    def update(
        self,
        p: Array,
        g: Array,
        state: list[Array],
        step: int,
        out: Array,
        decays: Array | None = None,
    ) -> None:
        """Write the new parameters to ``out``; ``state`` is changed in place; step ≥ 1.

        All arrays are flat and of one dtype; ``state`` holds ``slots`` of them, zeros at first.
        ``decays`` (as p): 1 where weight decay acts, else 0; None: everywhere.
        """
        real = p.dtype.type
        if self.weight_decay and self.decay_in_gradient:
            g = g + real(self.weight_decay) * _decayed(p, decays)
        move = self.move(p, g, state, step)
        if self.weight_decay and not self.decay_in_gradient:
            move += real(self.lr * self.weight_decay) * _decayed(p, decays)
        np.subtract(p, move, out=out)


def clipped(g: Array, longest: float) -> Array:
    """The gradient (n,), shortened to length ``longest`` where it is longer (0: as it is).

    A gradient that is not finite stays as it is, so that what follows can find it. Source:
    Pascanu, Mikolov & Bengio 2013, algorithm 1.
    """
    if not longest:
        return g
    length = norm(g)
    if not math.isfinite(length) or length <= longest:
        return g
    return g * g.dtype.type(longest / length)


def _decayed(p: Array, decays: Array | None) -> Array:
    """What weight decay pulls towards zero: all of p, or where ``decays`` is 1."""
    return p if decays is None else p * decays


@dataclass(frozen=True)
class SGD(Rule):
    """Steps against the gradient; momentum keeps part of the last step.

    v ← momentum · v + (g + weight_decay · p);  p ← p − lr · v

    With ``nesterov`` the step is g + momentum · v in place of v (g with its weight decay).

    Source: Polyak 1964; Nesterov 1983 in the form of Sutskever et al. 2013; without dampening, as
    PyTorch's SGD (v starts as the first g).
    """

    title: ClassVar[str] = "SGD with momentum"
    slots: ClassVar[int] = 1

    lr: float = 0.05
    momentum: float = 0.9
    weight_decay: float = 0.0
    nesterov: bool = False

    def move(self, p: Array, g: Array, state: list[Array], step: int) -> Array:
        (v,) = state
        real = p.dtype.type
        v *= real(self.momentum)
        v += g
        return (v * real(self.momentum) + g if self.nesterov else v) * real(self.lr)


@dataclass(frozen=True)
class Adam(Rule):
    """Steps of a size that each parameter's own gradient history decides.

    m ← β₁ m + (1 − β₁) g;  v ← β₂ v + (1 − β₂) g²;
    p ← p − lr · (m / (1 − β₁ᵗ)) / (√(v / (1 − β₂ᵗ)) + ε)

    Source: Kingma & Ba 2015, algorithm 1; weight decay enters g (L2), as PyTorch's Adam.
    """

    title: ClassVar[str] = "Adam"
    slots: ClassVar[int] = 2

    lr: float = 0.001
    beta1: float = 0.9
    beta2: float = 0.999
    eps: float = 1e-8
    weight_decay: float = 0.0

    def move(self, p: Array, g: Array, state: list[Array], step: int) -> Array:
        m, v = state
        real = p.dtype.type
        m *= real(self.beta1)
        m += real(1 - self.beta1) * g
        v *= real(self.beta2)
        v += real(1 - self.beta2) * np.square(g)
        scale = np.sqrt(v / real(1 - self.beta2**step))
        scale += real(self.eps)
        np.divide(m, scale, out=scale)
        scale *= real(self.lr / (1 - self.beta1**step))
        return scale


@dataclass(frozen=True)
class AdamW(Adam):
    """Adam whose weight decay acts on the weights themselves, apart from the gradient.

    p ← p − lr · weight_decay · p, then as Adam with g alone.

    Source: Loshchilov & Hutter 2019, algorithm 2 (decay times the learning rate, as PyTorch).
    """

    title: ClassVar[str] = "AdamW"
    decay_in_gradient: ClassVar[bool] = False

    weight_decay: float = 0.01


@dataclass(frozen=True)
class RMSProp(Rule):
    """Divides each step by the recent size of that parameter's own gradient.

    s ← α s + (1 − α) g²;  v ← momentum · v + g / (√s + ε);  p ← p − lr · v

    Source: Tieleman & Hinton 2012, lecture 6.5; ε outside the root and weight decay in g (L2), as
    PyTorch's RMSprop.
    """

    title: ClassVar[str] = "RMSProp"
    slots: ClassVar[int] = 2

    lr: float = 0.001
    alpha: float = 0.99
    eps: float = 1e-8
    momentum: float = 0.0
    weight_decay: float = 0.0

    def move(self, p: Array, g: Array, state: list[Array], step: int) -> Array:
        s, v = state
        real = p.dtype.type
        s *= real(self.alpha)
        s += real(1 - self.alpha) * np.square(g)
        v *= real(self.momentum)
        v += g / (np.sqrt(s) + real(self.eps))
        return np.asarray(v * real(self.lr))


AnyOptimizer = SGD | Adam | AdamW | RMSProp

OPTIMIZERS: dict[str, type[SGD] | type[Adam] | type[AdamW] | type[RMSProp]] = {
    "SGD": SGD,
    "Adam": Adam,
    "AdamW": AdamW,
    "RMSProp": RMSProp,
}
