"""A layer that is passed by."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, ClassVar

import numpy as np

from engine.extent import Extent, Nothing, same_place
from engine.layers.base import (
    Array,
    Ctx,
    Grads,
    HyperparameterError,
    Layer,
    OnnxOp,
    ParamSpec,
    Record,
    Result,
    ShapeError,
    Spec,
    Term,
    Terms,
    hyper,
    layer_from_dict,
    layer_to_dict,
)

_Shapes = tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class Muted(Layer):
    """Stands where a layer is muted: hands one of its inputs on unchanged, and keeps the layer.

    y = x of input ``slot``. The layer's weights stay as they are and are not trained.

    Gradient: dx = dy at that input, 0 at the others.

    Source: the bypass of audio mixers and of node editors.
    """

    title: ClassVar[str] = "Muted"
    category: ClassVar[str] = "Other"
    slug: ClassVar[str] = "muted"
    arity: ClassVar[tuple[int, int | None]] = (1, None)
    listed: ClassVar[bool] = False

    of: str = hyper("", "The layer that is muted and the shapes that it received, as JSON.")
    slot: int = hyper(0, "The input that is handed on.", low=0)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.of:
            _read(self.of)

    @classmethod
    def around(cls, layer: Layer, specs: tuple[Spec, ...], slot: int = 0) -> Muted:
        """The muted form of a layer that receives tensors of these specs."""
        shapes = [list(spec.shape[1:]) for spec in specs]
        return cls(json.dumps({"layer": layer_to_dict(layer), "receives": shapes}), slot)

    @property
    def layer(self) -> Layer:
        """The layer that is muted; this one where it stands for none."""
        return _read(self.of)[0] if self.of else self

    def outputs(self, *specs: Spec) -> tuple[Spec, ...]:
        if self.slot >= len(specs):
            raise ShapeError(
                f"an input {self.slot + 1}, which is handed on",
                f"{len(specs)} connected",
                "Connect it, or unmute the layer.",
            )
        return (specs[self.slot],)

    def parameters(self, *specs: Spec) -> dict[str, ParamSpec]:
        if not self.of:
            return {}
        layer, shapes = _read(self.of)
        received = tuple(Spec((1, *shape)) for shape in shapes)
        try:
            found = layer.parameters(*received)
        except (ShapeError, IndexError):
            return {}
        # kept for later: nothing moves them
        return {n: replace(spec, kind="statistic", moves=False) for n, spec in found.items()}

    def extent(self, slot: int, *specs: Spec, port: int = 0) -> Extent:
        shape = specs[slot].shape[1:]
        return same_place(shape) if slot == self.slot else Nothing()

    def forward(self, p: Mapping[str, Array], *xs: Array, ctx: Ctx = Ctx()) -> Result:
        others = {f"shape{i}": np.array(x.shape) for i, x in enumerate(xs) if i != self.slot}
        return Result((xs[self.slot],), others)

    def backward(
        self,
        p: Mapping[str, Array],
        saved: Mapping[str, Array],
        dys: tuple[Array, ...],
        need: tuple[bool, ...],
        ctx: Ctx = Ctx(),
    ) -> Grads:
        def dx(slot: int) -> Array:
            return dys[0] if slot == self.slot else np.zeros(saved[f"shape{slot}"], dys[0].dtype)

        return Grads(tuple(dx(slot) if wanted else None for slot, wanted in enumerate(need)))

    def reads(self, cell: tuple[int, ...], rec: Record, port: int = 0) -> Terms:
        x = float(rec.xs[self.slot][cell])
        return Terms((Term(("input", self.slot, cell), x, 1.0),), "sum", "x")

    def feeds(self, cell: tuple[int, ...], rec: Record, slot: int = 0) -> Terms:
        dy = rec.dys[0]
        if dy is None or slot != self.slot:
            return Terms((), "sum")
        return Terms((Term(("output_grad", 0, cell), float(dy[cell]), 1.0),), "sum", "dy")

    @property
    def onnx(self) -> OnnxOp:
        return OnnxOp("Identity")


@lru_cache(maxsize=1024)
def _read(text: str) -> tuple[Layer, _Shapes]:
    """The layer and the shapes that it received; raises HyperparameterError for anything else."""
    try:
        data: Any = json.loads(text)
        layer = layer_from_dict(data["layer"])
        shapes = tuple(tuple(int(n) for n in shape) for shape in data["receives"])
    except HyperparameterError as error:
        raise HyperparameterError(f"Muted.of: {error}") from error
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise HyperparameterError(
            f"Muted.of: expected a layer and shapes as JSON, received {text[:60]!r}."
        ) from error
    if isinstance(layer, Muted) or any(n < 1 for shape in shapes for n in shape):
        raise HyperparameterError("Muted.of: expected a layer with sizes from 1, received others.")
    return layer, shapes
