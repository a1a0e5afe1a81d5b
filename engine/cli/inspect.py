"""The command inspect: what is in a network or an ONNX file, without running it."""

from __future__ import annotations

import argparse
import json
import math
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.cli.common import (
    NETWORK_HELP,
    ONNX_SUFFIX,
    Commands,
    add_shape,
    memory,
    new_parser,
    open_network,
    open_onnx,
    table,
    whole_number,
)

if TYPE_CHECKING:
    from engine.graph import Graph
    from engine.onnx import Imported
    from engine.parameters import Parameters

_FLOAT32_BYTES = 4


def add_inspect(commands: Commands) -> None:
    parser = new_parser(
        commands,
        "inspect",
        summary="list the layers of a network or an ONNX file, with sizes",
        description=(
            "List every layer with its output's size, parameters and multiply-adds, then sums,\n"
            "the memory that one sample needs, and what an ONNX file has that this program does\n"
            "not know. Nothing is run."
        ),
        example="%(prog)s model.onnx --shape image=3x224x224",
    )
    parser.add_argument("network", metavar="NETWORK", help=NETWORK_HELP)
    add_shape(parser)
    parser.add_argument(
        "--kernels",
        nargs="?",
        type=whole_number,
        const=1,
        metavar="SAMPLES",
        help="also the form that a training step of so many samples (1) runs each layer in",
    )
    parser.add_argument("--json", action="store_true", help="print it for other programs")
    parser.set_defaults(run=_run_inspect)


def _run_inspect(chosen: argparse.Namespace) -> int:
    imported: Imported | None = None
    if Path(chosen.network).suffix.lower() == ONNX_SUFFIX:
        imported = open_onnx(chosen.network, chosen.shape)
        graph, parameters = imported.graph, imported.parameters
    else:
        project = open_network(chosen.network)
        graph, parameters = project.graph, project.parameters
    found = _described(graph, imported)
    if chosen.kernels is not None:
        kernels = _kernels(graph, parameters, chosen.kernels)
        for layer in found["layers"]:
            layer["kernel"] = kernels.get(layer["id"])
    if chosen.json:
        print(json.dumps(found, indent=2, ensure_ascii=False))
    else:
        print("\n".join(_lines(found)))
    return 0


def _kernels(graph: Graph, parameters: Parameters, samples: int) -> dict[str, str]:
    """The form that runs each node that can run, by node id."""
    from engine.plan import compile as compile_plan
    from engine.runnable import runnable

    plan = compile_plan(runnable(graph), parameters, batch=samples, keep="results")
    return {choice.node: choice.kernel for choice in plan.choices}


def _described(graph: Graph, imported: Imported | None) -> dict[str, Any]:
    specs = graph.infer().specs
    costs = graph.costs(specs)
    layers = []
    for node in graph.order:
        out = specs.get((node.id, 0))
        cost = costs.get(node.id)
        layers.append(
            {
                "id": node.id,
                "layer": getattr(node.layer, "operator", "") or type(node.layer).__name__,
                "output": list(out.shape[1:]) if out else None,
                "parameters": cost.parameters if cost else None,
                "multiply_adds": cost.multiply_adds if cost else None,
            }
        )
    parameters = graph.parameter_specs(specs)
    cells = sum(math.prod(spec.shape) for spec in specs.values())
    return {
        "name": graph.name,
        "inputs": [{"id": i.id, "shape": list(i.shape)} for i in graph.inputs],
        "outputs": [
            {"name": name, "shape": list(specs[ref].shape[1:]) if ref in specs else None}
            for name, ref in graph.outputs
        ],
        "layers": layers,
        "parameters": sum(s.size for s in parameters.values() if s.kind == "weight"),
        "multiply_adds": sum(c.multiply_adds for c in costs.values()),
        "weight_bytes": sum(s.size for s in parameters.values()) * _FLOAT32_BYTES,
        "activation_bytes": cells * _FLOAT32_BYTES,
        "samples": "any" if imported is None or imported.samples_free else 1,
        "metadata": dict(imported.metadata) if imported else {},
        "notes": list(imported.notes) if imported else [],
        "missing": imported.missing() if imported else {},
        "problems": [
            {"id": p.node, "operator": p.operator, "reason": p.reason, "missing": p.missing}
            for p in (imported.problems if imported else ())
        ],
    }


def _lines(found: dict[str, Any]) -> list[str]:
    lines = [f"{found['name']}: {_shapes(found['inputs'])} → {_shapes(found['outputs'])}"]
    if producer := found["metadata"].get("producer"):
        lines.append(f"written by {producer}, opset {found['metadata']['opset']}")
    rows = [("layer", "kind", "output", "parameters", "multiply-adds", "kernel")]
    rows += [
        (
            layer["id"],
            layer["layer"],
            _size(layer["output"]),
            _number(layer["parameters"]),
            _number(layer["multiply_adds"]),
            layer.get("kernel", "") or "?",
        )
        for layer in found["layers"]
    ]
    columns = 6 if any("kernel" in layer for layer in found["layers"]) else 5
    lines += table([row[:columns] for row in rows], right=(3, 4))
    kinds = Counter(layer["layer"] for layer in found["layers"]).most_common()
    lines += [
        f"{len(found['layers'])} layers: {', '.join(f'{n} {kind}' for kind, n in kinds)}",
        f"{found['parameters']:,} parameters, {found['multiply_adds']:,} multiply-adds, "
        f"{memory(found['weight_bytes'])} of weights, "
        f"{memory(found['activation_bytes'])} of activations for one sample",
    ]
    lines += [f"note: {note}" for note in found["notes"]]
    for operator, count in found["missing"].items():
        reasons = {
            p["reason"] for p in found["problems"] if p["missing"] and p["operator"] == operator
        }
        lines.append(f"missing: {operator}, {count} nodes ({'; '.join(sorted(reasons))})")
    if after := sum(not p["missing"] for p in found["problems"]):
        lines.append(f"{after} more nodes come after what is missing and cannot run")
    return lines


def _shapes(entries: list[dict[str, Any]]) -> str:
    return ", ".join(f"{e.get('name', e.get('id'))} {_size(e['shape'])}" for e in entries) or "–"


def _size(shape: list[int] | None) -> str:
    if shape is None:
        return "?"
    return "×".join(map(str, shape)) or "1"


def _number(value: int | None) -> str:
    return "?" if value is None else f"{value:,}" if value else ""
