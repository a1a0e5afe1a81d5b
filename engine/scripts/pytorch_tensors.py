"""PyTorch forms of the layers that work on whole tensors: arithmetic, axes, cells moved about."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, cast

from engine.layers.arg_max import ArgMax
from engine.layers.arithmetic import Arithmetic
from engine.layers.base import Layer, pair
from engine.layers.celu import CELU
from engine.layers.clip import Clip
from engine.layers.compare import Compare
from engine.layers.constant import Constant
from engine.layers.depth_to_space import DepthToSpace
from engine.layers.expand import Expand
from engine.layers.feature_norm import FeatureNorm
from engine.layers.frame import Frame
from engine.layers.function import Function
from engine.layers.gather import Gather
from engine.layers.hard_sigmoid import HardSigmoid
from engine.layers.interpolate import Interpolate
from engine.layers.join import Join
from engine.layers.lp_pool2d import LpPool2d
from engine.layers.matmul import MatMul
from engine.layers.max_unpool2d import MaxUnpool2d
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
from engine.layers.top_k import TopK
from engine.layers.view import View
from engine.layers.where import Where
from engine.layers.window import padding_sides
from engine.scripts.base import Site, Written, arguments

_LARGEST = 3.4e38
"""Limits from here on are none."""


def held(name: str, shape: tuple[int, ...]) -> str:
    """A module that holds one parameter, so that its name in the file is that of the layer."""
    sizes = ", ".join(map(str, shape)) or "()"
    return f'nn.ParameterDict({{"{name}": torch.ones({sizes})}})'


def spread(count: int, rank: int, text: str) -> str:
    """A tensor of ``count`` axes with axes of size 1 behind the samples, ``rank`` in all."""
    return text if count == rank else f"{text}[:, {', '.join(['None'] * (rank - count))}]"


def _ranked(site: Site, first: int = 0) -> list[str]:
    """The inputs from ``first`` on, as many axes each."""
    ranks = [len(spec.shape) for spec in site.specs]
    most = max(ranks)
    return [spread(r, most, f"{{{i}}}") for i, r in enumerate(ranks)][first:]


def _two(site: Site) -> tuple[str, str, str]:
    """Both operands of a layer that combines two, and the module of a trained one."""
    layer = cast(Any, site.layer)
    if len(site.specs) == 2:
        a, b = _ranked(site)
        return a, b, ""
    x, rank = "{0}", len(site.specs[0].shape)
    if layer.operand:
        other, module = '{module}["operand"]', held("operand", layer.operand)
        x = spread(rank, max(rank, len(layer.operand) + 1), x)
    else:
        other, module = repr(float(layer.value)), ""
    return (other, x, module) if layer.swapped else (x, other, module)


_SIGNS = {"add": "+", "subtract": "-", "multiply": "*", "divide": "/", "power": "**"}


def _arithmetic(site: Site) -> Written:
    layer = cast(Arithmetic, site.layer)
    a, b, module = _two(site)
    if layer.operation in _SIGNS:
        return Written(f"{a} {_SIGNS[layer.operation]} {b}", module)
    if len(site.specs) == 1 and not layer.operand:
        limit = "max" if layer.operation == "minimum" else "min"
        return Written(f"{{0}}.clamp({limit}={float(layer.value)!r})")
    return Written(f"torch.{layer.operation}({a}, {b})", module)


_COMPARED = {"greater": ">", "greater_equal": ">=", "less": "<", "less_equal": "<=", "equal": "=="}


def _compare(site: Site) -> Written:
    layer = cast(Compare, site.layer)
    a, b, module = _two(site)
    if layer.comparison in _COMPARED:
        return Written(f"({a} {_COMPARED[layer.comparison]} {b}).to({{0}}.dtype)", module)
    if len(site.specs) == 1 and not layer.operand:
        a, b = (f"torch.tensor({t})" if t != "{0}" else t for t in (a, b))
    return Written(f"torch.{layer.comparison}({a}, {b}).to({{0}}.dtype)", module)


def _where(site: Site) -> Written:
    condition, *values = _ranked(site)
    if len(values) == 1:
        values.append(repr(float(cast(Where, site.layer).otherwise)))
    return Written(f"torch.where({condition} != 0, {', '.join(values)})")


_FUNCTIONS = {
    "abs": "torch.abs({0})",
    "negative": "-{0}",
    "exp": "torch.exp({0})",
    "log": "torch.log({0})",
    "sqrt": "torch.sqrt({0})",
    "reciprocal": "1 / {0}",
    "erf": "torch.erf({0})",
    "sin": "torch.sin({0})",
    "cos": "torch.cos({0})",
    "sign": "torch.sign({0})",
    "floor": "torch.floor({0})",
    "ceil": "torch.ceil({0})",
    "round": "torch.round({0})",
    "truncate": "torch.trunc({0})",
    "not": "({0} == 0).to({0}.dtype)",
}


def _clip(site: Site) -> Written:
    layer = cast(Clip, site.layer)
    low = None if layer.low <= -_LARGEST else float(layer.low)
    high = None if layer.high >= _LARGEST else float(layer.high)
    if low is None and high is None:
        return Written("{0}")
    return Written(f"{{0}}.clamp({low!r}, {high!r})")


def _selu(site: Site) -> Written:
    layer = cast(SELU, site.layer)
    if (layer.alpha, layer.scale) == (SELU().alpha, SELU().scale):
        return Written("F.selu({0})")
    return Written(f"{layer.scale!r} * F.elu({{0}}, alpha={layer.alpha!r})")


def _hard_sigmoid(site: Site) -> Written:
    layer = cast(HardSigmoid, site.layer)
    return Written(f"({layer.alpha!r} * {{0}} + {layer.beta!r}).clamp(0, 1)")


def _constant(site: Site) -> Written:
    shape = cast(Constant, site.layer).shape
    sizes = "".join(f", {size}" for size in shape)
    return Written(f'{{module}}["weight"].expand(len({{0}}){sizes})', held("weight", shape))


def _matmul(site: Site) -> Written:
    if len(site.specs) == 2:
        return Written(" @ ".join(_ranked(site)))
    features = site.specs[0].shape[-1]
    shape = (features, cast(MatMul, site.layer).out_features)
    return Written('{0} @ {module}["weight"]', held("weight", shape))


def _feature_norm(site: Site) -> Written:
    layer = cast(FeatureNorm, site.layer)
    shape = site.specs[0].shape[layer.axis :]
    sizes = ", ".join(map(str, shape))
    names = [n for n, there in (("weight", layer.scale), ("bias", layer.bias)) if there]
    parts = ", ".join(f'"{name}": torch.ones({sizes})' for name in names)
    module = f"nn.ParameterDict({{{parts}}})" if names else ""
    given = "".join(f', {name}={{module}}["{name}"]' for name in names)
    if layer.centred:
        return Written(f"F.layer_norm({{0}}, {list(shape)!r}{given}, eps={layer.eps!r})", module)
    axes = tuple(range(layer.axis, len(site.specs[0].shape)))
    even = f"{{0}} * torch.rsqrt({{0}}.square().mean({axes!r}, keepdim=True) + {layer.eps!r})"
    scaled = f'{even} * {{module}}["weight"]' if layer.scale else even
    return Written(f'{scaled} + {{module}}["bias"]' if layer.bias else scaled, module)


def _reduce(site: Site) -> Written:
    layer = cast(Reduce, site.layer)
    if not layer.axes:
        raise site.refuse("along no axis has no PyTorch form.")
    keep = ", keepdim=True" if layer.keep else ""
    along = f"({plain_axes(layer.axes)}{keep})"
    if layer.operation == "product":
        steps = (f".prod({axis}{keep})" for axis in sorted(layer.axes, reverse=True))
        return Written("{0}" + "".join(steps))
    forms = {
        "mean": f"{{0}}.mean{along}",
        "sum": f"{{0}}.sum{along}",
        "max": f"{{0}}.amax{along}",
        "min": f"{{0}}.amin{along}",
        "sum of squares": f"{{0}}.square().sum{along}",
        "l1": f"{{0}}.abs().sum{along}",
        "l2": f"{{0}}.square().sum{along}.sqrt()",
        "log of sum": f"{{0}}.sum{along}.log()",
        "log of sum of exp": f"{{0}}.logsumexp{along}",
    }
    return Written(forms[layer.operation])


def plain_axes(axes: tuple[int, ...]) -> str:
    """Axes as an argument: one as a number."""
    return repr(axes[0]) if len(axes) == 1 else repr(tuple(axes))


_PICK = '''
def pick(x, places, axis):
    """Takes the cells of x at places along an axis; below 0 they count from its end."""
    places = places.round().long()
    return torch.gather(x, axis, torch.where(places < 0, places + x.shape[axis], places))
'''


_TOP_K = '''
def top_k(x, k, axis, largest=True):
    """The k largest numbers along an axis, and their places in the type of the numbers."""
    values, places = torch.topk(x, k, axis, largest)
    return values, places.to(x.dtype)
'''


def _arg_max(site: Site) -> Written:
    layer = cast(ArgMax, site.layer)
    keep = ", keepdim=True" if layer.keep else ""
    call = f".arg{layer.operation}({layer.axis}{keep}).to({{0}}.dtype)"
    if not layer.last:
        return Written("{0}" + call)
    highest = site.specs[0].shape[layer.axis] - 1
    return Written(f"{highest} - {{0}}.flip({layer.axis}){call}")


def _top_k(site: Site) -> Written:
    layer = cast(TopK, site.layer)
    smallest = "" if layer.largest else ", largest=False"
    return Written(f"top_k({{0}}, {layer.k}, {layer.axis}{smallest})", "", _TOP_K)


def _view(site: Site) -> Written:
    return Written(f"{{0}}.reshape({', '.join(map(str, (-1, *site.outputs[0].shape[1:])))})")


def _expand(site: Site) -> Written:
    out = site.outputs[0].shape
    x = spread(len(site.specs[0].shape), len(out), "{0}")
    return Written(f"{x}.expand({', '.join(map(str, (-1, *out[1:])))})")


def _along(axis: int, what: str) -> str:
    return f"{{0}}[{':, ' * axis}{what}]"


def _split(site: Site) -> Written:
    layer = cast(Split, site.layer)
    sizes = [spec.shape[layer.axis] for spec in site.outputs]
    if len(sizes) == 1:
        return Written("{0}")
    return Written(f"torch.split({{0}}, {sizes!r}, {layer.axis})")


def _strided(site: Site) -> Written:
    layer = cast(StridedSlice, site.layer)
    if layer.step > 0:
        end = layer.start + (layer.count - 1) * layer.step + 1
        step = f" : {layer.step}" if layer.step > 1 else ""
        return Written(_along(layer.axis, f"{layer.start} : {end}{step}"))
    if layer.step == 0:
        return Written(_along(layer.axis, f"[{layer.start}] * {layer.count}"))
    end = layer.start + layer.count * layer.step
    return Written(_along(layer.axis, f"list(range({layer.start}, {end}, {layer.step}))"))


_TO_SPACE = '''
def depth_to_space(x, block):
    """Lays groups of channels out as blocks of cells, the block's places first."""
    n, channels, rows, columns = x.shape
    maps = channels // block**2
    cells = x.reshape(n, block, block, maps, rows, columns).permute(0, 3, 4, 1, 5, 2)
    return cells.reshape(n, maps, rows * block, columns * block)
