"""What layers share that combine two tensors cell by cell, or one with a number or parameter."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from engine.extent import Extent, served_places
from engine.layers.base import (
    Array,
    Ctx,
    Fix,
    Grads,
    Layer,
    ParamSpec,
    Record,
    Result,
    ShapeError,
    Spec,
    Term,
    Terms,
    hyper,
)


def aligned(x: Array, rank: int) -> Array:
    """x (N, …) with axes of size 1 behind the batch, so that a sample has ``rank`` of them."""
    return x.reshape(len(x), *[1] * (rank + 1 - x.ndim), *x.shape[1:])


def served(cell: tuple[int, ...], shape: tuple[int, ...]) -> tuple[int, ...]:
    """The cell of an operand of that shape that an output cell reads."""
    tail = cell[len(cell) - len(shape) :]
    return tuple(0 if size == 1 else i for i, size in zip(tail, shape, strict=True))


def serving(
    cell: tuple[int, ...], shape: tuple[int, ...], out: tuple[int, ...]
) -> Iterator[tuple[int, ...]]:
    """The output cells that read a cell of an operand of ``shape``, the converse of ``served``."""
    missing = len(out) - len(shape)
    start = (*[0] * missing, *cell)
    tail = zip(shape, out[missing:], strict=True)
    spread = (*out[:missing], *(n if size == 1 else 1 for size, n in tail))
    for offset in np.ndindex(*spread):
        yield tuple(c + o for c, o in zip(start, offset, strict=True))


def sum_to(gradient: Array, shape: tuple[int, ...]) -> Array:
    """A gradient added up over the cells that one cell of an operand (N, …) of ``shape`` served."""
    rank = gradient.ndim - 1
    full = (shape[0], *[1] * (rank + 1 - len(shape)), *shape[1:])
    axes = tuple(i for i, size in enumerate(full) if size == 1 != gradient.shape[i])
    return gradient.sum(axes, keepdims=True).reshape(shape) if axes else gradient.reshape(shape)


def common_shape(name: str, *samples: tuple[int, ...]) -> tuple[int, ...]:
    """The shape to which samples broadcast; raises ShapeError."""
    try:
        return np.broadcast_shapes(*samples)
    except ValueError:
        first, *others = ("×".join(map(str, s)) or "one number" for s in samples)
        raise ShapeError(
            f"inputs whose sizes are equal or 1 for {name}, {first} as the first",
            " and ".join(others),
            "Give both the same size, or one of them one number per channel (C×1×1).",
        ) from None


@dataclass(frozen=True)
class Broadcasting(Layer):
    """y = f(a, b) cell by cell; an axis of size 1, or one that is missing, serves all its places.

    With one input, b is the parameter "operand" of shape ``operand``, or ``value`` where that is
    (); ``swapped`` makes the input b. A subclass gives f as ``combine`` and its slopes.
    """

    abstract: ClassVar[bool] = True
    category: ClassVar[str] = "Arithmetic"
    arity: ClassVar[tuple[int, int | None]] = (1, 2)

    value: float = hyper(
        1.0, "The other number, where there is one input.", low=-3.4e38, high=3.4e38
    )
    operand: tuple[int, ...] = hyper(
        (), "Sizes of a trained operand instead of the number.", low=1, high=1 << 30
    )
    swapped: bool = hyper(False, "The input comes second: value − x instead of x − value.")

    def combine(self, a: Array, b: Array) -> Array:
        """f(a, b), broadcast."""
        raise NotImplementedError

    def slopes(self, a: Array, b: Array, y: Array) -> tuple[Array, Array]:
        """∂f/∂a and ∂f/∂b, of shapes that broadcast to y's."""
        raise NotImplementedError

    def outputs(self, *specs: Spec) -> tuple[Spec, ...]:
        samples = [spec.shape[1:] for spec in specs]
        if len(specs) == 1:
            samples.append(self.operand)
        try:
            shape = common_shape(type(self).__name__, *samples)
        except ShapeError as error:
            if len(specs) == 1:
                fixes = (Fix("Use the number", "set", (), "operand"),)
                raise ShapeError(error.expected, error.received, error.remedy, fixes) from None
            raise
        return (Spec((specs[0].shape[0], *shape), specs[0].dtype),)

    def parameters(self, *specs: Spec) -> dict[str, ParamSpec]:
        if len(specs) > 1 or not self.operand:
            return {}
        return {"operand": ParamSpec(self.operand, "ones", decay=False)}

    def _pair(self, p: Mapping[str, Array], xs: tuple[Array, ...]) -> tuple[Array, Array]:
        """a and b with the batch first, aligned at the last axis."""
        if len(xs) == 1:
            number = np.asarray(self.value, xs[0].dtype)
            other = p["operand"][None] if self.operand else number.reshape(1)
            xs = (other, xs[0]) if self.swapped else (xs[0], other)
        rank = max(x.ndim for x in xs) - 1
        return aligned(xs[0], rank), aligned(xs[1], rank)

    def forward(self, p: Mapping[str, Array], *xs: Array, ctx: Ctx = Ctx()) -> Result:
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            y = self.combine(*self._pair(p, xs))
        return Result((y,), {**{f"x{i}": x for i, x in enumerate(xs)}, "y": y})

    def backward(
        self,
        p: Mapping[str, Array],
        saved: Mapping[str, Array],
        dys: tuple[Array, ...],
        need: tuple[bool, ...],
        ctx: Ctx = Ctx(),
    ) -> Grads:
        xs = tuple(saved[f"x{i}"] for i in range(len(need)))
        if len(xs) == 1 and not need[0] and not self.operand:
            return Grads((None,))
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            slopes = self.slopes(*self._pair(p, xs), saved["y"])
            parts = [dys[0] * slope for slope in slopes]
        if len(xs) == 2:
            return Grads(
                tuple(
                    sum_to(g, x.shape) if n else None
                    for g, x, n in zip(parts, xs, need, strict=True)
                )
            )
        own, other = (parts[1], parts[0]) if self.swapped else parts
        dparams = {}
        if self.operand:
            dparams["operand"] = sum_to(other, (1, *self.operand))[0]
        return Grads((sum_to(own, xs[0].shape) if need[0] else None,), dparams)

    # ---- the explanation -------------------------------------------------------------------

    def _terms(self, cell: tuple[int, ...], rec: Record) -> tuple[Term, Term]:
        """a and b of an output cell, each with its place."""
        found = [
            Term(("input", slot, served(cell, x.shape)), float(x[served(cell, x.shape)]), 1.0)
            for slot, x in enumerate(rec.xs)
        ]
        if len(found) == 2:
            return found[0], found[1]
        if self.operand:
            index = served(cell, self.operand)
            other = Term(("param", "operand", index), float(rec.params["operand"][index]), 1.0)
        else:
            number = float(rec.ys[0].dtype.type(self.value))
            other = Term(("constant", "value"), number, 1.0)
        return (other, found[0]) if self.swapped else (found[0], other)

    def feeds(self, cell: tuple[int, ...], rec: Record, slot: int = 0) -> Terms:
        dy, own = rec.dys[0], rec.xs[slot].shape
        if dy is None:
            return Terms((), "sum")
        which = 1 if len(rec.xs) == 1 and self.swapped else slot
        terms = []
        for place in serving(cell, own, dy.shape):
            a, b = self._terms(place, rec)
            y = np.asarray(rec.ys[0][place])
            with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
                slope = self.slopes(np.asarray(a.value), np.asarray(b.value), y)[which]
            terms.append(Term(("output_grad", 0, place), float(dy[place]), float(slope), "slope"))
        return Terms(tuple(terms), "sum", "Σ dy · slope over the cells that this one served")

    def extent(self, slot: int, *specs: Spec, port: int = 0) -> Extent:
        shape, out = specs[slot].shape[1:], self.outputs(*specs)[0].shape[1:]
        return served_places(shape, out)

    def gathers(self, name: str, index: tuple[int, ...], rec: Record) -> Terms:
        dy = rec.dys[0]
        if dy is None:
            return Terms((), "sum")
        terms = []
        for place in serving(index, self.operand, dy.shape):
            a, b = self._terms(place, rec)
            y = np.asarray(rec.ys[0][place])
            with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
                slopes = self.slopes(np.asarray(a.value), np.asarray(b.value), y)
            slope = float(slopes[0 if self.swapped else 1])
            terms.append(Term(("output_grad", 0, place), float(dy[place]), slope, "slope"))
        return Terms(tuple(terms), "sum", "Σ dy · slope over the cells that it served")
