"""Optimizers on flat vectors: all trained parameters of a network are one array."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Protocol

import numpy as np

from engine.layers.base import Array


class Optimizer(Protocol):
    """A rule that moves parameters against their gradient; a frozen value of hyper-parameters."""

    title: ClassVar[str]
    slots: ClassVar[int]

    def update(self, p: Array, g: Array, state: list[Array], step: int, out: Array) -> None: ...


@dataclass(frozen=True)
class SGD:
    """Steps against the gradient; momentum keeps part of the last step.

    v ← momentum · v + (g + weight_decay · p);  p ← p − lr · v

    Source: Polyak 1964; the form without dampening of PyTorch's SGD (v starts as the first g).
    """

    title: ClassVar[str] = "SGD with momentum"
    slots: ClassVar[int] = 1

    lr: float = 0.05
    momentum: float = 0.9
    weight_decay: float = 0.0

    def update(self, p: Array, g: Array, state: list[Array], step: int, out: Array) -> None:
        """Write the new parameters to ``out``; ``state[0]`` is v, changed in place."""
        (v,) = state
        np.multiply(v, v.dtype.type(self.momentum), out=v)
        np.add(v, g, out=v)
        if self.weight_decay:
            v += p.dtype.type(self.weight_decay) * p
        np.subtract(p, v * p.dtype.type(self.lr), out=out)


@dataclass(frozen=True)
class Adam:
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

    def update(self, p: Array, g: Array, state: list[Array], step: int, out: Array) -> None:
        """Write the new parameters to ``out``; ``state`` is [m, v], changed in place; step ≥ 1."""
        m, v = state
        real = p.dtype.type
        if self.weight_decay:
            g = g + real(self.weight_decay) * p
        m *= real(self.beta1)
        m += real(1 - self.beta1) * g
        v *= real(self.beta2)
        v += real(1 - self.beta2) * np.square(g)
        scale = np.sqrt(v / real(1 - self.beta2**step))
        scale += real(self.eps)
        np.divide(m, scale, out=scale)
        scale *= real(self.lr / (1 - self.beta1**step))
        np.subtract(p, scale, out=out)


OPTIMIZERS: dict[str, type[SGD] | type[Adam]] = {"SGD": SGD, "Adam": Adam}
