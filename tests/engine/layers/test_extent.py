"""How far each layer reaches is what its real gradients say, in both directions."""

from __future__ import annotations

import math
from itertools import product
from typing import Any

import numpy as np
import pytest

from engine.extent import Box, Slide, clipped, hull, whole
from engine.layers.base import Array, Spec
from engine.layers.conv2d import Conv2d
from engine.layers.linear import Linear
from engine.layers.pad import Pad
from engine.layers.rbf import RBF


def support(case: Any, seeds: int) -> list[Array]:
    """For each input, which outputs (axis 0) depend on which of its cells (axis 1), in sample 0.

    One gradient of each output cell and each seed: a maximum takes a different cell each time.
    """
    layer, ctx = case.layer, case.ctx
    found: list[Array] = []
    for seed in range(seeds):
        xs, p = case.inputs(seed), case.params(seed)
        result = layer.forward(p, *xs, ctx=ctx)
        y, *others = result.ys
        rest = tuple(map(np.zeros_like, others))
        marks = [np.zeros((y[0].size, x[0].size), bool) for x in xs]
        for cell in range(y[0].size):
            dy = np.zeros(y.shape)
            dy.reshape(len(y), -1)[0, cell] = 1.0
            dxs = layer.backward(p, result.saved, (dy, *rest), (True,) * len(xs), ctx).dxs
            for mark, dx in zip(marks, dxs, strict=True):
                mark[cell] = dx[0].reshape(-1) != 0
        found = [a | b for a, b in zip(found, marks, strict=True)] if found else marks
    return found


def box_of(marks: Array, shape: tuple[int, ...]) -> Box | None:
    """The smallest box that holds what is marked."""
    places = np.nonzero(marks.reshape(shape))
    if not len(places[0]):
        return None
    return tuple((int(p.min()), int(p.max()) + 1) for p in places)


def one(index: tuple[int, ...]) -> Box:
    return tuple((i, i + 1) for i in index)


def test_extent_is_the_support_of_the_gradient(inference: Any) -> None:
    specs = inference.specs()
    out = inference.layer.outputs(*specs)[0]
    kinked = math.isfinite(inference.layer.kinks(inference.params(0), *inference.inputs(0)))
    kinked = kinked or bool(inference.layer.index_slots)  # they too lead elsewhere each time
    seeds = 2 if not kinked else 60 if out.shape[2:] != (1, 1) else 300
    for slot, takes in enumerate(support(inference, seeds)):
        if slot in inference.layer.index_slots:
            continue  # whole numbers have no gradient
        extent = inference.layer.extent(slot, *specs)
        shape = specs[slot].shape[1:]
        for number, cell in enumerate(product(*map(range, out.shape[1:]))):
            assert extent.sees(one(cell)) == box_of(takes[number], shape), (slot, cell)
        for number, cell in enumerate(product(*map(range, shape))):
            assert extent.reaches(one(cell)) == box_of(takes[:, number], out.shape[1:]), cell
        assert extent.sees(whole(out.shape[1:])) == box_of(takes.any(0), shape)
        assert extent.reaches(whole(shape)) == box_of(takes.any(1), out.shape[1:])


def test_a_box_sees_what_its_cells_see(inference: Any) -> None:
    """Asked for a box at once, the answer holds what its cells see and nothing beyond its hull."""
    specs = inference.specs()
    out = inference.layer.outputs(*specs)[0]
    rng = np.random.default_rng(5)
    for slot in range(len(specs)):
        extent = inference.layer.extent(slot, *specs)
        for _ in range(5):
            ends = [sorted(rng.integers(0, size + 1, 2)) for size in out.shape[1:]]
            box = tuple((int(a), int(max(b, a + 1))) for a, b in ends)
            inside = clipped(box, out.shape[1:])
            if inside is None:
                continue
            expected: Box | None = None
            for cell in product(*(range(a, b) for a, b in inside)):
                expected = hull(expected, extent.sees(one(cell)))
            assert extent.sees(inside) == expected


@pytest.mark.parametrize("layer", [Linear(4), RBF(4)])
def test_equal_sizes_do_not_mean_the_same_place(layer: Any) -> None:
    extent = layer.extent(0, Spec((1, 4)))
    assert extent.sees(((2, 3),)) == ((0, 4),)
    assert extent.reaches(((2, 3),)) == ((0, 4),)


def test_padding_counts_when_asked_for() -> None:
    spec = Spec((1, 2, 6, 6))
    conv = Conv2d(3, 3, stride=2, padding=1).extent(0, spec)
    assert conv.sees(((0, 1), (0, 1), (2, 3))) == ((0, 2), (0, 2), (3, 6))
    assert conv.sees(((0, 1), (0, 1), (2, 3)), padded=True) == ((0, 2), (-1, 2), (3, 6))
    pad = Pad((1, 0, 0, 2)).extent(0, spec)
    assert pad.sees(one((1, 0, 3))) is None
    assert pad.sees(one((1, 0, 3)), padded=True) == ((1, 2), (-1, 0), (3, 4))


def test_a_dilated_kernel_can_miss_a_cell() -> None:
    axis = Slide(size=7, out=3, kernel_size=2, stride=2, dilation=2)
    assert axis.reaches((1, 2)) is None
    assert axis.reaches((2, 3)) == (0, 2)
    # two of three rows are read, the first is padding: the box starts at the second
    assert Slide(5, 5, 3, before=2, dilation=2).sees((0, 1), False) == (0, 3)
    assert Slide(5, 5, 3, before=3, dilation=2).sees((0, 1), False) == (1, 2)
