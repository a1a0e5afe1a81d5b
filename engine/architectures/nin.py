"""Network in network: a small fully connected network at every place of the picture."""

from __future__ import annotations

from engine.architectures.base import CIFAR10, DIGITS, Architecture, Builder
from engine.graph import Graph, Ref
from engine.layers.avg_pool2d import AvgPool2d
from engine.layers.conv2d import Conv2d
from engine.layers.dropout import Dropout
from engine.layers.flatten import Flatten
from engine.layers.global_avg_pool import GlobalAvgPool
from engine.layers.max_pool2d import MaxPool2d
from engine.layers.relu import ReLU


def nin() -> Graph:
    """Network in network for (3, 32, 32) pictures of CIFAR-10: 966,986 parameters.

    Sizes are those of the network that Lin, Chen & Yan 2014 trained on CIFAR-10 (the authors'
    published definition: 5×5 192, 160, 96; 5×5 192, 192, 192; 3×3 192, 192, 10), 222.5 M
    multiply-adds: 0.97 million parameters, as the literature reports it. Pooling keeps a window
    that hangs over the edge, so that maps are 32, 16 and 8 wide.
    """
    build = Builder((3, 32, 32))
    x = _block(build, "block1", build.input, (192, 160, 96), 5)
    x = build.chain(
        x,
        ("block1/pool", MaxPool2d(3, 2, ceil_mode=True)),
        ("block1/dropout", Dropout(0.5)),
    )
    x = _block(build, "block2", x, (192, 192, 192), 5)
    x = build.chain(
        x,
        ("block2/pool", AvgPool2d(3, 2, ceil_mode=True)),
        ("block2/dropout", Dropout(0.5)),
    )
    x = _block(build, "block3", x, (192, 192, 10), 3)
    logits = build.chain(x, ("gap", GlobalAvgPool()), ("flatten", Flatten()))
    return build.classifier(logits, "Network in network", CIFAR10)


def nin_digits() -> Graph:
    """Network in network for (1, 8, 8) digits: two blocks; each class is the mean of its map.

    The last map has no ReLU: with it, a class whose map is zero everywhere would never learn.
    """
    build = Builder((1, 8, 8))
    x = _block(build, "block1", build.input, (32, 24), 3)
    x = build.node("block1/pool", MaxPool2d(2, 2), x)
    x = _block(build, "block2", x, (48, 32), 3)
    logits = build.chain(
        x,
        ("classes", Conv2d(10, 1, initialiser="small")),
        ("gap", GlobalAvgPool()),
        ("flatten", Flatten()),
    )
    return build.classifier(logits, "Network in network for digits", DIGITS)


def _block(build: Builder, name: str, x: Ref, widths: tuple[int, ...], kernel_size: int) -> Ref:
    """A convolution, then 1×1 convolutions: the same small network at every place."""
    for number, width in enumerate(widths, 1):
        layer = Conv2d(width, kernel_size, padding=kernel_size // 2) if number == 1 else None
        x = build.chain(
            x,
            (f"{name}/conv{number}", layer or Conv2d(width, 1)),
            (f"{name}/relu{number}", ReLU()),
        )
    return x


_IDEA = (
    "1×1 convolutions mix the channels at each place, and a class is the average of its own map."
)
_SOURCE = "Lin, Chen & Yan: Network in network, ICLR 2014 (2013)"

ARCHITECTURES = (
    Architecture(
        id="nin",
        title="Network in network",
        year=2013,
        idea=_IDEA,
        source=_SOURCE,
        input=(3, 32, 32),
        build=nin,
        family="Network in network",
    ),
    Architecture(
        id="nin-digits",
        title="Network in network for digits",
        year=2013,
        idea=_IDEA,
        source=f"{_SOURCE}; two blocks, for 8×8 digits",
        input=(1, 8, 8),
        build=nin_digits,
        family="Network in network",
        scale="classroom",
    ),
)
