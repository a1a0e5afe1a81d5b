"""Blocks of layers that networks are built from, as they are added to a network in one go."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from engine.graph import Graph, GraphError, Node, Ref
from engine.layers.add import Add
from engine.layers.base import Layer, Spec
from engine.layers.batch_norm2d import BatchNorm2d
from engine.layers.concat import Concat
from engine.layers.conv2d import Conv2d
from engine.layers.global_avg_pool import GlobalAvgPool
from engine.layers.max_pool2d import MaxPool2d
from engine.layers.mul import Mul
from engine.layers.relu import ReLU
from engine.layers.sigmoid import Sigmoid


@dataclass(frozen=True)
class Block:
    """A block as it is asked for: its kind in ``KINDS``, channels, and stride.

    ``width`` 0: the block's own default, which is most often the channels that it receives.
    """

    kind: str
    width: int = 0
    stride: int = 1

    @property
    def description(self) -> Kind:
        """What its kind is."""
        return KINDS[self.kind]


class Part:
    """Collects the nodes of a block under its path, one behind the other."""

    def __init__(self, path: str, entry: Ref, channels: int) -> None:
        self.path, self.entry, self.channels = path, entry, channels
        self.nodes: list[Node] = []

    def node(self, name: str, layer: Layer, *inputs: Ref) -> Ref:
        """Add a node that reads these tensors; returns its output."""
        self.nodes.append(Node(f"{self.path}/{name}", layer, inputs))
        return f"{self.path}/{name}", 0

    def chain(self, start: Ref, *entries: tuple[str, Layer]) -> Ref:
        """Add nodes one behind the other; returns the last one's output."""
        for name, layer in entries:
            start = self.node(name, layer, start)
        return start


Build = Callable[[Part, int, int], Ref]
"""Adds to a part a block of that width and stride; returns what leaves it."""


@dataclass(frozen=True)
class Kind:
    """A kind of block: ``words`` by which it is typed besides its title, ``path`` of its ids.

    ``width`` says what the number is ("channels"), ``strides`` whether it can have a stride.
    """

    title: str
    words: tuple[str, ...]
    path: str
    help: str
    build: Build
    width: str = "channels"
    strides: bool = False


def _conv(channels: int, kernel_size: int = 3, stride: int = 1, groups: int = 1) -> Conv2d:
    """Padded so that the size stays; a batch norm behind it makes its bias useless."""
    return Conv2d(
        channels, kernel_size, stride, padding=kernel_size // 2, groups=groups, bias=False
    )


def _conv_bn_relu(part: Part, width: int, stride: int) -> Ref:
    width = width or part.channels
    return part.chain(
        part.entry, ("conv", _conv(width, 3, stride)), ("bn", BatchNorm2d()), ("relu", ReLU())
    )


def _skip(part: Part, width: int, stride: int) -> Ref:
    if width == part.channels and stride == 1:
        return part.entry
    projection = ("shortcut/conv", _conv(width, 1, stride)), ("shortcut/bn", BatchNorm2d())
    return part.chain(part.entry, *projection)


def _residual(part: Part, width: int, stride: int) -> Ref:
    width = width or part.channels
    branch = part.chain(
        part.entry,
        ("conv1", _conv(width, 3, stride)),
        ("bn1", BatchNorm2d()),
        ("relu1", ReLU()),
        ("conv2", _conv(width)),
        ("bn2", BatchNorm2d()),
    )
    added = part.node("add", Add(), branch, _skip(part, width, stride))
    return part.node("relu2", ReLU(), added)


