"""Shapes: axes, parts, orders, frames and sizes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import cast

import numpy as np

from engine.layers.base import Array
from engine.layers.concat import Concat
from engine.layers.depth_to_space import DepthToSpace
from engine.layers.expand import Expand
from engine.layers.flatten import Flatten
from engine.layers.frame import Frame
from engine.layers.gather import Gather
from engine.layers.identity import Identity
from engine.layers.interpolate import Interpolate
from engine.layers.join import Join
from engine.layers.permute import Permute
from engine.layers.pick import Pick
from engine.layers.resize import Resize
from engine.layers.slice import AXES, Slice
from engine.layers.space_to_depth import SpaceToDepth
from engine.layers.split import Split
from engine.layers.strided_slice import StridedSlice
from engine.layers.view import View
from engine.onnx.operators.steps import Steps, writes
from engine.onnx.rules import Nodes, Place
from engine.onnx.site import (
    FREE,
    Known,
    MixesSamplesError,
    Site,
    Tensor,
    UnsupportedError,
    Value,
    imports,
)


@imports("Shape")
def shape(site: Site) -> Sequence[Value]:
    start, end = int(site.attribute("start", 0)), site.attribute("end")
    part = slice(start, None if end is None else int(end))
    value = site.value(0)
    if isinstance(value, Known):
        shapes = value.first.shape, value.second.shape
    else:
        shapes = site.tensor(value).shapes
    a, b = (np.array(sizes, np.int64)[part] for sizes in shapes)
    return (Known(a, b),)


@imports("Size")
def size(site: Site) -> Sequence[Value]:
    a, b = (np.array(math.prod(sizes), np.int64) for sizes in site.tensor(0).shapes)
    return (Known(a, b),)


def reshaped(site: Site, x: Tensor, sizes: tuple[Sequence[int], Sequence[int]]) -> Tensor:
    """A tensor in the file's shape ``sizes``, for the two batch sizes (−1 resolved)."""
    importer = site.importer
    baked = _baked(site, x, sizes)
    if baked is not None:
        fixed = importer.fixed_batch
        words = "one sample" if fixed == 1 else f"{fixed} samples"
        importer.note(f"The file was written for {words} at a time; here their number is free.")
        return _viewed(site, x, baked, False)
    targets = []
    for wanted, own in zip(sizes, x.shapes, strict=True):
        total, target = math.prod(own), [int(n) for n in wanted]
        if target.count(-1) > 1 or min(target, default=0) < -1:
            raise UnsupportedError(f"a shape {tuple(target)}")
        if -1 in target:
            rest = math.prod(n for n in target if n != -1)
            if rest <= 0 or total % rest:
                if importer.batches == FREE:
                    raise MixesSamplesError
                raise UnsupportedError(f"a shape {tuple(target)} for {total} numbers")
            target[target.index(-1)] = total // rest
        targets.append(tuple(target))
    first, second = targets
    if importer.batches == FREE:
        sample = x.sample
        count = math.prod(sample)
        free = first and (first[0], second[0]) == FREE and first[1:] == second[1:]
        if not free or math.prod(first[1:]) != count:
            raise MixesSamplesError
        return _viewed(site, x, first[1:], False)
    if math.prod(first) != math.prod(x.sample):
        raise UnsupportedError(f"a shape {first} for {math.prod(x.sample)} numbers")
    if first and first[0] == 1:
        return _viewed(site, x, first[1:], False)
    return _viewed(site, x, first, True)


def _baked(
    site: Site, x: Tensor, sizes: tuple[Sequence[int], Sequence[int]]
) -> tuple[int, ...] | None:
    """The shape of a sample, where a shape was written for the file's own number of samples."""
    fixed, target = site.importer.fixed_batch, [int(n) for n in sizes[0]]
    if not site.importer.free or fixed is None or target != [int(n) for n in sizes[1]]:
        return None
    count = math.prod(x.sample)
    if target.count(-1) == 1:
        rest = math.prod(n for n in target if n != -1)
        if rest <= 0 or fixed * count % rest:
            return None
        target[target.index(-1)] = fixed * count // rest
    fits = target and target[0] == fixed and math.prod(target[1:]) == count
    return tuple(target[1:]) if fits else None


