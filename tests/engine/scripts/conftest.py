"""The layers that a script must write, each with an input shape."""

from __future__ import annotations

import pytest

from engine.layers.avg_pool2d import AvgPool2d
from engine.layers.base import Layer
from engine.layers.batch_norm2d import BatchNorm2d
from engine.layers.conv2d import Conv2d
from engine.layers.conv_transpose2d import ConvTranspose2d
from engine.layers.dropout import Dropout
from engine.layers.elu import ELU
from engine.layers.flatten import Flatten
from engine.layers.gelu import GELU
from engine.layers.global_avg_pool import GlobalAvgPool
from engine.layers.global_max_pool import GlobalMaxPool
from engine.layers.group_norm import GroupNorm
from engine.layers.hard_swish import HardSwish
from engine.layers.identity import Identity
from engine.layers.instance_norm import InstanceNorm
from engine.layers.layer_norm import LayerNorm
from engine.layers.leaky_relu import LeakyReLU
from engine.layers.linear import Linear
from engine.layers.log_softmax import LogSoftmax
from engine.layers.lrn import LRN
from engine.layers.max_pool2d import MaxPool2d
from engine.layers.pad import Pad
from engine.layers.partial_conv2d import PartialConv2d
from engine.layers.prelu import PReLU
from engine.layers.rbf import RBF
from engine.layers.relu import ReLU
from engine.layers.reshape import Reshape
from engine.layers.resize import Resize
from engine.layers.sigmoid import Sigmoid
from engine.layers.silu import SiLU
from engine.layers.slice import Slice
from engine.layers.softmax import Softmax
from engine.layers.spatial_dropout import SpatialDropout
from engine.layers.stochastic_depth import StochasticDepth
from engine.layers.tanh import Tanh
from engine.layers.trainable_subsampling import TrainableSubsampling

LAYER_CASES: list[tuple[Layer, tuple[int, ...]]] = [
    (AvgPool2d(3, 2, 1), (2, 7, 8)),
    (AvgPool2d(3, 2, 1, count_include_pad=True, ceil_mode=True), (2, 7, 8)),
    (AvgPool2d(3, 2, (0, 1, 1, 0), count_include_pad=True), (2, 7, 8)),
    (BatchNorm2d(1e-3, 0.2), (3, 4, 5)),
    (Conv2d(4, 3, 2, 1), (2, 7, 8)),
    (Conv2d(4, (3, 2), 1, (0, 1, 2, 0), dilation=2, groups=2, bias=False), (2, 7, 8)),
    (ConvTranspose2d(4, 3, 2, 1, output_padding=1, dilation=2), (2, 4, 5)),
    (ConvTranspose2d(4, 2, 2, groups=2, bias=False), (2, 4, 5)),
    (Dropout(0.3), (2, 4, 5)),
    (ELU(0.7), (2, 4, 5)),
    (Flatten(), (2, 4, 5)),
    (GELU(), (2, 4, 5)),
    (GELU(True), (2, 4, 5)),
    (GlobalAvgPool(), (2, 4, 5)),
    (GlobalMaxPool(), (2, 4, 5)),
    (GroupNorm(groups=2), (4, 4, 5)),
    (HardSwish(), (2, 4, 5)),
    (Identity(), (2, 4, 5)),
    (InstanceNorm(), (2, 4, 5)),
    (LRN(3, 0.5, 0.75, 1.5), (5, 4, 5)),
    (LRN(3, 0.5, 0.75, 1.5, divide=True), (5, 4, 5)),
    (LayerNorm(1e-3), (2, 4, 5)),
    (LeakyReLU(0.2), (2, 4, 5)),
    (Linear(4), (6,)),
    (Linear(4, bias=False), (6,)),
    (LogSoftmax(), (6,)),
    (MaxPool2d(3, 2, 1), (2, 7, 8)),
    (MaxPool2d((2, 3), (1, 2), (1, 0, 0, 1)), (2, 7, 8)),
    (MaxPool2d(2, 2, ceil_mode=True, dilation=2), (2, 7, 8)),
    (PReLU(), (3, 4, 5)),
    (PReLU(True), (3, 4, 5)),
    (Pad((1, 2, 0, 1)), (2, 4, 5)),
    (Pad(2, "reflect"), (2, 4, 5)),
    (Pad((0, 1, 2, 0), "edge"), (2, 4, 5)),
    (Pad(0, channels=(0, 3)), (2, 4, 5)),
    (Pad(1, "reflect", channels=(2, 1)), (2, 4, 5)),
    (PartialConv2d(padding=(1, 0, 0, 2)), (6, 7, 8)),
    (PartialConv2d("neighbours", (2, 3), 2, 1), (4, 7, 8)),
    (RBF(4), (6,)),
    (RBF(4, trained=False, negative=True), (6,)),
    (ReLU(), (2, 4, 5)),
    (Reshape(0, 2, 2), (3, 4, 5)),
    (Resize((2, 3)), (2, 4, 5)),
    (Resize(2, "linear"), (2, 4, 5)),
    (SiLU(), (2, 4, 5)),
    (Sigmoid(), (2, 4, 5)),
    (Slice("rows", 1, 2), (2, 4, 5)),
    (Slice("channels", 1, 2), (3, 4, 5)),
    (Softmax(), (3, 4, 5)),
    (SpatialDropout(0.2), (2, 4, 5)),
    (StochasticDepth(0.2), (2, 4, 5)),
    (Tanh(), (2, 4, 5)),
    (Tanh(1.7159, 2 / 3), (2, 4, 5)),
    (TrainableSubsampling((2, 3)), (3, 7, 8)),
]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give a test that asks for ``layer`` and ``shape`` all cases."""
    if {"layer", "shape"} <= set(metafunc.fixturenames):
        names = [f"{type(layer).__name__}-{i}" for i, (layer, _) in enumerate(LAYER_CASES)]
        metafunc.parametrize(("layer", "shape"), LAYER_CASES, ids=names)


@pytest.fixture
def layer_kinds() -> set[type[Layer]]:
    """The kinds of layer that have a case."""
    return {type(layer) for layer, _ in LAYER_CASES}
