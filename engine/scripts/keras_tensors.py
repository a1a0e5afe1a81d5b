"""Keras forms of the layers that work on whole tensors: arithmetic, axes, cells moved about."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, cast

from engine.layers.arg_max import ArgMax
from engine.layers.arithmetic import Arithmetic
from engine.layers.base import Layer
from engine.layers.celu import CELU
from engine.layers.clip import Clip
from engine.layers.compare import Compare
from engine.layers.depth_to_space import DepthToSpace
from engine.layers.expand import Expand
from engine.layers.feature_norm import FeatureNorm
from engine.layers.frame import Frame
from engine.layers.function import Function
from engine.layers.gather import Gather
from engine.layers.hard_sigmoid import HardSigmoid
from engine.layers.join import Join
from engine.layers.lp_pool2d import LpPool2d
from engine.layers.matmul import MatMul
from engine.layers.mish import Mish
from engine.layers.permute import Permute
from engine.layers.pick import Pick
from engine.layers.reduce import Reduce
from engine.layers.selu import SELU
from engine.layers.softplus import Softplus
from engine.layers.softsign import Softsign
from engine.layers.space_to_depth import SpaceToDepth
from engine.layers.split import Split
from engine.layers.strided_slice import StridedSlice
from engine.layers.thresholded_relu import ThresholdedReLU
from engine.layers.view import View
from engine.layers.where import Where
from engine.scripts.base import Site, arguments
from engine.scripts.keras_form import Written, sides_of, unturned, zeros

_FUNCTIONS = {
    "abs": "ops.absolute({0})",
    "negative": "-{0}",
    "exp": "ops.exp({0})",
    "log": "ops.log({0})",
    "sqrt": "ops.sqrt({0})",
    "reciprocal": "1 / {0}",
    "erf": "ops.erf({0})",
    "sin": "ops.sin({0})",
    "cos": "ops.cos({0})",
    "sign": "ops.sign({0})",
    "floor": "ops.floor({0})",
    "ceil": "ops.ceil({0})",
    "round": "ops.round({0})",
    "truncate": "ops.sign({0}) * ops.floor(ops.absolute({0}))",
    "not": 'ops.cast(ops.equal({0}, 0), "float32")',
}


def _clip(site: Site) -> Written:
    layer = cast(Clip, site.layer)
    return Written((f"ops.clip({{0}}, {float(layer.low)!r}, {float(layer.high)!r})",))


def _selu(site: Site) -> Written:
    layer = cast(SELU, site.layer)
    if (layer.alpha, layer.scale) == (SELU().alpha, SELU().scale):
        return Written(('layers.Activation("selu")({0})',))
    return Written((f"{layer.scale!r} * ops.elu({{0}}, {layer.alpha!r})",))


def _hard_sigmoid(site: Site) -> Written:
    layer = cast(HardSigmoid, site.layer)
    return Written((f"ops.clip({layer.alpha!r} * {{0}} + {layer.beta!r}, 0, 1)",))


def _thresholded(site: Site) -> Written:
    alpha = cast(ThresholdedReLU, site.layer).alpha
    return Written((f'{{0}} * ops.cast(ops.greater({{0}}, {alpha!r}), "float32")',))


def _celu(site: Site) -> Written:
    return Written((f"ops.celu({{0}}, {cast(CELU, site.layer).alpha!r})",))


def _same_rank(site: Site) -> None:
    """Sizes of 1 serve in Keras's order of the axes too, but a missing axis does not."""
    if len({len(spec.shape) for spec in site.specs}) > 1:
        raise site.refuse("of tensors with different numbers of axes has no Keras form.")


def _two(site: Site) -> tuple[str, str]:
    layer = cast(Any, site.layer)
    _same_rank(site)
    if len(site.specs) == 2:
        return "{0}", "{1}"
    if layer.operand:
        raise site.refuse("with a trained operand has no Keras form.")
    value = repr(float(layer.value))
    return (value, "{0}") if layer.swapped else ("{0}", value)


