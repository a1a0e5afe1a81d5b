"""Convolutions and pooling."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import cast

import numpy as np

from engine.layers.arithmetic import Arithmetic
from engine.layers.avg_pool2d import AvgPool2d
from engine.layers.base import Array, Layer, Spec
from engine.layers.conv2d import Conv2d
from engine.layers.conv_transpose2d import ConvTranspose2d
from engine.layers.frame import Frame
from engine.layers.function import Function
from engine.layers.global_avg_pool import GlobalAvgPool
from engine.layers.global_max_pool import GlobalMaxPool
from engine.layers.lp_pool2d import LpPool2d
from engine.layers.lrn import LRN
from engine.layers.max_pool2d import MaxPool2d
from engine.layers.max_unpool2d import MaxUnpool2d
from engine.layers.reduce import Reduce
from engine.layers.window import LARGEST, Window
from engine.onnx.operators.arithmetic import combined
from engine.onnx.operators.steps import Steps, writes
from engine.onnx.rules import Nodes, Place
from engine.onnx.site import (
    Known,
    MixesSamplesError,
    Site,
    Tensor,
    UnsupportedError,
    Value,
    imports,
)

LOWEST = -3.4e38
MOST_PLACES = 1 << 22
"""Of a window whose cells are counted place by place."""


def two(values: Sequence[int] | None, count: int, default: int) -> tuple[int, int]:
    """(rows, columns) of an attribute for ``count`` axes; one axis means columns."""
    found = [int(v) for v in values] if values else [default] * count
    if len(found) != count:
        raise UnsupportedError(f"an attribute has {len(found)} numbers, {count} were expected")
    return (found[0], found[1]) if count == 2 else (default, found[0])


def padding(
    site: Site,
    size: tuple[int, int],
    kernel: tuple[int, int],
    stride: tuple[int, int],
    dilation: tuple[int, int],
    count: int,
) -> tuple[int, int, int, int]:
    """(top, left, bottom, right) of explicit pads or auto_pad."""
    auto = site.attribute("auto_pad", "NOTSET") or "NOTSET"
    if auto in ("SAME_UPPER", "SAME_LOWER"):
        before, after = [], []
        for n, k, s, d in zip(size, kernel, stride, dilation, strict=True):
            total = max(0, (-(-n // s) - 1) * s + (k - 1) * d + 1 - n)
            less, more = total // 2, total - total // 2
            before.append(less if auto == "SAME_UPPER" else more)
            after.append(more if auto == "SAME_UPPER" else less)
        return before[0], before[1], after[0], after[1]
    if auto not in ("NOTSET", "VALID"):
        raise UnsupportedError(f"auto_pad {auto!r} is not known")
    pads = site.attribute("pads") if auto == "NOTSET" else None
    pads = [int(p) for p in pads] if pads else [0] * (2 * count)
    if len(pads) != 2 * count:
        raise UnsupportedError(f"pads has {len(pads)} numbers, {2 * count} were expected")
    if count == 2:
        return pads[0], pads[1], pads[2], pads[3]
    return 0, pads[0], 0, pads[1]


def framed(
    site: Site, x: Tensor, pads: tuple[int, int, int, int], limit: int, value: float = 0.0
) -> tuple[Tensor, tuple[int, int, int, int]]:
    """The maps with a frame of their own where the layer's padding cannot say it."""
    if min(pads) >= 0 and max(pads) <= limit:
        return x, pads
    top, left, bottom, right = pads
    layer = Frame((0, top, left), (0, bottom, right), "constant", value)
    return site.layer(layer, x, role="frame"), (0, 0, 0, 0)


@imports("Conv")
def conv(site: Site) -> Sequence[Value]:
    # weights first: whether they are known decides how the samples are read
    weight, name = site.weights(1)
    x, back = site.maps(0)
    count = weight.ndim - 2
    if count not in (1, 2) or (count == 1) != (x.rank == 4 and site.tensor(0).rank == 3):
        raise UnsupportedError(f"a kernel with {count} axes on {site.tensor(0).rank - 2}")
    shape = (weight.shape[2], weight.shape[3]) if count == 2 else (1, weight.shape[2])
    kernel = (
        two(site.attribute("kernel_shape"), count, 1) if site.attribute("kernel_shape") else shape
    )
    if kernel != shape:
        raise UnsupportedError(f"kernel_shape {kernel} does not fit weights of {weight.shape}")
    stride = two(site.attribute("strides"), count, 1)
    dilation = two(site.attribute("dilations"), count, 1)
    pads = padding(site, (x.sample[1], x.sample[2]), kernel, stride, dilation, count)
    x, pads = framed(site, x, pads, LARGEST)
    params = {"weight": weight.reshape(*weight.shape[:2], *kernel)}
    names = [name]
    if site.has(2):
        params["bias"], second = site.weights(2)
        names.append(second)
    layer = Conv2d(
        weight.shape[0],
        kernel,
        stride=stride,
        padding=pads,
        dilation=dilation,
        groups=int(site.attribute("group", 1)),
        bias=site.has(2),
    )
    return (back(site.layer(layer, x, params=params, key=tuple(names))),)


