"""Is a layer's backward the derivative of its forward? Asked of the numbers themselves.

Central finite differences in float64: each number is moved a small step up and down, and the change
of L = Σ dy · y is compared with what backward claims. Where a kink (the corner of a ReLU, a tie
of a max pooling) is nearer than ten steps no derivative exists to compare with; such numbers are
skipped and counted.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from engine.layers.base import Array, Ctx, Layer, ParamSpec, Spec

KINK_STEPS = 10


class GradientCheckError(ValueError):
    """Backward returned gradients of the wrong names or shapes, so there is nothing to compare."""


@dataclass(frozen=True)
class TensorCheck:
    """The comparison of one tensor's gradient.

    ``error`` is max|backward − difference| over the numbers compared, ``scale`` the largest
    |gradient| among both; ``worst`` is where the error lies, ``claimed`` and ``measured`` are the
    two values there.
    """

    name: str
    error: float
    scale: float
    worst: tuple[int, ...]
    claimed: float
    measured: float
    compared: int
    skipped: int

    @property
    def relative(self) -> float:
        """error / scale; 0 where both gradients are zero everywhere, infinite for NaN."""
        if not math.isfinite(self.error):
            return math.inf
        return self.error / self.scale if self.scale else 0.0


@dataclass(frozen=True)
class GradientReport:
    """What a gradient check found, a row per input and trained parameter."""

    layer: str
    tolerance: float
    tensors: tuple[TensorCheck, ...]

    @property
    def passed(self) -> bool:
        """Every tensor was compared somewhere, and agrees within ``tolerance`` of its largest."""
        return all(t.compared and t.relative <= self.tolerance for t in self.tensors)

    def __str__(self) -> str:
        lines = [f"{self.layer}: {'agrees' if self.passed else 'DISAGREES'}"]
        for t in self.tensors:
            lines.append(
                f"  {t.name}: largest difference {t.error:.3g} of {t.scale:.3g} "
                f"({t.relative:.1e}, allowed {self.tolerance:.0e}) at {list(t.worst)}: "
                f"backward {t.claimed:.9g}, measured {t.measured:.9g}; "
                f"{t.compared} compared, {t.skipped} skipped at kinks"
            )
        return "\n".join(lines)


def gradient_check(
    layer: Layer,
    xs: Sequence[Array],
    params: dict[str, Array] | None = None,
    *,
    ctx: Ctx = Ctx(),
    seed: int = 0,
    step: float = 1e-5,
    tolerance: float = 1e-7,
) -> GradientReport:
    """Compare ``layer.backward`` with central differences of ``layer.forward`` in float64.

    ``xs`` are the inputs with their batch axis (converted to float64). Missing ``params`` are drawn
    from ``seed``, as is the upstream gradient. Each number moves by ``step`` · max(1, |number|).
    Raises ShapeError where the layer does not take these inputs, GradientCheckError where backward
    leaves a gradient out or gives it another shape.
    """
    inputs = [np.array(x, np.float64) for x in xs]
    specs = tuple(Spec(x.shape, "float64") for x in inputs)
    layer.outputs(*specs)
    described = layer.parameters(*specs)
    rng = np.random.default_rng(seed)
    p = {name: _draw(spec, rng) for name, spec in described.items()}
    p |= {name: np.array(value, np.float64) for name, value in (params or {}).items()}

    result = layer.forward(p, *inputs, ctx=ctx)
    dys = tuple(rng.standard_normal(y.shape) for y in result.ys)
    grads = layer.backward(p, result.saved, dys, (True,) * len(inputs), ctx)
    trained = [name for name, spec in described.items() if spec.kind == "weight"]
    if sorted(grads.dparams) != sorted(trained) or len(grads.dxs) != len(inputs):
        raise GradientCheckError(
            f"{type(layer).__name__}.backward: expected {len(inputs)} input gradients and those of "
            f"{', '.join(trained) or 'no parameter'}, received {len(grads.dxs)} and "
            f"{', '.join(grads.dparams) or 'none'}."
        )
    tensors = [(f"input {i}", x, grads.dxs[i]) for i, x in enumerate(inputs)]
    tensors += [(name, p[name], grads.dparams[name]) for name in trained]

    def run() -> tuple[Array, ...]:
        return layer.forward(p, *inputs, ctx=ctx).ys

    largest = max((float(np.max(np.abs(x), initial=1.0)) for x in inputs), default=1.0)
    kinked = layer.kinks(p, *inputs) <= KINK_STEPS * step * largest
    rows = []
    for name, x, claimed in tensors:
        if claimed is None or claimed.shape != x.shape:
            received = "none" if claimed is None else f"shape {claimed.shape}"
            raise GradientCheckError(
                f"{type(layer).__name__}.backward: expected a gradient of shape {x.shape} for "
                f"{name}, received {received}."
            )
        measured = central_differences(run, x, dys, step)
        smooth = _smooth(run, x, dys, step) if kinked else np.ones(x.shape, bool)
        rows.append(_compare(name, claimed, measured, smooth))
    return GradientReport(repr(layer), tolerance, tuple(rows))


def central_differences(
    run: Callable[[], tuple[Array, ...]], x: Array, dys: Sequence[Array], step: float = 1e-5
) -> Array:
    """dL/dx for L = Σ dy · y, measured; ``run`` gives the outputs y and reads ``x`` (float64).

    ``x`` is moved number by number and put back, so it must be the array that ``run`` reads.
    """
    measured = np.empty(x.shape)
    for index in np.ndindex(x.shape):
        up, _, down, h = _around(run, x, index, step, middle=False)
        # differences of outputs before the sum: the sums themselves would round away the change
        measured[index] = sum(
            np.vdot(dy, _change(u, d)) for dy, u, d in zip(dys, up, down, strict=True)
        )
        measured[index] /= h
    return measured


def _around(
    run: Callable[[], tuple[Array, ...]],
    x: Array,
    index: tuple[int, ...],
    step: float,
    middle: bool,
) -> tuple[tuple[Array, ...], tuple[Array, ...], tuple[Array, ...], float]:
    """Outputs with the number a step up, as it is (if asked), a step down; up minus down."""
    here = x[index]
    h = step * max(1.0, abs(here))
    try:
        x[index] = here + h
        high, up = float(x[index]), tuple(y.copy() for y in run())
        x[index] = here - h
        low, down = float(x[index]), tuple(y.copy() for y in run())
    finally:
        x[index] = here
    return up, run() if middle else (), down, high - low


def _change(to: Array, start: Array) -> Array:
    """to − start; 0 where both are the same infinity, as of a window that lies only in padding."""
    return np.subtract(to, start, out=np.zeros_like(to), where=to != start)


def _smooth(
    run: Callable[[], tuple[Array, ...]], x: Array, dys: Sequence[Array], step: float
) -> Array:
    """Where no kink lies within ten steps: there each output's two slopes agree."""
    smooth = np.empty(x.shape, bool)
    for index in np.ndindex(x.shape):
        up, here, down, h = _around(run, x, index, KINK_STEPS * step, middle=True)
        bends = [
            float(np.max(np.abs(dy * (_change(u, y) - _change(y, d))), initial=0.0))
            for dy, u, y, d in zip(dys, up, here, down, strict=True)
        ]
        smooth[index] = max(bends) <= 1e-6 * h
    return smooth


def _compare(name: str, claimed: Array, measured: Array, smooth: Array) -> TensorCheck:
    difference = np.where(smooth, np.abs(claimed - measured), 0.0)
    difference = np.where(np.isnan(difference), np.inf, difference)
    worst = tuple(int(i) for i in np.unravel_index(int(difference.argmax()), difference.shape))
    size = np.where(smooth, np.maximum(np.abs(claimed), np.abs(measured)), 0.0)
    return TensorCheck(
        name,
        float(difference[worst]),
        float(size.max()),
        worst,
        float(claimed[worst]),
        float(measured[worst]),
        int(smooth.sum()),
        int((~smooth).sum()),
    )


def _draw(spec: ParamSpec, rng: np.random.Generator) -> Array:
    """A value that hides nothing: zeros and ones would let wrong factors pass."""
    if spec.kind == "statistic" and spec.init == "ones":
        return rng.uniform(0.5, 2.0, spec.shape)
    return rng.standard_normal(spec.shape)
