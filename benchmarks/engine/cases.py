"""What is measured: networks of the gallery, and what one pass through them does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np

from engine.architectures import ARCHITECTURES
from engine.architectures.base import Builder
from engine.graph import Graph
from engine.layers.base import Array, Layer
from engine.layers.conv2d import Conv2d
from engine.layers.flatten import Flatten
from engine.layers.global_avg_pool import GlobalAvgPool
from engine.layers.linear import Linear
from engine.layers.max_pool2d import MaxPool2d
from engine.layers.relu import ReLU

Work = Literal["step", "gradients", "forward"]
"""step: forward, backward and update in training mode; gradients: the same without the update;
forward: in evaluation mode, where nothing is kept for a backward pass."""


@dataclass(frozen=True)
class Case:
    """A network and a batch. ``must`` and ``aim`` are ratios, ours / theirs; None: no goal.

    ``input_gradients``: whether the gradient of the network's input is computed too.
    """

    name: str
    title: str
    build: Callable[[], Graph]
    batch: int
    work: Work = "step"
    must: float | None = None
    aim: float | None = None
    input_gradients: bool = False


def gallery(name: str) -> Callable[[], Graph]:
    """The builder of a network of the gallery."""
    return ARCHITECTURES[name].build


def lenet(first: int, second: int, size: int) -> Graph:
    """LeNet-5 with other numbers of maps and another input size."""
    build = Builder((1, size, size))
    chain: list[tuple[str, Layer]] = [
        ("conv1", Conv2d(first, 5, padding=2)),
        ("relu1", ReLU()),
        ("pool1", MaxPool2d(2, 2)),
        ("conv2", Conv2d(second, 5)),
        ("relu2", ReLU()),
        ("pool2", MaxPool2d(2, 2)),
        ("flatten", Flatten()),
        ("fc1", Linear(120)),
        ("relu3", ReLU()),
        ("fc2", Linear(84)),
        ("relu4", ReLU()),
        ("fc3", Linear(10)),
    ]
    return build.classifier(build.chain(build.input, *chain), "LeNet of another size", ())


def vgg_block(channels: int = 128, size: int = 56) -> Graph:
    """Two 3×3 convolutions with ReLU and max pooling, as VGG-16 has them behind its third pooling.

    The means of the maps enter the loss as they are.
    """
    build = Builder((channels, size, size))
    maps = build.chain(
        build.input,
        ("conv1", Conv2d(channels, 3, padding=1)),
        ("relu1", ReLU()),
        ("conv2", Conv2d(channels, 3, padding=1)),
        ("relu2", ReLU()),
        ("pool", MaxPool2d(2, 2)),
        ("gap", GlobalAvgPool()),
        ("flatten", Flatten()),
    )
    return build.classifier(maps, "VGG block", ())


def depthwise(channels: int = 128, size: int = 56) -> Graph:
    """One depthwise 3×3 convolution; the means of the maps enter the loss."""
    build = Builder((channels, size, size))
    maps = build.chain(
        build.input,
        ("conv", Conv2d(channels, 3, padding=1, groups=channels, bias=False)),
        ("gap", GlobalAvgPool()),
        ("flatten", Flatten()),
    )
    return build.classifier(maps, "Depthwise convolution", ())


CASES = (
    Case("lenet-1", "LeNet-5 step, batch 1", gallery("lenet5"), 1, must=0.7, aim=0.4),
    Case("lenet-32", "LeNet-5 step, batch 32", gallery("lenet5"), 32, must=0.8, aim=0.5),
    Case("lenet-128", "LeNet-5 step, batch 128", gallery("lenet5"), 128, must=1.0, aim=0.6),
    Case(
        "lenet-7-19-32",
        "LeNet with 7 and 19 maps on 30×30, batch 32",
        partial(lenet, 7, 19, 30),
        32,
    ),
    Case(
        "resnet20-32",
        "CIFAR ResNet-20 step, batch 32",
        gallery("cifar-resnet20-b"),
        32,
        must=1.6,
        aim=1.1,
    ),
    Case(
        "resnet50-forward",
        "ResNet-50 forward at 224², batch 1",
        gallery("resnet50"),
        1,
        "forward",
        must=1.6,
        aim=1.1,
    ),
    Case(
        "vgg-block-8",
        "VGG block 128→128 at 56², batch 8, forward and backward",
        vgg_block,
        8,
        "gradients",
        must=1.6,
        aim=1.15,
        input_gradients=True,
    ),
    Case(
        "densenet121-1",
        "DenseNet-121 forward and backward at 224², batch 1",
        gallery("densenet121"),
        1,
        "gradients",
        must=2.0,
        aim=1.2,
    ),
    Case(
        "depthwise-8",
        "Depthwise 3×3, 128 maps of 56², batch 8, forward and backward",
        depthwise,
        8,
        "gradients",
        must=6.0,
        aim=3.0,
        input_gradients=True,
    ),
)
TRACED = tuple(
    Case(
        f"traced-{name}",
        f"LeNet-5 step traced / untraced, batch {batch}",
        gallery("lenet5"),
        batch,
        must=1.3,
        aim=1.1,
    )
    for name, batch in (("lenet-1", 1), ("lenet-32", 32))
)
MEMORY = Case(
    "resnet50-memory",
    "Peak memory of a ResNet-50 training step at 224², batch 8",
    gallery("resnet50"),
    8,
    must=1.5,
    aim=1.0,
)


def samples(case: Case, graph: Graph) -> tuple[Array, Array]:
    """Random inputs and targets of a case."""
    rng = np.random.default_rng(0)
    (spec,) = graph.inputs
    classes = graph.check(1).specs[graph.losses[0].input].shape[1]
    x = rng.random((case.batch, *spec.shape), dtype=np.float32)
    return x, rng.integers(0, classes, case.batch)