def _bottleneck(part: Part, width: int, stride: int) -> Ref:
    width = width or part.channels
    inner = max(1, width // 4)
    branch = part.chain(
        part.entry,
        ("conv1", _conv(inner, 1)),
        ("bn1", BatchNorm2d()),
        ("relu1", ReLU()),
        ("conv2", _conv(inner, 3, stride)),
        ("bn2", BatchNorm2d()),
        ("relu2", ReLU()),
        ("conv3", _conv(width, 1)),
        ("bn3", BatchNorm2d()),
    )
    added = part.node("add", Add(), branch, _skip(part, width, stride))
    return part.node("relu3", ReLU(), added)


def _inception(part: Part, width: int, stride: int) -> Ref:
    """The shares of GoogLeNet's first one: 64, 128, 32 and 32 of 256 channels."""
    width = max(4, width or part.channels)
    five = max(1, width // 8)
    one = max(1, width // 4)
    three = width - one - 2 * five
    ends = [
        part.chain(part.entry, ("1x1", Conv2d(one, 1)), ("1x1_relu", ReLU())),
        part.chain(
            part.entry,
            ("3x3_reduce", Conv2d(max(1, 3 * three // 4), 1)),
            ("3x3_reduce_relu", ReLU()),
            ("3x3", Conv2d(three, 3, padding=1)),
            ("3x3_relu", ReLU()),
        ),
        part.chain(
            part.entry,
            ("5x5_reduce", Conv2d(max(1, five // 2), 1)),
            ("5x5_reduce_relu", ReLU()),
            ("5x5", Conv2d(five, 5, padding=2)),
            ("5x5_relu", ReLU()),
        ),
        part.chain(
            part.entry,
            ("pool", MaxPool2d(3, 1, padding=1)),
            ("pool_projection", Conv2d(five, 1)),
            ("pool_projection_relu", ReLU()),
        ),
    ]
    return part.node("concat", Concat(), *ends)


def _squeeze_excite(part: Part, width: int, stride: int) -> Ref:
    """The two fully connected layers are 1×1 convolutions, so that the maps stay maps."""
    inner = max(1, part.channels // (width or 16))
    factors = part.chain(
        part.entry,
        ("squeeze", GlobalAvgPool()),
        ("reduce", Conv2d(inner, 1)),
        ("relu", ReLU()),
        ("expand", Conv2d(part.channels, 1)),
        ("sigmoid", Sigmoid()),
    )
    return part.node("scale", Mul(), part.entry, factors)


def _dense(part: Part, width: int, stride: int) -> Ref:
    growth, x = width or 12, part.entry
    for number in range(1, 4):
        new = part.chain(
            x,
            (f"layer{number}/bn", BatchNorm2d()),
            (f"layer{number}/relu", ReLU()),
            (f"layer{number}/conv", _conv(growth)),
        )
        x = part.node(f"layer{number}/concat", Concat(), x, new)
    return x


def _separable(part: Part, width: int, stride: int) -> Ref:
    return part.chain(
        part.entry,
        ("depthwise/conv", _conv(part.channels, 3, stride, part.channels)),
        ("depthwise/bn", BatchNorm2d()),
        ("depthwise/relu", ReLU()),
        ("pointwise/conv", _conv(width or part.channels, 1)),
        ("pointwise/bn", BatchNorm2d()),
        ("pointwise/relu", ReLU()),
    )


KINDS: dict[str, Kind] = {
    "conv-bn-relu": Kind(
        "Conv, batch norm, ReLU",
        ("conv bn relu", "conv bn"),
        "block",
        "A 3×3 convolution whose maps are normalised and bent (Ioffe & Szegedy 2015).",
        _conv_bn_relu,
        strides=True,
    ),
    "residual": Kind(
        "Residual block",
        ("residual block", "residual", "basic block"),
        "block",
        "Two 3×3 convolutions beside a skip that is added (He et al. 2016, figure 2).",
        _residual,
        strides=True,
    ),
    "bottleneck": Kind(
        "Bottleneck block",
        ("bottleneck block", "bottleneck"),
        "block",
        "1×1, 3×3 and 1×1 with a quarter of the channels inside, beside a skip (He et al. 2016).",
        _bottleneck,
        strides=True,
    ),
    "inception": Kind(
        "Inception block",
        ("inception block", "inception"),
        "inception",
        "1×1, 3×3, 5×5 and a pooling side by side, joined (Szegedy et al. 2015, figure 2b).",
        _inception,
    ),
    "squeeze-excite": Kind(
        "Squeeze and excite",
        ("squeeze excite", "squeeze and excite", "squeeze", "se block"),
        "se",
        "Each map is scaled by a factor made of the means of all maps (Hu et al. 2018).",
        _squeeze_excite,
        width="reduction",
    ),
    "dense": Kind(
        "Dense block",
        ("dense block",),
        "dense",
        "Three layers that each read all maps before them (Huang et al. 2017).",
        _dense,
        width="growth",
    ),
    "separable": Kind(
        "Depthwise separable convolution",
        ("separable block", "separable", "depthwise separable", "depthwise"),
        "block",
        "A kernel for each channel, then 1×1 across channels (Howard et al. 2017).",
        _separable,
        strides=True,
    ),
}


def appended(graph: Graph, block: Block, ref: Ref, spec: Spec | None, path: str) -> Graph:
    """With a block behind a tensor of that spec, its ids under ``path``.

    All that read the tensor, or gave it out, now use what leaves the block. Raises GraphError
    where the tensor is no maps.
    """
    kind = block.description
    if spec is None or len(spec.shape) != 4:
        raise GraphError(
            f"{kind.title}: expected maps (C, H, W) to stand behind, received "
            f"{'nothing' if spec is None else spec} from {ref[0]}. Select another layer."
        )
    part = Part(path, ref, spec.shape[1])
    end = kind.build(part, block.width, block.stride)
    return spliced(graph, tuple(part.nodes), ref, end)


def spliced(graph: Graph, nodes: tuple[Node, ...], ref: Ref, end: Ref) -> Graph:
    """With nodes of which some read ``ref``; what had read it, or gave it out, uses ``end``.

    Raises GraphError where an id is taken.
    """
    result = replace(
        graph,
        nodes=tuple(
            replace(n, inputs=tuple(end if r == ref else r for r in n.inputs))
            if ref in n.inputs
            else n
            for n in graph.nodes
        ),
    )
    losses = tuple(replace(x, input=end) if x.input == ref else x for x in graph.losses)
    outputs = tuple((name, end if r == ref else r) for name, r in graph.outputs)
    for node in nodes:
        result = result.add(node)
    return replace(result, losses=losses, outputs=outputs)


def free_path(graph: Graph, stem: str) -> str:
    """``stem`` with the first number that no id has or begins with."""
    taken = {n.id.split("/")[0] for n in graph.nodes} | graph.input_ids
    taken |= {x.id for x in graph.losses}
    number = 1
    while f"{stem}{number}" in taken:
        number += 1
    return f"{stem}{number}"
