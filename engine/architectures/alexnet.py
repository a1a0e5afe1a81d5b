"""AlexNet, which won with depth, ReLU and dropout, and ZFNet, its successor."""

from __future__ import annotations

from engine.architectures.base import DIGITS, Architecture, Builder
from engine.graph import Graph, Ref
from engine.layers.conv2d import Conv2d
from engine.layers.dropout import Dropout
from engine.layers.flatten import Flatten
from engine.layers.linear import Linear
from engine.layers.lrn import LRN
from engine.layers.max_pool2d import MaxPool2d
from engine.layers.relu import ReLU


def alexnet() -> Graph:
    """AlexNet for (3, 227, 227) pictures and 1000 classes, in two groups, as it was trained.

    60,965,224 parameters and 724,406,816 multiply-adds: the 60 million of Krizhevsky et al. 2012.
    Convolutions 2, 4 and 5 see half of the maps each, which stood on two graphics cards. The paper
    prints 224 rows and columns; only 227 give the 55 of its figure 2. LRN with the constants of
    section 3.3.
    """
    build = Builder((3, 227, 227))
    x = build.chain(
        build.input,
        ("conv1", Conv2d(96, 11, stride=4)),
        ("relu1", ReLU()),
        ("lrn1", LRN(5, 1e-4, 0.75, 2.0)),
        ("pool1", MaxPool2d(3, 2)),
        ("conv2", Conv2d(256, 5, padding=2, groups=2)),
        ("relu2", ReLU()),
        ("lrn2", LRN(5, 1e-4, 0.75, 2.0)),
        ("pool2", MaxPool2d(3, 2)),
        ("conv3", Conv2d(384, 3, padding=1)),
        ("relu3", ReLU()),
        ("conv4", Conv2d(384, 3, padding=1, groups=2)),
        ("relu4", ReLU()),
        ("conv5", Conv2d(256, 3, padding=1, groups=2)),
        ("relu5", ReLU()),
        ("pool5", MaxPool2d(3, 2)),
    )
    logits = build.node("fc8", Linear(1000), _classifier(build, x, 4096))
    return build.classifier(logits, "AlexNet", ())


def zfnet() -> Graph:
    """ZFNet for (3, 224, 224) pictures and 1000 classes: AlexNet with a finer first layer.

    62,357,608 parameters and 1,168,032,896 multiply-adds for the sizes of figure 3 of Zeiler &
    Fergus 2014: 7×7 kernels with stride 2 for 11×11 with stride 4. The maps are normalised across
    channels behind the pooling; the paper prints no constants, so AlexNet's are taken.
    """
    build = Builder((3, 224, 224))
    x = build.chain(
        build.input,
        ("conv1", Conv2d(96, 7, stride=2, padding=1)),
        ("relu1", ReLU()),
        ("pool1", MaxPool2d(3, 2, padding=1)),
        ("lrn1", LRN(5, 1e-4, 0.75, 2.0)),
        ("conv2", Conv2d(256, 5, stride=2)),
        ("relu2", ReLU()),
        ("pool2", MaxPool2d(3, 2, padding=1)),
        ("lrn2", LRN(5, 1e-4, 0.75, 2.0)),
        ("conv3", Conv2d(384, 3, padding=1)),
        ("relu3", ReLU()),
        ("conv4", Conv2d(384, 3, padding=1)),
        ("relu4", ReLU()),
        ("conv5", Conv2d(256, 3, padding=1)),
        ("relu5", ReLU()),
        ("pool5", MaxPool2d(3, 2)),
    )
    logits = build.node("fc8", Linear(1000), _classifier(build, x, 4096))
    return build.classifier(logits, "ZFNet", ())


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
    """AlexNet for (1, 28, 28) pictures: five convolutions, overlapping pooling, two dropouts.

    Two groups and LRN as in the large one.
    """
    build = Builder((1, 28, 28))
    x = build.chain(
        build.input,
        ("conv1", Conv2d(16, 5, stride=2, padding=2)),
        ("relu1", ReLU()),
        ("lrn1", LRN(5, 1e-4, 0.75, 2.0)),
        ("pool1", MaxPool2d(3, 2, padding=1)),
        ("conv2", Conv2d(32, 3, padding=1, groups=2)),
        ("relu2", ReLU()),
        ("lrn2", LRN(5, 1e-4, 0.75, 2.0)),
        ("pool2", MaxPool2d(3, 2, padding=1)),
        ("conv3", Conv2d(48, 3, padding=1)),
        ("relu3", ReLU()),
        ("conv4", Conv2d(48, 3, padding=1, groups=2)),
        ("relu4", ReLU()),
        ("conv5", Conv2d(32, 3, padding=1, groups=2)),
        ("relu5", ReLU()),
        ("pool5", MaxPool2d(3, 2)),
    )
    logits = build.node("fc8", Linear(10), _classifier(build, x, 96))
    return build.classifier(logits, "AlexNet for digits", DIGITS)


def zfnet_digits() -> Graph:
    """ZFNet for (1, 28, 28) pictures: 3×3 kernels from the first layer on, and single steps there.

    LRN behind the pooling and no groups, as in the large one.
    """
    build = Builder((1, 28, 28))
    x = build.chain(
        build.input,
        ("conv1", Conv2d(16, 3, padding=1)),
        ("relu1", ReLU()),
        ("pool1", MaxPool2d(3, 2, padding=1)),
        ("lrn1", LRN(5, 1e-4, 0.75, 2.0)),
        ("conv2", Conv2d(32, 3, stride=2, padding=1)),
        ("relu2", ReLU()),
        ("pool2", MaxPool2d(3, 2, padding=1)),
        ("lrn2", LRN(5, 1e-4, 0.75, 2.0)),
        ("conv3", Conv2d(48, 3, padding=1)),
        ("relu3", ReLU()),
        ("conv4", Conv2d(48, 3, padding=1)),
        ("relu4", ReLU()),
        ("conv5", Conv2d(32, 3, padding=1)),
        ("relu5", ReLU()),
        ("pool5", MaxPool2d(3, 2)),
    )
    logits = build.node("fc8", Linear(10), _classifier(build, x, 96))
    return build.classifier(logits, "ZFNet for digits", DIGITS)


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

_FINER = "Smaller kernels and steps in the first layer keep what AlexNet's lost."
_ZFNET = "Zeiler & Fergus: Visualizing and understanding convolutional networks, ECCV 2014"

ARCHITECTURES = (
    Architecture(
        id="alexnet",
        title="AlexNet",
        year=2012,
        idea=_IDEA,
        source=_SOURCE,
        input=(3, 227, 227),
        build=alexnet,
        family="AlexNet",
    ),
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
    Architecture(
        id="zfnet",
        title="ZFNet",
        year=2014,
        idea=_FINER,
        source=_ZFNET,
        input=(3, 224, 224),
        build=zfnet,
        family="ZFNet",
    ),
    Architecture(
        id="zfnet-digits",
        title="ZFNet for digits",
        year=2014,
        idea=_FINER,
        source=f"{_ZFNET}; narrower, for 28×28 digits",
        input=(1, 28, 28),
        build=zfnet_digits,
        family="ZFNet",
        scale="classroom",
    ),
)