def _arithmetic(site: Site) -> Written:
    signs = {"add": "+", "subtract": "-", "multiply": "*", "divide": "/", "power": "**"}
    operation = cast(Arithmetic, site.layer).operation
    a, b = _two(site)
    if operation in signs:
        return Written((f"{a} {signs[operation]} {b}",))
    return Written((f"ops.{operation}({a}, {b})",))


def _compare(site: Site) -> Written:
    a, b = _two(site)
    return Written((f'ops.cast(ops.{cast(Compare, site.layer).comparison}({a}, {b}), "float32")',))


def _where(site: Site) -> Written:
    _same_rank(site)
    other = "{2}" if len(site.specs) == 3 else repr(float(cast(Where, site.layer).otherwise))
    return Written((f"ops.where(ops.not_equal({{0}}, 0), {{1}}, {other})",))


def _axis(site: Site, axis: int) -> int:
    """Our axis as Keras counts it: maps have their channels last."""
    return {1: 3, 2: 1, 3: 2}[axis] if len(site.specs[0].shape) == 4 else axis


_TO_OURS = "ops.transpose({0}, (0, 3, 1, 2))"
_TO_KERAS = "ops.transpose({0}, (0, 2, 3, 1))"


def _turned(site: Site, *steps: str) -> Written:
    """Steps that count axes as we do, between two turns where there are maps."""
    before = (_TO_OURS,) if len(site.specs[0].shape) == 4 else ()
    after = (_TO_KERAS,) if len(site.outputs[0].shape) == 4 else ()
    return Written((*before, *steps, *after))


def _join(site: Site) -> Written:
    return Written(
        (f"ops.concatenate([{{all}}], axis={_axis(site, cast(Join, site.layer).axis)})",)
    )


def _split(site: Site) -> Written:
    layer = cast(Split, site.layer)
    sizes = [spec.shape[layer.axis] for spec in site.outputs]
    if len(sizes) == 1:
        return Written(("{0}",))
    cuts = [sum(sizes[: i + 1]) for i in range(len(sizes) - 1)]
    return Written((f"ops.split({{0}}, {cuts!r}, axis={_axis(site, layer.axis)})",))


def _gather(site: Site) -> Written:
    layer = cast(Gather, site.layer)
    axis = _axis(site, layer.axis)
    return Written((f"ops.take({{0}}, {list(layer.indices)!r}, axis={axis})",))


def _strided(site: Site) -> Written:
    layer = cast(StridedSlice, site.layer)
    axis = _axis(site, layer.axis)
    if layer.step > 0:
        end = layer.start + (layer.count - 1) * layer.step + 1
        step = f" : {layer.step}" if layer.step > 1 else ""
        return Written((f"{{0}}[{':, ' * axis}{layer.start} : {end}{step}]",))
    places = [layer.start + i * layer.step for i in range(layer.count)]
    return Written((f"ops.take({{0}}, {places!r}, axis={axis})",))


def _permute(site: Site) -> Written:
    order = (0, *cast(Permute, site.layer).order)
    return _turned(site, f"ops.transpose({{0}}, {order!r})")


def _view(site: Site) -> Written:
    return _turned(site, f"ops.reshape({{0}}, {(-1, *site.outputs[0].shape[1:])!r})")