'''
_TO_DEPTH = '''
def space_to_depth(x, block):
    """Stacks the cells of blocks as channels, the block's places first."""
    n, channels, rows, columns = x.shape
    cells = x.reshape(n, channels, rows // block, block, columns // block, block)
    cells = cells.permute(0, 3, 5, 1, 2, 4)
    return cells.reshape(n, channels * block**2, rows // block, columns // block)
'''


def _to_space(site: Site) -> Written:
    layer = cast(DepthToSpace, site.layer)
    if layer.order == "channel first":
        return Written(f"F.pixel_shuffle({{0}}, {layer.block})")
    return Written(f"depth_to_space({{0}}, {layer.block})", "", _TO_SPACE)


def _to_depth(site: Site) -> Written:
    layer = cast(SpaceToDepth, site.layer)
    if layer.order == "channel first":
        return Written(f"F.pixel_unshuffle({{0}}, {layer.block})")
    return Written(f"space_to_depth({{0}}, {layer.block})", "", _TO_DEPTH)


_FRAME = '''
def frame(x, before, after, mode):
    """Adds cells around x that are mirrored, repeat the edge or come from the other end."""
    for axis, (front, back) in enumerate(zip(before, after), 1):
        x = x.narrow(axis, max(0, -front), x.shape[axis] + min(0, front) + min(0, back))
        last = x.shape[axis] - 1
        places = torch.arange(-max(0, front), last + 1 + max(0, back), device=x.device)
        if mode == "reflect":
            places = last - (last - places.abs()).abs()
        else:
            places = places.clamp(0, last) if mode == "edge" else places % (last + 1)
        x = x.index_select(axis, places)
    return x
'''


def _frame(site: Site) -> Written:
    layer = cast(Frame, site.layer)
    if layer.mode == "constant":
        sides = [n for pair_ in zip(layer.before, layer.after, strict=True) for n in pair_[::-1]]
        value = arguments(value=(float(layer.value), 0.0))
        widths = tuple(reversed(sides))
        return Written(f"F.pad({', '.join(filter(None, ('{0}', repr(widths), value)))})")
    made = f"{layer.before!r}, {layer.after!r}, {layer.mode!r}".replace("'", '"')
    return Written(f"frame({{0}}, {made})", "", _FRAME)


def _lp_pool(site: Site) -> Written:
    layer = cast(LpPool2d, site.layer)
    window, size = layer.window, site.specs[0].shape[2:]
    if window.dilation != (1, 1):
        raise site.refuse("with dilation has no PyTorch form.")
    out = window.output_size(*size)
    sides = []
    for i in (1, 0):
        covered = (out[i] - 1) * window.stride[i] + window.kernel_size[i]
        over = covered - size[i] - window.before[i] - window.after[i]
        sides += [window.before[i], window.after[i] + max(0, over)]
    x = f"F.pad({{0}}.abs(), {tuple(sides)!r})" if any(sides) else "{0}.abs()"
    made = arguments(layer.p, layer.kernel_size, stride=(layer.stride, layer.kernel_size))
    return Written(f"F.lp_pool2d({x}, {made})")


_UNPOOL = '''
def max_unpool(x, indices, rows, columns):
    """Puts numbers back where they were largest; of two that meet in a cell the last stays."""
    area = rows * columns
    x, places = x.flatten(2), indices.flatten(2).long()
    places = torch.where((places >= 0) & (places < area), places, area)
    number = torch.arange(places.shape[2], device=x.device).expand_as(places)
    last = torch.full((*x.shape[:2], area + 1), -1, device=x.device)
    last = last.scatter_reduce(2, places, number, "amax")
    stays = last.gather(2, places) == number
    y = x.new_zeros(*x.shape[:2], area + 1).scatter_add(2, places, x * stays)
    return y[..., :area].unflatten(2, (rows, columns))
'''


def _unpool(site: Site) -> Written:
    layer = cast(MaxUnpool2d, site.layer)
    rows, columns = site.outputs[0].shape[2:]
    (top, left), (bottom, right) = padding_sides(layer.padding)
    kernel, stride = pair(layer.kernel_size), pair(layer.stride)
    even = (top, left) == (bottom, right) and all(
        2 * side <= k for side, k in zip((top, left), kernel, strict=True)
    )
    apart = all(s >= k for s, k in zip(stride, kernel, strict=True))
    little = all(e < s for e, s in zip(pair(layer.output_padding), stride, strict=True))
    if not (even and apart and little):
        return Written(f"max_unpool({{0}}, {{1}}, {rows}, {columns})", "", _UNPOOL)
    made = arguments(
        layer.kernel_size,
        stride=(layer.stride, layer.kernel_size),
        padding=((top, left), 0),
        output_size=([rows, columns] if any(pair(layer.output_padding)) else None, None),
    )
    return Written(f"F.max_unpool2d({{0}}, {{1}}.long(), {made})")


def _interpolate(site: Site) -> Written:
    layer = cast(Interpolate, site.layer)
    size, out = site.specs[0].shape[2:], site.outputs[0].shape[2:]
    scales = (layer.row_scale, layer.column_scale)
    whole = all(
        not s or math.isclose(s * n, o, rel_tol=1e-9)
        for s, n, o in zip(scales, size, out, strict=True)
    )
    places = "half_pixel" if layer.places == "half_pixel_symmetric" and whole else layer.places
    if places == "pytorch_half_pixel" and min(out) > 1:
        places = "half_pixel"
    mode = {
        ("nearest", "asymmetric", "floor"): '"nearest"',
        ("nearest", "half_pixel", "round_prefer_ceil"): '"nearest-exact"',
    }.get((layer.mode, places, layer.rounding))
    if layer.mode == "linear" and places in ("half_pixel", "align_corners"):
        mode = '"bilinear"'
    if layer.mode == "cubic" and places in ("half_pixel", "align_corners"):
        mode = '"bicubic"' if layer.cubic == -0.75 and not layer.exclude_outside else None
    shrinks = layer.antialias and any(o < n for o, n in zip(out, size, strict=True))
    if mode is None or not whole or (shrinks and layer.mode != "nearest"):
        raise site.refuse("with these places, rounding or factors has no PyTorch form.")
    corners = ", align_corners=True" if places == "align_corners" else ""
    return Written(f"F.interpolate({{0}}, size={tuple(out)!r}, mode={mode}{corners})")


def _fixed(call: str) -> Callable[[Site], Written]:
    return lambda site: Written(call)


RULES: Mapping[type[Layer], Callable[[Site], Written]] = {
    ArgMax: _arg_max,
    Arithmetic: _arithmetic,
    CELU: lambda site: Written(f"F.celu({{0}}, alpha={cast(CELU, site.layer).alpha!r})"),
    Clip: _clip,
    Compare: _compare,
    Constant: _constant,
    DepthToSpace: _to_space,
    Expand: _expand,
    FeatureNorm: _feature_norm,
    Frame: _frame,
    Function: lambda site: Written(_FUNCTIONS[cast(Function, site.layer).name]),
    Gather: lambda site: Written(
        _along(cast(Gather, site.layer).axis, repr(list(cast(Gather, site.layer).indices)))
    ),
    HardSigmoid: _hard_sigmoid,
    Interpolate: _interpolate,
    Join: lambda site: Written(f"torch.cat(({{all}}), {cast(Join, site.layer).axis})"),
    LpPool2d: _lp_pool,
    MatMul: _matmul,
    MaxUnpool2d: _unpool,
    Mish: _fixed("F.mish({0})"),
    Permute: lambda site: Written(f"{{0}}.permute{(0, *cast(Permute, site.layer).order)!r}"),
    Pick: lambda site: Written(f"pick({{0}}, {{1}}, {cast(Pick, site.layer).axis})", "", _PICK),
    Reduce: _reduce,
    SELU: _selu,
    Softplus: _fixed("F.softplus({0})"),
    Softsign: _fixed("F.softsign({0})"),
    SpaceToDepth: _to_depth,
    Split: _split,
    StridedSlice: _strided,
    ThresholdedReLU: lambda site: Written(
        f"F.threshold({{0}}, {cast(ThresholdedReLU, site.layer).alpha!r}, 0.0)"
    ),
    TopK: _top_k,
    View: _view,
    Where: _where,
}
"""How each of these layers is written."""
