"""A network as a short PyTorch module."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import numpy as np

from engine.data.preprocessing import Preprocessing
from engine.graph import Graph, Loss, Ref
from engine.layers.add import Add
from engine.layers.avg_pool2d import AvgPool2d
from engine.layers.base import Array, Layer, pair
from engine.layers.batch_norm2d import BatchNorm2d
from engine.layers.concat import Concat
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
from engine.layers.layer_norm import LayerNorm
from engine.layers.leaky_relu import LeakyReLU
from engine.layers.linear import Linear
from engine.layers.log_softmax import LogSoftmax
from engine.layers.lrn import LRN
from engine.layers.max_pool2d import MaxPool2d
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
from engine.layers.trainable_subsampling import TrainableSubsampling
from engine.layers.window import padding_sides
from engine.losses import CrossEntropy, Hinge, LeNetLoss, MeanSquaredError, Total
from engine.parameters import Parameters
from engine.scripts.base import (
    Names,
    ScriptError,
    Site,
    Written,
    arguments,
    class_name,
    heading,
    plain,
    sites,
    variables,
    wrapped,
)
from engine.scripts.pytorch_tensors import RULES as TENSOR_RULES


def _sides(padding: int | tuple[int, ...]) -> tuple[tuple[int, int], str]:
    """Padding that a module does itself, and what F.pad does before it where sides differ."""
    (top, left), (bottom, right) = padding_sides(padding)
    if (top, left) == (bottom, right):
        return (top, left), ""
    return (0, 0), f"({left}, {right}, {top}, {bottom})"


def _conv(site: Site) -> Written:
    layer = cast(Conv2d, site.layer)
    padding, before = _sides(layer.padding)
    made = arguments(
        site.specs[0].shape[1],
        layer.out_channels,
        kernel_size=(layer.kernel_size, None),
        stride=(layer.stride, 1),
        padding=(padding, 0),
        dilation=(layer.dilation, 1),
        groups=(layer.groups, 1),
        bias=(layer.bias, True),
    )
    x = f"F.pad({{0}}, {before})" if before else "{0}"
    return Written(f"{{module}}({x})", f"nn.Conv2d({made})")


def _conv_transpose(site: Site) -> Written:
    layer = cast(ConvTranspose2d, site.layer)
    padding, uneven = _sides(layer.padding)
    if uneven:
        raise site.refuse("with different padding on two sides has no PyTorch form.")
    made = arguments(
        site.specs[0].shape[1],
        layer.out_channels,
        kernel_size=(layer.kernel_size, None),
        stride=(layer.stride, 1),
        padding=(padding, 0),
        output_padding=(layer.output_padding, 0),
        groups=(layer.groups, 1),
        bias=(layer.bias, True),
        dilation=(layer.dilation, 1),
    )
    return Written("{module}({0})", f"nn.ConvTranspose2d({made})")


def _max_pool(site: Site) -> Written:
    layer = cast(MaxPool2d, site.layer)
    padding, before = _sides(layer.padding)
    if before and layer.return_indices:
        raise site.refuse("with indices and different padding on two sides has no PyTorch form.")
    if before and layer.ceil_mode:
        raise site.refuse("with ceil_mode and different padding on two sides has no PyTorch form.")
    made = arguments(
        layer.kernel_size,
        stride=(layer.stride, layer.kernel_size),
        padding=(padding, 0),
        dilation=(layer.dilation, 1),
        ceil_mode=(layer.ceil_mode, False),
    )
    x = f'F.pad({{0}}, {before}, value=float("-inf"))' if before else "{0}"
    if layer.return_indices:
        return Written(f"max_pool_with_indices({{0}}, {made})", "", _WITH_INDICES)
    return Written(f"F.max_pool2d({x}, {made})")


_WITH_INDICES = '''
def max_pool_with_indices(x, *window, **settings):
    """Max pooling, and the place of each largest cell in its map as a number like all others."""
    y, places = F.max_pool2d(x, *window, **settings, return_indices=True)
    return y, places.to(x.dtype)
'''


def _avg_pool(site: Site) -> Written:
    layer = cast(AvgPool2d, site.layer)
    padding, before = _sides(layer.padding)
    if before and layer.ceil_mode:
        raise site.refuse("with ceil_mode and different padding on two sides has no PyTorch form.")
    if before and not layer.count_include_pad:
        made = arguments(layer.kernel_size, stride=(layer.stride, layer.kernel_size))
        return Written(f"average_pool({{0}}, {before}, {made})", "", _AVERAGE)
    made = arguments(
        layer.kernel_size,
        stride=(layer.stride, layer.kernel_size),
        padding=(padding, 0),
        ceil_mode=(layer.ceil_mode, False),
        # PyTorch's default is True, which matters only where there is padding.
        count_include_pad=(layer.count_include_pad or not any(padding), True),
    )
    x = f"F.pad({{0}}, {before})" if before else "{0}"
    return Written(f"F.avg_pool2d({x}, {made})")


_AVERAGE = '''
def average_pool(x, padding, *window, **settings):
    """Average pooling with other padding on each side, which does not count."""
    total = F.avg_pool2d(F.pad(x, padding), *window, **settings)
    return total / F.avg_pool2d(F.pad(torch.ones_like(x), padding), *window, **settings)
'''


_PARTIAL = '''
class PartialConv2d(nn.Module):
    """A convolution whose maps read only some input maps (LeCun et al. 1998, table I)."""

    def __init__(self, table, kernel_size, stride=1, padding=0):
        super().__init__()
        self.maps = [o for o, maps in enumerate(table) for _ in maps]
        self.inputs = [k for maps in table for k in maps]
        self.stride, self.padding = stride, padding
        self.weight = nn.Parameter(torch.randn(len(self.maps), *kernel_size) * 0.1)
        self.bias = nn.Parameter(torch.zeros(len(table)))

    def forward(self, x):
        kernel = self.weight.new_zeros(len(self.bias), x.shape[1], *self.weight.shape[1:])
        kernel[self.maps, self.inputs] = self.weight
        return F.conv2d(x, kernel, self.bias, self.stride, self.padding)
'''


def _partial(site: Site) -> Written:
    layer = cast(PartialConv2d, site.layer)
    padding, before = _sides(layer.padding)
    made = arguments(
        layer.connections(site.specs[0].shape[1]),
        stride=(layer.stride, 1),
        padding=(padding, 0),
    )
    table, _, more = made.partition("))")
    x = f"F.pad({{0}}, {before})" if before else "{0}"
    size = repr(pair(layer.kernel_size))
    return Written(f"{{module}}({x})", f"PartialConv2d({table})), {size}{more})", _PARTIAL)


_SUBSAMPLING = '''
class TrainableSubsampling(nn.Module):
    """The sum of each window, scaled and shifted (LeCun et al. 1998, section II.B)."""

    def __init__(self, channels, kernel_size):
        super().__init__()
        self.kernel_size = kernel_size
        area = kernel_size[0] * kernel_size[1]
        self.weight = nn.Parameter(torch.full((channels,), 1 / area))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x):
        total = F.avg_pool2d(x, self.kernel_size, divisor_override=1)
        return total * self.weight[:, None, None] + self.bias[:, None, None]
'''


def _subsampling(site: Site) -> Written:
    layer = cast(TrainableSubsampling, site.layer)
    made = f"{site.specs[0].shape[1]}, {pair(layer.kernel_size)!r}"
    return Written("{module}({0})", f"TrainableSubsampling({made})", _SUBSAMPLING)


_RBF = '''
class RBF(nn.Module):
    """Squared distance to the pattern of each class (LeCun et al. 1998, equation 7)."""

    def __init__(self, features, classes, trained=True):
        super().__init__()
        weight = torch.randn(classes, features).sign()
        self.weight = nn.Parameter(weight, requires_grad=trained)

    def forward(self, x):
        return (x[:, None, :] - self.weight).square().sum(2)
'''


def _rbf(site: Site) -> Written:
    layer = cast(RBF, site.layer)
    made = arguments(site.specs[0].shape[1], layer.out_features, trained=(layer.trained, True))
    sign = "-" if layer.negative else ""
    return Written(f"{sign}{{module}}({{0}})", f"RBF({made})", _RBF)


_DEPTH = '''
class StochasticDepth(nn.Module):
    """While training, switches the branch off for random samples (Huang et al. 2016)."""

    def __init__(self, p):
        super().__init__()
        self.p = p

    def forward(self, x):
        if not self.training or not self.p:
            return x
        kept = torch.rand(len(x), *[1] * (x.dim() - 1), device=x.device) >= self.p
        return x * kept / (1 - self.p)
'''


def _stochastic_depth(site: Site) -> Written:
    layer = cast(StochasticDepth, site.layer)
    return Written("{module}({0})", f"StochasticDepth({layer.p!r})", _DEPTH)


def _batch_norm(site: Site) -> Written:
    layer = cast(BatchNorm2d, site.layer)
    made = arguments(site.specs[0].shape[1], eps=(layer.eps, 1e-5), momentum=(layer.momentum, 0.1))
    if getattr(layer, "frozen", False):
        statistics = "{module}.running_mean, {module}.running_var, {module}.weight, {module}.bias"
        call = f"F.batch_norm({{0}}, {statistics}, eps={{module}}.eps)"
        return Written(call, f"nn.BatchNorm2d({made})")
    return Written("{module}({0})", f"nn.BatchNorm2d({made})")


def _sample_norm(site: Site) -> Written:
    layer = cast(Any, site.layer)
    shape = site.specs[0].shape
    eps = {"eps": (layer.eps, 1e-5)}
    if isinstance(layer, GroupNorm):
        made = arguments(layer.groups, shape[1], **eps, affine=(layer.affine, True))
        return Written("{module}({0})", f"nn.GroupNorm({made})")
    if isinstance(layer, InstanceNorm):
        made = arguments(shape[1], **eps, affine=(layer.affine, False))
        return Written("{module}({0})", f"nn.InstanceNorm2d({made})")
    made = arguments(**eps, elementwise_affine=(layer.affine, True))
    made = ", ".join(part for part in (repr(list(shape[1:])), made) if part)
    return Written("{module}({0})", f"nn.LayerNorm({made})")


def _linear(site: Site) -> Written:
    layer = cast(Linear, site.layer)
    made = arguments(site.specs[0].shape[1], layer.out_features, bias=(layer.bias, True))
    return Written("{module}({0})", f"nn.Linear({made})")


def _prelu(site: Site) -> Written:
    shared = cast(PReLU, site.layer).shared
    count = 1 if shared else site.specs[0].shape[1]
    return Written("{module}({0})", f"nn.PReLU({count})")


def _lrn(site: Site) -> Written:
    layer = cast(LRN, site.layer)
    # PyTorch divides alpha by the size.
    alpha = layer.factor * layer.size
    made = f"{layer.size}, alpha={alpha!r}, beta={layer.beta!r}, k={layer.k!r}"
    return Written(f"F.local_response_norm({{0}}, {made})")


def _pad(site: Site) -> Written:
    layer = cast(Pad, site.layer)
    (top, left), (bottom, right) = padding_sides(layer.padding)
    mode = {"zeros": "", "reflect": ', mode="reflect"', "edge": ', mode="replicate"'}[layer.mode]
    framed = f"F.pad({{0}}, ({left}, {right}, {top}, {bottom}){mode})"
    front, behind = pair(layer.channels)
    if front or behind:
        framed = f"F.pad({framed}, (0, 0, 0, 0, {front}, {behind}))"
    return Written(framed)


def _slice(site: Site) -> Written:
    layer = cast(Slice, site.layer)
    before = ":, " * (AXES.index(layer.axis) + 1)
    return Written(f"{{0}}[{before}{layer.start} : {layer.start + layer.size}]")


def _reshape(site: Site) -> Written:
    return Written(f"{{0}}.reshape(-1, {', '.join(map(str, site.outputs[0].shape[1:]))})")


def _resize(site: Site) -> Written:
    layer = cast(Resize, site.layer)
    mode = "nearest" if layer.mode == "nearest" else "bilinear"
    return Written(f'F.interpolate({{0}}, scale_factor={plain(pair(layer.scale))}, mode="{mode}")')


def _tanh(site: Site) -> Written:
    layer = cast(Tanh, site.layer)
    if (layer.amplitude, layer.steepness) == (1, 1):
        return Written("torch.tanh({0})")
    return Written(f"{layer.amplitude!r} * torch.tanh({layer.steepness!r} * {{0}})")


def _gelu(site: Site) -> Written:
    return Written(
        'F.gelu({0}, approximate="tanh")' if cast(GELU, site.layer).tanh else "F.gelu({0})"
    )


def _fixed(call: str) -> Callable[[Site], Written]:
    return lambda site: Written(call)


RULES: Mapping[type[Layer], Callable[[Site], Written]] = {
    Add: lambda site: Written(" + ".join(f"{{{i}}}" for i in range(len(site.specs)))),
    AvgPool2d: _avg_pool,
    BatchNorm2d: _batch_norm,
    Concat: _fixed("torch.cat(({all}), 1)"),
    Conv2d: _conv,
    ConvTranspose2d: _conv_transpose,
    Dropout: lambda site: Written("{module}({0})", f"nn.Dropout({cast(Dropout, site.layer).p!r})"),
    ELU: lambda site: Written(f"F.elu({{0}}, alpha={cast(ELU, site.layer).alpha!r})"),
    Flatten: _fixed("torch.flatten({0}, 1)"),
    GELU: _gelu,
    GlobalAvgPool: _fixed("F.adaptive_avg_pool2d({0}, 1)"),
    GlobalMaxPool: _fixed("F.adaptive_max_pool2d({0}, 1)"),
    GroupNorm: _sample_norm,
    HardSwish: _fixed("F.hardswish({0})"),
    Identity: _fixed("{0}"),
    InstanceNorm: _sample_norm,
    LRN: _lrn,
    LayerNorm: _sample_norm,
    LeakyReLU: lambda site: Written(f"F.leaky_relu({{0}}, {cast(LeakyReLU, site.layer).alpha!r})"),
    Linear: _linear,
    LogSoftmax: _fixed("F.log_softmax({0}, 1)"),
    MaxPool2d: _max_pool,
    Mul: _fixed("{0} * {1}"),
    PReLU: _prelu,
    Pad: _pad,
    PartialConv2d: _partial,
    RBF: _rbf,
    ReLU: _fixed("F.relu({0})"),
    Reshape: _reshape,
    Resize: _resize,
    SiLU: _fixed("F.silu({0})"),
    Sigmoid: _fixed("torch.sigmoid({0})"),
    Slice: _slice,
    Softmax: _fixed("F.softmax({0}, 1)"),
    SpatialDropout: lambda site: Written(
        "{module}({0})", f"nn.Dropout2d({cast(SpatialDropout, site.layer).p!r})"
    ),
    StochasticDepth: _stochastic_depth,
    Tanh: _tanh,
    TrainableSubsampling: _subsampling,
    **TENSOR_RULES,
}
"""How each kind of layer is written."""


def _loss(loss: Loss, classes: int) -> str:
    """The loss as an expression of {0}, its input, and target."""
    function = loss.function
    if isinstance(function, CrossEntropy):
        made = arguments(label_smoothing=(function.label_smoothing, 0.0))
        if function.class_weights:
            weights = f"torch.tensor({list(function.class_weights)!r})"
            made = ", ".join(part for part in (f"weight={weights}", made) if part)
        text = f"F.cross_entropy({{0}}, target{', ' if made else ''}{made})"
    elif isinstance(function, MeanSquaredError):
        text = f"F.mse_loss({{0}}, F.one_hot(target, {classes}).to({{0}}.dtype))"
    elif isinstance(function, Hinge):
        made = arguments(margin=(function.margin, 1.0))
        text = f"F.multi_margin_loss({{0}}, target{', ' if made else ''}{made})"
    elif isinstance(function, LeNetLoss):
        near, far = ("-", "") if function.negative else ("", "-")
        # E = x_t + log(exp(−j) + Σ exp(−x_i)), the mean over the samples.
        text = (
            f"({near}{{0}}.gather(1, target[:, None])[:, 0] + torch.logsumexp(F.pad("
            f"{far}{{0}}, (0, 1), value={-function.j!r}), 1)).mean()"
        )
    elif isinstance(function, Total):
        text = "{0}.sum() / len({0})"
    else:
        raise ScriptError(
            f"{loss.id}: expected a loss with a PyTorch form, received {function.title}."
        )
    return text if loss.weight == 1 else f"{loss.weight!r} * {text}"


def module_names(graph: Graph) -> dict[str, str]:
    """The attribute that holds the parameters of each owner, by owner id."""
    names = Names({"forward", "loss", "training", "type", "half", "float", "double", "children"})
    owners: dict[str, str] = {}
    for site in sites(graph).values():
        if _written(site).module and site.node.owner not in owners:
            owners[site.node.owner] = names.fresh(site.node.owner)
    return owners


def _written(site: Site) -> Written:
    rule = RULES.get(type(site.layer))
    if rule is None:
        raise site.refuse("has no PyTorch form.")
    return rule(site)


def state_dict(graph: Graph, parameters: Parameters) -> dict[str, Array]:
    """The weights under the names of the module's ``state_dict``, as float32."""
    names = module_names(graph)
    found = {
        f"{names[owner]}.{name}": np.ascontiguousarray(array, "float32")
        for (owner, name), array in parameters.items()
        if owner in names
    }
    for site in sites(graph).values():
        if isinstance(site.layer, BatchNorm2d):
            # PyTorch counts the batches; with a momentum the count is not used.
            key = f"{names[site.node.owner]}.num_batches_tracked"
            found[key] = np.zeros((), np.int64)
    return found


