"""What writes a layer as several operators one behind the other."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
from onnx import helper

from engine.layers.base import Array
from engine.onnx.rules import RULES, Nodes, Place, node


def writes(*operators: str) -> Callable[[Callable[[Place], Nodes]], Callable[[Place], Nodes]]:
    """Enter what writes an operator (as layers name it in ``Layer.onnx``)."""

    def enter(rule: Callable[[Place], Nodes]) -> Callable[[Place], Nodes]:
        for operator in operators:
            RULES[operator] = rule
        return rule

    return enter


class Steps:
    """Collects the nodes of a place; calling it adds one and returns the name of its output."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.nodes: list[onnx.NodeProto] = []

    def __call__(self, op: str, role: str, *inputs: str, **attributes: Any) -> str:
        name = self.place.fresh(role)
        self.nodes.append(helper.make_node(op, list(inputs), [name], name=name, **attributes))
        return name

    def node(
        self, op: str, inputs: tuple[str, ...], outputs: tuple[str, ...], **attributes: Any
    ) -> Nodes:
        """A node whose outputs have names; returns all nodes so far."""
        name = self.place.name if self.place.outputs[-1] in outputs else self.place.fresh("node")
        made = helper.make_node(op, list(inputs), list(outputs), name=name, **attributes)
        if self.place.outputs[-1] in outputs:
            made.doc_string = self.place.id
        self.nodes.append(made)
        return self.nodes

    def ints(self, role: str, *numbers: int) -> str:
        """A constant row of whole numbers."""
        return self.place.constant(role, np.array(numbers, "int64"))

    def floats(self, role: str, array: Array | float) -> str:
        """A constant of float32."""
        return self.place.constant(role, np.asarray(array, "float32"))

    def last(self, op: str, *inputs: str, **attributes: Any) -> Nodes:
        """The last node, whose outputs are the layer's; returns all nodes."""
        return [*self.nodes, node(self.place, op, inputs, **attributes)]

    def aligned(self, slot: int, rank: int) -> str:
        """An input with axes of size 1 behind the samples, so that a sample has ``rank`` axes."""
        name, shape = self.place.inputs[slot], self.place.specs[slot].shape
        missing = rank + 1 - len(shape)
        if missing <= 0:
            return name
        sizes = self.ints(f"sizes{slot}", -1, *[1] * missing, *shape[1:])
        return self("Reshape", f"aligned{slot}", name, sizes)

    def reduce(self, op: str, role: str, x: str, axes: tuple[int, ...], keep: bool = True) -> str:
        """A reduction in the form of the opset."""
        if op == "ReduceSum" or self.place.opset >= 18:
            return self(op, role, x, self.ints(f"{role}_axes", *axes), keepdims=int(keep))
        return self(op, role, x, axes=list(axes), keepdims=int(keep))
