"""A network as a script for Keras 3, where maps are (N, rows, columns, channels)."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import numpy as np

from engine.data.preprocessing import Preprocessing
from engine.graph import Graph
from engine.layers.add import Add
from engine.layers.avg_pool2d import AvgPool2d
from engine.layers.base import Array, Layer, pair
from engine.layers.batch_norm2d import BatchNorm2d
from engine.layers.concat import Concat
from engine.layers.constant import Constant
from engine.layers.conv2d import Conv2d
from engine.layers.conv_transpose2d import ConvTranspose2d
from engine.layers.dropout import Dropout
from engine.layers.elu import ELU
from engine.layers.flatten import Flatten
from engine.layers.gelu import GELU
from engine.layers.global_avg_pool import GlobalAvgPool
from engine.layers.global_max_pool import GlobalMaxPool
from engine.layers.group_norm import GroupNorm
from engine.layers.hard_swish import HardSwish
from engine.layers.identity import Identity
from engine.layers.instance_norm import InstanceNorm
from engine.layers.interpolate import Interpolate
from engine.layers.layer_norm import LayerNorm
from engine.layers.leaky_relu import LeakyReLU
from engine.layers.linear import Linear
from engine.layers.log_softmax import LogSoftmax
from engine.layers.lrn import LRN
from engine.layers.max_pool2d import MaxPool2d
from engine.layers.max_unpool2d import MaxUnpool2d
from engine.layers.mul import Mul
from engine.layers.pad import Pad
from engine.layers.partial_conv2d import PartialConv2d
from engine.layers.prelu import PReLU
from engine.layers.rbf import RBF
from engine.layers.relu import ReLU
from engine.layers.reshape import Reshape
from engine.layers.resize import Resize
from engine.layers.sigmoid import Sigmoid
from engine.layers.silu import SiLU
from engine.layers.slice import AXES, Slice
from engine.layers.softmax import Softmax
from engine.layers.spatial_dropout import SpatialDropout
from engine.layers.stochastic_depth import StochasticDepth
from engine.layers.tanh import Tanh
from engine.layers.top_k import TopK
from engine.layers.trainable_subsampling import TrainableSubsampling
from engine.layers.window import padding_sides
from engine.parameters import Parameters
from engine.scripts.base import (
    Names,
    Quoted,
    Site,
    arguments,
    heading,
    plain,
    sites,
    variables,
    wrapped,
)
from engine.scripts.keras_form import Turn, Written, sides_of, unturned, zeros
from engine.scripts.keras_tensors import RULES as TENSOR_RULES


def _conv(site: Site) -> Written:
    layer = cast(Conv2d, site.layer)
    if max(pair(layer.stride)) > 1 and max(pair(layer.dilation)) > 1:
        raise site.refuse("with stride and dilation has no Keras form.")
    channels = site.specs[0].shape[1]
    (top, left), (bottom, right) = padding_sides(layer.padding)
    sides = ((top, bottom), (left, right))
    common = {
        "strides": (layer.stride, 1),
        "dilation_rate": (layer.dilation, 1),
        "use_bias": (layer.bias, True),
    }
    size = cast("tuple[int, int]", site.specs[0].shape[2:])
    same = pair(layer.stride) == (1, 1) and layer.window.output_size(*size) == size
    before: tuple[str, ...] = ()
    padding: dict[str, tuple[object, object]] = {}
    if same and all(before == after for before, after in sides) and any(map(any, sides)):
        padding = {"padding": (Quoted("same"), "valid")}
    else:
        before = zeros(sides)
    bias = (("bias", "bias", unturned),) if layer.bias else ()
    rows, columns = pair(layer.kernel_size)
    if layer.groups == channels and channels > 1:
        many = layer.out_channels // channels
        made = arguments(layer.kernel_size, depth_multiplier=(many, 1), **common, **padding)
        turn = lambda w: w.reshape(channels, many, rows, columns).transpose(2, 3, 0, 1)  # noqa: E731
        return Written(
            before,
            f"layers.DepthwiseConv2D({made}",
            weights=(("weight", "kernel", turn), *bias),
        )
    made = arguments(
        layer.out_channels, layer.kernel_size, groups=(layer.groups, 1), **common, **padding
    )
    turn = lambda w: w.transpose(2, 3, 1, 0)  # noqa: E731
    return Written(before, f"layers.Conv2D({made}", weights=(("weight", "kernel", turn), *bias))


def _conv_transpose(site: Site) -> Written:
    layer = cast(ConvTranspose2d, site.layer)
    before, after = padding_sides(layer.padding)
    extra = pair(layer.output_padding)
    if layer.groups != 1 or pair(layer.dilation) != (1, 1):
        raise site.refuse("with groups or dilation has no Keras form.")
    if any(e > a for e, a in zip(extra, after, strict=True)):
        raise site.refuse("with output_padding larger than padding has no Keras form.")
    stride, kernel = pair(layer.stride), pair(layer.kernel_size)
    if any(s > k for s, k in zip(stride, kernel, strict=True)):
        raise site.refuse("with a stride larger than the kernel has no Keras form.")
    made = arguments(
        layer.out_channels,
        layer.kernel_size,
        strides=(layer.stride, 1),
        use_bias=(layer.bias, True),
    )
    crop = tuple((b, a - e) for b, a, e in zip(before, after, extra, strict=True))
    bias = (("bias", "bias", unturned),) if layer.bias else ()
    return Written(
        (),
        f"layers.Conv2DTranspose({made}",
        (f"layers.Cropping2D({crop!r})({{0}})",) if any(map(any, crop)) else (),
        (("weight", "kernel", lambda w: w.transpose(2, 3, 1, 0)), *bias),
    )


def _max_pool(site: Site) -> Written:
    layer = cast(MaxPool2d, site.layer)
    if len(site.outputs) > 1:
        raise site.refuse("that gives its indices has no Keras form.")
    window = layer.window
    sides = sides_of(window, cast("tuple[int, int]", site.specs[0].shape[2:]))
    before: tuple[str, ...] = ()
    if any(map(any, sides)):
        frame = ((0, 0), *sides, (0, 0))
        before = (f'ops.pad({{0}}, {frame!r}, constant_values=float("-inf"))',)
    if window.dilation == (1, 1):
        made = arguments(layer.kernel_size, strides=(layer.stride, layer.kernel_size))
        return Written((*before, f"layers.MaxPooling2D({made})({{0}})"))
    raise site.refuse("with dilation has no Keras form.")


_AVERAGE = '''
def average_pool(x, size, strides, padding, counted):
    """Average pooling; padding counts in the divisor only where ``counted`` says so."""
    ones = ops.pad(ops.ones_like(x), ((0, 0), *counted, (0, 0)), constant_values=1.0)
    rest = [(p - c, q - d) for (p, q), (c, d) in zip(padding, counted)]
    ones = ops.pad(ones, ((0, 0), *rest, (0, 0)))
    total = ops.average_pool(ops.pad(x, ((0, 0), *padding, (0, 0))), size, strides)
    return total / ops.average_pool(ones, size, strides)
'''


def _avg_pool(site: Site) -> Written:
    layer = cast(AvgPool2d, site.layer)
    window = layer.window
    sides = sides_of(window, cast("tuple[int, int]", site.specs[0].shape[2:]))
    if not any(map(any, sides)):
        made = arguments(layer.kernel_size, strides=(layer.stride, layer.kernel_size))
        return Written((f"layers.AveragePooling2D({made})({{0}})",))
    counted = ((0, 0), (0, 0))
    if layer.count_include_pad:
        counted = cast(Any, tuple(zip(window.before, window.after, strict=True)))
    made = f"{window.kernel_size!r}, {window.stride!r}, {sides!r}, {counted!r}"
    return Written((f"average_pool({{0}}, {made})",), definition=_AVERAGE)


def _batch_norm(site: Site) -> Written:
    layer = cast(BatchNorm2d, site.layer)
    made = arguments(
        epsilon=(layer.eps, 1e-3),
        momentum=(round(1 - layer.momentum, 12), 0.99),
        trainable=(not layer.frozen, True),
    )
    names = (
        ("weight", "gamma"),
        ("bias", "beta"),
        ("running_mean", "moving_mean"),
        ("running_var", "moving_variance"),
    )
    weights = tuple((a, b, unturned) for a, b in names)
    return Written((), f"layers.BatchNormalization({made}", weights=weights)


def _sample_norm(site: Site) -> Written:
    layer = cast(Any, site.layer)
    maps = len(site.specs[0].shape) == 4
    eps = {
        "epsilon": (layer.eps, 1e-3),
        "center": (layer.affine, True),
        "scale": (layer.affine, True),
    }
    turn: Turn = unturned
    if isinstance(layer, LayerNorm):
        made = arguments(axis=((1, 2, 3) if maps else -1, -1), **eps)
        named = f"layers.LayerNormalization({made}"
        if maps:
            turn = lambda w: w.transpose(1, 2, 0)  # noqa: E731
    else:
        groups = layer.groups if isinstance(layer, GroupNorm) else site.specs[0].shape[1]
        named = f"layers.GroupNormalization({arguments(groups, **eps)}"
    weights = (("weight", "gamma", turn), ("bias", "beta", turn)) if layer.affine else ()
    return Written((), named, weights=weights)


def _linear(site: Site) -> Written:
    layer = cast(Linear, site.layer)
    made = arguments(layer.out_features, use_bias=(layer.bias, True))
    bias = (("bias", "bias", unturned),) if layer.bias else ()
    return Written((), f"layers.Dense({made}", weights=(("weight", "kernel", lambda w: w.T), *bias))


def _flatten(site: Site) -> Written:
    before = ("layers.Permute((3, 1, 2))({0})",) if len(site.specs[0].shape) == 4 else ()
    return Written((*before, "layers.Flatten()({0})"))


def _reshape(site: Site) -> Written:
    before = ("layers.Permute((3, 1, 2))({0})",) if len(site.specs[0].shape) == 4 else ()
    shape = site.outputs[0].shape[1:]
    return Written((*before, f"layers.Reshape({shape!r})({{0}})", "layers.Permute((2, 3, 1))({0})"))


def _prelu(site: Site) -> Written:
    axes = len(site.specs[0].shape) - 1
    shared = list(range(1, axes + 1))
    turn: Turn = unturned
    if not cast(PReLU, site.layer).shared:
        # the channels are the last axis of maps, and the first of anything else
        shared.remove(3 if axes == 3 else 1)
        sizes = (1, 1, -1) if axes == 3 else (-1, *(1,) * (axes - 1))
        turn = lambda w: w.reshape(sizes)  # noqa: E731
    elif axes > 1:
        turn = lambda w: w.reshape((1,) * axes)  # noqa: E731
    made = f"shared_axes={shared}" if shared else ""
    return Written((), f"layers.PReLU({made}", weights=(("weight", "alpha", turn),))


def _channels(site: Site) -> int:
    """The axis of the channels: the last of maps, the first of anything else."""
    return 1 if len(site.specs[0].shape) == 3 else -1


def _softmax(site: Site) -> Written:
    axis = arguments(axis=(_channels(site), -1))
    return Written((f"layers.Softmax({axis})({{0}})",))


def _concat(site: Site) -> Written:
    axis = arguments(axis=(_channels(site), -1))
    return Written((f"layers.Concatenate({axis})([{{all}}])",))


_LRN = '''
def local_response_norm(x, size, factor, beta, k):
    """Weakens a number where the neighbouring channels are strong (Krizhevsky et al. 2012)."""
    squares = ops.pad(ops.square(x), ((0, 0), (0, 0), (0, 0), (size // 2, size // 2)))
    total = sum(squares[..., i : i + x.shape[-1]] for i in range(size))
    return x / (k + factor * total) ** beta
'''


def _lrn(site: Site) -> Written:
    layer = cast(LRN, site.layer)
    made = f"{layer.size}, {layer.factor!r}, {layer.beta!r}, {layer.k!r}"
    return Written((f"local_response_norm({{0}}, {made})",), definition=_LRN)


def _pad(site: Site) -> Written:
    layer = cast(Pad, site.layer)
    (top, left), (bottom, right) = padding_sides(layer.padding)
    if layer.mode == "edge":
        raise site.refuse("that repeats the edge has no Keras form.")
    sides = ((top, bottom), (left, right))
    front, behind = pair(layer.channels)
    maps = (f"ops.pad({{0}}, ((0, 0), (0, 0), (0, 0), ({front}, {behind})))",)
    behind_frame = maps if front or behind else ()
    if layer.mode == "zeros":
        return Written((*zeros(sides), *behind_frame) or ("{0}",))
    framed = f'ops.pad({{0}}, {((0, 0), *sides, (0, 0))!r}, mode="reflect")'
    return Written((framed, *behind_frame))


def _slice(site: Site) -> Written:
    layer = cast(Slice, site.layer)
    part = f"{layer.start} : {layer.start + layer.size}"
    place = AXES.index(layer.axis)
    if place == 0:
        return Written((f"{{0}}[..., {part}]",))
    return Written((f"{{0}}[{':, ' * place}{part}]",))


def _resize(site: Site) -> Written:
    layer = cast(Resize, site.layer)
    mode = ', interpolation="bilinear"' if layer.mode == "linear" else ""
    return Written((f"layers.UpSampling2D({plain(pair(layer.scale))}{mode})({{0}})",))


def _tanh(site: Site) -> Written:
    layer = cast(Tanh, site.layer)
    if (layer.amplitude, layer.steepness) == (1, 1):
        return Written(('layers.Activation("tanh")({0})',))
    return Written((f"{layer.amplitude!r} * ops.tanh({layer.steepness!r} * {{0}})",))


def _drop(site: Site) -> Written:
    p = cast(Any, site.layer).p
    if isinstance(site.layer, SpatialDropout):
        return Written((f"layers.SpatialDropout2D({p!r})({{0}})",))
    if isinstance(site.layer, StochasticDepth):
        shape = (None, *[1] * (len(site.specs[0].shape) - 1))
        return Written((f"layers.Dropout({p!r}, noise_shape={shape!r})({{0}})",))
    return Written((f"layers.Dropout({p!r})({{0}})",))


def _global(kind: str) -> Callable[[Site], Written]:
    return lambda site: Written((f"layers.Global{kind}Pooling2D(keepdims=True)({{0}})",))


def _fixed(call: str) -> Callable[[Site], Written]:
    return lambda site: Written((call,))


RULES: Mapping[type[Layer], Callable[[Site], Written]] = {
    Add: _fixed("layers.Add()([{all}])"),
    AvgPool2d: _avg_pool,
    BatchNorm2d: _batch_norm,
    Concat: _concat,
    Conv2d: _conv,
    ConvTranspose2d: _conv_transpose,
    Dropout: _drop,
    ELU: lambda site: Written((f"layers.ELU({cast(ELU, site.layer).alpha!r})({{0}})",)),
    Flatten: _flatten,
    GELU: lambda site: Written(
        (f"keras.activations.gelu({{0}}, approximate={cast(GELU, site.layer).tanh})",)
    ),
    GlobalAvgPool: _global("Average"),
    GlobalMaxPool: _global("Max"),
    GroupNorm: _sample_norm,
    HardSwish: _fixed('layers.Activation("hard_silu")({0})'),
    Identity: _fixed("{0}"),
    InstanceNorm: _sample_norm,
    LRN: _lrn,
    LayerNorm: _sample_norm,
    LeakyReLU: lambda site: Written(
        (f"layers.LeakyReLU({cast(LeakyReLU, site.layer).alpha!r})({{0}})",)
    ),
    Linear: _linear,
    LogSoftmax: lambda site: Written((f"ops.log_softmax({{0}}, axis={_channels(site)})",)),
    MaxPool2d: _max_pool,
    Mul: _fixed("layers.Multiply()([{all}])"),
    PReLU: _prelu,
    Pad: _pad,
    ReLU: _fixed("layers.ReLU()({0})"),
    Reshape: _reshape,
    Resize: _resize,
    SiLU: _fixed('layers.Activation("silu")({0})'),
    Sigmoid: _fixed('layers.Activation("sigmoid")({0})'),
    Slice: _slice,
    Softmax: _softmax,
    SpatialDropout: _drop,
    StochasticDepth: _drop,
    Tanh: _tanh,
    **TENSOR_RULES,
}
"""How each kind of layer is written."""

REFUSED: Mapping[type[Layer], str] = {
    Constant: "has no Keras form: a Keras layer makes no tensor by itself.",
    Interpolate: "has no Keras form: its places between cells are others.",
    MaxUnpool2d: "has no Keras form: Keras gives no indices of a pooling.",
    PartialConv2d: "has no Keras form: Keras has no convolution with a table of connections.",
    RBF: "has no Keras form: Keras has no layer of distances.",
    TopK: "has no Keras form: Keras looks along the last axis only.",
    TrainableSubsampling: "has no Keras form: Keras has no pooling with weights.",
}
"""Layers without a rule, and why."""


def _written(site: Site) -> Written:
    rule = RULES.get(type(site.layer))
    if rule is None:
        raise site.refuse(REFUSED.get(type(site.layer), "has no Keras form."))
    return rule(site)


def _layer_names(found: Mapping[str, Site]) -> dict[str, str]:
    """The name of the Keras layer of each owner of weights."""
    names, owners = Names(), {}
    for site in found.values():
        if _written(site).named and site.node.owner not in owners:
            owners[site.node.owner] = names.fresh(site.node.owner)
    return owners


def keras_weights(graph: Graph, parameters: Parameters) -> dict[str, Array]:
    """The weights in Keras's order of axes, under "layer.weight", as float32."""
    found = sites(graph, losses=False)
    names = _layer_names(found)
    return {
        f"{names[site.node.owner]}.{theirs}": np.ascontiguousarray(
            turn(parameters[site.node.owner, ours]), "float32"
        )
        for site in found.values()
        for ours, theirs, turn in _written(site).weights
    }


