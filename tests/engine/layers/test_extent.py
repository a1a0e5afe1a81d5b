"""How far each layer reaches is what its real numbers say, in both directions."""

from __future__ import annotations

import math
from itertools import product
from typing import Any

import numpy as np
import pytest

from engine.extent import Box, Extent, Slide, clipped, hull, whole
from engine.layers.base import Array, Layer, Spec
from engine.layers.conv2d import Conv2d
from engine.layers.frame import Frame
from engine.layers.linear import Linear
from engine.layers.max_pool2d import MaxPool2d
from engine.layers.opaque import Opaque
from engine.layers.pad import Pad
from engine.layers.pick import Pick
from engine.layers.rbf import RBF
from engine.layers.reduce import Reduce
from engine.layers.split import Split
from engine.layers.view import View
from engine.layers.where import Where


def support(case: Any, seeds: int) -> list[Array]:
    """For each input, which outputs (axis 0) depend on which of its cells (axis 1), in sample 0.

    As the gradients say, or, of an input whose gradient is zero everywhere, the values.
    """
    found = of_gradients(case, seeds)
    for slot in range(len(found)):
        if jumps(case, slot):
            assert not found[slot].any(), "it has a gradient"
            found[slot] = of_values(case, slot, 20 if slot in case.layer.index_slots else 3)
    return found


def jumps(case: Any, slot: int) -> bool:
    """Whether the output has steps over this input, or is flat, and so no gradient."""
    condition = (isinstance(case.layer, Where) and slot == 0) or (
        isinstance(case.layer, Pick) and slot == 1
    )
    return bool(case.flat or condition or slot in case.layer.index_slots)


def inputs(case: Any, seed: int) -> tuple[Array, ...]:
    xs = case.inputs(seed)
    if isinstance(case.layer, Where):  # takes now one, now the other
        return np.random.default_rng(seed).integers(0, 2, xs[0].shape).astype(float), *xs[1:]
    return xs


def of_values(case: Any, slot: int, seeds: int, port: int = 0) -> Array:
    """Which cells of an output change when one of an input gets another number."""
    layer, ctx = case.layer, case.ctx
    shape = case.shapes[slot]
    area = case.indices[0] * case.indices[1] if case.indices else 0
    others = range(-1, area) if slot in layer.index_slots else (-9.75, 0.0, 9.75)
    out = layer.outputs(*case.specs())[port].shape
    marks = np.zeros((math.prod(out[1:]), math.prod(shape[1:])), bool)
    for seed in range(seeds):
        xs, p = inputs(case, seed), case.params(seed)
        before = layer.forward(p, *xs, ctx=ctx).ys[port][0]
        for cell in range(marks.shape[1]):
            for other in others:
                changed = xs[slot].copy()
                changed.reshape(len(changed), -1)[0, cell] = other
                others_kept = (*xs[:slot], changed, *xs[slot + 1 :])
                after = layer.forward(p, *others_kept, ctx=ctx).ys[port][0]
                marks[:, cell] |= (after != before).reshape(-1)
    return marks


def of_gradients(case: Any, seeds: int) -> list[Array]:
    """One gradient of each output cell and each seed: a maximum takes another cell each time."""
    layer, ctx = case.layer, case.ctx
    found: list[Array] = []
    for seed in range(seeds):
        xs, p = inputs(case, seed), case.params(seed)
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


def test_extent_is_what_depends(inference: Any) -> None:
    specs = inference.specs()
    out = inference.layer.outputs(*specs)[0]
    kinked = math.isfinite(inference.layer.kinks(inference.params(0), *inference.inputs(0)))
    kinked = kinked or bool(inference.layer.index_slots)  # they too lead elsewhere each time
    seeds = 2 if inference.flat or not kinked else 60 if out.shape[2:] != (1, 1) else 300
    for slot, takes in enumerate(support(inference, seeds)):
        extent = inference.layer.extent(slot, *specs)
        assert_is(extent, takes, specs[slot].shape[1:], out.shape[1:])


def assert_is(extent: Extent, takes: Array, shape: tuple[int, ...], out: tuple[int, ...]) -> None:
    """The extent says what ``takes`` (output cells, input cells) does, cell by cell and whole."""
    for number, cell in enumerate(product(*map(range, out))):
        assert extent.sees(one(cell)) == box_of(takes[number], shape), cell
    for number, cell in enumerate(product(*map(range, shape))):
        assert extent.reaches(one(cell)) == box_of(takes[:, number], out), cell
    assert extent.sees(whole(out)) == box_of(np.asarray(takes.any(0)), shape)
    assert extent.reaches(whole(shape)) == box_of(np.asarray(takes.any(1)), out)


@pytest.mark.parametrize("layer", [Split(2, (1, -1, 2)), MaxPool2d(return_indices=True)], ids=str)
def test_every_output_has_an_extent_of_its_own(layer: Layer, case_of: Any) -> None:
    case = case_of(layer)
    specs = case.specs()
    outputs = layer.outputs(*specs)
    assert len(outputs) > 1
    for port, out in enumerate(outputs):
        extent = layer.extent(0, *specs, port=port)
        assert_is(extent, of_values(case, 0, 2, port), specs[0].shape[1:], out.shape[1:])


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


def test_a_frame_of_numbers_is_padding_and_a_cut_is_not() -> None:
    spec = Spec((1, 2, 6, 6))
    frame = Frame((0, 1, -2), (0, 0, 0)).extent(0, spec)
    assert frame.sees(((0, 1), (0, 1), (0, 4))) is None
    assert frame.sees(((0, 1), (0, 2), (0, 4)), padded=True) == ((0, 1), (-1, 1), (2, 6))
    assert frame.sees(((0, 1), (0, 2), (-1, 5)), padded=True) == ((0, 1), (-1, 1), (1, 6))
    assert frame.reaches(((0, 1), (0, 6), (0, 2))) is None


def test_a_sample_of_one_number_has_a_box_without_spans() -> None:
    number = View(()).extent(0, Spec((2, 1, 1)))
    assert number.sees(()) == ((0, 1), (0, 1))
    assert number.reaches(((0, 1), (0, 1))) == ()
    total = Reduce("sum", (1,), False).extent(0, Spec((2, 5)))
    assert total.sees(()) == ((0, 5),)
    assert total.reaches(((3, 4),)) == ()
    assert hull((), None) == () == hull(None, ())
    assert hull(None, None) is None


def test_nothing_is_ruled_out_for_an_unknown_operator() -> None:
    unknown = Opaque("Spread", shapes="[[3]]").extent(0, Spec((2, 3)))
    assert unknown.sees(((1, 2),)) == ((0, 3),)
    assert unknown.reaches(((1, 2),)) == ((0, 3),)
