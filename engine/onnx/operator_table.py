"""Which ONNX operators are opened and written, as the registries of both say."""

from __future__ import annotations

from dataclasses import dataclass

from engine.graph import Graph, Input, Node
from engine.layers import REGISTRY
from engine.layers.base import Layer
from engine.layers.compare import OPERATORS as COMPARISONS
from engine.layers.function import FUNCTIONS
from engine.onnx import operators  # noqa: F401  enters the rules
from engine.onnx.folding import FOLDABLE
from engine.onnx.site import IMPORTS, PARTIAL
from engine.onnx.writer import export_onnx
from engine.parameters import initial_parameters

SHAPES = ((3, 9, 10), (6, 9, 10), (12,))
"""Samples on which a layer of default settings is tried."""
NO_SLOPE = frozenset(
    {
        *COMPARISONS.values(),
        *(FUNCTIONS[n].operator for n in ("sign", "floor", "ceil", "round", "not")),
        "ArgMax",
        "ArgMin",
        "Constant",
        "ConstantOfShape",
        "Range",
        "Shape",
        "Size",
    }
)
"""Operators whose gradient is zero everywhere, or that are worked out when a file is opened."""


@dataclass(frozen=True)
class Row:
    """An operator: computed forward, with a gradient, opened, written."""

    operator: str
    forward: bool
    backward: bool
    imported: bool
    exported: bool


def rows() -> tuple[Row, ...]:
    """Every operator that is opened or written, in the order of the alphabet."""
    written = exported()
    found = []
    for name in sorted({*IMPORTS, *written}, key=str.lower):
        known = name in IMPORTS and name not in PARTIAL
        found.append(Row(name, known, known and name not in NO_SLOPE, known, name in written))
    return tuple(found)


def exported() -> frozenset[str]:
    """Operators that layers of default settings are written as, in all opsets that matter."""
    found: set[str] = set()
    for kind in REGISTRY.values():
        for layer in _forms(kind):
            graph = _alone(layer)
            if graph is None:
                continue
            for opset in (13, 17):
                model = export_onnx(graph, initial_parameters(graph, 0), opset=opset)
                found |= {node.op_type for node in model.graph.node}
    return frozenset(found)


def _forms(kind: type[Layer]) -> list[Layer]:
    """The layer with its defaults, and with each of the choices that it offers."""
    found = [kind()]
    for field in kind.hyperparameters():
        found += [kind(**{field.name: choice}) for choice in field.choices]
    return found


def _alone(layer: Layer) -> Graph | None:
    """A network of this layer alone, on the first shape that it takes."""
    for shape in SHAPES:
        inputs = tuple(Input(f"x{i}", shape) for i in range(layer.arity[0]))
        node = Node("layer", layer, tuple((i.id, 0) for i in inputs))
        graph = Graph(inputs, (node,), (("y", ("layer", 0)),))
        if graph.infer().valid:
            return graph
    return None


def table() -> str:
    """The rows as a Markdown table, and below it what is worked out of constants alone."""
    lines = [
        "| Operator | Forward | Backward | Opened | Written |",
        "|---|---|---|---|---|",
    ]
    for row in rows():
        marks = (row.forward, row.backward, row.imported, row.exported)
        cells = " | ".join("✓" if mark else "–" for mark in marks)
        lines.append(f"| {row.operator} | {cells} |")
    constant = sorted(FOLDABLE - (set(IMPORTS) - PARTIAL), key=str.lower)
    lines += ["", f"Of constants alone, when a file is opened: {', '.join(constant)}."]
    return "\n".join(lines)