def _viewed(site: Site, x: Tensor, sample: tuple[int, ...], hidden: bool) -> Tensor:
    """The node's own layer, also where nothing changes; but maps that a rule laid in a row."""
    maps = site.importer.laid.get(x.ref)
    if maps is not None and not hidden and maps.sample == sample:
        return maps
    if x.sample == sample:
        y = site.layer(Identity(), x)
    elif len(sample) == 1 and len(x.sample) > 1:
        y = site.layer(Flatten(), x)
    else:
        y = site.layer(View(sample), x)
    return Tensor(y.ref, y.first, y.second, hidden, x.whole)


@imports("Reshape")
def reshape(site: Site) -> Sequence[Value]:
    x = site.tensor(0)
    target = site.known(1) if site.has(1) else Known.of(np.array(site.attribute("shape")))
    keep = not int(site.attribute("allowzero", 0))
    found = []
    for wanted, own in zip((target.first, target.second), x.shapes, strict=True):
        sizes = [int(n) for n in wanted.ravel()]
        for i, n in enumerate(sizes):
            if n == 0 and keep:
                if i >= len(own):
                    raise UnsupportedError("a 0 in the shape for an axis that is not there")
                sizes[i] = own[i]
        found.append(sizes)
    return (reshaped(site, x, (found[0], found[1])),)


@imports("Flatten")
def flatten(site: Site) -> Sequence[Value]:
    x = site.tensor(0)
    axis = int(site.attribute("axis", 1))
    axis = axis + x.rank if axis < 0 else axis
    sizes = [(math.prod(s[:axis]), math.prod(s[axis:])) for s in x.shapes]
    return (reshaped(site, x, (sizes[0], sizes[1])),)


@imports("Squeeze")
def squeeze(site: Site) -> Sequence[Value]:
    x = site.tensor(0)
    axes = site.ints_or_attribute(1, "axes")
    if axes is None:
        if x.hidden:
            axes = [i for i, n in enumerate(x.sample) if n == 1]
        else:
            axes = [i + 1 for i, n in enumerate(x.sample) if n == 1]
            if site.importer.batches != FREE:
                axes = [0, *axes]
    gone = {axis % x.rank for axis in axes}
    sizes = [[n for i, n in enumerate(s) if i not in gone] for s in x.shapes]
    if 0 in gone and not x.hidden:
        if site.importer.batches == FREE:
            raise MixesSamplesError
        sample = tuple(sizes[0])
        return (_viewed(site, x, sample, True),)
    if any(x.shapes[0][i] != 1 for i in gone):
        raise UnsupportedError("an axis to squeeze that is not of size 1")
    return (_kept(site, x, sizes[0]),)


def _kept(site: Site, x: Tensor, sizes: Sequence[int]) -> Tensor:
    """The tensor in another shape that keeps its samples where they are."""
    sample = tuple(sizes) if x.hidden else tuple(sizes[1:])
    return _viewed(site, x, sample, x.hidden)


@imports("Unsqueeze")
def unsqueeze(site: Site) -> Sequence[Value]:
    x = site.tensor(0)
    axes = site.ints_or_attribute(1, "axes")
    rank = x.rank + len(axes)
    places = {axis % rank for axis in axes}
    if len(places) < len(axes) or any(not -rank <= a < rank for a in axes):
        raise UnsupportedError(f"axes {tuple(axes)}")
    if 0 in places and not x.hidden:
        x = site.importer.hide(x)
    rest = iter(x.sample if x.hidden else x.first)
    sizes = [1 if i in places else next(rest) for i in range(rank)]
    if x.hidden and 0 in places:
        # the new axis of size 1 is where the samples go
        return (_viewed(site, x, tuple(sizes[1:]), False),)
    return (_kept(site, x, sizes),)