def pytorch_script(
    graph: Graph, *, weights: str = "", preprocessing: Preprocessing | None = None
) -> str:
    """The network as a Python module with one ``nn.Module``, which computes the same.

    ``weights`` names the safetensors file that the script loads when it is run by itself.
    Raises ScriptError: an incomplete network, or a layer without a PyTorch form.
    """
    found = sites(graph)
    owners = module_names(graph)
    names = Names({"self", "torch", "nn", "F", "target"})
    tensors = variables(graph, found, names)
    title = class_name(graph.name)
    definitions: list[str] = []
    made: dict[str, str] = {}
    body: list[str] = []
    for node_id, site in found.items():
        written = _written(site)
        if written.definition and written.definition not in definitions:
            definitions.append(written.definition)
        owner = site.node.owner
        if written.module:
            line = f"self.{owners[owner]} = {written.module}"
            if made.setdefault(owner, line) != line:
                raise ScriptError(
                    f"{node_id}: shares the weights of {owner}, expected the same settings, "
                    "received others. Give it weights of its own, or export as ONNX."
                )
        inputs = [tensors[ref] for ref in site.node.inputs if ref is not None]
        call = written.call.format(
            *inputs, all=", ".join(inputs), module=f"self.{owners.get(owner, '')}"
        )
        target = ", ".join(tensors[node_id, port] for port in range(len(site.outputs)))
        if call != target:
            body.append(f"{target} = {call}")
    extra = [loss.input for loss in graph.losses if loss.input not in dict(graph.outputs).values()]
    results = [ref for _, ref in graph.outputs]
    if extra:
        body.append("if self.training:")
        body.append(f"    return {', '.join(tensors[ref] for ref in (*results, *extra))}")
    body.append(f"return {', '.join(tensors[ref] for ref in results)}")
    parts = [heading(graph, preprocessing), "import torch\nfrom torch import nn"]
    parts[-1] += "\nfrom torch.nn import functional as F"
    parts += ["\n" + text.strip() for text in definitions]
    parts.append("\n" + _class(title, graph, tensors, list(made.values()), body))
    if graph.losses:
        parts.append("\n" + _losses(graph, found, [*results, *extra]))
    parts.append("\n" + _main(title, graph, weights))
    return "\n\n".join(parts) + "\n"


