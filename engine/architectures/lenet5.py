"""LeNet-5, in the forms that are taught today."""

from __future__ import annotations

from functools import partial

from engine.architectures.base import DIGITS, Architecture, Builder
from engine.graph import Graph
from engine.layers.avg_pool2d import AvgPool2d
from engine.layers.conv2d import Conv2d
from engine.layers.flatten import Flatten
from engine.layers.linear import Linear
from engine.layers.max_pool2d import MaxPool2d
from engine.layers.relu import ReLU


def lenet5(average: bool = False) -> Graph:
    """LeNet-5 for (1, 28, 28) digits: 61,706 parameters, 416,520 multiply-adds.

    Sizes are those of LeCun et al. 1998, figure 2. It differs from the paper where courses do:
    ReLU for tanh, max or (``average``) average pooling for trained sub-sampling, all 6 maps into
    every second-layer kernel, and a linear last layer with softmax cross-entropy for the RBF units.
    """
    build = Builder((1, 28, 28))
    pool = AvgPool2d(2, 2) if average else MaxPool2d(2, 2)
    logits = build.chain(
        build.input,
        ("conv1", Conv2d(6, 5, padding=2)),
        ("relu1", ReLU()),
        ("pool1", pool),
        ("conv2", Conv2d(16, 5)),
        ("relu2", ReLU()),
        ("pool2", pool),
        ("flatten", Flatten()),
        ("fc1", Linear(120)),
        ("relu3", ReLU()),
        ("fc2", Linear(84)),
        ("relu4", ReLU()),
        ("fc3", Linear(10)),
    )
    name = "LeNet-5 with average pooling" if average else "LeNet-5"
    return build.classifier(logits, name, DIGITS)


_IDEA = "Small kernels slide over the picture, and pooling makes what they find coarser."
_SOURCE = (
    "LeCun, Bottou, Bengio & Haffner: Gradient-based learning applied to document "
    "recognition, Proceedings of the IEEE 86(11), 1998"
)

ARCHITECTURES = (
    Architecture(
        id="lenet5",
        title="LeNet-5",
        year=1998,
        idea=_IDEA,
        source=_SOURCE,
        input=(1, 28, 28),
        build=lenet5,
        file="lenet5.gflow",
        family="LeNet",
        scale="classroom",
    ),
    Architecture(
        id="lenet5-average",
        title="LeNet-5 with average pooling",
        year=1998,
        idea="Averaging passes the gradient to every cell of a window; the largest takes it all.",
        source=_SOURCE,
        input=(1, 28, 28),
        build=partial(lenet5, average=True),
        family="LeNet",
        scale="classroom",
    ),
)