@imports("Transpose")
def transpose(site: Site) -> Sequence[Value]:
    x = site.tensor(0)
    order = site.attribute("perm") or list(reversed(range(x.rank)))
    if sorted(order) != list(range(x.rank)):
        raise UnsupportedError(f"an order {tuple(order)}")
    if not x.hidden and order[0] != 0:
        x = site.importer.hide(x)
    if x.hidden:
        moved = tuple(axis + 1 for axis in order)
    else:
        moved = tuple(order[1:])
    if not moved:
        return (site.layer(Identity(), x),)
    y = site.layer(Permute(moved), x)
    return (Tensor(y.ref, y.first, y.second, y.hidden, x.whole),)


@imports("Concat")
def concat(site: Site) -> Sequence[Value]:
    values = [site.value(slot) for slot in range(len(site.inputs))]
    tensors = [v for v in values if isinstance(v, Tensor)]
    axis = int(site.attribute("axis", 1))
    rank = tensors[0].rank
    axis = axis % rank
    hide = any(t.hidden for t in tensors) or axis == 0
    found = [site.tensor(value, shown=not hide) for value in values]
    hide = hide or any(t.hidden for t in found)
    if hide:
        found = [site.importer.hide(t) for t in found]
    if len(found) == 1:
        return (site.layer(Identity(), found[0]),)
    place = axis + hide
    simple = place == 1 and len({len(t.first) for t in found}) == 1
    layer = Concat() if simple else Join(place)
    return (site.layer(layer, *found),)


