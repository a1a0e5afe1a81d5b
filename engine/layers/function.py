"""Functions of one number, cell by cell."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import numpy as np

from engine.layers.base import Array, OnnxOp, Record, Term, Terms, hyper
from engine.layers.elementwise import Elementwise

_ERF = np.frompyfunc(math.erf, 1, 1)


class Rule(NamedTuple):
    """A function with its slope, how it is written, and how far a number is from a kink."""

    value: Callable[[Array], Array]
    slope: Callable[[Array, Array], Array]
    formula: str
    operator: str
    distance: Callable[[Array], Array] | None = None


def _erf(x: Array) -> Array:
    return np.asarray(_ERF(x.astype(np.float64)), np.float64).astype(x.dtype).reshape(x.shape)


def _flat(x: Array, y: Array) -> Array:
    return np.zeros_like(x)


def _to_whole(x: Array) -> Array:
    return np.abs(x - np.round(x))


FUNCTIONS: Mapping[str, Rule] = {
    "abs": Rule(np.abs, lambda x, y: np.sign(x), "|x|", "Abs", np.abs),
    "negative": Rule(np.negative, lambda x, y: np.full_like(x, -1), "−x", "Neg"),
    "exp": Rule(np.exp, lambda x, y: y, "exp(x)", "Exp"),
    "log": Rule(np.log, lambda x, y: 1 / x, "log(x)", "Log", np.abs),
    "sqrt": Rule(np.sqrt, lambda x, y: 0.5 / y, "√x", "Sqrt", np.abs),
    "reciprocal": Rule(np.reciprocal, lambda x, y: -y * y, "1 / x", "Reciprocal", np.abs),
    "erf": Rule(_erf, lambda x, y: (2 / math.sqrt(math.pi)) * np.exp(-x * x), "erf(x)", "Erf"),
    "sin": Rule(np.sin, lambda x, y: np.cos(x), "sin(x)", "Sin"),
    "cos": Rule(np.cos, lambda x, y: -np.sin(x), "cos(x)", "Cos"),
    "sign": Rule(np.sign, _flat, "sign(x)", "Sign", np.abs),
    "floor": Rule(np.floor, _flat, "⌊x⌋", "Floor", _to_whole),
    "ceil": Rule(np.ceil, _flat, "⌈x⌉", "Ceil", _to_whole),
    "round": Rule(np.rint, _flat, "round(x)", "Round", lambda x: _to_whole(x + 0.5)),
    "truncate": Rule(np.trunc, _flat, "x without its fraction", "Cast", _to_whole),
    "not": Rule(lambda x: (x == 0).astype(x.dtype), _flat, "1 where x = 0, else 0", "Not", np.abs),
}


@dataclass(frozen=True)
class Function(Elementwise):
    """Applies one function of mathematics to every number.

    y = |x|, −x, exp(x), log(x), √x, 1/x, erf(x), sin(x), cos(x), sign(x), or x rounded down, up,
    to the nearest whole number (the even one from halfway) or towards 0; "not" is 1 where x is 0.

    Gradient: dx = dy · f′(x); of |x| it is 0 at 0; of what is rounded, of the sign and of "not"
    it is exactly zero, because a small change of x changes nothing.

    Source: ONNX operators Abs, Neg, Exp, Log, Sqrt, Reciprocal, Erf, Sin, Cos, Sign, Floor, Ceil,
    Round, Cast and Not.
    """

    title: ClassVar[str] = "Function"
    slug: ClassVar[str] = "function"
    category: ClassVar[str] = "Arithmetic"

    name: str = hyper("abs", "The function.", choices=tuple(FUNCTIONS))

    def value(self, x: Array) -> Array:
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            return FUNCTIONS[self.name].value(x)

    def slope(self, x: Array, y: Array) -> Array:
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            return np.asarray(FUNCTIONS[self.name].slope(x, y)).astype(x.dtype)

    def reads(self, cell: tuple[int, ...], rec: Record, port: int = 0) -> Terms:
        term = Term(("input", 0, cell), float(rec.xs[0][cell]), 1.0)
        return Terms((term,), "formula", FUNCTIONS[self.name].formula, 0)

    def kinks(self, p: Mapping[str, Array], *xs: Array) -> float:
        distance = FUNCTIONS[self.name].distance
        return float(np.min(distance(xs[0]))) if distance else math.inf

    @property
    def onnx(self) -> OnnxOp:
        return OnnxOp("Function")