def _expand(site: Site) -> Written:
    sample, out = site.specs[0].shape[1:], site.outputs[0].shape[1:]
    full = (*(1,) * (len(out) - len(sample)), *sample)
    times = (1, *(o // s for o, s in zip(out, full, strict=True)))
    steps = (f"ops.reshape({{0}}, {(-1, *full)!r})",) if full != sample else ()
    return _turned(site, *steps, f"ops.tile({{0}}, {times!r})")


def _reduce(site: Site) -> Written:
    layer = cast(Reduce, site.layer)
    if not layer.axes:
        raise site.refuse("along no axis has no Keras form.")
    kept = layer.keep or len(site.specs[0].shape) != 4
    axes = tuple(_axis(site, axis) for axis in layer.axes) if layer.keep else layer.axes
    along = f"axis={axes!r}{', keepdims=True' if layer.keep else ''}"
    forms = {
        "mean": f"ops.mean({{0}}, {along})",
        "sum": f"ops.sum({{0}}, {along})",
        "max": f"ops.max({{0}}, {along})",
        "min": f"ops.min({{0}}, {along})",
        "product": f"ops.prod({{0}}, {along})",
        "sum of squares": f"ops.sum(ops.square({{0}}), {along})",
        "l1": f"ops.sum(ops.absolute({{0}}), {along})",
        "l2": f"ops.sqrt(ops.sum(ops.square({{0}}), {along}))",
        "log of sum": f"ops.log(ops.sum({{0}}, {along}))",
        "log of sum of exp": f"ops.logsumexp({{0}}, {along})",
    }
    call = forms[layer.operation]
    return Written((call,)) if kept else _turned(site, call)


def _arg_max(site: Site) -> Written:
    layer = cast(ArgMax, site.layer)
    if layer.last:
        raise site.refuse("that takes the last of equal numbers has no Keras form.")
    axis = _axis(site, layer.axis) if layer.keep else layer.axis
    keep = ", keepdims=True" if layer.keep else ""
    call = f'ops.cast(ops.arg{layer.operation}({{0}}, axis={axis}{keep}), "float32")'
    kept = layer.keep or len(site.specs[0].shape) != 4
    return Written((call,)) if kept else _turned(site, call)


def _pick(site: Site) -> Written:
    axis = cast(Pick, site.layer).axis
    sizes = zip(site.specs[0].shape, site.specs[1].shape, strict=True)
    if any(a != b for i, (a, b) in enumerate(sizes) if i != axis):
        raise site.refuse("with fewer places than cells beside its axis has no Keras form.")
    size = site.specs[0].shape[axis]  # places below 0 count from the end
    whole = f'ops.cast(ops.mod(ops.round({{1}}) + {size}, {size}), "int32")'
    return Written((f"ops.take_along_axis({{0}}, {whole}, axis={_axis(site, axis)})",))


def _depth_to_space(site: Site) -> Written:
    layer = cast(DepthToSpace, site.layer)
    b, (channels, rows, columns) = layer.block, site.specs[0].shape[1:]
    maps = channels // b**2
    split, order = (-1, rows, columns, b, b, maps), (0, 1, 3, 2, 4, 5)
    if layer.order == "channel first":
        split, order = (-1, rows, columns, maps, b, b), (0, 1, 4, 2, 5, 3)
    return Written(
        (
            f"ops.transpose(ops.reshape({{0}}, {split!r}), {order!r})",
            f"ops.reshape({{0}}, {(-1, rows * b, columns * b, maps)!r})",
        )
    )


def _space_to_depth(site: Site) -> Written:
    layer = cast(SpaceToDepth, site.layer)
    b, (channels, rows, columns) = layer.block, site.outputs[0].shape[1:]
    split = (-1, rows, b, columns, b, channels // b**2)
    order = (0, 1, 3, 2, 4, 5) if layer.order == "block first" else (0, 1, 3, 5, 2, 4)
    return Written(
        (
            f"ops.transpose(ops.reshape({{0}}, {split!r}), {order!r})",
            f"ops.reshape({{0}}, {(-1, rows, columns, channels)!r})",
        )
    )


def _frame(site: Site) -> Written:
    layer = cast(Frame, site.layer)
    if layer.mode in ("edge", "wrap"):
        raise site.refuse("that repeats cells has no Keras form.")
    sides = list(zip(layer.before, layer.after, strict=True))
    cut = ", ".join(
        f"{max(0, -b)} : {size - max(0, -a)}"
        for (b, a), size in zip(sides, site.specs[0].shape[1:], strict=True)
    )
    steps = [f"{{0}}[:, {cut}]"] if any(min(pair_) < 0 for pair_ in sides) else []
    widths = ((0, 0), *((max(0, b), max(0, a)) for b, a in sides))
    how = f'mode="{layer.mode}"'
    if layer.mode == "constant":
        how = f"constant_values={float(layer.value)!r}"
    steps.append(f"ops.pad({{0}}, {widths!r}, {how})")
    return _turned(site, *steps)


def _matmul(site: Site) -> Written:
    maps = [len(spec.shape) == 4 for spec in site.specs]
    after = (_TO_KERAS,) if len(site.outputs[0].shape) == 4 else ()
    if len(site.specs) == 1:
        made = f"layers.Dense({cast(MatMul, site.layer).out_features}, use_bias=False"
        before = (_TO_OURS,) if maps[0] else ()
        return Written(before, made, after, (("weight", "kernel", unturned),))
    _same_rank(site)
    a, b = (
        _TO_OURS.replace("0", str(i), 1) if turned else f"{{{i}}}" for i, turned in enumerate(maps)
    )
    return Written((f"ops.matmul({a}, {b})", *after))


def _feature_norm(site: Site) -> Written:
    layer = cast(FeatureNorm, site.layer)
    if not layer.centred:
        raise site.refuse("without the mean has no Keras form.")
    rank = len(site.specs[0].shape)
    made = arguments(
        axis=(tuple(range(layer.axis, rank)), None),
        epsilon=(layer.eps, 1e-3),
        center=(layer.bias, True),
        scale=(layer.scale, True),
    )
    turns = ((_TO_OURS,), (_TO_KERAS,)) if rank == 4 else ((), ())
    weights = [("weight", "gamma", unturned)] if layer.scale else []
    weights += [("bias", "beta", unturned)] if layer.bias else []
    return Written(turns[0], f"layers.LayerNormalization({made}", turns[1], tuple(weights))


def _lp_pool(site: Site) -> Written:
    layer = cast(LpPool2d, site.layer)
    window = layer.window
    if window.dilation != (1, 1):
        raise site.refuse("with dilation has no Keras form.")
    sides = sides_of(window, cast("tuple[int, int]", site.specs[0].shape[2:]))
    rows, columns = window.kernel_size
    made = f"ops.average_pool(ops.absolute({{0}}) ** {layer.p}, {window.kernel_size!r}, "
    root = "" if layer.p == 1 else f" ** (1 / {layer.p})"
    return Written((*zeros(sides), f"({made}{window.stride!r}) * {rows * columns}){root}"))


RULES: Mapping[type[Layer], Callable[[Site], Written]] = {
    ArgMax: _arg_max,
    Arithmetic: _arithmetic,
    CELU: _celu,
    Clip: _clip,
    Compare: _compare,
    DepthToSpace: _depth_to_space,
    Expand: _expand,
    FeatureNorm: _feature_norm,
    Frame: _frame,
    Function: lambda site: Written((_FUNCTIONS[cast(Function, site.layer).name],)),
    Gather: _gather,
    HardSigmoid: _hard_sigmoid,
    Join: _join,
    LpPool2d: _lp_pool,
    MatMul: _matmul,
    Mish: lambda site: Written(("{0} * ops.tanh(ops.softplus({0}))",)),
    Permute: _permute,
    Pick: _pick,
    Reduce: _reduce,
    SELU: _selu,
    Softplus: lambda site: Written(("ops.softplus({0})",)),
    Softsign: lambda site: Written(("ops.softsign({0})",)),
    SpaceToDepth: _space_to_depth,
    Split: _split,
    StridedSlice: _strided,
    ThresholdedReLU: _thresholded,
    View: _view,
    Where: _where,
}
"""How each of these layers is written."""
