"""Record what PyTorch computes, so that the tests need neither PyTorch nor a network.

Run with PyTorch 2 and NumPy installed, from any folder::

    python tests/engine/recorded/record_pytorch.py

Writes ``layers.npz`` and ``training.npz`` beside this file. It imports nothing of the engine, so
that an error there cannot reach the reference. Inputs are multiples of 1/256 kept as float32, exact
in both precisions; outputs and gradients are float64. A gradient that PyTorch does not have, or
that is zero everywhere, is left out. For each of the others ``<name>.float32_error`` is
the distance of PyTorch's own float32 run, ‖y32 − y64‖ / ‖y64‖.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn import functional

HERE = Path(__file__).parent
INF = float("inf")
NAN = float("nan")


def sides(padding: Any) -> tuple[int, int, int, int]:
    """(top, left, bottom, right)."""
    if isinstance(padding, int):
        return (padding,) * 4
    return (*padding, *padding) if len(padding) == 2 else tuple(padding)


def padded(x: torch.Tensor, padding: Any, value: float = 0.0) -> torch.Tensor:
    top, left, bottom, right = sides(padding)
    return functional.pad(x, (left, right, top, bottom), value=value)


def conv2d(x, p, h):
    return functional.conv2d(
        padded(x, h.get("padding", 0)),
        p["weight"],
        p.get("bias"),
        h.get("stride", 1),
        0,
        h.get("dilation", 1),
        h.get("groups", 1),
    )


def max_pool2d(x, p, h):
    padding = h.get("padding", 0)
    rest = (h["stride"], 0, h.get("dilation", 1), h.get("ceil_mode", False))
    if isinstance(padding, list) and len(padding) == 4:
        return functional.max_pool2d(padded(x, padding, -INF), h["kernel_size"], *rest)
    return functional.max_pool2d(x, h["kernel_size"], rest[0], padding, *rest[2:])


def max_unpool2d(xs, p, h):
    x, index = xs
    size, stride, padding = h["kernel_size"], h.get("stride", 2), h.get("padding", 0)
    extra = h.get("output_padding", 0)
    out = [(n - 1) * stride + size - 2 * padding + extra for n in x.shape[2:]]
    return functional.max_unpool2d(x, index.long(), size, stride, padding, out)


def max_pool2d_with_indices(x, p, h):
    if not h.get("return_indices", False):
        return max_pool2d(x, p, h)
    return functional.max_pool2d(
        x, h["kernel_size"], h["stride"], h.get("padding", 0), return_indices=True
    )


def avg_pool2d(x, p, h):
    padding, include = h.get("padding", 0), h.get("count_include_pad", False)
    ceil = h.get("ceil_mode", False)
    if isinstance(padding, list) and len(padding) == 4:
        pooled = functional.avg_pool2d(padded(x, padding), h["kernel_size"], h["stride"])
        if include:
            return pooled
        ones = torch.ones_like(x)
        return pooled / functional.avg_pool2d(padded(ones, padding), h["kernel_size"], h["stride"])
    return functional.avg_pool2d(x, h["kernel_size"], h["stride"], padding, ceil, include)


def batch_norm2d(x, p, h):
    return functional.batch_norm(
        x,
        p["running_mean"],
        p["running_var"],
        p["weight"],
        p["bias"],
        h["run"] == "train" and not h.get("frozen", False),
        h.get("momentum", 0.1),
        h.get("eps", 1e-5),
    )


def conv_transpose2d(x, p, h):
    top, left, bottom, right = sides(h.get("padding", 0))
    y = functional.conv_transpose2d(
        x,
        p["weight"],
        p.get("bias"),
        h.get("stride", 2),
        0,
        h.get("output_padding", 0),
        h.get("groups", 1),
        h.get("dilation", 1),
    )
    return y[:, :, top : y.shape[2] - bottom, left : y.shape[3] - right]


LENET_C3 = "012 123 234 345 045 015 0123 1234 2345 0345 0145 0125 0134 1245 0235 012345"


def partial_conv2d(x, p, h):
    channels = x.shape[1]
    if h.get("table", "lenet-c3") == "lenet-c3":
        table = [[int(k) for k in maps] for maps in LENET_C3.split()]
    else:
        table = [[(o + i) % channels for i in range(3)] for o in range(channels)]
    number, maps = 0, []
    for o, row in enumerate(table):
        kernels = p["weight"][number : number + len(row)]
        number += len(row)
        y = functional.conv2d(x[:, row], kernels[None], p["bias"][o : o + 1], 1, h["padding"])
        maps.append(y)
    return torch.cat(maps, 1)


def subsampling(x, p, h):
    k = h.get("kernel_size", 2)
    sums = functional.avg_pool2d(x, k) * k * k
    return sums * p["weight"][:, None, None] + p["bias"][:, None, None]


def pad(x, p, h):
    modes = {"zeros": "constant", "reflect": "reflect", "edge": "replicate"}
    top, left, bottom, right = sides(h.get("padding", 1))
    front, behind = h.get("channels", (0, 0))
    x = functional.pad(x, (left, right, top, bottom), modes[h.get("mode", "zeros")])
    return functional.pad(x, (0, 0, 0, 0, front, behind))


def resize(x, p, h):
    scale, mode = h.get("scale", 2), h.get("mode", "nearest")
    mode = "bilinear" if mode == "linear" else mode
    factors = tuple(map(float, scale)) if isinstance(scale, list) else float(scale)
    return functional.interpolate(x, scale_factor=factors, mode=mode)


def lrn(x, p, h):
    size, alpha = h.get("size", 5), h.get("alpha", 1e-4)
    # PyTorch always divides by the number of channels
    alpha = alpha if h.get("divide", False) else alpha * size
    return functional.local_response_norm(x, size, alpha, h.get("beta", 0.75), h.get("k", 2.0))


def arithmetic(xs, p, h):
    names = {"add": "add", "subtract": "sub", "multiply": "mul", "divide": "div", "power": "pow"}
    operation = h.get("operation", "add")
    if isinstance(xs, torch.Tensor):
        other = p.get("operand", torch.tensor(h.get("value", 1.0), dtype=xs.dtype))
        xs = (other, xs) if h.get("swapped") else (xs, other)
    return getattr(torch, names.get(operation, operation))(*xs)


def compare(xs, p, h):
    if isinstance(xs, torch.Tensor):
        other = torch.tensor(h.get("value", 1.0), dtype=xs.dtype)
        xs = (other, xs) if h.get("swapped") else (xs, other)
    return getattr(torch, h["comparison"])(*xs).to(xs[0].dtype)


def arg_max(x, p, h):
    find = torch.argmax if h["operation"] == "max" else torch.argmin
    return find(x, h["axis"], keepdim=h["keep"]).to(x)


def top_k(x, p, h):
    values, places = torch.topk(x, h["k"], h["axis"], h["largest"])
    return values, places.to(x)


def reduce(x, p, h):
    operation, axes, keep = h["operation"], h["axes"], h.get("keep", True)
    if operation == "product":  # of one axis at a time
        for axis in axes:
            x = torch.prod(x, axis, keepdim=True)
        return x if keep else x.squeeze(axes)
    if operation in ("l1", "l2"):
        return torch.linalg.vector_norm(x, int(operation[1]), axes, keep)
    if operation == "log of sum of exp":
        return torch.logsumexp(x, axes, keep)
    if operation == "log of sum":
        return torch.log(torch.sum(x, axes, keep))
    if operation == "sum of squares":
        return torch.sum(x * x, axes, keep)
    return {"mean": torch.mean, "sum": torch.sum, "max": torch.amax, "min": torch.amin}[operation](
        x, axes, keep
    )


def depth_to_space(x, p, h):
    b, order = h["block"], h.get("order", "block first")
    if order == "block first":
        x = x.unflatten(1, (b * b, -1)).transpose(1, 2).flatten(1, 2)
    return functional.pixel_shuffle(x, b)


def space_to_depth(x, p, h):
    b, order = h["block"], h.get("order", "block first")
    y = functional.pixel_unshuffle(x, b)
    if order == "block first":
        y = y.unflatten(1, (-1, b * b)).transpose(1, 2).flatten(1, 2)
    return y


def frame(x, p, h):
    modes = {"constant": "constant", "reflect": "reflect", "edge": "replicate", "wrap": "circular"}
    mode, sides = h.get("mode", "constant"), list(zip(h["before"], h["after"], strict=True))
    if mode == "constant":
        widths = [side for pair in reversed(sides) for side in pair]
        return functional.pad(x, widths, value=h.get("value", 0.0))
    (_, _), (top, bottom), (left, right) = sides  # these modes know rows and columns
    return functional.pad(x, (left, right, top, bottom), modes[mode])


def interpolate(x, p, h):
    mode, places = h.get("mode", "linear"), h.get("places", "half_pixel")
    names = {"linear": "bilinear", "cubic": "bicubic", "nearest": "nearest"}
    options: dict[str, Any] = {"mode": names[mode]}
    if mode == "nearest" and places == "half_pixel":
        options["mode"] = "nearest-exact"
    if mode != "nearest":
        options |= {"align_corners": places == "align_corners"}
        options |= {"antialias": h.get("antialias", False)}
    if h.get("rows"):
        return functional.interpolate(x, size=(h["rows"], h["columns"]), **options)
    return functional.interpolate(x, scale_factor=(h["row_scale"], h["column_scale"]), **options)


def feature_norm(x, p, h):
    shape, eps = x.shape[h.get("axis", 1) :], h.get("eps", 1e-5)
    if not h.get("centred", True):
        return functional.rms_norm(x, shape, p.get("weight"), eps)
    return functional.layer_norm(x, shape, p.get("weight"), p.get("bias"), eps)


def strided_slice(x, p, h):
    cells = h["start"] + h["step"] * torch.arange(h["count"])
    return x.index_select(h["axis"], cells)


FUNCTIONS = {
    "Conv2d": conv2d,
    "MaxPool2d": max_pool2d_with_indices,
    "MaxUnpool2d": max_unpool2d,
    "AvgPool2d": avg_pool2d,
    "BatchNorm2d": batch_norm2d,
    "GlobalAvgPool": lambda x, p, h: x.mean((2, 3), keepdim=True),
    "Linear": lambda x, p, h: functional.linear(x, p["weight"], p.get("bias")),
    "ReLU": lambda x, p, h: torch.relu(x),
    "Flatten": lambda x, p, h: torch.flatten(x, 1),
    "Softmax": lambda x, p, h: torch.softmax(x, 1),
    "Add": lambda xs, p, h: sum(xs[1:], xs[0]),
    "Concat": lambda xs, p, h: torch.cat(xs, 1),
    "LRN": lrn,
    "LeakyReLU": lambda x, p, h: functional.leaky_relu(x, h.get("alpha", 0.01)),
    "Sigmoid": lambda x, p, h: torch.sigmoid(x),
    "Tanh": lambda x, p, h: h.get("amplitude", 1.0) * torch.tanh(h.get("steepness", 1.0) * x),
    "ELU": lambda x, p, h: functional.elu(x, h.get("alpha", 1.0)),
    "GELU": lambda x, p, h: functional.gelu(
        x, approximate="tanh" if h.get("tanh", False) else "none"
    ),
    "SiLU": lambda x, p, h: functional.silu(x),
    "HardSwish": lambda x, p, h: functional.hardswish(x),
    "ConvTranspose2d": conv_transpose2d,
    "GlobalMaxPool": lambda x, p, h: functional.adaptive_max_pool2d(x, 1),
    "Mul": lambda xs, p, h: xs[0] * xs[1],
    "Identity": lambda x, p, h: x * 1,
    "LogSoftmax": lambda x, p, h: torch.log_softmax(x, 1),
    "GroupNorm": lambda x, p, h: functional.group_norm(
        x, h.get("groups", 1), p.get("weight"), p.get("bias"), h.get("eps", 1e-5)
    ),
    "InstanceNorm": lambda x, p, h: functional.instance_norm(
        x, None, None, p.get("weight"), p.get("bias"), True, 0.1, h.get("eps", 1e-5)
    ),
    "LayerNorm": lambda x, p, h: functional.layer_norm(
        x, x.shape[1:], p.get("weight"), p.get("bias"), h.get("eps", 1e-5)
    ),
    "PartialConv2d": partial_conv2d,
    "TrainableSubsampling": subsampling,
    "RBF": lambda x, p, h: (
        (-1 if h.get("negative") else 1) * torch.square(x[:, None] - p["weight"]).sum(2)
    ),
    "Pad": pad,
    "Resize": resize,
    "Slice": lambda x, p, h: x.narrow(
        ["", "channels", "rows", "columns"].index(h["axis"]), h["start"], h["size"]
    ),
    "Reshape": lambda x, p, h: x.reshape(len(x), h["channels"] or -1, h["rows"], h["columns"]),
    "PReLU": lambda x, p, h: functional.prelu(x, p["weight"]),
    "ArgMax": arg_max,
    "Pick": lambda xs, p, h: torch.gather(xs[0], h["axis"], xs[1].long()),
    "TopK": top_k,
    "Arithmetic": arithmetic,
    "Compare": compare,
    "Reduce": reduce,
    "DepthToSpace": depth_to_space,
    "SpaceToDepth": space_to_depth,
    "Frame": frame,
    "Interpolate": interpolate,
    "FeatureNorm": feature_norm,
    "StridedSlice": strided_slice,
    "CELU": lambda x, p, h: functional.celu(x, h.get("alpha", 1.0)),
    "Clip": lambda x, p, h: functional.hardtanh(x, h.get("low", 0.0), h.get("high", 6.0)),
    "Constant": lambda x, p, h: p["weight"].expand(len(x), *h["shape"]),
    "Expand": lambda x, p, h: torch.stack(
        [one.expand(torch.broadcast_shapes(one.shape, h["shape"])) for one in x]
    ),
    "Function": lambda x, p, h: getattr(torch, {"truncate": "trunc"}.get(h["name"], h["name"]))(x),
    "Gather": lambda x, p, h: x.index_select(h["axis"], torch.tensor(h["indices"])),
    # the gradient of its own hardsigmoid has 1/6 in single precision
    "HardSigmoid": lambda x, p, h: functional.hardtanh(h["alpha"] * x + h["beta"], 0.0, 1.0),
    "Join": lambda xs, p, h: torch.cat(xs, h["axis"]),
    "LpPool2d": lambda x, p, h: functional.lp_pool2d(x, h["p"], h["kernel_size"], h["stride"]),
    "MatMul": lambda x, p, h: x @ p["weight"] if isinstance(x, torch.Tensor) else torch.matmul(*x),
    "Mish": lambda x, p, h: functional.mish(x),
    "Permute": lambda x, p, h: x.permute(0, *h["order"]),
    "SELU": lambda x, p, h: functional.selu(x),
    # PyTorch draws a straight line from its threshold on
    "Softplus": lambda x, p, h: functional.softplus(x, 1.0, 700.0),
    "Softsign": lambda x, p, h: functional.softsign(x),
    "Split": lambda x, p, h: torch.split(x, h["sizes"], h["axis"]),
    "ThresholdedReLU": lambda x, p, h: functional.threshold(x, h.get("alpha", 1.0), 0.0),
    "View": lambda x, p, h: x.reshape(len(x), *h["shape"]),
    "Where": lambda xs, p, h: torch.where(
        xs[0] != 0, xs[1], xs[2] if len(xs) > 2 else h.get("otherwise", 0.0)
    ),
}


def cases() -> list[dict[str, Any]]:
    """kind, hyper-parameters by the engine's names, input shapes, and what is special."""
    found: list[dict[str, Any]] = []

    def case(kind: str, shape: Any, /, special: str = "", run: str = "eval", **hyper: Any) -> None:
        shapes = shape if isinstance(shape[0], list) else [shape]
        found.append(
            {"kind": kind, "shapes": shapes, "special": special, "mode": run, "hyper": hyper}
        )

    maps = [2, 4, 7, 6]
    for hyper in (
        {"kernel_size": 3},
        {"kernel_size": 1, "stride": 2, "bias": False},
        {"kernel_size": 3, "padding": 1, "stride": 2},
        {"kernel_size": [2, 3], "padding": [0, 1, 2, 0], "stride": [1, 2]},
        {"kernel_size": 3, "padding": [2, 1], "dilation": [2, 1]},
        {"kernel_size": 3, "groups": 2, "padding": 1},
        {"kernel_size": 3, "groups": 4, "padding": [1, 0, 0, 1], "out_channels": 4},
        {"kernel_size": 3, "groups": 4, "padding": 1, "out_channels": 8, "bias": False},
        {"kernel_size": 2, "stride": 4},
        {"kernel_size": [7, 6]},
    ):
        case("Conv2d", maps, **{"out_channels": 6, **hyper})
    pool = [2, 3, 7, 8]
    for hyper in (
        {"kernel_size": 2, "stride": 2},
        {"kernel_size": 3, "stride": 2, "padding": 1},
        {"kernel_size": 3, "stride": 1, "padding": 1},
        {"kernel_size": [3, 2], "stride": [2, 3], "padding": [1, 0], "ceil_mode": True},
        {"kernel_size": 3, "stride": 2, "padding": 1, "ceil_mode": True},
        {"kernel_size": 3, "stride": 2, "padding": [0, 1, 1, 0]},
        {"kernel_size": 2, "stride": 3},
        {"kernel_size": 3, "stride": 5, "ceil_mode": True},
    ):
        case("MaxPool2d", pool, **hyper)
        case("MaxPool2d", pool, "ties", **hyper)
        case("AvgPool2d", pool, **hyper)
        case("AvgPool2d", pool, **hyper, count_include_pad=True)
    case("MaxPool2d", pool, kernel_size=2, stride=1, dilation=2)
    case("MaxPool2d", pool, kernel_size=3, stride=2, dilation=2, padding=1, ceil_mode=True)
    case("MaxPool2d", [1, 2, 2, 2], kernel_size=3, stride=2, ceil_mode=True)
    case("AvgPool2d", [1, 2, 2, 2], kernel_size=3, stride=2, ceil_mode=True)
    case("MaxPool2d", pool, "not finite", kernel_size=2, stride=2)
    case("MaxPool2d", pool, "minus infinity", kernel_size=3, stride=2, padding=1)
    case("MaxPool2d", pool, "very negative", kernel_size=3, stride=2, padding=1)
    case("AvgPool2d", pool, "not finite", kernel_size=2, stride=2)
    case("ReLU", maps)
    case("ReLU", [2, 5])
    case("ReLU", maps, "ties")
    case("ReLU", maps, "not finite")
    case("BatchNorm2d", [3, 4, 5, 4], run="train")
    case("BatchNorm2d", [3, 4, 5, 4], run="train", eps=1e-3, momentum=0.3)
    case("BatchNorm2d", [1, 3, 2, 2], run="train")
    case("BatchNorm2d", [4, 3, 1, 1], run="train")
    case("BatchNorm2d", [4, 3, 3, 3], "far from zero", run="train")
    case("BatchNorm2d", [3, 4, 5, 4])
    case("BatchNorm2d", [1, 3, 1, 1])
    case("GlobalAvgPool", maps)
    case("Linear", [4, 7], out_features=5)
    case("Linear", [1, 3], out_features=1, bias=False)
    case("Flatten", [2, 3, 4, 2])
    case("Flatten", [2, 5])
    case("Softmax", [3, 6])
    case("Softmax", [2, 4, 3, 2])
    case("Softmax", [3, 6], "large")
    case("Add", [[2, 3, 4, 2], [2, 3, 4, 2]])
    case("Add", [[2, 3], [2, 3], [2, 3]])
    case("Concat", [[2, 3, 4, 2], [2, 1, 4, 2], [2, 2, 4, 2]])
    case("Concat", [[2, 3], [2, 4]])
    case("LRN", maps)
    case("LRN", [2, 7, 3, 2], size=3, alpha=0.75, beta=0.5, k=1.0, divide=True)
    case("LRN", [1, 3, 2, 2], size=7, alpha=0.5)
    case("LeakyReLU", maps)
    case("LeakyReLU", [2, 5], alpha=0.25)
    case("LeakyReLU", maps, "ties")
    case("ELU", maps)
    case("ELU", [2, 5], alpha=0.5)
    for kind in ("Sigmoid", "Tanh", "GELU", "SiLU", "HardSwish"):
        case(kind, maps)
        case(kind, [2, 5], "wide")
    case("GELU", maps, tanh=True)
    for hyper in (
        {"kernel_size": 2},
        {"kernel_size": 3, "padding": 1, "output_padding": 1},
        {"kernel_size": [2, 3], "stride": [1, 2], "padding": [0, 1, 1, 0], "bias": False},
        {"kernel_size": 3, "stride": 1, "groups": 2, "dilation": 2},
    ):
        case("ConvTranspose2d", maps, **{"out_channels": 6, **hyper})
    case("GlobalMaxPool", maps)
    case("Mul", [maps, maps])
    case("Mul", [maps, [2, 4, 1, 1]])
    case("Identity", maps)
    case("LogSoftmax", [3, 6])
    case("LogSoftmax", [3, 6], "large")
    for kind, hyper in (("GroupNorm", {"groups": 2}), ("InstanceNorm", {}), ("LayerNorm", {})):
        case(kind, maps, **hyper)
        case(kind, maps, affine=False, eps=0.01, **hyper)
        case(kind, maps, "far from zero", **hyper)
    case("LayerNorm", [3, 6])
    case("PartialConv2d", [2, 6, 7, 6], kernel_size=3, padding=0)
    case("PartialConv2d", maps, table="neighbours", kernel_size=3, padding=1)
    case("TrainableSubsampling", maps)
    case("TrainableSubsampling", maps, kernel_size=3)
    case("RBF", [4, 7], out_features=5)
    for mode in ("zeros", "reflect", "edge"):
        case("Pad", maps, padding=[0, 1, 2, 3], mode=mode)
    case("Resize", maps)
    case("Resize", maps, scale=[2, 3], mode="linear")
    case("Slice", maps, axis="rows", start=2, size=3)
    case("Slice", [2, 7], axis="channels", start=1, size=4)
    case("Reshape", maps, channels=0, rows=2, columns=3)
    case("PReLU", maps)
    case("PReLU", [2, 5], shared=True)
    case("BatchNorm2d", [3, 4, 5, 4], run="train", frozen=True)
    case("Tanh", maps, amplitude=1.7159, steepness=0.75)
    case("RBF", [4, 7], out_features=5, negative=True)
    case("Pad", maps, padding=[1, 0], channels=[2, 3])
    case("MaxPool2d", pool, kernel_size=3, stride=2, padding=1, return_indices=True)
    half = [[2, 3, 3, 4], [2, 3, 3, 4]]
    case("MaxUnpool2d", half, "places in 48", kernel_size=2)
    case("MaxUnpool2d", half, "places in 48", kernel_size=3, padding=1, output_padding=1)
    few = [2, 4, 3, 5]
    two = [few, [2, 4, 1, 5]]
    for operation in ("add", "subtract", "multiply", "divide"):
        case("Arithmetic", two, operation=operation)
    for operation in ("minimum", "maximum"):  # PyTorch halves the gradient at a tie
        case("Arithmetic", [[2, 5], [2, 1]], operation=operation)
    case("Arithmetic", two, "positive", operation="power")
    case("Arithmetic", [2, 5], "positive", operation="power", value=-1.5)
    case("Arithmetic", [2, 5], operation="power", value=2.0, swapped=True)
    case("Arithmetic", [2, 5], operation="subtract", value=0.25, swapped=True)
    case("Arithmetic", few, operation="multiply", operand=[4, 1, 1])
    case("Arithmetic", [2, 1, 6], "positive", operation="divide", operand=[3, 1], swapped=True)
    for comparison in ("greater", "greater_equal", "less", "less_equal"):
        case("Compare", two, "ties", comparison=comparison)
    case("Compare", few, "ties", comparison="greater_equal", value=1.0, swapped=True)
    for name in ("abs", "negative", "exp", "erf", "sin", "cos"):
        case("Function", few, name=name)
    for name in ("log", "sqrt", "reciprocal"):
        case("Function", few, "positive", name=name)
    for name in ("floor", "ceil", "round", "truncate"):
        case("Function", few, "large", name=name)
    for operation in ("mean", "sum", "max", "min", "product", "sum of squares", "l1", "l2"):
        case("Reduce", maps, operation=operation, axes=[2, 3])
    for operation in ("log of sum", "log of sum of exp"):
        case("Reduce", maps, "positive", operation=operation, axes=[1, 3], keep=False)
    case("Reduce", maps, "large", operation="log of sum of exp", axes=[1])
    case("MatMul", [2, 3, 5], out_features=4)
    case("MatMul", [[2, 3, 4, 5], [2, 1, 5, 2]])
    case("Where", two, "ties", otherwise=-2.0)
    case("Where", [*two, few], "ties")
    case("Join", [maps, [2, 4, 2, 6]], axis=2)
    case("Split", maps, axis=2, sizes=[2, 4, 1])
    case("View", maps, shape=[14, -1])
    case("Permute", maps, order=[2, 3, 1])
    case("StridedSlice", maps, axis=2, start=5, step=-2, count=3)
    case("Gather", maps, axis=3, indices=[4, 0, 0, 2])
    case("Expand", [2, 4, 1, 6], shape=[4, 3, 1])
    for order in ("block first", "channel first"):
        case("DepthToSpace", [2, 8, 3, 2], block=2, order=order)
        case("SpaceToDepth", [2, 3, 4, 6], block=2, order=order)
    case("Frame", maps, before=[1, 0, 2], after=[0, -2, 1], value=1.5)
    for mode in ("reflect", "edge", "wrap"):
        case("Frame", maps, before=[0, 2, 1], after=[0, 1, 3], mode=mode)
    small, factors = {"rows": 5, "columns": 4}, {"row_scale": 1.7, "column_scale": 0.6}
    whole = {"row_scale": 0.0, "column_scale": 0.0}
    for mode in ("linear", "cubic"):
        case("Interpolate", maps, mode=mode, rows=11, columns=9, **whole)
        case("Interpolate", maps, mode=mode, places="align_corners", rows=11, columns=9, **whole)
        case("Interpolate", maps, mode=mode, **factors)
        reach = {"exclude_outside": True, "antialias": True}
        case("Interpolate", maps, mode=mode, cubic=-0.5, **reach, **small, **whole)
    case("Interpolate", maps, mode="nearest", places="asymmetric", rounding="floor", **factors)
    case("Interpolate", maps, mode="nearest", rounding="round_prefer_ceil", **small, **whole)
    case("LpPool2d", pool, p=2, kernel_size=[3, 2], stride=2)
    case("LpPool2d", pool, p=4, kernel_size=2, stride=1)
    case("Constant", [2, 7], shape=[2, 3])
    case("FeatureNorm", maps)
    case("FeatureNorm", maps, "far from zero", axis=3)
    case("FeatureNorm", [2, 3, 6], axis=2, eps=0.1, bias=False)
    case("FeatureNorm", maps, axis=2, centred=False, bias=False)
    case("FeatureNorm", maps, axis=3, centred=False, scale=False, bias=False)
    constants = {"alpha": 1.6732632423543772, "scale": 1.0507009873554805}  # ONNX rounds them
    case("SELU", few, **constants)
    case("SELU", [2, 5], "wide", **constants)
    for kind in ("Softplus", "Softsign", "Mish"):
        case(kind, few)
        case(kind, [2, 5], "wide")
    case("CELU", few, "wide")
    case("CELU", [2, 5], alpha=0.5)
    case("HardSigmoid", few, alpha=0.75, beta=0.5)
    case("Clip", few, "wide")
    case("Clip", few, "ties", low=-1.0, high=2.0)
    case("ThresholdedReLU", few)
    case("ThresholdedReLU", few, "ties", alpha=0.0)
    for operation in ("max", "min"):
        case("ArgMax", maps, operation=operation, axis=2, keep=operation == "max")
    case("TopK", maps, k=3, axis=2, largest=True)
    case("TopK", maps, k=2, axis=3, largest=False)
    case("Pick", [[2, 20, 3, 5], [2, 3, 3, 5]], "places in 20", axis=1)
    return found