def keras_script(
    graph: Graph, *, weights: str = "", preprocessing: Preprocessing | None = None
) -> str:
    """The network as a script whose function ``network`` makes a Keras model of it.

    The model computes the same, with channels as the last axis. ``weights`` names the
    safetensors file that the script loads when it is run by itself. Losses and auxiliary heads
    are left to the reader's ``compile``; tensors that losses read and no output gives are left out.
    Raises ScriptError: an incomplete network, or a layer without a Keras form.
    """
    found = sites(graph, losses=False)
    owners = _layer_names(found)
    tensors = variables(graph, found, Names({"keras", "layers", "ops", "network", "load"}))
    definitions: list[str] = []
    body: list[str] = []
    made: set[str] = set()
    for entry in graph.inputs:
        shape = (*entry.shape[1:], entry.shape[0]) if len(entry.shape) == 3 else entry.shape
        name = tensors[entry.id, 0]
        body.append(f"{name} = keras.Input({shape!r}, name={json.dumps(name)})")
    for node_id, site in found.items():
        written = _written(site)
        if written.definition and written.definition not in definitions:
            definitions.append(written.definition)
        steps = list(written.before)
        if written.named:
            owner = owners[site.node.owner]
            if owner in made:
                raise site.refuse("that shares its weights has no Keras script yet.")
            made.add(owner)
            comma = "" if written.named.endswith("(") else ", "
            steps.append(f"{written.named}{comma}name={json.dumps(owner)})({{0}})")
        steps += written.after
        inputs = [tensors[ref] for ref in site.node.inputs if ref is not None]
        target = tensors[node_id, 0]
        every = ", ".join(tensors[node_id, port] for port in range(len(site.outputs)))
        for number, step in enumerate(steps):
            given = inputs if number == 0 else [target]
            line = step.format(*given, all=", ".join(given))
            left = every if number == len(steps) - 1 else target
            if line != left:
                body.append(f"{left} = {line}")
    results = [tensors[ref] for _, ref in graph.outputs]
    ends = [tensors[i.id, 0] for i in graph.inputs]
    body.append(
        f"return keras.Model({_list(ends)}, {_list(results)}, name={json.dumps('network')})"
    )
    lines = ["def network():", *(part for line in body for part in wrapped(line, 4))]
    imports = "import keras\nfrom keras import layers"
    text = "\n".join((*lines, *definitions))
    if "ops." in text:
        imports += ", ops"
    parts = [heading(graph, preprocessing, channels_last=True), imports]
    parts += ["\n" + definition.strip() for definition in definitions]
    parts += ["\n" + "\n".join(lines), "\n" + _LOAD.strip(), "\n" + _main(graph, weights)]
    return "\n\n".join(parts) + "\n"


def _list(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"[{', '.join(names)}]"


_LOAD = '''
def load(model, path):
    """Fill the model with the weights of a safetensors file."""
    from safetensors.numpy import load_file

    for name, array in load_file(path).items():
        layer, _, weight = name.rpartition(".")
        variables = {variable.name: variable for variable in model.get_layer(layer).weights}
        variables[weight].assign(array)
'''


def _main(graph: Graph, weights: str) -> str:
    lines = ['if __name__ == "__main__":', "    model = network()"]
    if weights:
        lines.append(f"    load(model, {json.dumps(weights)})")
    return "\n".join([*lines, "    model.summary()"])