@imports("ConvTranspose")
def conv_transpose(site: Site) -> Sequence[Value]:
    weight, name = site.weights(1)
    x, back = site.maps(0)
    count = weight.ndim - 2
    if count not in (1, 2):
        raise UnsupportedError(f"a kernel with {count} axes")
    kernel = (weight.shape[2], weight.shape[3]) if count == 2 else (1, weight.shape[2])
    stride = two(site.attribute("strides"), count, 1)
    dilation = two(site.attribute("dilations"), count, 1)
    extra = two(site.attribute("output_padding"), count, 0)
    groups = int(site.attribute("group", 1))
    size = (x.sample[1], x.sample[2])
    full = [
        s * (n - 1) + d * (k - 1) + 1 + e
        for s, n, d, k, e in zip(stride, size, dilation, kernel, extra, strict=True)
    ]
    auto = site.attribute("auto_pad", "NOTSET") or "NOTSET"
    wanted = site.attribute("output_shape")
    if wanted or auto in ("SAME_UPPER", "SAME_LOWER"):
        target = (
            two([int(n) for n in wanted][-count:], count, 1)
            if wanted
            else tuple(n * s for n, s in zip(size, stride, strict=True))
        )
        if wanted and count == 1:
            target = (full[0], target[1])
        before, after = [], []
        for f, t in zip(full, target, strict=True):
            less, more = (f - t) // 2, (f - t) - (f - t) // 2
            upper = auto == "SAME_UPPER"
            before.append(less if upper else more)
            after.append(more if upper else less)
        pads = (before[0], before[1], after[0], after[1])
    else:
        pads = padding(site, size, kernel, stride, dilation, count)
    params = {"weight": weight.reshape(*weight.shape[:2], *kernel)}
    names = [name]
    if site.has(2):
        params["bias"], second = site.weights(2)
        names.append(second)
    inner, outer = tuple(max(0, p) for p in pads), tuple(max(0, -p) for p in pads)
    plain = ConvTranspose2d(
        weight.shape[1] * groups,
        kernel,
        stride=stride,
        padding=inner,
        dilation=dilation,
        groups=groups,
        bias=site.has(2),
    )
    if any(outer):
        if site.has(2):
            raise UnsupportedError("an output_shape beyond the kernels' reach with a bias")
        # what lies beyond the kernels' reach is zeros
        y = site.layer(replace(plain, output_padding=extra), x, params=params, key=tuple(names))
        top, left, bottom, right = outer
        return (back(site.layer(Frame((0, top, left), (0, bottom, right)), y, role="frame")),)
    layer = replace(plain, output_padding=extra)
    return (back(site.layer(layer, x, params=params, key=tuple(names))),)


def _pooled(
    site: Site, x: Tensor
) -> tuple[tuple[int, int], tuple[int, int], tuple[int, int], tuple[int, int, int, int], bool]:
    """(kernel, stride, dilation, pads, ceil_mode) of a pooling."""
    shape = site.attribute("kernel_shape")
    if not shape:
        raise UnsupportedError("it has no kernel_shape")
    count = len(shape)
    kernel = two(shape, count, 1)
    stride = two(site.attribute("strides"), count, 1)
    dilation = two(site.attribute("dilations"), count, 1)
    pads = padding(site, (x.sample[1], x.sample[2]), kernel, stride, dilation, count)
    return kernel, stride, dilation, pads, bool(site.attribute("ceil_mode", 0))


def _fits(layer: Callable[[], Layer], x: Tensor) -> Layer | None:
    """The layer if it takes the input as it is."""
    from engine.layers.base import HyperparameterError, ShapeError

    try:
        made = layer()
        made.outputs(Spec(x.first))
    except (HyperparameterError, ShapeError):
        return None
    return made


