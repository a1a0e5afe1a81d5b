"""GoogLeNet: kernels of several sizes side by side."""

from __future__ import annotations

from functools import partial

from engine.architectures.base import DIGITS, Architecture, Builder
from engine.graph import Graph, Ref
from engine.layers.avg_pool2d import AvgPool2d
from engine.layers.base import Layer
from engine.layers.concat import Concat
from engine.layers.conv2d import Conv2d
from engine.layers.dropout import Dropout
from engine.layers.flatten import Flatten
from engine.layers.global_avg_pool import GlobalAvgPool
from engine.layers.linear import Linear
from engine.layers.lrn import LRN
from engine.layers.max_pool2d import MaxPool2d
from engine.layers.relu import ReLU

Widths = tuple[int, int, int, int, int, int]
"""Channels of a block: 1×1, 3×3 reduce, 3×3, 5×5 reduce, 5×5, pool projection."""

STAGES: tuple[tuple[str, tuple[tuple[str, Widths], ...]], ...] = (
    (
        "inception3",
        (("a", (64, 96, 128, 16, 32, 32)), ("b", (128, 128, 192, 32, 96, 64))),
    ),
    (
        "inception4",
        (
            ("a", (192, 96, 208, 16, 48, 64)),
            ("b", (160, 112, 224, 24, 64, 64)),
            ("c", (128, 128, 256, 24, 64, 64)),
            ("d", (112, 144, 288, 32, 64, 64)),
            ("e", (256, 160, 320, 32, 128, 128)),
        ),
    ),
    (
        "inception5",
        (("a", (256, 160, 320, 32, 128, 128)), ("b", (384, 192, 384, 48, 128, 128))),
    ),
)
"""Table 1 of Szegedy et al. 2015."""
AUXILIARY = {"inception4/a": "auxiliary1", "inception4/d": "auxiliary2"}
"""Name of the head behind a block."""
# Figure 3 of the paper has LRN, without constants: those of the authors' time (and of ONNX).
_NORMALISE = LRN(5, 1e-4, 0.75, 1.0, divide=True)
AUXILIARY_WEIGHT = 0.3
"""Share of each auxiliary loss in the sum: section 5 of Szegedy et al. 2015."""


def googlenet(auxiliary: bool = True) -> Graph:
    """GoogLeNet for (3, 224, 224) pictures and 1000 classes, as in Szegedy et al. 2015.

    6,998,552 parameters and 1,582,671,872 multiply-adds; with the ``auxiliary`` heads, which help
    in training only, 13,378,280 parameters. They have losses of their own, weighted by 0.3.
    """
    build = Builder((3, 224, 224))
    x = build.chain(
        build.input,
        ("stem/conv1", Conv2d(64, 7, stride=2, padding=3)),
        ("stem/relu1", ReLU()),
        ("stem/pool1", MaxPool2d(3, 2, ceil_mode=True)),
        ("stem/lrn1", _NORMALISE),
        ("stem/conv2", Conv2d(64, 1)),
        ("stem/relu2", ReLU()),
        ("stem/conv3", Conv2d(192, 3, padding=1)),
        ("stem/relu3", ReLU()),
        ("stem/lrn2", _NORMALISE),
        ("stem/pool2", MaxPool2d(3, 2, ceil_mode=True)),
    )
    heads: list[tuple[str, Ref, float]] = []
    for number, (stage, blocks) in enumerate(STAGES):
        if number:
            x = build.node(f"{stage}/pool", MaxPool2d(3, 2, ceil_mode=True), x)
        for letter, widths in blocks:
            x = _inception(build, f"{stage}/{letter}", x, widths)
            head = AUXILIARY.get(f"{stage}/{letter}")
            if auxiliary and head is not None:
                heads.append((f"{head}_loss", _auxiliary(build, head, x), AUXILIARY_WEIGHT))
    logits = build.chain(
        x,
        ("gap", GlobalAvgPool()),
        ("flatten", Flatten()),
        ("dropout", Dropout(0.4)),
        ("fc", Linear(1000)),
    )
    name = "GoogLeNet with auxiliary heads" if auxiliary else "GoogLeNet"
    return build.classifier(logits, name, (), heads)


