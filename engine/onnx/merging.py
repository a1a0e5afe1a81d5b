"""Batch normalisation merged into the convolution before it, for files that only predict."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

import numpy as np

from engine.graph import Graph, Node, Ref
from engine.layers.base import Array
from engine.layers.batch_norm2d import BatchNorm2d
from engine.layers.conv2d import Conv2d
from engine.layers.conv_transpose2d import ConvTranspose2d
from engine.parameters import Parameters


def merge_batch_norms(
    graph: Graph, parameters: Parameters
) -> tuple[Graph, dict[tuple[str, str], Array]]:
    """The graph without the batch normalisations that only follow a convolution, and its arrays.

    In evaluation γ (W ∗ x + b − μ) / √(σ² + ε) + β is a convolution too: its kernels are
    W · γ / √(σ² + ε) and its biases (b − μ) · γ / √(σ² + ε) + β, computed in float64. One stays
    where something else reads the convolution too, or where its kernels are shared.
    Source: Jacob et al. 2018, section 3.2.
    """
    owners = [node.owner for node in graph.nodes]
    results = {ref for _, ref in graph.outputs} | {loss.input for loss in graph.losses}
    arrays = dict(parameters)
    moved: dict[Ref, Ref] = {}
    changed: dict[str, Node] = {}
    for norm in graph.nodes:
        source = norm.inputs[0] if norm.inputs else None
        conv = graph.by_id.get(source[0]) if source is not None else None
        if conv is None or source is None or not isinstance(norm.layer, BatchNorm2d):
            continue
        if not isinstance(conv.layer, Conv2d | ConvTranspose2d):
            continue
        alone = len(graph.readers.get(source, ())) == 1 and source not in results
        if not alone or owners.count(conv.owner) > 1:
            continue
        weight, bias = _merged(conv, norm, parameters)
        arrays[conv.owner, "weight"], arrays[conv.owner, "bias"] = weight, bias
        changed[conv.id] = replace(conv, layer=replace(cast(Any, conv.layer), bias=True))
        moved[norm.id, 0] = source
    gone = {ref[0] for ref in moved}
    nodes = tuple(
        replace(n, inputs=tuple(moved.get(r, r) if r is not None else None for r in n.inputs))
        for n in (changed.get(n.id, n) for n in graph.nodes if n.id not in gone)
    )
    kept = {node.owner for node in nodes}
    merged = replace(
        graph,
        nodes=nodes,
        outputs=tuple((name, moved.get(ref, ref)) for name, ref in graph.outputs),
        losses=tuple(replace(x, input=moved.get(x.input, x.input)) for x in graph.losses),
    )
    return merged, {key: array for key, array in arrays.items() if key[0] in kept}


def _merged(conv: Node, norm: Node, parameters: Parameters) -> tuple[Array, Array]:
    """Kernels and biases of the convolution that computes both."""

    def exact(node: Node, name: str) -> Array:
        return np.asarray(parameters[node.owner, name], np.float64)

    eps = cast(BatchNorm2d, norm.layer).eps
    factor = exact(norm, "weight") / np.sqrt(exact(norm, "running_var") + eps)
    weight = exact(conv, "weight")
    if isinstance(conv.layer, ConvTranspose2d):
        # (in, out / groups, rows, columns), the inputs group by group
        groups = conv.layer.groups
        split = weight.reshape(groups, -1, *weight.shape[1:])
        weight = (split * factor.reshape(groups, 1, -1, 1, 1)).reshape(weight.shape)
    else:
        weight = weight * factor.reshape(-1, 1, 1, 1)
    start = exact(conv, "bias") if cast(Any, conv.layer).bias else 0.0
    bias = (start - exact(norm, "running_mean")) * factor + exact(norm, "bias")
    return weight.astype("float32"), bias.astype("float32")