def _pooled_maps(site: Site) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
    """The input as maps; of three axes, those along which nothing is pooled are laid together."""
    kernel = [int(n) for n in site.attribute("kernel_shape") or ()]
    if site.value(0).__class__ is not Tensor or site.tensor(0).rank != 5 or len(kernel) != 3:
        return site.maps(0)
    x = site.importer.show(site.tensor(0))
    strides, dilations = (site.attribute(n) or [1] * 3 for n in ("strides", "dilations"))
    pads = site.attribute("pads") or [0] * 6
    idle = [kernel[i] == strides[i] == 1 and not pads[i] and not pads[i + 3] for i in range(3)]
    channels, depth, rows, columns = x.sample
    if idle[0]:
        kept, sample = (1, 2), (channels * depth, rows, columns)
    elif idle[1] and idle[2]:
        kept, sample = (0, 1), (channels, depth, rows * columns)
    else:
        raise UnsupportedError("windows with three axes")

    def back(t: Tensor) -> Tensor:
        maps, first, second = t.sample
        if idle[0]:
            return site.view(t, (channels, maps // channels, first, second))
        return site.view(t, (maps, first, rows, columns))

    site.replace(
        kernel_shape=[kernel[i] for i in kept],
        strides=[strides[i] for i in kept],
        dilations=[dilations[i] for i in kept],
        pads=[pads[i] for i in (*kept, *(k + 3 for k in kept))],
    )
    return site.view(x, sample), back


@imports("MaxPool")
def max_pool(site: Site) -> Sequence[Value]:
    x, back = _pooled_maps(site)
    kernel, stride, dilation, pads, ceil = _pooled(site, x)
    if site.wants(1):
        if int(site.attribute("storage_order", 0)):
            raise UnsupportedError("places counted by columns (storage_order = 1)")
        both = MaxPool2d(
            kernel, stride, pads, dilation=dilation, ceil_mode=ceil, return_indices=True
        )
        y, places = site.layers(both, x)
        area = x.sample[1] * x.sample[2]
        if back(y) is not y:
            raise UnsupportedError("places in rows instead of maps")
        return y, site.local(places, area)
    layer = _fits(lambda: MaxPool2d(kernel, stride, pads, dilation=dilation, ceil_mode=ceil), x)
    if layer is None:
        x, pads = framed(site, x, pads, -1, LOWEST)
        layer = MaxPool2d(kernel, stride, pads, dilation=dilation, ceil_mode=ceil)
    return (back(site.layer(layer, x)),)


@imports("MaxUnpool")
def max_unpool(site: Site) -> Sequence[Value]:
    x, back = site.maps(0)
    kernel, stride, _, pads, _ = _pooled(site, x)
    size = [
        (n - 1) * s + k - pads[i] - pads[i + 2]
        for i, (n, s, k) in enumerate(zip(x.sample[1:], stride, kernel, strict=True))
    ]
    extra = (0, 0)
    if site.has(2):
        wanted = site.integers(2)[-2:]
        extra = (wanted[0] - size[0], wanted[1] - size[1])
    ours = site.tensor(1).local
    layer = MaxUnpool2d(kernel, stride, pads, extra if ours else (0, 0))
    (out,) = layer.outputs(Spec(x.first), Spec(x.first))
    places = site.tensor(1)
    if not places.local and places.ref[0] in site.importer.input_names and x.sample[0] == 1:
        if site.importer.free:
            raise MixesSamplesError  # of one map both count alike
    elif not places.local:
        # the file counts through the whole batch
        area = Known.of(np.float32(out.shape[2] * out.shape[3]))
        maps = combined(site, "divide", places, area, role="maps")
        whole = site.layer(Function("floor"), maps, role="before")
        before = combined(site, "multiply", whole, area, role="cells")
        places = combined(site, "subtract", places, before, role="places")
    places = site.importer.show(places)
    if ours or extra == (0, 0):
        return (back(site.layer(layer, x, places)),)
    # the file's places count without the rows and columns that are added
    y = site.layer(layer, x, places, role="maps")
    return (back(site.layer(Frame((0, 0, 0), (0, *extra)), y)),)


def _counting(places: int, kernel: int, stride: int, dilation: int, first: int, end: int) -> Array:
    """How many cells of the window at each place along an axis lie in first … end − 1."""
    start = stride * np.arange(places)
    before, beyond = (-((start - limit) // dilation) for limit in (first, end))
    return np.maximum(np.minimum(beyond, kernel) - np.maximum(before, 0), 0)


@imports("AveragePool")
def average_pool(site: Site) -> Sequence[Value]:
    x, back = _pooled_maps(site)
    kernel, stride, dilation, pads, ceil = _pooled(site, x)
    include = bool(site.attribute("count_include_pad", 0))
    if dilation == (1, 1):
        layer = _fits(
            lambda: AvgPool2d(kernel, stride, pads, ceil_mode=ceil, count_include_pad=include), x
        )
        if layer is not None:
            return (back(site.layer(layer, x)),)
    # sums by a kernel of ones for each channel, divided by how many cells counted
    channels, *size = x.sample
    window = Window(kernel, stride, pads[:2], pads[2:], dilation, ceil)
    out = window.output_size(*size)
    after = [
        max(p, (o - 1) * s + d * (k - 1) + 1 - n - b)
        for p, o, s, d, k, n, b in zip(
            pads[2:], out, stride, dilation, kernel, size, pads[:2], strict=True
        )
    ]
    whole = (pads[0], pads[1], after[0], after[1])
    if max(kernel) > LARGEST or math.prod(out) > MOST_PLACES:
        raise UnsupportedError(f"windows of {kernel} at {out} places")
    rows, columns = (
        _counting(
            out[i],
            kernel[i],
            stride[i],
            dilation[i],
            0 if include else pads[i],
            pads[i] + size[i] + (pads[i + 2] if include else 0),
        )
        for i in range(2)
    )
    counts = np.outer(rows, columns).astype("float32")
    summed = Conv2d(
        channels,
        kernel,
        stride=stride,
        padding=whole,
        dilation=dilation,
        groups=channels,
        bias=False,
    )
    total = site.layer(
        summed, x, role="sum", params={"weight": np.ones((channels, 1, *kernel), "float32")}
    )
    share = (1 / np.maximum(counts, 1)).astype("float32")[None]
    layer = Arithmetic(operation="multiply", operand=share.shape)
    return (back(site.layer(layer, total, params={"operand": share})),)


@imports("LpPool")
def lp_pool(site: Site) -> Sequence[Value]:
    x, back = site.maps(0)
    kernel, stride, dilation, pads, ceil = _pooled(site, x)
    x, pads = framed(site, x, pads, LARGEST // 2)
    power = site.attribute("p", 2)
    return (back(site.layer(LpPool2d(int(power), kernel, stride, pads, dilation, ceil), x)),)


@imports("GlobalAveragePool", "GlobalMaxPool")
def global_pool(site: Site) -> Sequence[Value]:
    average = site.op == "GlobalAveragePool"
    x = site.importer.show(site.tensor(0))
    if x.rank == 4:
        return (site.layer(GlobalAvgPool() if average else GlobalMaxPool(), x),)
    if x.rank < 3:
        raise UnsupportedError("tensors without an axis to pool")
    axes = tuple(range(2, x.rank))
    return (site.layer(Reduce("mean" if average else "max", axes), x),)


@imports("GlobalLpPool")
def global_lp_pool(site: Site) -> Sequence[Value]:
    x = site.importer.show(site.tensor(0))
    power = int(site.attribute("p", 2))
    if power not in (1, 2):
        raise UnsupportedError(f"p = {power}")
    return (site.layer(Reduce(f"l{power}", tuple(range(2, x.rank))), x),)


@imports("LRN")
def lrn(site: Site) -> Sequence[Value]:
    x, back = site.maps(0)
    size = int(site.attribute("size", 5))
    layer = LRN(
        size,
        float(site.attribute("alpha", 1e-4)),
        float(site.attribute("beta", 0.75)),
        float(site.attribute("bias", 1.0)),
        divide=True,
    )
    return (back(site.layer(layer, x)),)


# ---- writing ---------------------------------------------------------------------------------


@writes("LpPool")
def write_lp_pool(place: Place) -> Nodes:
    """Powers, their sums by a kernel of ones for each channel, and the root: all opsets have it."""
    layer, steps = cast(LpPool2d, place.layer), Steps(place)
    channels, *size = place.specs[0].shape[1:]
    window = layer.window
    out = window.output_size(*size)
    after = [
        max(0, (o - 1) * s + d * (k - 1) + 1 - n - b)
        for o, s, d, k, n, b in zip(
            out,
            window.stride,
            window.dilation,
            window.kernel_size,
            size,
            window.before,
            strict=True,
        )
    ]
    powers = steps("Pow", "powers", steps("Abs", "size", *place.inputs), steps.floats("p", layer.p))
    total = steps(
        "Conv",
        "total",
        powers,
        steps.floats("ones", np.ones((channels, 1, *window.kernel_size))),
        kernel_shape=list(window.kernel_size),
        strides=list(window.stride),
        pads=[*window.before, *after],
        dilations=list(window.dilation),
        group=channels,
    )
    return steps.last("Pow", total, steps.floats("root", 1 / layer.p))
