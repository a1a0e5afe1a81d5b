"""The layers that a script must write, each with an input shape."""

from __future__ import annotations

import pytest

from engine.layers.arg_max import ArgMax
from engine.layers.arithmetic import OPERATORS, Arithmetic
from engine.layers.avg_pool2d import AvgPool2d
from engine.layers.base import Layer
from engine.layers.batch_norm2d import BatchNorm2d
from engine.layers.celu import CELU
from engine.layers.clip import Clip
from engine.layers.compare import OPERATORS as COMPARISONS
from engine.layers.compare import Compare
from engine.layers.concat import Concat
from engine.layers.constant import Constant
from engine.layers.conv2d import Conv2d
from engine.layers.conv_transpose2d import ConvTranspose2d
from engine.layers.depth_to_space import DepthToSpace
from engine.layers.dropout import Dropout
from engine.layers.elu import ELU
from engine.layers.expand import Expand
from engine.layers.feature_norm import FeatureNorm
from engine.layers.flatten import Flatten
from engine.layers.frame import Frame
from engine.layers.function import FUNCTIONS, Function
from engine.layers.gather import Gather
from engine.layers.gelu import GELU
from engine.layers.global_avg_pool import GlobalAvgPool
from engine.layers.global_max_pool import GlobalMaxPool
from engine.layers.group_norm import GroupNorm
from engine.layers.hard_sigmoid import HardSigmoid
from engine.layers.hard_swish import HardSwish
from engine.layers.identity import Identity
from engine.layers.instance_norm import InstanceNorm
from engine.layers.interpolate import Interpolate
from engine.layers.join import Join
from engine.layers.layer_norm import LayerNorm
from engine.layers.leaky_relu import LeakyReLU
from engine.layers.linear import Linear
from engine.layers.log_softmax import LogSoftmax
from engine.layers.lp_pool2d import LpPool2d
from engine.layers.lrn import LRN
from engine.layers.matmul import MatMul
from engine.layers.max_pool2d import MaxPool2d
from engine.layers.mish import Mish
from engine.layers.pad import Pad
from engine.layers.partial_conv2d import PartialConv2d
from engine.layers.permute import Permute
from engine.layers.pick import Pick
from engine.layers.prelu import PReLU
from engine.layers.rbf import RBF
from engine.layers.reduce import OPERATORS as REDUCTIONS
from engine.layers.reduce import Reduce
from engine.layers.relu import ReLU
from engine.layers.reshape import Reshape
from engine.layers.resize import Resize
from engine.layers.selu import SELU
from engine.layers.sigmoid import Sigmoid
from engine.layers.silu import SiLU
from engine.layers.slice import Slice
from engine.layers.softmax import Softmax
from engine.layers.softplus import Softplus
from engine.layers.softsign import Softsign
from engine.layers.space_to_depth import SpaceToDepth
from engine.layers.spatial_dropout import SpatialDropout
from engine.layers.stochastic_depth import StochasticDepth
from engine.layers.strided_slice import StridedSlice
from engine.layers.tanh import Tanh
from engine.layers.thresholded_relu import ThresholdedReLU
from engine.layers.trainable_subsampling import TrainableSubsampling
from engine.layers.view import View
from engine.layers.where import Where

