"""LeNet-5, as it was published and in the forms that are taught today."""

from __future__ import annotations

from functools import partial

from engine.architectures.base import DIGITS, Architecture, Builder
from engine.graph import Graph
from engine.layers.avg_pool2d import AvgPool2d
from engine.layers.conv2d import Conv2d
from engine.layers.flatten import Flatten
from engine.layers.linear import Linear
from engine.layers.max_pool2d import MaxPool2d
from engine.layers.partial_conv2d import PartialConv2d
from engine.layers.rbf import RBF
from engine.layers.relu import ReLU
from engine.layers.tanh import Tanh
from engine.layers.trainable_subsampling import TrainableSubsampling
from engine.losses import LeNetLoss


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


def lenet5_1998(digits: bool = False) -> Graph:
    """LeNet-5 for (1, 32, 32) digits as LeCun et al. 1998 describe it: 60,000 trained parameters.

    C1 156, S2 12, C3 1,516 by table I, S4 32, C5 48,120 and F6 10,164 (section II.B). Behind each
    stands 1.7159 · tanh(2x / 3) (appendix A), and the loss is equation 9. The patterns of the RBF
    units are fixed, here at random −1 and 1, and the distances to them have a minus, so that
    the largest number is the answer, as in every other network here. Initial weights are drawn
    with variance 1 / fan_in (section 4.6 of Efficient BackProp), which suits that tanh.

    ``digits``: for (1, 8, 8) digits, 3×3 kernels with a border of zeros, else the same layers.
    """
    build = Builder((1, 8, 8) if digits else (1, 32, 32))
    kernel, padding, last = (3, 1, 2) if digits else (5, 0, 5)
    squash = Tanh(amplitude=1.7159, steepness=2 / 3)
    scores = build.chain(
        build.input,
        ("c1", Conv2d(6, kernel, padding=padding, initialiser="lecun")),
        ("c1_tanh", squash),
        ("s2", TrainableSubsampling(2)),
        ("s2_tanh", squash),
        ("c3", PartialConv2d("lenet-c3", kernel, padding=padding, initialiser="lecun")),
        ("c3_tanh", squash),
        ("s4", TrainableSubsampling(2)),
        ("s4_tanh", squash),
        ("c5", Conv2d(120, last, initialiser="lecun")),
        ("c5_tanh", squash),
        ("flatten", Flatten()),
        ("f6", Linear(84, initialiser="lecun")),
        ("f6_tanh", squash),
        ("output", RBF(10, trained=False, negative=True)),
    )
    name = "LeNet-5 of 1998 for digits" if digits else "LeNet-5 of 1998"
    return build.classifier(scores, name, DIGITS, loss=LeNetLoss(negative=True))


_IDEA = "Small kernels slide over the picture, and pooling makes what they find coarser."
_SOURCE = (
    "LeCun, Bottou, Bengio & Haffner: Gradient-based learning applied to document "
    "recognition, Proceedings of the IEEE 86(11), 1998"
)

_PUBLISHED = "A map reads some of the maps before it, and a class is the distance to its pattern."

ARCHITECTURES = (
    Architecture(
        id="lenet5-1998",
        title="LeNet-5 of 1998",
        year=1998,
        idea=_PUBLISHED,
        source=_SOURCE,
        input=(1, 32, 32),
        build=lenet5_1998,
        family="LeNet",
        scale="classroom",
    ),
    Architecture(
        id="lenet5-1998-digits",
        title="LeNet-5 of 1998 for digits",
        year=1998,
        idea=_PUBLISHED,
        source=f"{_SOURCE}; with 3×3 kernels, for 8×8 digits",
        input=(1, 8, 8),
        build=partial(lenet5_1998, digits=True),
        family="LeNet",
        scale="classroom",
    ),
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
