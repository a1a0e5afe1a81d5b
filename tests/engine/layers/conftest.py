"""The layers with hyper-parameters and shapes that every test of layers runs through."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import pytest

from engine.layers import REGISTRY
from engine.layers.add import Add
from engine.layers.arg_max import ArgMax
from engine.layers.arithmetic import Arithmetic
from engine.layers.avg_pool2d import AvgPool2d
from engine.layers.base import Array, Ctx, Grads, Layer, Mode, Record, Result, Spec
from engine.layers.batch_norm2d import BatchNorm2d
from engine.layers.celu import CELU
from engine.layers.clip import Clip
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
from engine.layers.max_unpool2d import MaxUnpool2d
from engine.layers.mish import Mish
from engine.layers.mul import Mul
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
from engine.layers.split import Split
from engine.layers.stochastic_depth import StochasticDepth
from engine.layers.strided_slice import StridedSlice
from engine.layers.tanh import Tanh
from engine.layers.thresholded_relu import ThresholdedReLU
from engine.layers.top_k import TopK
from engine.layers.trainable_subsampling import TrainableSubsampling
from engine.layers.view import View
from engine.layers.where import Where

MAPS = (2, 4, 6, 5)
HALF = (2, 4, 3, 2)
ARITHMETIC = ("add", "subtract", "multiply", "divide", "minimum", "maximum")
COMPARISONS = ("greater", "greater_equal", "less", "less_equal")
POSITIVE = ("log", "sqrt", "reciprocal")
FLAT = ("sign", "floor", "ceil", "round", "truncate", "not")


@dataclass(frozen=True)
class Case:
    """A layer, the shapes of its inputs and the mode of the run."""

    layer: Layer
    shapes: tuple[tuple[int, ...], ...] = (MAPS,)
    mode: Mode = "eval"
    indices: tuple[int, int] | None = None
    """Rows and columns of the maps that the second input points into."""
    places: int = 0
    """The second input has places along an axis of this size."""
    flat: bool = False
    """The gradient of every input is zero everywhere."""
    positive: bool = False
    """The layer has no value for numbers below zero."""
    ctx: Ctx = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "ctx", Ctx(self.mode, (3, 1, 4)))

    def __str__(self) -> str:
        changed = [
            f"{f.name}={getattr(self.layer, f.name)}"
            for f in self.layer.hyperparameters()
            if getattr(self.layer, f.name) != f.default
        ]
        shapes = ", ".join("x".join(map(str, s)) for s in self.shapes)
        return f"{type(self.layer).__name__}({', '.join(changed)}) {shapes} {self.mode}"

    def specs(self, dtype: str = "float64") -> tuple[Spec, ...]:
        found = [Spec(shape, dtype) for shape in self.shapes]
        if self.indices:
            found[1] = replace(found[1], points_into=self.indices)
        return tuple(found)

    def inputs(self, seed: int, dtype: str = "float64") -> tuple[Array, ...]:
        rng = np.random.default_rng(seed)
        found = [rng.standard_normal(shape).astype(dtype) for shape in self.shapes]
        if self.indices:  # each place of a map at most once
            n, c, rows, columns = self.shapes[1]
            area = self.indices[0] * self.indices[1]
            places = [rng.permutation(area)[: rows * columns] for _ in range(n * c)]
            found[1] = np.array(places, dtype).reshape(self.shapes[1])
        if self.places:  # some of them from the end
            found[1] = rng.integers(-self.places, self.places, self.shapes[1]).astype(dtype)
        if isinstance(self.layer, Where) or self.layer == Function("not"):
            found[0].reshape(-1)[::13] = 0  # random numbers alone would never say no
        return tuple(frozen(np.abs(x) + x.dtype.type(0.5) if self.positive else x) for x in found)

    def params(self, seed: int, dtype: str = "float64") -> dict[str, Array]:
        """Random values: the zeros and ones that some start with would hide wrong factors."""
        rng = np.random.default_rng([seed, 1])
        found = {}
        for name, spec in self.layer.parameters(*self.specs(dtype)).items():
            value = rng.standard_normal(spec.shape)
            if spec.kind == "statistic" and spec.init == "ones":
                value = rng.uniform(0.5, 2.0, spec.shape)
            found[name] = frozen(value.astype(dtype))
        return found

    def run(self, seed: int, dtype: str = "float64") -> Run:
        """Forward and backward with random upstream gradients; arguments cannot be written to."""
        xs, p = self.inputs(seed, dtype), self.params(seed, dtype)
        result = self.layer.forward(p, *xs, ctx=self.ctx)
        rng = np.random.default_rng([seed, 2])
        dys = tuple(frozen(rng.standard_normal(y.shape).astype(dtype)) for y in result.ys)
        saved = {name: frozen(a) for name, a in result.saved.items()}
        need = (True,) * len(xs)
        return Run(xs, p, result, dys, self.layer.backward(p, saved, dys, need, self.ctx), self)


@dataclass(frozen=True)
class Run:
    xs: tuple[Array, ...]
    params: dict[str, Array]
    result: Result
    dys: tuple[Array, ...]
    grads: Grads
    case: Case

    def record(self, sample: int) -> Record:
        return Record(
            tuple(x[sample] for x in self.xs),
            tuple(y[sample] for y in self.result.ys),
            tuple(dy[sample] for dy in self.dys),
            self.params,
            self.result.saved,
            sample,
            self.case.mode,
            self.dys,
        )


def frozen(array: Array) -> Array:
    """A view that refuses to be written to."""
    view = array.view()
    view.flags.writeable = False
    return view


CASES: tuple[Case, ...] = (
    Case(Conv2d(3, 3)),
    Case(Conv2d(3, 1, stride=2, bias=False)),
    Case(Conv2d(2, 3, stride=2, padding=1)),
    Case(Conv2d(2, (2, 3), stride=(1, 2), padding=(0, 1, 2, 0))),
    Case(Conv2d(2, 3, padding=(2, 1), dilation=(2, 1))),
    Case(Conv2d(6, 3, padding=1, groups=2)),
    Case(Conv2d(4, 3, padding=1, groups=4)),
    Case(Conv2d(8, 2, groups=4, stride=(2, 1), bias=False)),
    Case(Conv2d(2, 2, stride=4)),
    Case(Conv2d(3, (6, 5), initialiser="glorot"), ((1, 2, 6, 5),)),
    Case(MaxPool2d()),
    Case(MaxPool2d(3, 2, 1)),
    Case(MaxPool2d(3, 1, 1)),
    Case(MaxPool2d((3, 2), (2, 3), (1, 0), ceil_mode=True)),
    Case(MaxPool2d(3, 2, (0, 1, 1, 0))),
    Case(MaxPool2d(2, 1, dilation=2)),
    Case(MaxPool2d(2, 3)),
    Case(MaxPool2d(3, 2, ceil_mode=True), ((1, 2, 2, 2),)),
    Case(MaxPool2d(3, 2, 1, return_indices=True)),
    Case(MaxUnpool2d(), (HALF, HALF), indices=(6, 4)),
    Case(MaxUnpool2d(3, 2, 1, 1), (HALF, HALF), indices=(6, 4)),
    Case(MaxUnpool2d((3, 2), (1, 3), (0, 1, 1, 0)), ((2, 3, 3, 2), (2, 3, 3, 2)), indices=(4, 4)),
    Case(AvgPool2d()),
    Case(AvgPool2d(3, 2, 1)),
    Case(AvgPool2d(3, 2, 1, count_include_pad=True)),
    Case(AvgPool2d(3, 2, 1, ceil_mode=True, count_include_pad=True)),
    Case(AvgPool2d((3, 2), 2, (1, 0), ceil_mode=True)),
    Case(AvgPool2d(3, 1, (0, 1, 1, 0), count_include_pad=True)),
    Case(AvgPool2d(2, 3)),
    Case(AvgPool2d(3, 2, ceil_mode=True), ((1, 2, 2, 2),)),
    Case(GlobalAvgPool()),
    Case(GlobalAvgPool(), ((3, 2, 1, 4),)),
    Case(BatchNorm2d()),
    Case(BatchNorm2d(), mode="train"),
    Case(BatchNorm2d(eps=0.1, momentum=0.5), ((3, 2, 2, 1),), mode="train"),
    Case(BatchNorm2d(), ((1, 3, 3, 2),), mode="train"),
    Case(BatchNorm2d(frozen=True), mode="train"),
    Case(BatchNorm2d(frozen=True), ((1, 3, 1, 1),), mode="train"),
    Case(BatchNorm2d(initial_scale=0.0), mode="train"),
    Case(Linear(5), ((3, 4),)),
    Case(Linear(1, bias=False, initialiser="lecun"), ((1, 4),)),
    Case(Flatten()),
    Case(Flatten(), ((2, 3),)),
    Case(ReLU()),
    Case(ReLU(), ((2, 7),)),
    Case(Dropout()),
    Case(Dropout(0.3), mode="train"),
    Case(Dropout(0.0), ((2, 7),), mode="train"),
    Case(Softmax(), ((3, 5),)),
    Case(Softmax(), ((2, 3, 2, 2),)),
    Case(Add(), (MAPS, MAPS)),
    Case(Add(), ((2, 3), (2, 3), (2, 3))),
    Case(Concat(), ((2, 3, 2, 3), (2, 1, 2, 3), (2, 2, 2, 3))),
    Case(Concat(), ((2, 3), (2, 4))),
    Case(LeakyReLU()),
    Case(LeakyReLU(0.2), ((2, 7),)),
    Case(Sigmoid()),
    Case(Sigmoid(), ((2, 7),)),
    Case(Tanh()),
    Case(Tanh(1.7159, 2 / 3)),
    Case(ELU()),
    Case(ELU(0.5), ((2, 7),)),
    Case(GELU()),
    Case(GELU(tanh=True), ((2, 7),)),
    Case(SiLU()),
    Case(HardSwish()),
    Case(PReLU()),
    Case(PReLU(), ((2, 7),)),
    Case(PReLU(shared=True)),
    Case(LRN()),
    Case(LRN(3, 0.7, 0.6, 1.5, divide=True), ((2, 7, 2, 3),)),
    Case(LRN(9, 0.5), ((2, 3, 2, 2),)),
    Case(LRN(1, 0.5), ((2, 3, 2, 2),)),
    Case(ConvTranspose2d(3)),
    Case(ConvTranspose2d(2, 3, 2, 1, output_padding=1, bias=False)),
    Case(ConvTranspose2d(2, (2, 3), (1, 2), (0, 1, 1, 0), output_padding=(0, 1))),
    Case(ConvTranspose2d(6, 3, 1, 1, groups=2)),
    Case(ConvTranspose2d(2, 2, 1, 1, (2, 3))),
    Case(ConvTranspose2d(2, 1, 3, initialiser="orthogonal")),
    Case(GlobalMaxPool()),
    Case(GlobalMaxPool(), ((3, 2, 1, 4),)),
    Case(Mul(), (MAPS, MAPS)),
    Case(Mul(), (MAPS, (2, 4, 1, 1))),
    Case(Mul(), ((2, 1, 3, 2), (2, 4, 3, 1))),
    Case(Mul(), ((2, 3), (2, 3))),
    Case(Identity()),
    Case(Identity(), ((2, 7),)),
    Case(LogSoftmax(), ((3, 5),)),
    Case(LogSoftmax(), ((2, 3, 2, 2),)),
    Case(GroupNorm(groups=2)),
    Case(GroupNorm(eps=0.1, affine=False, groups=4), ((2, 4, 3, 2),)),
    Case(GroupNorm(), ((1, 3, 2, 2),), mode="train"),
    Case(InstanceNorm()),
    Case(InstanceNorm(eps=0.1, affine=False), ((2, 3, 2, 3),)),
    Case(LayerNorm(), ((2, 3, 2, 3),)),
    Case(LayerNorm(), ((3, 6),)),
    Case(LayerNorm(eps=0.1, affine=False), ((3, 6),)),
    Case(Slice("channels", 1, 2)),
    Case(Slice("rows", 2, 3)),
    Case(Slice("columns", 4, 1)),
    Case(Slice("channels", 3, 4), ((2, 7),)),
    Case(Pad()),
    Case(Pad((0, 1, 2, 3))),
    Case(Pad(2, "reflect")),
    Case(Pad((3, 1), "edge")),
    Case(Pad((1, 0), channels=(0, 3))),
    Case(Pad(1, "reflect", channels=(2, 1))),
    Case(Reshape()),
    Case(Reshape(2, 10, 6)),
    Case(Reshape(0, 2, 3), ((2, 12),)),
    Case(Resize()),
    Case(Resize((1, 3)), ((2, 2, 2, 3),)),
    Case(Resize((3, 2), "linear"), ((2, 2, 3, 4),)),
    Case(Resize(2, "linear"), ((2, 2, 1, 3),)),
    Case(PartialConv2d(kernel_size=3), ((2, 6, 4, 5),)),
    Case(PartialConv2d(), ((1, 6, 6, 5),)),
    Case(PartialConv2d("neighbours", (3, 2), (2, 1), (0, 1, 2, 0), initialiser="lecun")),
    Case(TrainableSubsampling()),
    Case(TrainableSubsampling((3, 2)), ((2, 2, 7, 5),)),
    Case(RBF(), ((3, 4),)),
    Case(RBF(3), ((1, 5),)),
    Case(RBF(3, trained=False), ((2, 5),), mode="train"),
    Case(RBF(3, negative=True), ((2, 5),)),
    Case(SpatialDropout()),
    Case(SpatialDropout(0.4), mode="train"),
    Case(StochasticDepth()),
    Case(StochasticDepth(0.3), ((4, 2, 2, 3),), mode="train"),
    Case(StochasticDepth(0.2), ((5, 4),), mode="train"),
    *(Case(Arithmetic(operation=name), (MAPS, (2, 4, 1, 5))) for name in ARITHMETIC),
    Case(Arithmetic(2.5, operation="subtract", swapped=True)),
    Case(Arithmetic(3.0, operation="power"), ((2, 7),)),
    Case(Arithmetic(2.0, operation="power", swapped=True), ((2, 7),)),
    Case(Arithmetic(0.5, operation="divide", swapped=True), ((2, 7),), positive=True),
    Case(Arithmetic(operation="multiply", operand=(4, 1, 1))),
    Case(Arithmetic(operation="divide", operand=(2, 3, 5), swapped=True), ((2, 1, 5),)),
    Case(Arithmetic(operation="maximum"), ((2, 3, 4), (2, 2, 3, 1))),
    *(Case(Compare(comparison=name), (MAPS, (2, 1, 6, 1)), flat=True) for name in COMPARISONS),
    Case(Compare(0.25), ((2, 7),), flat=True),
    Case(Compare(0.25, swapped=True), ((2, 7),), flat=True),
    Case(Compare(comparison="less", operand=(7,)), ((2, 7),), flat=True),
    *(
        Case(Function(name), ((2, 3, 4),), flat=name in FLAT, positive=name in POSITIVE)
        for name in FUNCTIONS
    ),
    *(
        Case(Reduce(name, (2, 3)), ((2, 3, 2, 4),), positive=name.startswith("log"))
        for name in REDUCTIONS
    ),
    Case(Reduce("max", (1, 3), False), ((2, 3, 2, 4),)),
    Case(Reduce("product", (2,), False), ((2, 3, 4),)),
    Case(MatMul(), ((2, 3, 4),)),
    Case(MatMul(3)),
    Case(MatMul(), ((2, 3, 4), (2, 4, 2))),
    Case(MatMul(), ((2, 1, 3, 4), (2, 2, 4, 5))),
    Case(MatMul(), ((2, 3, 3, 4), (2, 4, 5))),
    Case(ArgMax(), flat=True),
    Case(ArgMax("min", 3, False, True), ((2, 3, 2, 4),), flat=True),
    Case(TopK()),
    Case(TopK(3, 2, False), ((2, 3, 5),)),
    Case(Pick(), (MAPS, (2, 3, 6, 5)), places=4),
    Case(Pick(2), ((2, 3, 5), (2, 2, 7)), places=5),
    Case(Where(), (MAPS, MAPS)),
    Case(Where(), (MAPS, (2, 4, 1, 1), (2, 1, 5))),
    Case(Where(-2.0), ((2, 17), (2, 17))),
    Case(Join(), (MAPS, (2, 2, 6, 5))),
    Case(Join(3), (MAPS, MAPS, (2, 4, 6, 2))),
    Case(Split()),
    Case(Split(2, (1, -1, 2))),
    Case(View()),
    Case(View((2, 12, 5))),
    Case(View((4, -1)), ((2, 2, 6),)),
    Case(Permute()),
    Case(Permute((2, 1)), ((2, 3, 4),)),
    Case(StridedSlice()),
    Case(StridedSlice(3, 4, -2, 3)),
    Case(Gather()),
    Case(Gather(3, (4, 0, 0, 2))),
    Case(Expand()),
    Case(Expand((2, 3, 4)), ((2, 3, 1),)),
    Case(DepthToSpace()),
    Case(DepthToSpace(2), ((2, 8, 3, 2),)),
    Case(DepthToSpace(2, "channel first"), ((2, 8, 3, 2),)),
    Case(SpaceToDepth()),
    Case(SpaceToDepth(2), ((2, 3, 4, 6),)),
    Case(SpaceToDepth(2, "channel first"), ((2, 3, 4, 6),)),
    Case(Frame()),
    Case(Frame((1, 0, 2), (0, -2, 1), value=1.5)),
    Case(Frame((0, 2, 1), (0, -1, 2), "reflect")),
    Case(Frame((1, -2, 3), (0, 1, 1), "edge")),
    Case(Frame((0, 2, 1), (0, 1, 2), "wrap")),
    Case(Interpolate()),
    Case(Interpolate(4, 7, 0.0, 0.0, "cubic", "align_corners")),
    Case(Interpolate(5, 3, 0.0, 0.0, "nearest", "asymmetric", "floor")),
    Case(Interpolate(0, 0, 1.5, 0.7, "cubic", "pytorch_half_pixel", cubic=-0.5)),
    Case(Interpolate(0, 0, 0.6, 2.3, "cubic", exclude_outside=True)),
    Case(Interpolate(0, 0, 0.6, 0.5, "linear", "half_pixel_symmetric", antialias=True)),
    Case(Interpolate(0, 0, 2.0, 0.5, "nearest", rounding="ceil")),
    Case(LpPool2d()),
    Case(LpPool2d(3, 3, 2, 1)),
    Case(LpPool2d(1, (3, 2), (1, 2), (1, 0), (1, 2), ceil_mode=True)),
    Case(Constant()),
    Case(Constant((2, 3)), ((2, 7),)),
    Case(FeatureNorm()),
    Case(FeatureNorm(3, 0.1, bias=False)),
    Case(FeatureNorm(2, centred=False, scale=False), ((2, 3, 4),)),
    Case(FeatureNorm(2, centred=False, scale=False, bias=False), ((2, 3, 4),)),
    Case(Softplus()),
    Case(Softsign()),
    Case(SELU()),
    Case(SELU(1.2, 0.8), ((2, 7),)),
    Case(CELU()),
    Case(CELU(0.5), ((2, 7),)),
    Case(HardSigmoid()),
    Case(HardSigmoid(0.3, 0.4), ((2, 7),)),
    Case(Mish()),
    Case(Clip()),
    Case(Clip(-0.5, 0.75), ((2, 17),)),
    Case(ThresholdedReLU()),
    Case(ThresholdedReLU(0.3), ((2, 17),)),
)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test with an argument ``case`` runs for every case, one with ``kind`` for every layer.

    ``pooling`` and ``inference`` are the cases of poolings and those in evaluation mode.
    """
    poolings = (MaxPool2d, AvgPool2d)
    for name, chosen in (
        ("case", CASES),
        ("pooling", [case for case in CASES if isinstance(case.layer, poolings)]),
        ("inference", [case for case in CASES if case.mode == "eval"]),
    ):
        if name in metafunc.fixturenames:
            metafunc.parametrize(name, chosen, ids=str)
    if "kind" in metafunc.fixturenames:
        metafunc.parametrize("kind", sorted(REGISTRY))


@pytest.fixture
def cases() -> tuple[Case, ...]:
    return CASES


@pytest.fixture(scope="session")
def case_of() -> type[Case]:
    return Case
