"""Residual networks, and plain ones without the skips to compare them with."""

from __future__ import annotations

from functools import partial

from engine.architectures.base import DIGITS, Architecture, Builder
from engine.graph import Graph, Ref
from engine.layers.add import Add
from engine.layers.batch_norm2d import BatchNorm2d
from engine.layers.conv2d import Conv2d
from engine.layers.flatten import Flatten
from engine.layers.global_avg_pool import GlobalAvgPool
from engine.layers.linear import Linear
from engine.layers.max_pool2d import MaxPool2d
from engine.layers.relu import ReLU

BLOCKS = {
    18: (2, 2, 2, 2),
    34: (3, 4, 6, 3),
    50: (3, 4, 6, 3),
    101: (3, 4, 23, 3),
    152: (3, 8, 36, 3),
}
"""Blocks of each stage, by depth: table 1 of He et al. 2016."""
WIDTHS = (64, 128, 256, 512)


def resnet(depth: int) -> Graph:
    """ResNet-``depth`` for (3, 224, 224) pictures and 1000 classes; 18, 34, 50, 101 or 152.

    Parameters: 11,689,512 / 21,797,672 / 25,557,032 / 44,549,160 / 60,192,808; multiply-adds
    1.814 / 3.664 / 4.089 / 7.801 / 11.514 G, as torchvision has them. Projections where the shape
    changes (option B). In the bottlenecks of 50 layers and more the 3×3 convolution has the
    stride, as is usual since 2016; the paper gave it to the first 1×1 one.
    """
    build = Builder((3, 224, 224))
    x = _stem(build)
    for stage, (count, width) in enumerate(zip(BLOCKS[depth], WIDTHS, strict=True), 1):
        for number in range(1, count + 1):
            name = f"stage{stage}/block{number}"
            stride = 2 if number == 1 and stage > 1 else 1
            if depth < 50:
                x = _basic(build, name, x, width, stride, project=stride > 1)
            else:
                x = _bottleneck(build, name, x, width, stride, project=number == 1)
    return build.classifier(_head(build, x, 1000), f"ResNet-{depth}", ())


def plain(depth: int) -> Graph:
    """The plain twin of ResNet-18 or ResNet-34: the same layers, no skips.

    11,515,688 and 21,623,848 parameters: those of the residual networks less their projections,
    which are 173,824. Source: He et al. 2016, figure 3 (middle) and figure 4 (left).
    """
    build = Builder((3, 224, 224))
    x = _stem(build)
    for stage, (count, width) in enumerate(zip(BLOCKS[depth], WIDTHS, strict=True), 1):
        for number in range(1, count + 1):
            stride = 2 if number == 1 and stage > 1 else 1
            x = _plain_block(build, f"stage{stage}/block{number}", x, width, stride)
    return build.classifier(_head(build, x, 1000), f"Plain network of {depth} layers", ())


def resnet_digits() -> Graph:
    """A residual network for (1, 8, 8) digits: a stem, three blocks, one of them halving the maps.

    The blocks are the basic block of He et al. 2016 with its projection shortcut (option B) where
    size and channels change; 8 layers with weights on the longest path.
    """
    build = Builder((1, 8, 8))
    x = _digits_stem(build)
    x = _basic(build, "stage1/block1", x, 16)
    x = _basic(build, "stage2/block1", x, 32, stride=2, project=True)
    x = _basic(build, "stage2/block2", x, 32)
    return build.classifier(_head(build, x, 10), "Residual network for digits", DIGITS)


def plain_digits() -> Graph:
    """The residual network for digits without its skips, to compare the two."""
    build = Builder((1, 8, 8))
    x = _digits_stem(build)
    x = _plain_block(build, "stage1/block1", x, 16)
    x = _plain_block(build, "stage2/block1", x, 32, stride=2)
    x = _plain_block(build, "stage2/block2", x, 32)
    return build.classifier(_head(build, x, 10), "Plain network for digits", DIGITS)


def _stem(build: Builder) -> Ref:
    return build.chain(
        build.input,
        ("stem/conv", Conv2d(64, 7, stride=2, padding=3, bias=False)),
        ("stem/bn", BatchNorm2d()),
        ("stem/relu", ReLU()),
        ("stem/pool", MaxPool2d(3, 2, padding=1)),
    )


def _digits_stem(build: Builder) -> Ref:
    return build.chain(
        build.input,
        ("stem/conv", Conv2d(16, 3, padding=1, bias=False)),
        ("stem/bn", BatchNorm2d()),
        ("stem/relu", ReLU()),
    )


