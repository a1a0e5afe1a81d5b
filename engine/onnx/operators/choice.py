"""The largest along an axis, their places, and cells by their places."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import cast

from onnx import TensorProto

from engine.layers.arg_max import ArgMax
from engine.layers.base import Spec
from engine.layers.max_pool2d import MaxPool2d
from engine.layers.max_unpool2d import MaxUnpool2d
from engine.layers.pick import Pick
from engine.layers.top_k import TopK
from engine.onnx.operators.steps import Steps, writes
from engine.onnx.rules import Nodes, Place
from engine.onnx.site import Site, Tensor, UnsupportedError, Value, imports


def _places(t: Tensor) -> Tensor:
    """The tensor as one of whole numbers."""
    return Tensor(t.ref, t.first, t.second, t.hidden, True)


@imports("ArgMax", "ArgMin")
def arg_max(site: Site) -> Sequence[Value]:
    x, (axis,) = site.axes(site.tensor(0), [int(site.attribute("axis", 0))])
    layer = ArgMax(
        "max" if site.op == "ArgMax" else "min",
        axis,
        bool(site.attribute("keepdims", 1)),
        bool(site.attribute("select_last_index", 0)),
    )
    return (_places(site.layer(layer, x)),)


@imports("TopK")
def top_k(site: Site) -> Sequence[Value]:
    counts = site.integers(1) if site.has(1) else (int(site.attribute("k", 0)),)
    if len(counts) != 1 or counts[0] < 1:
        raise UnsupportedError(f"a choice of {', '.join(map(str, counts)) or 'no'} numbers")
    x, (axis,) = site.axes(site.tensor(0), [int(site.attribute("axis", -1))])
    values, places = site.layers(TopK(counts[0], axis, bool(site.attribute("largest", 1))), x)
    return Tensor(values.ref, values.first, values.second, values.hidden, x.whole), _places(places)


@imports("GatherElements")
def gather_elements(site: Site) -> Sequence[Value]:
    axis = int(site.attribute("axis", 0))
    x, places = site.tensor(0), site.tensor(1)
    if x.rank != places.rank:
        raise UnsupportedError("places with another number of axes")
    if x.hidden or places.hidden or axis % max(1, x.rank) == 0:
        x, places = site.importer.hide(x), site.importer.hide(places)
    x, (place,) = site.axes(x, [axis])
    y = site.layer(Pick(place), x, places)
    return (Tensor(y.ref, y.first, y.second, y.hidden, x.whole),)


@imports("ScatterElements")
def scatter_elements(site: Site) -> Sequence[Value]:
    """Numbers of maps scattered into zeros, as max unpooling is written."""
    data, x = site.known(0), site.tensor(2)
    if data.first.any() or data.second.any():
        raise UnsupportedError("numbers scattered into others than zeros")
    if (site.attribute("reduction") or "none") != "none" or x.rank != 3:
        raise UnsupportedError("a scattering of this kind")
    if int(site.attribute("axis", 0)) not in (2, -1):
        raise UnsupportedError("a scattering along another axis than that of the cells")
    importer = site.importer
    numbers, places = importer.origin(x), importer.origin(site.tensor(1), places=True)
    pool = importer.node_of(places) if places is not None else None
    if numbers is None or places is None or pool is None or places.ref[1] != 1:
        raise UnsupportedError("places that no max pooling gives")
    if not isinstance(pool.layer, MaxPool2d) or numbers.sample != places.sample:
        raise UnsupportedError("places that no max pooling of these maps gives")
    layer = MaxUnpool2d(pool.layer.kernel_size, pool.layer.stride, pool.layer.padding)
    (plain,) = layer.outputs(Spec(numbers.first), Spec(numbers.first))
    size = importer.map_size(pool)
    extra = (size[0] - plain.shape[2], size[1] - plain.shape[3])
    y = site.layer(replace(layer, output_padding=extra), numbers, places)
    if data.first.shape[2] != size[0] * size[1]:
        raise UnsupportedError("maps of another size than those of the pooling")
    row = site.view(y, (y.sample[0], size[0] * size[1]))
    importer.laid[row.ref] = y
    return (row,)


# ---- writing ---------------------------------------------------------------------------------


@writes("ArgMax")
def write_arg_max(place: Place) -> Nodes:
    """The operator counts in whole numbers; numbers here have one type."""
    layer, steps = cast(ArgMax, place.layer), Steps(place)
    op = "ArgMax" if layer.operation == "max" else "ArgMin"
    found = steps(op, "places", *place.inputs, **place.mapped.attributes)
    return steps.last("Cast", found, to=TensorProto.FLOAT)


@writes("TopK")
def write_top_k(place: Place) -> Nodes:
    layer, steps = cast(TopK, place.layer), Steps(place)
    values, places = place.outputs
    count, found = steps.ints("k", layer.k), place.fresh("found")
    steps.node("TopK", (*place.inputs, count), (values, found), **place.mapped.attributes)
    return steps.node("Cast", (found,), (places,), to=TensorProto.FLOAT)


@writes("GatherElements")
def write_gather_elements(place: Place) -> Nodes:
    steps = Steps(place)
    x, places = place.inputs
    whole = steps("Cast", "whole", places, to=TensorProto.INT64)
    return steps.last("GatherElements", x, whole, **place.mapped.attributes)