def _class(
    title: str, graph: Graph, tensors: Mapping[Any, str], made: list[str], body: list[str]
) -> str:
    inputs = ", ".join(tensors[i.id, 0] for i in graph.inputs)
    lines = [f"class {title}(nn.Module):"]
    if made:
        lines += ["    def __init__(self):", "        super().__init__()"]
        lines += [part for line in made for part in wrapped(line, 8)] + [""]
    lines.append(f"    def forward(self, {inputs}):")
    return "\n".join(lines + [part for line in body for part in wrapped(line, 8)])


def _losses(graph: Graph, found: Mapping[str, Site], results: Sequence[Ref]) -> str:
    """A function of what the module returns while training, and the target."""
    terms = []
    for loss in graph.losses:
        name = f"outputs[{results.index(loss.input)}]" if len(results) > 1 else "outputs"
        node_id, port = loss.input
        shape = found[node_id].outputs[port].shape if node_id in found else ()
        terms.append(_loss(loss, shape[1] if len(shape) == 2 else 0).format(name))
    lines = wrapped(f"return {' + '.join(terms)}", 4)
    return "\n".join(["def loss(outputs, target):", *lines])


def _main(title: str, graph: Graph, weights: str) -> str:
    inputs = ", ".join(
        f"torch.zeros({', '.join(map(str, (1, *entry.shape)))})" for entry in graph.inputs
    )
    lines = ['if __name__ == "__main__":']
    if weights:
        lines += ["    from safetensors.torch import load_file", ""]
    lines.append(f"    network = {title}().eval()")
    if weights:
        lines.append(f"    network.load_state_dict(load_file({json.dumps(weights)}))")
    lines.append(f"    print(network({inputs}))")
    return "\n".join(lines)
