"""SqueezeNet: few weights."""

from __future__ import annotations

from engine.architectures.base import DIGITS, Architecture, Builder
from engine.graph import Graph, Ref
from engine.layers.concat import Concat
from engine.layers.conv2d import Conv2d
from engine.layers.dropout import Dropout
from engine.layers.flatten import Flatten
from engine.layers.global_avg_pool import GlobalAvgPool
from engine.layers.max_pool2d import MaxPool2d
from engine.layers.relu import ReLU


def squeezenet() -> Graph:
    """SqueezeNet 1.1 for (3, 224, 224) pictures and 1000 classes: 1,235,496 parameters.

    The count is that of torchvision's squeezenet1_1; multiply-adds 349.15 M, its 0.349 G. Version
    1.1 is the authors' own, with 2.4 times less work than the paper's 1.0.
    """
    build = Builder((3, 224, 224))
    x = build.chain(
        build.input,
        ("stem/conv", Conv2d(64, 3, stride=2)),
        ("stem/relu", ReLU()),
        ("stem/pool", MaxPool2d(3, 2, ceil_mode=True)),
    )
    x = _fire(build, "fire2", x, 16, 64)
    x = _fire(build, "fire3", x, 16, 64)
    x = build.node("pool3", MaxPool2d(3, 2, ceil_mode=True), x)
    x = _fire(build, "fire4", x, 32, 128)
    x = _fire(build, "fire5", x, 32, 128)
    x = build.node("pool5", MaxPool2d(3, 2, ceil_mode=True), x)
    x = _fire(build, "fire6", x, 48, 192)
    x = _fire(build, "fire7", x, 48, 192)
    x = _fire(build, "fire8", x, 64, 256)
    x = _fire(build, "fire9", x, 64, 256)
    logits = build.chain(
        x,
        ("dropout", Dropout(0.5)),
        ("classes/conv", Conv2d(1000, 1, initialiser="small")),
        ("classes/relu", ReLU()),
        ("gap", GlobalAvgPool()),
        ("flatten", Flatten()),
    )
    return build.classifier(logits, "SqueezeNet 1.1", ())


def squeezenet_digits() -> Graph:
    """SqueezeNet for (1, 8, 8) digits: three fire modules.

    The last map has no ReLU: with it, a class whose map is zero everywhere would never learn.
    """
    build = Builder((1, 8, 8))
    x = build.chain(
        build.input,
        ("stem/conv", Conv2d(24, 3, padding=1)),
        ("stem/relu", ReLU()),
    )
    x = _fire(build, "fire2", x, 12, 24)
    x = build.node("pool2", MaxPool2d(2, 2), x)
    x = _fire(build, "fire3", x, 16, 32)
    x = _fire(build, "fire4", x, 16, 32)
    logits = build.chain(
        x,
        ("classes/conv", Conv2d(10, 1, initialiser="small")),
        ("gap", GlobalAvgPool()),
        ("flatten", Flatten()),
    )
    return build.classifier(logits, "SqueezeNet for digits", DIGITS)


def _fire(build: Builder, name: str, x: Ref, squeeze: int, expand: int) -> Ref:
    """1×1 to few channels, then 1×1 and 3×3 side by side to many: figure 2 of the paper."""
    x = build.chain(
        x,
        (f"{name}/squeeze/conv", Conv2d(squeeze, 1)),
        (f"{name}/squeeze/relu", ReLU()),
    )
    branches = [
        build.chain(
            x,
            (f"{name}/expand{size}x{size}/conv", Conv2d(expand, size, padding=size // 2)),
            (f"{name}/expand{size}x{size}/relu", ReLU()),
        )
        for size in (1, 3)
    ]
    return build.node(f"{name}/concat", Concat(), *branches)


_IDEA = "Squeeze to few channels before the costly 3×3: a fiftieth of AlexNet's weights."
_SOURCE = (
    "Iandola et al.: SqueezeNet: AlexNet-level accuracy with 50x fewer parameters, "
    "arXiv 1602.07360, 2016"
)

ARCHITECTURES = (
    Architecture(
        id="squeezenet",
        title="SqueezeNet 1.1",
        year=2016,
        idea=_IDEA,
        source=f"{_SOURCE}; version 1.1 of the authors",
        input=(3, 224, 224),
        build=squeezenet,
        family="SqueezeNet",
    ),
    Architecture(
        id="squeezenet-digits",
        title="SqueezeNet for digits",
        year=2016,
        idea=_IDEA,
        source=f"{_SOURCE}; three fire modules, for 8×8 digits",
        input=(1, 8, 8),
        build=squeezenet_digits,
        family="SqueezeNet",
        scale="classroom",
    ),
)
