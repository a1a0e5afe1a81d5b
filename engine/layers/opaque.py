"""An operator that the program does not know."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from engine.extent import Everything, Extent
from engine.layers.base import (
    Array,
    Ctx,
    Grads,
    Layer,
    Record,
    Result,
    ShapeError,
    Spec,
    Terms,
    hyper,
)


@dataclass(frozen=True)
class Opaque(Layer):
    """Stands for an operator of an opened file that this program does not have; it cannot run.

    What comes before it runs. It keeps the operator's name and attributes, and the shapes of its
    outputs where the file tells them.

    Gradient: none.

    Source: the file that was opened.
    """

    title: ClassVar[str] = "Unknown operator"
    category: ClassVar[str] = "Other"
    slug: ClassVar[str] = "opaque"
    arity: ClassVar[tuple[int, int | None]] = (0, None)
    listed: ClassVar[bool] = False

    operator: str = hyper("", "The operator's name in the file.")
    domain: str = hyper("", "The set of operators that it belongs to.")
    attributes: str = hyper("{}", "Its attributes, as JSON.")
    shapes: str = hyper("[null]", "Sizes of a sample of each output, as JSON; null where unknown.")

    def sample_shapes(self) -> tuple[tuple[int, ...] | None, ...]:
        """The declared shape of a sample of each output, None where unknown."""
        try:
            found = json.loads(self.shapes)
            return tuple(None if s is None else tuple(int(n) for n in s) for s in found)
        except (ValueError, TypeError):
            return (None,)

    def outputs(self, *specs: Spec) -> tuple[Spec, ...]:
        shapes = self.sample_shapes()
        known = [shape for shape in shapes if shape is not None]
        if len(known) < len(shapes):
            raise ShapeError(
                "an operator that this program has",
                f"{self.operator or 'an unknown one'}, whose shape the file does not tell",
                "It cannot run here; what comes before it can.",
            )
        batch = specs[0].shape[0] if specs else 1
        return tuple(
            Spec((batch, *shape), specs[0].dtype if specs else "float32") for shape in known
        )

    def extent(self, slot: int, *specs: Spec, port: int = 0) -> Extent:
        # nothing is known of it, so nothing is ruled out
        return Everything(specs[slot].shape[1:], self.outputs(*specs)[port].shape[1:])

    def forward(self, p: Mapping[str, Array], *xs: Array, ctx: Ctx = Ctx()) -> Result:
        raise self._refusal()

    def backward(
        self,
        p: Mapping[str, Array],
        saved: Mapping[str, Array],
        dys: tuple[Array, ...],
        need: tuple[bool, ...],
        ctx: Ctx = Ctx(),
    ) -> Grads:
        raise self._refusal()

    def _refusal(self) -> ShapeError:
        return ShapeError(
            "an operator that this program has",
            self.operator or "an unknown one",
            "It cannot run here; what comes before it can.",
        )

    def reads(self, cell: tuple[int, ...], rec: Record, port: int = 0) -> Terms:
        return Terms((), "formula", self.operator)

    def feeds(self, cell: tuple[int, ...], rec: Record, slot: int = 0) -> Terms:
        return Terms((), "sum")
