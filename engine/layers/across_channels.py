"""What layers share that weigh the channels of each place against one another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from engine.extent import Axes, Extent, Groups, Slide
from engine.layers.base import Layer, Record, Spec, Term, Terms


@dataclass(frozen=True)
class AcrossChannels(Layer):
    """y_i is a function of all x_j at its place, over axis 1 (the classes or channels).

    Gradient: dx_i = Σ_j dy_j · ∂y_j/∂x_i; a subclass gives ∂y_j/∂x_i as ``slope``.
    """

    abstract: ClassVar[bool] = True
    category: ClassVar[str] = "Activation"
    formula: ClassVar[str] = ""
    gradient_formula: ClassVar[str] = ""

    def slope(self, i: int, j: int, y_i: float, y_j: float) -> float:
        """∂y_j/∂x_i from the outputs."""
        raise NotImplementedError

    def outputs(self, *specs: Spec) -> tuple[Spec, ...]:
        return (specs[0],)

    def reads(self, cell: tuple[int, ...], rec: Record, port: int = 0) -> Terms:
        x = rec.xs[0]
        terms = tuple(
            Term(("input", 0, (j, *cell[1:])), float(x[(j, *cell[1:])]), 1.0) for j in range(len(x))
        )
        return Terms(terms, "formula", self.formula, cell[0])

    def feeds(self, cell: tuple[int, ...], rec: Record, slot: int = 0) -> Terms:
        dy, y = rec.dys[0], rec.ys[0]
        if dy is None:
            return Terms((), "sum")
        terms = []
        for j in range(len(y)):
            index = (j, *cell[1:])
            slope = self.slope(cell[0], j, float(y[cell]), float(y[index]))
            terms.append(Term(("output_grad", 0, index), float(dy[index]), slope, "∂y_j/∂x_i"))
        return Terms(tuple(terms), "sum", self.gradient_formula)

    def extent(self, slot: int, *specs: Spec, port: int = 0) -> Extent:
        channels, *sizes = specs[0].shape[1:]
        return Axes((Groups(channels, channels), *(Slide(size, size) for size in sizes)))
