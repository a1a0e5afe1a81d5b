"""The gradients of one node of a run, checked against finite differences, on request."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from engine.gradient_check import GradientCheckError, GradientReport, TensorCheck
from engine.graph import Graph, Node
from engine.layers.base import Array, Ctx
from engine.trace import Key, Trace

CELLS = 64
"""So many numbers of each tensor are moved, at most."""

# Of the largest gradient: what a run in this dtype may be off by rounding.
TOLERANCE = {"float32": 2e-5, "float64": 1e-7}


def check_node(
    graph: Graph,
    trace: Trace,
    node_id: str,
    position: int | None = None,
    *,
    cells: int = CELLS,
    seed: int = 0,
    step: float = 1e-5,
    ctx: Ctx = Ctx(),
) -> GradientReport:
    """Compare what a node sent back in a run with central differences of its forward, in float64.

    Around the recorded inputs and weights up to ``cells`` numbers of each, drawn by ``seed``, move
    by ``step`` · max(1, |number|); the output counts by its recorded gradient. Numbers where the
    differences of the two sides disagree lie at a kink and are skipped. ``ctx`` is that of the run
    (its mode, and its key where chance takes part). Raises GraphError for an id that is no node's,
    GradientCheckError while the node's backward step has not run.
    """
    node = graph.node(node_id)
    keys = {
        f"input {i}": trace.latest("value", ref, position) for i, ref in enumerate(node.sources)
    }
    if any(key is None for key in keys.values()):
        raise GradientCheckError(
            f"{node_id}: expected a recorded run, received none of its inputs."
        )
    xs = [
        np.array(trace.at(key), np.float64, order="C") for key in keys.values() if key is not None
    ]
    claims = _claims(trace, node, position)
    record = trace.around(node, position)
    dys = record.batch_dys if record is not None else ()
    if not claims or not any(dy is not None for dy in dys):
        raise GradientCheckError(
            f"{node_id}: expected its backward step in the run, received none. Run it further."
        )
    assert record is not None
    given = [None if dy is None else np.array(dy, np.float64) for dy in dys]
    params = {name: np.array(p, np.float64, order="C") for name, p in record.params.items()}

    # copied: a layer that only reshapes hands its input on
    start = [np.array(y) for y in node.layer.forward(params, *xs, ctx=ctx).ys]

    def change() -> float:
        """By how much the outputs have changed, each counted by its gradient."""
        ys = node.layer.forward(params, *xs, ctx=ctx).ys
        moves = zip(given, ys, start, strict=True)
        return sum(float((dy * (y - y0)).sum()) for dy, y, y0 in moves if dy is not None)

    rng = np.random.default_rng(seed)
    moved: dict[str, Array] = {f"input {i}": x for i, x in enumerate(xs)}
    rows = [
        _compare(name, (moved | params)[name], trace.at(key), change, rng, cells, step)
        for name, key in claims.items()
    ]
    dtype = str(trace.at(next(iter(claims.values()))).dtype)
    return GradientReport(f"{node_id} {node.layer!r}", TOLERANCE[dtype], tuple(rows))


def _claims(trace: Trace, node: Node, position: int | None) -> dict[str, Key]:
    """What the node sent: the gradient of each connected input and of each trained parameter."""
    parts = [(node.id, slot) for slot in node.slots]
    found = {}
    for key in trace.sent(node.id, position):
        if key.kind in ("param_grad", "param_part"):
            found[key.ref[1]] = key
            continue
        places = parts if key.kind == "part" else node.sources
        found[f"input {places.index(key.ref)}"] = key
    return found


def _compare(
    name: str,
    x: Array,
    claimed: Array,
    change: Callable[[], float],
    rng: np.random.Generator,
    cells: int,
    step: float,
) -> TensorCheck:
    """Move some numbers of ``x`` and compare; the whole of ``claimed`` gives the scale."""
    chosen = rng.permutation(x.size)[:cells]
    scale = float(np.max(np.abs(claimed), initial=0.0))
    flat = x.reshape(-1)
    worst = (0.0, 0, 0.0, 0.0)
    compared = 0
    for number in chosen.tolist():
        before = float(flat[number])
        h = step * max(1.0, abs(before))
        sides = []
        for way in (h, -h):
            flat[number] = before + way
            sides.append(change() / way)
        flat[number] = before
        measured, claim = sum(sides) / 2, float(claimed.reshape(-1)[number])
        # a smooth function's two sides differ by its curvature times h only
        if abs(sides[0] - sides[1]) > 1e-3 * max(scale, abs(measured)):
            continue
        compared += 1
        scale = max(scale, abs(measured))
        error = abs(claim - measured)
        if compared == 1 or not error <= worst[0]:
            worst = (error, number, claim, measured)
    index = tuple(int(i) for i in np.unravel_index(worst[1], x.shape))
    return TensorCheck(
        name, worst[0], scale, index, worst[2], worst[3], compared, len(chosen) - compared
    )
