"""DenseNet: every layer reads all that came before it."""

from __future__ import annotations

from functools import partial

from engine.architectures.base import CIFAR10, DIGITS, Architecture, Builder
from engine.graph import Graph, Ref
from engine.layers.avg_pool2d import AvgPool2d
from engine.layers.batch_norm2d import BatchNorm2d
from engine.layers.concat import Concat
from engine.layers.conv2d import Conv2d
from engine.layers.flatten import Flatten
from engine.layers.global_avg_pool import GlobalAvgPool
from engine.layers.linear import Linear
from engine.layers.max_pool2d import MaxPool2d
from engine.layers.relu import ReLU

BLOCKS = {121: (6, 12, 24, 16), 169: (6, 12, 32, 32), 201: (6, 12, 48, 32)}
"""Layers of each block, by depth: table 1 of Huang et al. 2017."""


def densenet(depth: int) -> Graph:
    """DenseNet-``depth`` (121, 169 or 201; k = 32) for (3, 224, 224) pictures and 1000 classes.

    Parameters: 7,978,856 / 14,149,480 / 20,013,928; multiply-adds 2.834 / 3.360 / 4.291 G (both as
    torchvision has them). The tensor that a layer reads is that of equation 2 of Huang et al. 2017;
    it is put together a layer at a time, because a line from each layer to each later one would be
    1,803 lines in DenseNet-201.
    """
    build = Builder((3, 224, 224))
    x = build.chain(
        build.input,
        ("stem/conv", Conv2d(64, 7, stride=2, padding=3, bias=False)),
        ("stem/bn", BatchNorm2d()),
        ("stem/relu", ReLU()),
        ("stem/pool", MaxPool2d(3, 2, padding=1)),
    )
    x = _blocks(build, x, 64, BLOCKS[depth], 32)
    return build.classifier(_head(build, x, 1000), f"DenseNet-{depth}", ())


def densenet_bc100() -> Graph:
    """DenseNet-BC of 100 layers, k = 12, for (3, 32, 32) pictures of CIFAR-10.

    769,162 parameters (0.8 million in table 2 of Huang et al. 2017) and 287.9 M multiply-adds.
    """
    build = Builder((3, 32, 32))
    x = build.node("stem/conv", Conv2d(24, 3, padding=1, bias=False), build.input)
    x = _blocks(build, x, 24, (16, 16, 16), 12)
    return build.classifier(_head(build, x, 10), "DenseNet-BC-100", CIFAR10)


def densenet_digits() -> Graph:
    """DenseNet-BC for (1, 8, 8) digits: two blocks of three layers, k = 8.

    Each layer has a line from every layer before it, as figure 1 of Huang et al. 2017 draws it.
    """
    build = Builder((1, 8, 8))
    x = build.node("stem/conv", Conv2d(16, 3, padding=1, bias=False), build.input)
    x = _blocks(build, x, 16, (3, 3), 8, lines=True)
    return build.classifier(_head(build, x, 10), "DenseNet for digits", DIGITS)


def _blocks(
    build: Builder, x: Ref, channels: int, blocks: tuple[int, ...], growth: int, lines: bool = False
) -> Ref:
    """Blocks with a transition between two of them, which halves channels and maps.

    ``lines`` draws one from each layer to each later one; else the channels known so far are
    passed on. The numbers are the same.
    """
    for block, layers in enumerate(blocks, 1):
        known = [x]
        for number in range(1, layers + 1):
            name = f"block{block}/layer{number}"
            known.append(_layer(build, name, x, growth))
            channels += growth
            x = build.node(f"{name}/concat", Concat(), *(known if lines else (x, known[-1])))
        if block < len(blocks):
            channels //= 2
            name = f"transition{block}"
            x = build.chain(
                x,
                (f"{name}/bn", BatchNorm2d()),
                (f"{name}/relu", ReLU()),
                (f"{name}/conv", Conv2d(channels, 1, bias=False)),
                (f"{name}/pool", AvgPool2d(2, 2)),
            )
    return x


def _layer(build: Builder, name: str, x: Ref, growth: int) -> Ref:
    """Normalise, bend, 1×1 to 4k channels; normalise, bend, 3×3 to k channels."""
    return build.chain(
        x,
        (f"{name}/bn1", BatchNorm2d()),
        (f"{name}/relu1", ReLU()),
        (f"{name}/conv1", Conv2d(4 * growth, 1, bias=False)),
        (f"{name}/bn2", BatchNorm2d()),
        (f"{name}/relu2", ReLU()),
        (f"{name}/conv2", Conv2d(growth, 3, padding=1, bias=False)),
    )


def _head(build: Builder, x: Ref, classes: int) -> Ref:
    return build.chain(
        x,
        ("bn", BatchNorm2d()),
        ("relu", ReLU()),
        ("gap", GlobalAvgPool()),
        ("flatten", Flatten()),
        ("fc", Linear(classes)),
    )


_IDEA = "Each layer reads all earlier ones, so the loss has a short way back to every one of them."
_SOURCE = (
    "Huang, Liu, van der Maaten & Weinberger: Densely connected convolutional networks, CVPR 2017"
)

ARCHITECTURES = (
    *(
        Architecture(
            id=f"densenet{depth}",
            title=f"DenseNet-{depth}",
            year=2017,
            idea=_IDEA,
            source=_SOURCE,
            input=(3, 224, 224),
            build=partial(densenet, depth),
            family="DenseNet",
        )
        for depth in BLOCKS
    ),
    Architecture(
        id="densenet-bc100",
        title="DenseNet-BC-100 (k = 12)",
        year=2017,
        idea=_IDEA,
        source=_SOURCE,
        input=(3, 32, 32),
        build=densenet_bc100,
        family="DenseNet",
    ),
    Architecture(
        id="densenet-digits",
        title="DenseNet for digits",
        year=2017,
        idea=_IDEA,
        source=f"{_SOURCE}; two blocks of three layers, for 8×8 digits",
        input=(1, 8, 8),
        build=densenet_digits,
        family="DenseNet",
        scale="classroom",
    ),
)