def _basic(
    build: Builder, name: str, x: Ref, channels: int, stride: int = 1, project: bool = False
) -> Ref:
    """relu(branch(x) + skip(x)); the batch norms make a bias in the convolutions useless."""
    branch = build.chain(
        x,
        (f"{name}/conv1", Conv2d(channels, 3, stride=stride, padding=1, bias=False)),
        (f"{name}/bn1", BatchNorm2d()),
        (f"{name}/relu1", ReLU()),
        (f"{name}/conv2", Conv2d(channels, 3, padding=1, bias=False)),
        (f"{name}/bn2", BatchNorm2d()),
    )
    skip = _projection(build, name, x, channels, stride) if project else x
    return build.chain(build.node(f"{name}/add", Add(), branch, skip), (f"{name}/relu2", ReLU()))


def _bottleneck(build: Builder, name: str, x: Ref, width: int, stride: int, project: bool) -> Ref:
    """1×1 to few channels, 3×3, 1×1 to four times as many: figure 5 (right) of the paper."""
    branch = build.chain(
        x,
        (f"{name}/conv1", Conv2d(width, 1, bias=False)),
        (f"{name}/bn1", BatchNorm2d()),
        (f"{name}/relu1", ReLU()),
        (f"{name}/conv2", Conv2d(width, 3, stride=stride, padding=1, bias=False)),
        (f"{name}/bn2", BatchNorm2d()),
        (f"{name}/relu2", ReLU()),
        (f"{name}/conv3", Conv2d(4 * width, 1, bias=False)),
        (f"{name}/bn3", BatchNorm2d()),
    )
    skip = _projection(build, name, x, 4 * width, stride) if project else x
    return build.chain(build.node(f"{name}/add", Add(), branch, skip), (f"{name}/relu3", ReLU()))


def _projection(build: Builder, name: str, x: Ref, channels: int, stride: int) -> Ref:
    """Option B: a 1×1 convolution brings the skip to the branch's shape."""
    return build.chain(
        x,
        (f"{name}/shortcut/conv", Conv2d(channels, 1, stride=stride, bias=False)),
        (f"{name}/shortcut/bn", BatchNorm2d()),
    )


def _plain_block(build: Builder, name: str, x: Ref, channels: int, stride: int = 1) -> Ref:
    return build.chain(
        x,
        (f"{name}/conv1", Conv2d(channels, 3, stride=stride, padding=1, bias=False)),
        (f"{name}/bn1", BatchNorm2d()),
        (f"{name}/relu1", ReLU()),
        (f"{name}/conv2", Conv2d(channels, 3, padding=1, bias=False)),
        (f"{name}/bn2", BatchNorm2d()),
        (f"{name}/relu2", ReLU()),
    )


def _head(build: Builder, x: Ref, classes: int) -> Ref:
    return build.chain(x, ("gap", GlobalAvgPool()), ("flatten", Flatten()), ("fc", Linear(classes)))


_IDEA = "A skip carries the input around each block, so the gradient has a way past its layers."
_PLAIN_IDEA = "The same layers without skips: deeper makes even the training error larger."
_SOURCE = "He, Zhang, Ren & Sun: Deep residual learning for image recognition, CVPR 2016"

ARCHITECTURES = (
    *(
        Architecture(
            id=f"resnet{depth}",
            title=f"ResNet-{depth}",
            year=2016,
            idea=_IDEA,
            source=_SOURCE,
            input=(3, 224, 224),
            build=partial(resnet, depth),
            family="ResNet",
        )
        for depth in BLOCKS
    ),
    *(
        Architecture(
            id=f"plain{depth}",
            title=f"Plain network of {depth} layers",
            year=2016,
            idea=_PLAIN_IDEA,
            source=_SOURCE,
            input=(3, 224, 224),
            build=partial(plain, depth),
            family="ResNet",
        )
        for depth in (18, 34)
    ),
    Architecture(
        id="resnet-digits",
        title="Residual network for digits",
        year=2016,
        idea=_IDEA,
        source=f"{_SOURCE}; its basic block, reduced to 8×8 digits",
        input=(1, 8, 8),
        build=resnet_digits,
        file="resnet-digits.gflow",
        family="ResNet",
        scale="classroom",
    ),
    Architecture(
        id="plain-digits",
        title="Plain network for digits",
        year=2016,
        idea=_PLAIN_IDEA,
        source=f"{_SOURCE}; the residual network for digits without its skips",
        input=(1, 8, 8),
        build=plain_digits,
        family="ResNet",
        scale="classroom",
    ),
)
