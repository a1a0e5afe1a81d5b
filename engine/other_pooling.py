"""The same maps pooled by the other kind: one winner of each window beside an even split."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from engine.layers.avg_pool2d import AvgPool2d
from engine.layers.base import Array, Layer, pair
from engine.layers.max_pool2d import MaxPool2d


@dataclass(frozen=True, eq=False)
class OtherPooling:
    """What the other kind makes of an input (C, H, W) and of the gradient of the output.

    ``y`` (C, H_out, W_out) in the dtype of the input; ``dx`` (C, H, W), None without a gradient.
    ``argmax`` (C, H_out, W_out) is the flat index of each winner where the other kind is max.
    ``share`` (H_out, W_out) is the part of a window's gradient that the average sends to each of
    its cells, 1 / m.
    """

    layer: Layer
    y: Array
    dx: Array | None
    share: Array
    argmax: Array | None = None


def has_other(layer: Layer) -> bool:
    """Whether a layer is one of the two kinds."""
    return isinstance(layer, MaxPool2d | AvgPool2d)


def other_kind(layer: Layer) -> MaxPool2d | AvgPool2d:
    """Average pooling for max pooling and the other way round, with the same windows.

    Raises ValueError where the other kind has no such windows, or the layer is neither kind.
    """
    if not has_other(layer):
        raise ValueError(f"{type(layer).__name__}: expected MaxPool2d or AvgPool2d")
    kind: type[MaxPool2d] | type[AvgPool2d]
    kind = AvgPool2d if isinstance(layer, MaxPool2d) else MaxPool2d
    known = {f.name for f in fields(kind)} - {"return_indices", "count_include_pad"}
    if "dilation" not in known and pair(getattr(layer, "dilation", 1)) != (1, 1):
        raise ValueError(
            f"{kind.title} has no dilation: set that of the layer to 1 to compare them."
        )
    same = {f.name: getattr(layer, f.name) for f in fields(layer) if f.name in known}
    return kind(**same)


def pooled_otherwise(layer: Layer, x: Array, dy: Array | None) -> OtherPooling:
    """Pool ``x`` (C, H, W) by the other kind, and send ``dy`` (C, H_out, W_out) back through it.

    By the layers' own forward and backward. Raises ValueError as ``other_kind`` does.
    """
    other = other_kind(layer)
    with np.errstate(all="ignore"):  # what is not finite is shown, not warned about
        result = other.forward({}, x[None])
        dx = None
        if dy is not None:
            dx = other.backward({}, result.saved, (dy[None],), (True,)).dxs[0]
    average = other if isinstance(other, AvgPool2d) else layer
    assert isinstance(average, AvgPool2d)
    share = 1 / average.divisor(*x.shape[1:])
    argmax = result.saved["argmax"][0] if isinstance(other, MaxPool2d) else None
    return OtherPooling(other, result.ys[0][0], None if dx is None else dx[0], share, argmax)