LAYER_CASES: list[tuple[Layer, tuple[int, ...]]] = [
    (AvgPool2d(3, 2, 1), (2, 7, 8)),
    (AvgPool2d(3, 2, 1, count_include_pad=True, ceil_mode=True), (2, 7, 8)),
    (AvgPool2d(3, 2, (0, 1, 1, 0), count_include_pad=True), (2, 7, 8)),
    (AvgPool2d((3, 2), (2, 1), (0, 1, 1, 0)), (2, 7, 8)),
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
    (LogSoftmax(), (3, 5)),
    (MaxPool2d(3, 2, 1), (2, 7, 8)),
    (MaxPool2d((2, 3), (1, 2), (1, 0, 0, 1)), (2, 7, 8)),
    (MaxPool2d(2, 2, ceil_mode=True, dilation=2), (2, 7, 8)),
    (PReLU(), (3, 4, 5)),
    (PReLU(True), (3, 4, 5)),
    (PReLU(), (3, 5)),
    (PReLU(True), (3, 5)),
    (PReLU(), (5,)),
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
    (Softmax(), (3, 5)),
    (SpatialDropout(0.2), (2, 4, 5)),
    (StochasticDepth(0.2), (2, 4, 5)),
    (Tanh(), (2, 4, 5)),
    (Tanh(1.7159, 2 / 3), (2, 4, 5)),
    (TrainableSubsampling((2, 3)), (3, 7, 8)),
    *((Arithmetic(operation=name, value=1.5), (2, 4, 5)) for name in OPERATORS if name != "power"),
    (Arithmetic(operation="power", value=2.0), (2, 4, 5)),
    (Arithmetic(operation="subtract", value=1.5, swapped=True), (2, 4, 5)),
    (Arithmetic(operation="maximum", operand=(2, 1, 1)), (2, 4, 5)),
    (Arithmetic(operation="divide", operand=(4, 5)), (5,)),
    (CELU(0.7), (2, 4, 5)),
    (Clip(-0.5, 0.7), (2, 4, 5)),
    (Clip(-0.5, 3.4028235e38), (2, 4, 5)),
    (Compare(comparison="less", value=0.2), (2, 4, 5)),
    (Compare(comparison="less", value=0.2, swapped=True), (2, 4, 5)),
    (Compare(comparison="greater_equal", operand=(2, 1, 5)), (2, 4, 5)),
    (Constant((3, 2)), (2, 4, 5)),
    (DepthToSpace(2), (8, 3, 2)),
    (DepthToSpace(2, "channel first"), (8, 3, 2)),
    (Expand((3, 1, 5)), (4, 1)),
    (FeatureNorm(2, 1e-3), (2, 4, 5)),
    (FeatureNorm(1, 1e-3, centred=False), (2, 4, 5)),
    (FeatureNorm(3, scale=False), (2, 4, 5)),
    (FeatureNorm(3, scale=False, bias=False), (2, 4, 5)),
    (Frame((0, 1, 2), (1, 0, -1), value=0.5), (2, 4, 5)),
    (Frame((0, 1, -2), (1, 0, 2), "reflect"), (2, 4, 5)),
    (Frame((0, 1, 2), (3, 0, -1), "edge"), (2, 4, 5)),
    (Frame((0, 1, 2), (3, 0, -1), "wrap"), (2, 4, 5)),
    *(
        (Function(name), (2, 4, 5))
        for name in FUNCTIONS
        if name not in ("log", "sqrt", "reciprocal", "not")
    ),
    (ArgMax(axis=2), (2, 4, 5)),
    (ArgMax("min", 1, False), (3, 4, 5)),
    (ArgMax("max", 3, False, True), (3, 4, 5)),
    (Gather(2, (2, 0, 2)), (2, 4, 5)),
    (HardSigmoid(0.3, 0.4), (2, 4, 5)),
    (Interpolate(5, 9, 0, 0), (2, 4, 5)),
    (Interpolate(0, 0, 2.0, 3.0, places="align_corners"), (2, 4, 5)),
    (Interpolate(6, 3, 0, 0, "nearest", "asymmetric", "floor"), (2, 4, 5)),
    (Interpolate(7, 3, 0, 0, "nearest", "half_pixel", "round_prefer_ceil"), (2, 4, 5)),
    (Interpolate(7, 8, 0, 0, "cubic"), (2, 4, 5)),
    (LpPool2d(3, 3, 2, 1), (2, 7, 8)),
    (LpPool2d(2, 3, 2, (0, 1, 1, 0), ceil_mode=True), (2, 7, 8)),
    (MatMul(3), (2, 4, 5)),
    (Mish(), (2, 4, 5)),
    (Permute((3, 1, 2)), (2, 4, 5)),
    *((Reduce(name, (1, 3)), (2, 4, 5)) for name in REDUCTIONS if name != "log of sum"),
    *((Reduce(name, (3, 1), False), (2, 4, 5)) for name in ("mean", "product", "l2")),
    (SELU(), (2, 4, 5)),
    (SELU(1.2, 1.1), (2, 4, 5)),
    (Softplus(), (2, 4, 5)),
    (Softsign(), (2, 4, 5)),
    (SpaceToDepth(2), (3, 4, 6)),
    (SpaceToDepth(2, "channel first"), (3, 4, 6)),
    (StridedSlice(3, 1, 2, 2), (2, 4, 5)),
    (StridedSlice(2, 3, -1, 4), (2, 4, 5)),
    (ThresholdedReLU(0.3), (2, 4, 5)),
    (View((4, -1)), (2, 4, 5)),
    (View((2, 3, 2)), (12,)),
]

_POWERLESS = [name for name in OPERATORS if name != "power"]  # a root of −1 is no number
SEVERAL_CASES: list[tuple[Layer, tuple[tuple[int, ...], ...]]] = [
    *(
        (Arithmetic(operation=name), ((3, 4, 5), (3, 1, 1)))
        for name in OPERATORS
        if name != "power"
    ),
    (Arithmetic(operation="subtract"), ((5,), (3, 4, 5))),
    (Pick(2), ((3, 9, 5), (3, 4, 5))),
    (Pick(1), ((9, 2, 5), (9, 2, 5))),
    *((Compare(comparison=name), ((3, 4, 5), (3, 4, 5))) for name in COMPARISONS),
    (Join(2), ((3, 4, 5), (3, 2, 5), (3, 1, 5))),
    (Join(1), ((6,), (4,))),
    (Concat(), ((3, 5), (2, 5))),
    (MatMul(), ((2, 4, 5), (2, 5, 3))),
    (MatMul(), ((2, 4, 5), (5, 3))),
    (Where(), ((3, 1, 5), (3, 4, 5), (3, 4, 1))),
    (Where(0.5), ((4, 5), (3, 4, 5))),
    (Where(0.5), ((3, 4, 5), (3, 4, 5))),
]
"""Layers with several inputs, each of its shape."""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give a test that asks for ``layer`` and ``shape`` all cases."""
    if {"layer", "shapes"} <= set(metafunc.fixturenames):
        names = [f"{type(layer).__name__}-{i}" for i, (layer, _) in enumerate(SEVERAL_CASES)]
        metafunc.parametrize(("layer", "shapes"), SEVERAL_CASES, ids=names)
    elif {"layer", "shape"} <= set(metafunc.fixturenames):
        names = [f"{type(layer).__name__}-{i}" for i, (layer, _) in enumerate(LAYER_CASES)]
        metafunc.parametrize(("layer", "shape"), LAYER_CASES, ids=names)


@pytest.fixture
def layer_kinds() -> set[type[Layer]]:
    """The kinds of layer that have a case."""
    return {type(layer) for layer, _ in (*LAYER_CASES, *SEVERAL_CASES)}
