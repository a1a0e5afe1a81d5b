"""AlexNet: the network that won with depth, ReLU and dropout."""

from __future__ import annotations

from engine.architectures.base import DIGITS, Architecture, Builder
from engine.graph import Graph, Ref
from engine.layers.conv2d import Conv2d
from engine.layers.dropout import Dropout
from engine.layers.flatten import Flatten
from engine.layers.linear import Linear
from engine.layers.max_pool2d import MaxPool2d
from engine.layers.relu import ReLU


def alexnet_one_tower() -> Graph:
    """AlexNet in one tower, for (3, 224, 224) pictures and 1000 classes.

    61,100,840 parameters and 714,188,480 multiply-adds, as torchvision's alexnet: the sizes of
    Krizhevsky 2014 ("One weird trick", arXiv 1404.5997), without LRN. The classifier's dropouts
    stand before its layers there.
    """
    build = Builder((3, 224, 224))
    x = build.chain(
        build.input,
        ("conv1", Conv2d(64, 11, stride=4, padding=2)),
        ("relu1", ReLU()),
        ("pool1", MaxPool2d(3, 2)),
        ("conv2", Conv2d(192, 5, padding=2)),
        ("relu2", ReLU()),
        ("pool2", MaxPool2d(3, 2)),
        ("conv3", Conv2d(384, 3, padding=1)),
        ("relu3", ReLU()),
        ("conv4", Conv2d(256, 3, padding=1)),
        ("relu4", ReLU()),
        ("conv5", Conv2d(256, 3, padding=1)),
        ("relu5", ReLU()),
        ("pool5", MaxPool2d(3, 2)),
        ("flatten", Flatten()),
        ("dropout6", Dropout(0.5)),
        ("fc6", Linear(4096)),
        ("relu6", ReLU()),
        ("dropout7", Dropout(0.5)),
        ("fc7", Linear(4096)),
        ("relu7", ReLU()),
    )
    logits = build.node("fc8", Linear(1000), x)
    return build.classifier(logits, "AlexNet, one tower", ())


def alexnet_digits() -> Graph:
    """AlexNet for (1, 28, 28) pictures: five convolutions, overlapping pooling, two dropouts."""
    build = Builder((1, 28, 28))
    x = build.chain(
        build.input,
        ("conv1", Conv2d(16, 5, stride=2, padding=2)),
        ("relu1", ReLU()),
        ("pool1", MaxPool2d(3, 2, padding=1)),
        ("conv2", Conv2d(32, 3, padding=1)),
        ("relu2", ReLU()),
        ("pool2", MaxPool2d(3, 2, padding=1)),
        ("conv3", Conv2d(48, 3, padding=1)),
        ("relu3", ReLU()),
        ("conv4", Conv2d(48, 3, padding=1)),
        ("relu4", ReLU()),
        ("conv5", Conv2d(32, 3, padding=1)),
        ("relu5", ReLU()),
        ("pool5", MaxPool2d(3, 2)),
    )
    logits = build.node("fc8", Linear(10), _classifier(build, x, 96))
    return build.classifier(logits, "AlexNet for digits", DIGITS)


def _classifier(build: Builder, x: Ref, width: int) -> Ref:
    return build.chain(
        x,
        ("flatten", Flatten()),
        ("fc6", Linear(width)),
        ("relu6", ReLU()),
        ("dropout6", Dropout(0.5)),
        ("fc7", Linear(width)),
        ("relu7", ReLU()),
        ("dropout7", Dropout(0.5)),
    )


_IDEA = "ReLU, dropout and eight layers made large pictures learnable."
_SOURCE = (
    "Krizhevsky, Sutskever & Hinton: ImageNet classification with deep convolutional neural "
    "networks, NIPS 2012"
)

ARCHITECTURES = (
    Architecture(
        id="alexnet-one-tower",
        title="AlexNet, one tower",
        year=2012,
        idea=_IDEA,
        source=f"{_SOURCE}; in the form of Krizhevsky 2014 and torchvision",
        input=(3, 224, 224),
        build=alexnet_one_tower,
        family="AlexNet",
    ),
    Architecture(
        id="alexnet-digits",
        title="AlexNet for digits",
        year=2012,
        idea=_IDEA,
        source=f"{_SOURCE}; narrower, for 28×28 digits",
        input=(1, 28, 28),
        build=alexnet_digits,
        family="AlexNet",
        scale="classroom",
    ),
)