def googlenet_digits(auxiliary: bool = True) -> Graph:
    """GoogLeNet for (1, 8, 8) digits: a stem and three blocks; one auxiliary head, weighted 0.3."""
    build = Builder((1, 8, 8))
    x = build.chain(build.input, ("stem/conv", Conv2d(16, 3, padding=1)), ("stem/relu", ReLU()))
    x = _inception(build, "inception3/a", x, (8, 8, 16, 4, 8, 8))
    heads: list[tuple[str, Ref, float]] = []
    if auxiliary:
        head = build.chain(
            x,
            ("auxiliary1/gap", GlobalAvgPool()),
            ("auxiliary1/flatten", Flatten()),
            ("auxiliary1/fc", Linear(10)),
        )
        heads.append(("auxiliary1_loss", head, AUXILIARY_WEIGHT))
    x = build.node("inception4/pool", MaxPool2d(2, 2), x)
    x = _inception(build, "inception4/a", x, (16, 12, 24, 4, 8, 8))
    x = _inception(build, "inception4/b", x, (24, 16, 32, 6, 12, 12))
    logits = build.chain(
        x,
        ("gap", GlobalAvgPool()),
        ("flatten", Flatten()),
        ("dropout", Dropout(0.2)),
        ("fc", Linear(10)),
    )
    name = "GoogLeNet for digits"
    return build.classifier(
        logits, f"{name}, with an auxiliary head" if auxiliary else name, DIGITS, heads
    )


def _inception(build: Builder, name: str, x: Ref, widths: Widths) -> Ref:
    """Four branches side by side, figure 2b of the paper; each convolution has a ReLU."""
    one, reduce3, three, reduce5, five, pooled = widths
    branches: tuple[tuple[tuple[str, Layer], ...], ...] = (
        (("1x1", Conv2d(one, 1)),),
        (("3x3_reduce", Conv2d(reduce3, 1)), ("3x3", Conv2d(three, 3, padding=1))),
        (("5x5_reduce", Conv2d(reduce5, 1)), ("5x5", Conv2d(five, 5, padding=2))),
        (("pool", MaxPool2d(3, 1, padding=1)), ("pool_projection", Conv2d(pooled, 1))),
    )
    ends = []
    for entries in branches:
        y = x
        for part, layer in entries:
            y = build.node(f"{name}/{part}", layer, y)
            if isinstance(layer, Conv2d):
                y = build.node(f"{name}/{part}_relu", ReLU(), y)
        ends.append(y)
    return build.node(f"{name}/concat", Concat(), *ends)


def _auxiliary(build: Builder, name: str, x: Ref) -> Ref:
    """A small classifier on the way, which sends its gradient in at the middle."""
    return build.chain(
        x,
        (f"{name}/pool", AvgPool2d(5, 3)),
        (f"{name}/conv", Conv2d(128, 1)),
        (f"{name}/relu1", ReLU()),
        (f"{name}/flatten", Flatten()),
        (f"{name}/fc1", Linear(1024)),
        (f"{name}/relu2", ReLU()),
        (f"{name}/dropout", Dropout(0.7)),
        (f"{name}/fc2", Linear(1000)),
    )


_IDEA = "Kernels of several sizes look side by side, and 1×1 convolutions keep that affordable."
_HEADS = "Losses on the way, weighted by 0.3, send gradient into the middle of a deep network."
_SOURCE = "Szegedy et al.: Going deeper with convolutions, CVPR 2015 (2014)"

ARCHITECTURES = (
    Architecture(
        id="googlenet",
        title="GoogLeNet",
        year=2014,
        idea=_IDEA,
        source=_SOURCE,
        input=(3, 224, 224),
        build=partial(googlenet, False),
        family="GoogLeNet",
    ),
    Architecture(
        id="googlenet-auxiliary",
        title="GoogLeNet with auxiliary heads",
        year=2014,
        idea=_HEADS,
        source=_SOURCE,
        input=(3, 224, 224),
        build=googlenet,
        family="GoogLeNet",
    ),
    Architecture(
        id="googlenet-digits",
        title="GoogLeNet for digits",
        year=2014,
        idea=_IDEA,
        source=f"{_SOURCE}; three blocks, for 8×8 digits",
        input=(1, 8, 8),
        build=partial(googlenet_digits, False),
        family="GoogLeNet",
        scale="classroom",
    ),
    Architecture(
        id="googlenet-digits-auxiliary",
        title="GoogLeNet for digits, with an auxiliary head",
        year=2014,
        idea=_HEADS,
        source=f"{_SOURCE}; three blocks and one head, for 8×8 digits",
        input=(1, 8, 8),
        build=googlenet_digits,
        family="GoogLeNet",
        scale="classroom",
    ),
)
