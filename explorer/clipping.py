"""Layers as text for the clipboard, so that they can be pasted, also into another window."""

from __future__ import annotations

import base64
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from engine.graph import Graph, GraphError, Node
from engine.layers.base import Array, HyperparameterError, layer_from_dict, layer_to_dict

FORMAT = "gradient-flow-layers"
LARGEST_WEIGHTS = 4_000_000
"""Bytes of weights that travel along; layers with more are pasted with new ones."""


class ClippingError(ValueError):
    """The clipboard holds no layers; says what was expected."""


@dataclass(frozen=True)
class Clipping:
    """Layers with their connections among each other, where they stood, and their weights."""

    nodes: tuple[Node, ...]
    layout: Mapping[str, tuple[float, float]]
    weights: Mapping[tuple[str, str], Array]
    complete: bool = True
    """Whether the weights of every layer travel along."""


def clip(
    graph: Graph,
    layout: Mapping[str, tuple[float, float]],
    parameters: Mapping[tuple[str, str], Array],
    ids: Collection[str],
) -> Clipping:
    """The layers of those ids; connections to others are left out."""
    chosen = [node for node in graph.nodes if node.id in ids]
    kept = {node.id for node in chosen}
    nodes = tuple(
        Node(
            node.id,
            node.layer,
            tuple(ref if ref is not None and ref[0] in kept else None for ref in node.inputs),
            node.params if node.params in kept else None,
        )
        for node in chosen
    )
    owners = {node.id: node.owner for node in chosen}
    weights = {
        (node.id, name): array
        for node in nodes
        if node.params is None
        for (owner, name), array in parameters.items()
        if owner == owners[node.id]
    }
    complete = sum(array.nbytes for array in weights.values()) <= LARGEST_WEIGHTS
    return Clipping(
        nodes,
        {node.id: layout[node.id] for node in nodes if node.id in layout},
        weights if complete else {},
        complete,
    )


def to_text(clipping: Clipping) -> str:
    """The clipping as JSON; weights are base64 of their float32 bytes."""
    return json.dumps(
        {
            "format": FORMAT,
            "complete": clipping.complete,
            "nodes": [
                {
                    "id": node.id,
                    "layer": layer_to_dict(node.layer),
                    "inputs": [list(ref) if ref else None for ref in node.inputs],
                    "params": node.params,
                    "place": list(clipping.layout.get(node.id, (0.0, 0.0))),
                }
                for node in clipping.nodes
            ],
            "weights": [
                {
                    "of": list(key),
                    "shape": list(array.shape),
                    "data": base64.b64encode(array.astype("<f4").tobytes()).decode(),
                }
                for key, array in clipping.weights.items()
            ],
        }
    )


def from_text(text: str) -> Clipping:
    """What ``to_text`` wrote; raises ClippingError for anything else."""
    try:
        data = json.loads(text)
        if not isinstance(data, dict) or data.get("format") != FORMAT:
            raise ValueError("another format")
        nodes = tuple(_node(entry) for entry in data["nodes"])
        layout = {
            str(entry["id"]): (float(entry["place"][0]), float(entry["place"][1]))
            for entry in data["nodes"]
        }
        weights = {}
        for entry in data["weights"]:
            owner, name = map(str, entry["of"])
            shape = tuple(int(size) for size in entry["shape"])
            array = np.frombuffer(base64.b64decode(entry["data"], validate=True), "<f4")
            weights[owner, name] = array.reshape(shape).astype("float32")
        # The graph checks that ids are well formed and each given once.
        graph = Graph()
        for node in nodes:
            graph = graph.add(node)
        known = graph.by_id
        for node in nodes:
            if any(ref is not None and ref[0] not in known for ref in node.inputs):
                raise ValueError("a connection to nothing")
        _ = graph.order
        if not np.isfinite([spot for place in layout.values() for spot in place]).all():
            raise ValueError("a place that is nowhere")
        return Clipping(nodes, layout, weights, bool(data.get("complete", True)))
    except (GraphError, HyperparameterError) as error:
        raise ClippingError(f"Clipboard: {error}") from error
    except (ValueError, KeyError, TypeError, IndexError, RecursionError) as error:
        raise ClippingError(
            "Clipboard: expected layers that were copied in this program, received something "
            "else. Select layers and copy them first."
        ) from error


def _node(entry: Mapping[str, Any]) -> Node:
    inputs = tuple(
        (str(ref[0]), int(ref[1])) if ref is not None else None for ref in entry["inputs"]
    )
    params = entry.get("params")
    return Node(
        str(entry["id"]),
        layer_from_dict(entry["layer"]),
        inputs,
        None if params is None else str(params),
    )
