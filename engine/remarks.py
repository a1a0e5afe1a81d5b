"""A few words on a step where numbers are chosen, split or added: max pooling, Add, accumulate.

Only counts and norms of recorded arrays; nothing is computed again.
"""

from __future__ import annotations

import math

import numpy as np

from engine.graph import Graph
from engine.layers.add import Add
from engine.layers.base import Array, pair
from engine.layers.max_pool2d import MaxPool2d
from engine.statistics import norm
from engine.trace import Key, Step, Trace


def remark(graph: Graph, trace: Trace, step: Step) -> str:
    """The words for a recorded step, in one line; "" where its arrays say everything."""
    if step.phase == "accumulate":
        return _sum([(_reader(key), trace.at(key)) for key in step.reads])
    node = graph.by_id.get(step.node)
    layer = node.layer if node else None
    if isinstance(layer, MaxPool2d) and step.phase in ("forward", "backward"):
        return _pooling(trace, step, layer)
    if isinstance(layer, Add) and step.phase == "forward":
        return _sum([(key.ref[0], trace.at(key)) for key in step.reads])
    if isinstance(layer, Add) and step.phase == "backward":
        return "every input receives the same gradient, unchanged"
    return ""


def _reader(key: Key) -> str:
    """Whose share an accumulate step reads; a gradient there is what was added before."""
    return str(key.ref[0]) if key.kind in ("part", "param_part") else "the sum so far"


def _sum(parts: list[tuple[str, Array]]) -> str:
    """Norm of each part and its share of all norms."""
    norms = [norm(array) for _, array in parts]
    total = math.fsum(norms) or 1.0
    return "sum of " + " + ".join(
        f"{name} ‖{length:.4g}‖ {length / total:.0%}"
        for (name, _), length in zip(parts, norms, strict=True)
    )


def _pooling(trace: Trace, step: Step, layer: MaxPool2d) -> str:
    argmax = trace.look("saved", (step.node, "argmax"))
    x = next((trace.at(key) for key in step.reads if key.kind == "value"), None)
    if argmax is None or x is None:
        return ""
    winners = _winners(argmax)
    if step.phase == "forward":
        rows, columns = pair(layer.kernel_size)
        return f"the largest of each {rows}×{columns} window: {winners:,} of {x.size:,} cells won"
    return f"to the cells that won: {winners:,} of {x.size:,}; every other gets an exact 0"


def _winners(argmax: Array) -> int:
    """How many input cells won at least one window; argmax (N, C, H, W) is per map, −1 for none."""
    maps = argmax.reshape(-1, argmax.shape[2] * argmax.shape[3])
    ordered = np.sort(maps, axis=1)
    first = np.ones(ordered.shape, bool)
    first[:, 1:] = ordered[:, 1:] != ordered[:, :-1]
    return int((first & (ordered >= 0)).sum())
