"""MobileNet: a convolution split into one per channel and one across channels."""

from __future__ import annotations

from engine.architectures.base import DIGITS, Architecture, Builder
from engine.graph import Graph, Ref
from engine.layers.batch_norm2d import BatchNorm2d
from engine.layers.conv2d import Conv2d
from engine.layers.flatten import Flatten
from engine.layers.global_avg_pool import GlobalAvgPool
from engine.layers.linear import Linear
from engine.layers.relu import ReLU

BLOCKS = (
    (64, 1),
    (128, 2),
    (128, 1),
    (256, 2),
    (256, 1),
    (512, 2),
    *((512, 1),) * 5,
    (1024, 2),
    (1024, 1),
)
"""(channels, stride) of the 13 separable convolutions: table 1 of Howard et al. 2017."""


def mobilenet_v1() -> Graph:
    """MobileNetV1 for (3, 224, 224) pictures and 1000 classes.

    4,231,976 parameters and 568,740,352 multiply-adds: the 4.2 million and 569 million of table 8
    of Howard et al. 2017.
    """
    build = Builder((3, 224, 224))
    x = _normalised(build, "stem", build.input, Conv2d(32, 3, stride=2, padding=1, bias=False))
    x = _blocks(build, x, 32, BLOCKS)
    logits = build.chain(x, ("gap", GlobalAvgPool()), ("flatten", Flatten()), ("fc", Linear(1000)))
    return build.classifier(logits, "MobileNetV1", ())


def mobilenet_digits() -> Graph:
    """MobileNet for (1, 8, 8) digits: a stem and four separable convolutions."""
    build = Builder((1, 8, 8))
    x = _normalised(build, "stem", build.input, Conv2d(16, 3, padding=1, bias=False))
    x = _blocks(build, x, 16, ((32, 1), (64, 2), (64, 1), (128, 2)))
    logits = build.chain(x, ("gap", GlobalAvgPool()), ("flatten", Flatten()), ("fc", Linear(10)))
    return build.classifier(logits, "MobileNet for digits", DIGITS)


def _blocks(build: Builder, x: Ref, width: int, blocks: tuple[tuple[int, int], ...]) -> Ref:
    for number, (channels, stride) in enumerate(blocks, 1):
        depthwise = Conv2d(width, 3, stride=stride, padding=1, groups=width, bias=False)
        x = _normalised(build, f"block{number}/depthwise", x, depthwise)
        x = _normalised(build, f"block{number}/pointwise", x, Conv2d(channels, 1, bias=False))
        width = channels
    return x


def _normalised(build: Builder, name: str, x: Ref, layer: Conv2d) -> Ref:
    return build.chain(
        x, (f"{name}/conv", layer), (f"{name}/bn", BatchNorm2d()), (f"{name}/relu", ReLU())
    )


_IDEA = "One kernel per channel, then 1×1 across channels: nearly the same for a ninth of the work."
_SOURCE = (
    "Howard et al.: MobileNets: efficient convolutional neural networks for mobile vision "
    "applications, arXiv 1704.04861, 2017"
)

ARCHITECTURES = (
    Architecture(
        id="mobilenet-v1",
        title="MobileNetV1",
        year=2017,
        idea=_IDEA,
        source=_SOURCE,
        input=(3, 224, 224),
        build=mobilenet_v1,
        family="MobileNet",
    ),
    Architecture(
        id="mobilenet-digits",
        title="MobileNet for digits",
        year=2017,
        idea=_IDEA,
        source=f"{_SOURCE}; four separable convolutions, for 8×8 digits",
        input=(1, 8, 8),
        build=mobilenet_digits,
        family="MobileNet",
        scale="classroom",
    ),
)