def draw(rng: np.random.Generator, shape: Any, special: str = "") -> np.ndarray:
    x = np.round(rng.standard_normal(shape) * 256) / 256
    if special == "ties":
        x = np.round(x)
    elif special == "large":
        # exp of these overflows or vanishes unless the largest is subtracted first
        x = x + np.array([1000, -1000, 100])[: len(x)].reshape(-1, *[1] * (x.ndim - 1))
    elif special == "wide":
        x = x * 6
    elif special == "very negative":
        x = -1e5 - 1e6 * np.abs(x)
    elif special == "positive":
        x = np.abs(x) + 0.5
    elif special == "far from zero":
        x = x + 1000
    elif special == "not finite":
        # at most one NaN in each 2×2 window: PyTorch and the engine choose another of several
        x[0, 0, 0, 0] = NAN
        x[0, 1, 3, 2] = INF
        x[0, 1, 4, 4] = -INF
        x[1, 0, 2, 2], x[1, 0, 2, 3] = NAN, INF
        x[1, 1, 0, 0], x[1, 1, 0, 1] = 0.0, -0.0
    elif special == "minus infinity":
        x[0, 0, :4, :4] = -INF
        x[1, 2] = -INF
    return x.astype(np.float32)


def places(rng: np.random.Generator, shape: Any, area: int) -> np.ndarray:
    """For each map some of its ``area`` cells, none twice."""
    count = shape[2] * shape[3]
    drawn = [rng.permutation(area)[:count] for _ in range(shape[0] * shape[1])]
    return np.array(drawn, np.float32).reshape(shape)