@imports("Split")
def split(site: Site) -> Sequence[Value]:
    x, (axis,) = site.axes(site.tensor(0), [int(site.attribute("axis", 0))])
    total = x.first[axis]
    sizes = site.ints_or_attribute(1, "split")
    if not sizes:
        count = int(site.attribute("num_outputs", site.outputs))
        each = -(-total // count)
        sizes = [each] * (count - 1) + [total - each * (count - 1)]
    if sum(sizes) != total or len(sizes) < site.outputs or min(sizes) < 1:
        raise UnsupportedError(f"parts of {tuple(sizes)} of {total}")
    return site.layers(Split(axis, tuple(int(n) for n in sizes)), x)


@imports("Slice")
def slice_(site: Site) -> Sequence[Value]:
    x = site.tensor(0)
    if site.opset < 10:
        starts = [int(n) for n in site.attribute("starts", [])]
        ends = [int(n) for n in site.attribute("ends", [])]
        axes = site.attribute("axes") or list(range(len(starts)))
        steps = [1] * len(starts)
        bounds = [(starts, ends), (starts, ends)]
    else:
        known = [site.known(slot) for slot in (1, 2)]
        bounds = [
            ([int(n) for n in known[0].first], [int(n) for n in known[1].first]),
            ([int(n) for n in known[0].second], [int(n) for n in known[1].second]),
        ]
        count = len(bounds[0][0])
        axes = list(site.integers(3)) if site.has(3) else list(range(count))
        steps = list(site.integers(4)) if site.has(4) else [1] * count
    jobs = []
    for i, axis in enumerate(axes):
        axis = axis % x.rank
        ranges = [
            range(*slice(lows[i], highs[i], steps[i]).indices(sizes[axis]))
            for (lows, highs), sizes in zip(bounds, x.shapes, strict=True)
        ]
        whole = all(r == range(s[axis]) for r, s in zip(ranges, x.shapes, strict=True))
        if axis == 0 and not x.hidden and site.importer.free:
            # a bound above both batch sizes may still cut a larger batch
            end = bounds[0][1][i]
            fixed = site.importer.fixed_batch
            known_whole = bounds[0][1] != bounds[1][1] or end >= (1 << 31) - 1
            whole = whole and (known_whole or (fixed is not None and end >= fixed))
            if not whole:
                raise MixesSamplesError
        if whole:
            continue
        if axis == 0 and not x.hidden:
            x = site.importer.hide(x)
        if ranges[0] != ranges[1]:
            raise MixesSamplesError
        if not len(ranges[0]):
            raise UnsupportedError("an empty part")
        jobs.append((axis, ranges[0]))
    if not jobs:
        return (site.layer(Identity(), x),)
    for number, (axis, cells) in enumerate(jobs):
        place = axis + x.hidden
        role = "" if number == len(jobs) - 1 else f"axis{axis}"
        if cells.step == 1 and place <= len(AXES) and not x.hidden:
            layer: Slice | StridedSlice = Slice(AXES[place - 1], cells.start, len(cells))
        else:
            layer = StridedSlice(place, cells.start, cells.step, len(cells))
        x = _typed(site.layer(layer, x, role=role), x.whole)
    return (x,)


def _typed(t: Tensor, whole: bool) -> Tensor:
    return Tensor(t.ref, t.first, t.second, t.hidden, whole)


@imports("Gather")
def gather(site: Site) -> Sequence[Value]:
    if isinstance(site.value(1), Tensor) and not int(site.attribute("axis", 0)):
        return (_looked_up(site),)
    x = site.tensor(0)
    indices = site.array(1)
    axis = int(site.attribute("axis", 0)) % max(1, x.rank)
    x, (place,) = site.axes(x, [axis])
    size_ = x.first[place]
    flat = [int(i) + size_ if i < 0 else int(i) for i in indices.ravel()]
    if not flat:
        raise UnsupportedError("an empty choice")
    y = site.layer(Gather(place, tuple(flat)), x)
    sample = (*y.sample[: place - 1], *indices.shape, *y.sample[place:])
    y = _typed(y, x.whole)
    return (site.view(y, sample),)


def _looked_up(site: Site) -> Tensor:
    """Rows of a table at places that the network computes, as of an embedding."""
    value, places = site.value(0), site.tensor(1)
    if isinstance(value, Known):
        table = site.array(0)
        rows, row = table.shape[0], table.shape[1:]
        x = site.tensor(Known.of(table.reshape(1, rows, -1), value.name), shown=True)
    else:
        x, places = site.importer.hide(site.tensor(value)), site.importer.hide(places)
        rows, row = x.sample[0], x.sample[1:]
        x = site.view(x, (rows, math.prod(row)))
    count, width = math.prod(places.sample), math.prod(row)
    index = site.view(places, (count, 1))
    if width > 1:
        index = site.layer(Expand((count, width)), index, role="places")
    found = site.layer(Pick(1), x, index)
    return site.view(_typed(found, False), (*places.sample, *row), places.hidden)


@imports("Expand")
def expand(site: Site) -> Sequence[Value]:
    x = site.tensor(0)
    target = site.known(1)
    shapes = []
    for wanted, own in zip((target.first, target.second), x.shapes, strict=True):
        sizes = [int(n) for n in wanted]
        baked = site.importer.free and len(sizes) == len(own) and not x.hidden
        if baked and own and sizes[0] == site.importer.fixed_batch:
            sizes[0] = own[0]  # written for a number of samples that is free here
        try:
            shapes.append(np.broadcast_shapes(tuple(sizes), own))
        except ValueError:
            if site.importer.free:
                raise MixesSamplesError from None
            raise
    if len(shapes[0]) != x.rank or (
        not x.hidden and (shapes[0][0], shapes[1][0]) != site.importer.batches
    ):
        x = site.importer.hide(x)
    if x.hidden:
        return (site.layer(Expand(shapes[0]), x),)
    if shapes[0][1:] != shapes[1][1:]:
        raise MixesSamplesError
    sample = shapes[0][1:]
    return (site.layer(Expand(sample) if sample else Identity(), x),)


@imports("Tile")
def tile(site: Site) -> Sequence[Value]:
    x = site.tensor(0)
    repeats = site.integers(1)
    if len(repeats) != x.rank:
        raise UnsupportedError(f"{len(repeats)} repeats for {x.rank} axes")
    if not x.hidden and repeats and repeats[0] != 1:
        x = site.importer.hide(x)
    for axis, count in enumerate(repeats):
        if count == 1:
            continue
        place = axis + x.hidden
        cells = tuple(range(x.first[place])) * count
        x = site.layer(Gather(place, cells), x, role=f"axis{axis}")
    return (site.layer(Identity(), x),)


@imports("Pad")
def pad(site: Site) -> Sequence[Value]:
    x = site.tensor(0)
    mode = site.attribute("mode", "constant")
    if mode not in ("constant", "reflect", "edge", "wrap"):
        raise UnsupportedError(f"a mode {mode!r}")
    if site.opset < 11:
        pads = [int(p) for p in site.attribute("pads", site.attribute("paddings", []))]
        value = float(site.attribute("value", 0.0))
    else:
        pads, value = list(site.integers(1)), site.number(2, 0.0)
    axes = list(range(x.rank))
    if site.opset >= 18 and site.has(3):
        axes = [axis % x.rank for axis in site.integers(3)]
    if len(pads) != 2 * len(axes):
        raise UnsupportedError(f"{len(pads)} widths for {len(axes)} axes")
    before, after = [0] * x.rank, [0] * x.rank
    for i, axis in enumerate(axes):
        before[axis], after[axis] = pads[i], pads[i + len(axes)]
    if not x.hidden and (before[0] or after[0]):
        x = site.importer.hide(x)
    skip = 0 if x.hidden else 1
    widths = tuple(before[skip:]), tuple(after[skip:])
    if not any((*widths[0], *widths[1])):
        return (site.layer(Identity(), x),)
    value = min(max(value, -3.4e38), 3.4e38)
    return (site.layer(Frame(*widths, mode, value), x),)


@imports("DepthToSpace")
def depth_to_space(site: Site) -> Sequence[Value]:
    order = "channel first" if site.attribute("mode", "DCR") == "CRD" else "block first"
    x = site.importer.show(site.tensor(0))
    return (site.layer(DepthToSpace(int(site.attribute("blocksize", 1)), order), x),)


@imports("SpaceToDepth")
def space_to_depth(site: Site) -> Sequence[Value]:
    order = "channel first" if site.attribute("mode", "DCR") == "CRD" else "block first"
    x = site.importer.show(site.tensor(0))
    return (site.layer(SpaceToDepth(int(site.attribute("blocksize", 1)), order), x),)


@imports("Resize", "Upsample")
def resize(site: Site) -> Sequence[Value]:
    x, back = site.maps(0)
    rank = site.tensor(0).rank
    old = site.op == "Upsample" or site.opset < 11
    mode = site.attribute("mode", "nearest")
    mode = {"bilinear": "linear", "trilinear": "linear"}.get(mode, mode)
    if mode not in ("nearest", "linear", "cubic"):
        raise UnsupportedError(f"a mode {mode!r}")
    scales: Array | None = None
    sizes: list[int] | None = None
    if old:
        scales = site.array(1) if site.has(1) else np.array(site.attribute("scales"), "float32")
        places, rounding = "asymmetric", "floor"
    else:
        places = site.attribute("coordinate_transformation_mode", "half_pixel")
        rounding = site.attribute("nearest_mode", "round_prefer_floor")
        if site.has(2) and site.known(2).first.size:
            scales = site.array(2)
        elif site.has(3) and site.known(3).first.size:
            known = site.known(3)
            a, b = ([int(n) for n in v.ravel()] for v in (known.first, known.second))
            if len(a) == rank and (a[0], b[0]) == site.importer.batches:
                b = [a[0], *b[1:]]  # the samples
            if a != b:
                raise MixesSamplesError
            sizes = a
    axes = site.attribute("axes")
    axes = [axis % rank for axis in axes] if axes else list(range(rank))
    policy = site.attribute("keep_aspect_ratio_policy", "stretch")
    own = site.tensor(0).shapes[0]
    target: list[int | None] = [None] * rank
    factor: list[float] = [1.0] * rank
    if sizes is not None:
        if policy != "stretch":
            ratios = [n / own[axis] for n, axis in zip(sizes, axes, strict=True)]
            ratio = min(ratios) if policy == "not_larger" else max(ratios)
            sizes = [int(np.floor(ratio * own[axis] + 0.5)) for axis in axes]
            for axis in axes:
                factor[axis] = ratio
        for n, axis in zip(sizes, axes, strict=True):
            target[axis] = n
            if policy == "stretch":
                factor[axis] = 0.0
    elif scales is not None:
        for s, axis in zip(scales.ravel(), axes, strict=True):
            factor[axis] = float(s)
    else:
        raise UnsupportedError("neither scales nor sizes")
    for axis in range(rank - (2 if rank == 4 else 1)):
        same = target[axis] in (None, own[axis]) and factor[axis] in (0.0, 1.0)
        baked = axis == 0 and target[0] == site.importer.fixed_batch
        if not same and not baked and not (axis == 0 and target[0] == site.importer.batches[0]):
            raise UnsupportedError("another size of samples or channels")
    rows, columns = (target[2], target[3]) if rank == 4 else (1, target[2])
    row, column = (factor[2], factor[3]) if rank == 4 else (1.0, factor[2])
    if places == "tf_half_pixel_for_nn":
        places = "half_pixel"
        raise UnsupportedError("coordinates tf_half_pixel_for_nn")
    if places == "tf_crop_and_resize":
        raise UnsupportedError("a region of interest (tf_crop_and_resize)")
    simple = (
        rows is None
        and columns is None
        and row == int(row)
        and column == int(column)
        and 1 <= row <= 16
        and 1 <= column <= 16
        and rank == 4
    )
    if simple and mode == "nearest" and places == "asymmetric" and rounding == "floor":
        return (site.layer(Resize((int(row), int(column))), x),)
    if (
        simple
        and mode == "linear"
        and places == "half_pixel"
        and not site.attribute("antialias", 0)
    ):
        return (site.layer(Resize((int(row), int(column)), "linear"), x),)
    layer = Interpolate(
        rows or 0,
        columns or 0,
        row,
        column,
        mode,
        places,
        rounding,
        float(site.attribute("cubic_coeff_a", -0.75)),
        bool(site.attribute("exclude_outside", 0)),
        bool(site.attribute("antialias", 0)),
    )
    return (back(site.layer(layer, x)),)


@imports("Constant", "ConstantOfShape", "Range")
def constant(site: Site) -> Sequence[Value]:
    for slot in range(len(site.inputs)):
        site.known(slot)
    raise UnsupportedError("a value that cannot be worked out when the file is opened")


# ---- writing ---------------------------------------------------------------------------------


@writes("View")
def write_view(place: Place) -> Nodes:
    steps = Steps(place)
    (out,) = place.layer.outputs(*place.specs)
    sizes = (0, *out.shape[1:]) if len(out.shape) > 1 else (-1,)
    return steps.last("Reshape", *place.inputs, steps.ints("shape", *sizes))


@writes("StridedSlice")
def write_strided_slice(place: Place) -> Nodes:
    layer, steps = cast(StridedSlice, place.layer), Steps(place)
    end = layer.start + layer.count * layer.step
    bounds = {
        "starts": layer.start,
        # below 0 a bound would count from the end
        "ends": end if end >= 0 else -(1 << 31),
        "axes": layer.axis,
        "steps": layer.step,
    }
    return steps.last("Slice", *place.inputs, *(steps.ints(r, n) for r, n in bounds.items()))


@writes("Gather")
def write_gather(place: Place) -> Nodes:
    layer, steps = cast(Gather, place.layer), Steps(place)
    indices = steps.ints("indices", *layer.indices)
    return steps.last("Gather", *place.inputs, indices, axis=layer.axis)


@writes("Expand")
def write_expand(place: Place) -> Nodes:
    steps = Steps(place)
    (out,) = place.layer.outputs(*place.specs)
    x = steps.aligned(0, len(out.shape) - 1)
    return steps.last("Expand", x, steps.ints("shape", 1, *out.shape[1:]))


@writes("PixelUnshuffle")
def write_pixel_unshuffle(place: Place) -> Nodes:
    layer, steps = cast(SpaceToDepth, place.layer), Steps(place)
    _, channels, h, w = place.specs[0].shape
    b = layer.block
    cells = steps.ints("cells", 0, channels, h // b, b, w // b, b)
    blocks = steps("Reshape", "blocks", *place.inputs, cells)
    turned = steps("Transpose", "turned", blocks, perm=[0, 1, 3, 5, 2, 4])
    return steps.last("Reshape", turned, steps.ints("shape", 0, channels * b * b, h // b, w // b))


@writes("Frame")
def write_frame(place: Place) -> Nodes:
    """A constant frame as Pad; any other by picking the cells, which all opsets can."""
    layer, steps = cast(Frame, place.layer), Steps(place)
    if layer.mode == "constant":
        pads = steps.ints("pads", 0, *layer.before, 0, *layer.after)
        return steps.last("Pad", *place.inputs, pads, steps.floats("value", layer.value))
    (x,) = place.inputs
    for axis, size in enumerate(place.specs[0].shape[1:], 1):
        widths = [0] * len(layer.before)
        before, after = list(widths), list(widths)
        before[axis - 1], after[axis - 1] = layer.before[axis - 1], layer.after[axis - 1]
        if not before[axis - 1] and not after[axis - 1]:
            continue
        row = np.arange(size).reshape(
            1, *[size if i == axis else 1 for i in range(1, len(widths) + 1)]
        )
        cells = replace(layer, before=tuple(before), after=tuple(after)).move(row, -1).ravel()
        x = steps("Gather", f"axis{axis}", x, steps.ints(f"cells{axis}", *cells), axis=axis)
    return steps.last("Identity", x)


@writes("Split")
def write_split(place: Place) -> Nodes:
    layer, steps = cast(Split, place.layer), Steps(place)
    sizes = [spec.shape[layer.axis] for spec in layer.outputs(*place.specs)]
    return steps.last("Split", *place.inputs, steps.ints("sizes", *sizes), axis=layer.axis)


@writes("Interpolate")
def write_interpolate(place: Place) -> Nodes:
    """Resize where the opset has the form, else the two matrix products that it is."""
    layer, steps = cast(Interpolate, place.layer), Steps(place)
    height, width = place.specs[0].shape[2:]
    by_factor = not layer.rows and not layer.columns
    by_size = layer.rows and layer.columns and not layer.row_scale and not layer.column_scale
    known = ("half_pixel", "align_corners", "asymmetric", "pytorch_half_pixel")
    if layer.antialias or layer.places not in known or not (by_factor or by_size):
        rows, columns = layer.matrices(height, width)
        mixed = steps("MatMul", "mixed", steps.floats("rows", rows), *place.inputs)
        return steps.last("MatMul", mixed, steps.floats("columns", columns.T))
    attributes = {
        "mode": layer.mode,
        "coordinate_transformation_mode": layer.places,
        "nearest_mode": layer.rounding,
        "cubic_coeff_a": layer.cubic,
        "exclude_outside": int(layer.exclude_outside),
    }
    if by_factor:
        scales = steps.floats("scales", np.array([1, 1, layer.row_scale, layer.column_scale]))
        return steps.last("Resize", *place.inputs, "", scales, **attributes)
    own = steps("Shape", "own", *place.inputs)
    front = steps("Slice", "front", own, steps.ints("start", 0), steps.ints("end", 2))
    size_ = steps.ints("size", layer.rows, layer.columns)
    sizes = steps("Concat", "sizes", front, size_, axis=0)
    return steps.last("Resize", *place.inputs, "", "", sizes, **attributes)