def parameters(rng: np.random.Generator, case: dict[str, Any]) -> dict[str, np.ndarray]:
    hyper, shape = case["hyper"], case["shapes"][0]
    if case["kind"] == "Conv2d":
        k = hyper["kernel_size"]
        k = [k, k] if isinstance(k, int) else k
        found = {
            "weight": draw(rng, (hyper["out_channels"], shape[1] // hyper.get("groups", 1), *k))
        }
    elif case["kind"] == "PartialConv2d":
        full = hyper.get("table", "lenet-c3") == "lenet-c3"
        count, out = (60, 16) if full else (3 * shape[1], shape[1])
        return {"weight": draw(rng, (count, 3, 3)), "bias": draw(rng, out)}
    elif case["kind"] == "TrainableSubsampling":
        return {"weight": draw(rng, shape[1]), "bias": draw(rng, shape[1])}
    elif case["kind"] == "RBF":
        return {"weight": draw(rng, (hyper["out_features"], shape[1]))}
    elif case["kind"] == "ConvTranspose2d":
        k = hyper["kernel_size"]
        k = [k, k] if isinstance(k, int) else k
        out = hyper["out_channels"]
        found = {"weight": draw(rng, (shape[1], out // hyper.get("groups", 1), *k))}
        return found | ({"bias": draw(rng, out)} if hyper.get("bias", True) else {})
    elif case["kind"] in ("GroupNorm", "InstanceNorm", "LayerNorm"):
        if not hyper.get("affine", True):
            return {}
        size = shape[1:] if case["kind"] == "LayerNorm" else shape[1]
        return {"weight": draw(rng, size), "bias": draw(rng, size)}
    elif case["kind"] == "Linear":
        found = {"weight": draw(rng, (hyper["out_features"], shape[1]))}
    elif case["kind"] == "Arithmetic":
        return {"operand": draw(rng, hyper["operand"])} if "operand" in hyper else {}
    elif case["kind"] == "MatMul":
        size = (shape[-1], hyper.get("out_features"))
        return {"weight": draw(rng, size)} if len(case["shapes"]) == 1 else {}
    elif case["kind"] == "Constant":
        return {"weight": draw(rng, hyper["shape"])}
    elif case["kind"] == "FeatureNorm":
        size = shape[hyper.get("axis", 1) :]
        found = {"weight": draw(rng, size)} if hyper.get("scale", True) else {}
        return found | ({"bias": draw(rng, size)} if hyper.get("bias", True) else {})
    elif case["kind"] == "PReLU":
        return {"weight": draw(rng, 1 if hyper.get("shared") else shape[1])}
    elif case["kind"] == "BatchNorm2d":
        return {
            "weight": draw(rng, shape[1]),
            "bias": draw(rng, shape[1]),
            "running_mean": draw(rng, shape[1]),
            "running_var": np.abs(draw(rng, shape[1])) + np.float32(0.5),
        }
    else:
        return {}
    if hyper.get("bias", True):
        found["bias"] = draw(rng, len(found["weight"]))
    return found


def run(case: dict[str, Any], xs: list, p: dict, dy: Any, dtype: torch.dtype) -> dict:
    hyper = {**case["hyper"], "run": case["mode"]}
    tensors = [torch.tensor(x, dtype=dtype, requires_grad=True) for x in xs]
    params = {
        k: torch.tensor(v, dtype=dtype, requires_grad=not k.startswith("running"))
        for k, v in p.items()
    }
    y = FUNCTIONS[case["kind"]](tensors if len(tensors) > 1 else tensors[0], params, hyper)
    y, *others = y if isinstance(y, tuple) else (y,)
    found = {"y": y.detach().numpy().copy()}
    found |= {f"y{i}": other.detach().to(dtype).numpy() for i, other in enumerate(others, 1)}
    if dy is None or not y.requires_grad:
        return found
    y.backward(torch.tensor(dy, dtype=dtype))
    for i, x in enumerate(tensors):
        if x.grad is not None and x.grad.any():
            found[f"dx{i}"] = x.grad.numpy()
    for name, value in params.items():
        if value.requires_grad:
            found[f"d_{name}"] = value.grad.numpy()
        else:
            found[f"new_{name}"] = value.numpy()
    return found


def record_layers() -> None:
    arrays: dict[str, np.ndarray] = {}
    described = cases()
    for number, case in enumerate(described):
        rng = np.random.default_rng([2024, number])
        xs = [draw(rng, shape, case["special"]) for shape in case["shapes"]]
        if case["special"].startswith("places in"):
            xs[1] = places(rng, case["shapes"][1], int(case["special"].split()[-1]))
        p = parameters(rng, case)
        dy = draw(rng, run(case, xs, p, None, torch.float64)["y"].shape)
        double, single = (run(case, xs, p, dy, t) for t in (torch.float64, torch.float32))
        given = {f"x{i}": x for i, x in enumerate(xs)} | {"dy": dy} | p
        for name, value in given.items():
            arrays[f"{number}/{name}"] = value
        for name, value in double.items():
            arrays[f"{number}/{name}"] = value
            scale = np.linalg.norm(value[np.isfinite(value)]) or 1.0
            with np.errstate(invalid="ignore"):
                error = np.linalg.norm(np.nan_to_num(single[name] - value))
            arrays[f"{number}/{name}.float32_error"] = np.float64(error / scale)
    np.savez_compressed(HERE / "layers.npz", cases=json.dumps(described), **arrays)


def record_training() -> None:
    arrays: dict[str, np.ndarray] = {}
    optimizers = [
        ("SGD", {"lr": 0.1, "momentum": 0.0, "weight_decay": 0.0}),
        ("SGD", {"lr": 0.05, "momentum": 0.9, "weight_decay": 0.0}),
        ("SGD", {"lr": 0.05, "momentum": 0.9, "weight_decay": 0.01}),
        ("Adam", {"lr": 0.01, "beta1": 0.9, "beta2": 0.999, "eps": 1e-8, "weight_decay": 0.0}),
        ("Adam", {"lr": 0.1, "beta1": 0.8, "beta2": 0.95, "eps": 1e-3, "weight_decay": 0.1}),
    ]
    optimizers += [
        ("SGD", {"lr": 0.05, "momentum": 0.8, "weight_decay": 0.01, "nesterov": True}),
        ("AdamW", {"lr": 0.1, "beta1": 0.8, "beta2": 0.95, "eps": 1e-3, "weight_decay": 0.1}),
        (
            "RMSProp",
            {"lr": 0.01, "alpha": 0.9, "eps": 1e-3, "momentum": 0.5, "weight_decay": 0.1},
        ),
    ]
    for number, (kind, hyper) in enumerate(optimizers):
        rng = np.random.default_rng([7, number])
        p = torch.tensor(rng.standard_normal(6), requires_grad=True)
        gradients = rng.standard_normal((20, 6)) * 10.0 ** rng.integers(-3, 2, (20, 6))
        gradients[:, 5] = 0
        options = dict(hyper)
        if kind.startswith("Adam"):
            options["betas"] = (options.pop("beta1"), options.pop("beta2"))
        name = "RMSprop" if kind == "RMSProp" else kind
        optimizer = getattr(torch.optim, name)([p], **options)
        arrays[f"{number}/start"] = p.detach().numpy().copy()
        steps = []
        for gradient in gradients:
            p.grad = torch.tensor(gradient)
            optimizer.step()
            steps.append(p.detach().numpy().copy())
        arrays[f"{number}/gradients"], arrays[f"{number}/steps"] = gradients, np.array(steps)
    for number, (n, k, scale) in enumerate(((4, 10, 1.0), (1, 2, 1.0), (6, 3, 400.0))):
        rng = np.random.default_rng([8, number])
        x = torch.tensor(draw(rng, (n, k)) * scale, dtype=torch.float64, requires_grad=True)
        target = torch.tensor(rng.integers(0, k, n))
        loss = functional.cross_entropy(x, target)
        loss.backward()
        arrays[f"cross_entropy{number}/x"] = x.detach().numpy()
        arrays[f"cross_entropy{number}/target"] = target.numpy()
        arrays[f"cross_entropy{number}/loss"] = loss.detach().numpy()
        arrays[f"cross_entropy{number}/dx"] = x.grad.numpy()
    weights = torch.tensor([0.5, 2.0, 1.0, 0.25, 3.0], dtype=torch.float64)
    functions = {
        "smooth": lambda x, t: functional.cross_entropy(x, t, label_smoothing=0.1),
        "weighted": lambda x, t: functional.cross_entropy(x, t, weights),
        "both": lambda x, t: functional.cross_entropy(x, t, weights, label_smoothing=0.2),
        "squared": lambda x, t: functional.mse_loss(x, functional.one_hot(t, 5).to(torch.float64)),
        "hinge": lambda x, t: functional.multi_margin_loss(x, t, margin=0.75),
    }
    for name, function in functions.items():
        rng = np.random.default_rng([9, len(name)])
        x = torch.tensor(draw(rng, (6, 5)), dtype=torch.float64, requires_grad=True)
        target = torch.tensor(rng.integers(0, 5, 6))
        loss = function(x, target)
        loss.backward()
        for key, value in (("x", x), ("target", target), ("loss", loss), ("dx", x.grad)):
            arrays[f"{name}/{key}"] = value.detach().numpy()
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=0.2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.2, 40, cycle_momentum=False)
    rates = []
    for _ in range(40):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step() if len(rates) < 40 else None
    arrays["one_cycle"] = np.array(rates)
    g = torch.tensor(np.linspace(-2, 3, 7))
    parameter = torch.zeros(7, dtype=torch.float64, requires_grad=True)
    parameter.grad = g.clone()
    torch.nn.utils.clip_grad_norm_([parameter], 1.5)
    arrays["clip/g"], arrays["clip/clipped"] = g.numpy(), parameter.grad.numpy()
    np.savez_compressed(HERE / "training.npz", optimizers=json.dumps(optimizers), **arrays)


if __name__ == "__main__":
    torch.set_num_threads(1)
    record_layers()
    record_training()
    print(f"Recorded with PyTorch {torch.__version__} into {HERE}")
