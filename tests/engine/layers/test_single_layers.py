"""What only one layer promises: batch norm's statistics, dropout's mask, ReLU's corner."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from engine.architectures.base import Builder
from engine.layers.add import Add
from engine.layers.base import Array, Ctx, HyperparameterError, Record, ShapeError, Spec
from engine.layers.batch_norm2d import BatchNorm2d
from engine.layers.concat import Concat
from engine.layers.conv2d import Conv2d
from engine.layers.conv_transpose2d import ConvTranspose2d
from engine.layers.dropout import Dropout
from engine.layers.elu import ELU
from engine.layers.flatten import Flatten
from engine.layers.gelu import GELU
from engine.layers.global_max_pool import GlobalMaxPool
from engine.layers.group_norm import GroupNorm
from engine.layers.hard_swish import HardSwish
from engine.layers.instance_norm import InstanceNorm
from engine.layers.layer_norm import LayerNorm
from engine.layers.leaky_relu import LeakyReLU
from engine.layers.linear import Linear
from engine.layers.log_softmax import LogSoftmax
from engine.layers.lrn import LRN
from engine.layers.mul import Mul
from engine.layers.pad import Pad
from engine.layers.partial_conv2d import PartialConv2d
from engine.layers.prelu import PReLU
from engine.layers.rbf import RBF
from engine.layers.relu import ReLU
from engine.layers.resize import Resize
from engine.layers.sigmoid import Sigmoid
from engine.layers.silu import SiLU
from engine.layers.softmax import Softmax
from engine.layers.spatial_dropout import SpatialDropout
from engine.layers.stochastic_depth import StochasticDepth
from engine.layers.tanh import Tanh
from engine.layers.trainable_subsampling import TrainableSubsampling
from engine.optimizers import SGD
from engine.parameters import initial_parameters
from engine.plan import Batch, compile

TRAIN = Ctx("train", (5, 6, 7))


def statistics(channels: int) -> dict[str, Array]:
    return {
        "weight": np.ones(channels),
        "bias": np.zeros(channels),
        "running_mean": np.full(channels, 2.0),
        "running_var": np.full(channels, 4.0),
    }


# ---- convolution ---------------------------------------------------------------------------


def test_a_stride_beyond_the_kernel_leaves_cells_without_gradient() -> None:
    layer = Conv2d(3, 1, stride=2)
    p = {"weight": np.ones((3, 2, 1, 1)), "bias": np.zeros(3)}
    result = layer.forward(p, np.ones((1, 2, 8, 8)))
    (dx,) = layer.backward(p, result.saved, (np.ones_like(result.ys[0]),), (True,)).dxs
    assert dx is not None and np.mean(dx == 0) == 0.75


def test_convolution_does_not_flip_its_kernel() -> None:
    x = np.zeros((1, 1, 3, 3))
    x[0, 0, 0, 2] = 1
    w = np.arange(9.0).reshape(1, 1, 3, 3)
    assert Conv2d(1, 3, bias=False).forward({"weight": w}, x).ys[0].item() == w[0, 0, 0, 2] == 2


def test_convolution_counts_multiply_adds() -> None:
    spec = Spec((1, 6, 14, 14))
    assert Conv2d(16, 5).cost(spec).multiply_adds == 16 * 6 * 25 * 100
    assert Conv2d(16, 5).cost(spec).parameters == 16 * 6 * 25 + 16
    assert Conv2d(6, 3, padding=1, groups=6, bias=False).cost(spec).multiply_adds == 6 * 9 * 196


# ---- batch normalisation -------------------------------------------------------------------


def test_batch_norm_of_a_single_number_per_channel_is_refused_in_training() -> None:
    x = np.ones((1, 3, 1, 1))
    with pytest.raises(ShapeError, match=r"at least 2 numbers per channel.*Use a larger batch\."):
        BatchNorm2d().forward(statistics(3), x, ctx=TRAIN)
    assert BatchNorm2d().forward(statistics(3), x).ys[0].shape == (1, 3, 1, 1)


def test_nan_spreads_over_its_channel_in_training_alone() -> None:
    x = np.random.default_rng(3).standard_normal((2, 3, 2, 2))
    x[1, 1, 0, 1] = np.nan
    for mode, count in (("train", 8), ("eval", 1)):
        y = BatchNorm2d().forward(statistics(3), x, ctx=Ctx(mode, (5, 6, 7))).ys[0]
        assert np.isnan(y).sum((0, 2, 3)).tolist() == [0, count, 0]


def test_running_statistics_move_by_momentum_with_the_unbiased_variance() -> None:
    x = np.array([1.0, 2.0, 3.0, 6.0]).reshape(4, 1, 1, 1)
    result = BatchNorm2d(momentum=0.25).forward(statistics(1), x, ctx=TRAIN)
    assert result.statistics["running_mean"].item() == pytest.approx(0.75 * 2 + 0.25 * 3)
    assert result.statistics["running_var"].item() == pytest.approx(0.75 * 4 + 0.25 * 14 / 3)
    assert result.ys[0].mean() == pytest.approx(0)
    assert BatchNorm2d().forward(statistics(1), x).statistics == {}


def test_frozen_batch_norm_trains_on_the_running_statistics_and_leaves_them() -> None:
    x = np.random.default_rng(0).standard_normal((4, 2, 3, 3))
    dy = np.random.default_rng(1).standard_normal(x.shape)
    frozen, p = BatchNorm2d(frozen=True), statistics(2)
    result = frozen.forward(p, x, ctx=TRAIN)
    evaluated = BatchNorm2d().forward(p, x)
    assert np.array_equal(result.ys[0], evaluated.ys[0])
    assert not np.allclose(result.ys[0], BatchNorm2d().forward(p, x, ctx=TRAIN).ys[0])
    assert result.statistics == {}
    found = frozen.backward(p, result.saved, (dy,), (True,), TRAIN)
    wanted = BatchNorm2d().backward(p, evaluated.saved, (dy,), (True,))
    assert np.array_equal(found.dxs[0], wanted.dxs[0])
    assert np.abs(found.dparams["weight"]).min() > 0.1  # γ is trained all the same


def test_a_frozen_batch_norm_keeps_its_statistics_through_an_update() -> None:
    build = Builder((2, 3, 3))
    x = build.chain(build.input, ("bn", BatchNorm2d(frozen=True)), ("flatten", Flatten()))
    graph = build.classifier(build.node("fc", Linear(3), x), "frozen", ("a", "b", "c"))
    start = initial_parameters(graph, 0)
    start["bn", "running_mean"] += 0.5
    plan = compile(graph, start, batch=4)
    batch = Batch.of(graph, np.ones((4, 2, 3, 3)), np.array([0, 1, 2, 0]))
    steps = list(plan.run(batch, optimizer=SGD(lr=0.1)))
    assert [step.node for step in steps if step.phase == "update"] == ["bn", "fc"]
    after = plan.parameters()
    for name, moved in (("running_mean", False), ("running_var", False), ("bias", True)):
        assert np.array_equal(after["bn", name], start["bn", name]) != moved


def test_the_scale_of_batch_norm_starts_where_asked() -> None:
    for layer, wanted in ((BatchNorm2d(), 1.0), (BatchNorm2d(initial_scale=0.0), 0.0)):
        scale = layer.parameters(Spec((2, 3, 4, 4)))["weight"]
        assert scale.initial(np.random.default_rng(0)).tolist() == [wanted] * 3


def test_batch_norm_of_one_picture_takes_its_own_rows_and_columns() -> None:
    x = np.array([1.0, 2.0, 3.0, 6.0]).reshape(1, 1, 2, 2)
    result = BatchNorm2d(eps=1e-12, momentum=1.0).forward(statistics(1), x, ctx=TRAIN)
    np.testing.assert_allclose(result.ys[0].ravel(), (x.ravel() - 3) / np.sqrt(3.5), rtol=1e-9)
    assert result.statistics["running_var"].item() == pytest.approx(14 / 3)


def test_batch_norm_input_gradient_adds_up_to_zero_in_training_only() -> None:
    rng = np.random.default_rng(0)
    x, dy = rng.standard_normal((2, 3, 2, 4, 4))
    for ctx in (TRAIN, Ctx("eval")):
        result = BatchNorm2d().forward(statistics(2), x, ctx=ctx)
        (dx,) = BatchNorm2d().backward(statistics(2), result.saved, (dy,), (True,), ctx).dxs
        assert dx is not None
        sums = np.abs(dx.sum((0, 2, 3)))
        assert (sums < 1e-12).all() if ctx.mode == "train" else (sums > 0.1).all()


def test_batch_norm_does_not_cancel_far_from_zero() -> None:
    rng = np.random.default_rng(1)
    x = rng.standard_normal((8, 1, 6, 6))
    p = {k: v.astype(np.float32) for k, v in statistics(1).items()}
    far = BatchNorm2d().forward(p, (x + 4096).astype(np.float32), ctx=TRAIN).ys[0]
    near = BatchNorm2d().forward(statistics(1), x, ctx=TRAIN).ys[0]
    assert np.max(np.abs(far - near)) < 1e-3


def test_other_samples_are_one_term_of_batch_norm() -> None:
    rng = np.random.default_rng(2)
    x, dy = rng.standard_normal((2, 3, 1, 2, 2))
    result = BatchNorm2d().forward(statistics(1), x, ctx=TRAIN)
    record = Record((x[1],), (result.ys[0][1],), (dy[1],), statistics(1), result.saved, 1, "train")
    alone = BatchNorm2d().feeds((0, 0, 1), record)
    whole = BatchNorm2d().feeds((0, 0, 1), record._replace(batch_dys=(dy,)))
    assert len(alone.terms) == 4 and whole.terms[:-1] == alone.terms
    assert whole.terms[-1].source == ("constant", "other samples")


# ---- dropout -------------------------------------------------------------------------------


def test_the_mask_is_a_function_of_the_key() -> None:
    x = np.ones((4, 500))
    layer = Dropout(0.3)
    first = layer.forward({}, x, ctx=TRAIN).ys[0]
    assert np.array_equal(first, layer.forward({}, x, ctx=TRAIN).ys[0])
    for key in ((4, 6, 7), (5, 5, 7), (5, 6, 6)):
        assert not np.array_equal(first, layer.forward({}, x, ctx=Ctx("train", key)).ys[0])
    single = layer.forward({}, x.astype(np.float32), ctx=TRAIN).ys[0]
    assert np.array_equal(single > 0, first > 0), "the mask depends on the precision"


def test_dropped_share_and_scale() -> None:
    y = Dropout(0.3).forward({}, np.ones((10, 1000)), ctx=TRAIN).ys[0]
    assert set(np.unique(y)) == {0.0, 1 / 0.7}
    assert np.mean(y == 0) == pytest.approx(0.3, abs=0.02)
    assert np.mean(y) == pytest.approx(1, abs=0.03)


def test_backward_uses_the_mask_of_forward() -> None:
    x = np.ones((2, 50))
    result = Dropout().forward({}, x, ctx=TRAIN)
    (dx,) = Dropout().backward({}, result.saved, (x,), (True,), TRAIN).dxs
    assert np.array_equal(dx, result.ys[0])
    assert Dropout().forward({}, x).ys[0] is x


# ---- the others ----------------------------------------------------------------------------


def test_relu_at_its_corner_and_beyond_the_finite() -> None:
    x = np.array([[-1.0, -0.0, 0.0, 1e-300, np.nan, np.inf, -np.inf]])
    result = ReLU().forward({}, x)
    assert np.array_equal(result.ys[0], [[0, 0, 0, 1e-300, np.nan, np.inf, 0]], equal_nan=True)
    dy = np.full_like(x, np.inf)
    (dx,) = ReLU().backward({}, result.saved, (dy,), (True,)).dxs
    # a shut gate stays shut for an infinite gradient; NaN lets it through
    assert np.array_equal(dx, [[0, 0, 0, np.inf, np.inf, np.inf, 0]])
    assert ReLU().kinks({}, np.array([[-2.0, 0.5]])) == 0.5


def test_softmax_does_not_overflow_and_adds_up_to_one() -> None:
    y = Softmax().forward({}, np.array([[1e4, 0.0, -1e4], [-1e4, -1e4, -1e4]])).ys[0]
    assert np.array_equal(y[0], [1, 0, 0])
    np.testing.assert_allclose(y[1], 1 / 3)


def test_softmax_gradient_adds_up_to_zero() -> None:
    rng = np.random.default_rng(3)
    x, dy = rng.standard_normal((2, 4, 5))
    result = Softmax().forward({}, x)
    (dx,) = Softmax().backward({}, result.saved, (dy,), (True,)).dxs
    assert dx is not None and np.abs(dx.sum(1)).max() < 1e-15 < np.abs(dx).max()


def test_flatten_keeps_the_order_of_channel_row_column() -> None:
    x = np.arange(24.0).reshape(1, 2, 3, 4)
    y = Flatten().forward({}, x).ys[0]
    assert y[0, (1 * 3 + 2) * 4 + 3] == x[0, 1, 2, 3]
    assert Flatten().outputs(Spec((5, 2, 3, 4)))[0].shape == (5, 24)


def test_add_of_a_tensor_with_itself_and_concat_in_order() -> None:
    x = np.ones((1, 2, 1, 1))
    assert np.array_equal(Add().forward({}, x, x).ys[0], 2 * x)
    y = Concat().forward({}, x, 3 * x[:, :1]).ys[0]
    assert np.array_equal(y.ravel(), [1, 1, 3])
    with pytest.raises(IndexError, match="channel below 3"):
        Concat().reads((3, 0, 0), Record((x[0], 3 * x[0, :1]), (y[0],), (None,), {}, {}))


def test_lrn_by_hand_and_refuses_an_even_size() -> None:
    x = np.array([1.0, 2.0, 3.0]).reshape(1, 3, 1, 1)
    y = LRN(3, 0.5, 1.0, 1.0).forward({}, x).ys[0]
    np.testing.assert_allclose(y.ravel(), [1 / 3.5, 2 / 8, 3 / 7.5])
    y = LRN(3, 1.5, 1.0, 1.0, divide=True).forward({}, x).ys[0]
    np.testing.assert_allclose(y.ravel(), [1 / 3.5, 2 / 8, 3 / 7.5])
    with pytest.raises(HyperparameterError, match=r"LRN.size: expected an odd number, received 4"):
        LRN(4)


def test_activations_do_not_overflow() -> None:
    x = np.array([[-1e4, -40.0, 0.0, 40.0, 1e4]])
    with np.errstate(all="raise", under="ignore"):
        for layer, wanted in (
            (Sigmoid(), [0, np.exp(-40), 0.5, 1, 1]),
            (Tanh(), [-1, -1, 0, 1, 1]),
            (ELU(2.0), [-2, -2, 0, 40, 1e4]),
            (SiLU(), [0, -40 * np.exp(-40), 0, 40, 1e4]),
            (GELU(), [0, 0, 0, 40, 1e4]),
            (HardSwish(), [0, 0, 0, 40, 1e4]),
            (LeakyReLU(0.1), [-1e3, -4, 0, 40, 1e4]),
        ):
            result = layer.forward({}, x)
            np.testing.assert_allclose(result.ys[0], [wanted], rtol=1e-14, atol=0)
            (dx,) = layer.backward({}, result.saved, (np.ones_like(x),), (True,)).dxs
            assert np.isfinite(dx).all()


def test_activations_keep_nan() -> None:
    x = np.array([[np.nan, 1.0]])
    for layer in (Sigmoid(), Tanh(), ELU(), SiLU(), GELU(), GELU(True), HardSwish(), LeakyReLU()):
        assert np.isnan(layer.forward({}, x).ys[0]).tolist() == [[True, False]]


@pytest.mark.parametrize(("layer", "slope"), [(LeakyReLU(0.1), 0.1), (ELU(0.5), 0.5), (ReLU(), 0)])
def test_the_slope_at_zero_is_the_one_from_below(layer: Any, slope: float) -> None:
    x = np.zeros((1, 1))
    result = layer.forward({}, x)
    (dx,) = layer.backward({}, result.saved, (np.ones((1, 1)),), (True,)).dxs
    assert dx.item() == slope and layer.kinks({}, np.array([[-2.0, 0.5]])) == 0.5


def test_hard_swish_at_its_kinks() -> None:
    x = np.array([[-3.0, 3.0, 0.0]])
    result = HardSwish().forward({}, x)
    (dx,) = HardSwish().backward({}, result.saved, (np.ones_like(x),), (True,)).dxs
    assert result.ys[0].tolist() == [[0, 3, 0]] and dx.tolist() == [[0, 1, 0.5]]
    assert HardSwish().kinks({}, np.array([[0.0, 2.5]])) == 0.5


def test_the_slopes_of_prelu_start_at_a_quarter() -> None:
    spec = PReLU().parameters(Spec((1, 3, 2, 2)))["weight"]
    assert spec.shape == (3,) and not spec.decay
    assert spec.initial(np.random.default_rng(0)).tolist() == [0.25] * 3


def test_transposed_convolution_is_the_adjoint_of_convolution() -> None:
    rng = np.random.default_rng(1)
    x, w = rng.standard_normal((2, 3, 7, 6)), rng.standard_normal((4, 3, 3, 3))
    conv = Conv2d(4, 3, 2, 1, bias=False)
    y = rng.standard_normal(conv.outputs(Spec(x.shape))[0].shape)
    back = ConvTranspose2d(3, 3, 2, 1, output_padding=(0, 1), bias=False)
    transposed = back.forward({"weight": w}, y).ys[0]
    assert transposed.shape == x.shape
    there = np.vdot(conv.forward({"weight": w}, x).ys[0], y)
    assert there == pytest.approx(np.vdot(x, transposed), rel=1e-12) and abs(there) > 1e-3


def test_transposed_convolution_by_hand_and_its_limits() -> None:
    x = np.array([[1.0, 2.0]]).reshape(1, 1, 1, 2)
    w = np.array([[1.0, 10.0]]).reshape(1, 1, 1, 2)
    layer = ConvTranspose2d(1, (1, 2), 1, bias=False)
    assert layer.forward({"weight": w}, x).ys[0].ravel().tolist() == [1, 12, 20]
    with pytest.raises(HyperparameterError, match=r"less than stride or dilation \(2\)"):
        ConvTranspose2d(1, 3, 2, output_padding=2)


def test_the_first_of_equal_cells_wins_global_max_pooling() -> None:
    x = np.array([1.0, 3.0, 3.0, 2.0]).reshape(1, 1, 2, 2)
    result = GlobalMaxPool().forward({}, x)
    (dx,) = GlobalMaxPool().backward({}, result.saved, (np.full((1, 1, 1, 1), 5.0),), (True,)).dxs
    assert result.ys[0].item() == 3 and dx.ravel().tolist() == [0, 5, 0, 0]
    assert GlobalMaxPool().kinks({}, x) == 0
    assert np.isnan(GlobalMaxPool().forward({}, np.where(x == 2, np.nan, x)).ys[0]).all()


@pytest.mark.parametrize(
    ("layer", "axes"),
    [(LayerNorm(), (1, 2, 3)), (InstanceNorm(), (2, 3)), (GroupNorm(groups=1), (1, 2, 3))],
)
def test_normalised_numbers_have_mean_0_and_spread_1(layer: Any, axes: tuple[int, ...]) -> None:
    x = np.random.default_rng(2).standard_normal((3, 4, 5, 6)) * 7 + 100
    specs = layer.parameters(Spec(x.shape))
    p = {name: spec.initial(np.random.default_rng(0), "float64") for name, spec in specs.items()}
    y = layer.forward(p, x).ys[0]
    np.testing.assert_allclose(y.mean(axes), 0, atol=1e-12)
    np.testing.assert_allclose(y.std(axes), 1, rtol=1e-5)
    assert not any(spec.decay for spec in specs.values())


def test_squeeze_and_excite_factors_weigh_whole_channels() -> None:
    x, s = np.ones((1, 2, 2, 2)), np.array([2.0, 3.0]).reshape(1, 2, 1, 1)
    result = Mul().forward({}, x, s)
    assert result.ys[0][0, :, 0, 0].tolist() == [2, 3]
    dx, ds = Mul().backward({}, result.saved, (np.ones_like(x),), (True, True)).dxs
    assert dx[0, :, 1, 1].tolist() == [2, 3] and ds.ravel().tolist() == [4, 4]


def test_log_softmax_keeps_what_softmax_loses() -> None:
    y = LogSoftmax().forward({}, np.array([[0.0, -1e4, 1e4]])).ys[0]
    assert y.tolist() == [[-1e4, -2e4, 0]]


@pytest.mark.parametrize(
    ("layer", "parts"),
    [(SpatialDropout(0.3), (40, 50, 1, 1)), (StochasticDepth(0.3), (2000, 1, 1, 1))],
)
def test_whole_parts_are_dropped_and_the_rest_enlarged(layer: Any, parts: tuple[int, ...]) -> None:
    shape = (parts[0], max(parts[1], 2), 2, 1)
    x = np.ones(shape)
    y = layer.forward({}, x, ctx=TRAIN).ys[0]
    assert set(np.unique(y)) == {0.0, 1 / 0.7}
    assert np.array_equal(y, np.broadcast_to(y[:, : parts[1], :1], shape))
    assert np.mean(y == 0) == pytest.approx(0.3, abs=0.04)
    assert np.array_equal(y, layer.forward({}, x, ctx=TRAIN).ys[0])
    other = Ctx("train", (5, 7, 7))
    assert not np.array_equal(y, layer.forward({}, x, ctx=other).ys[0])
    assert layer.forward({}, x).ys[0] is x


# ---- LeNet-5 of 1998 -----------------------------------------------------------------------


def test_lenets_layers_have_the_parameters_of_the_paper() -> None:
    for layer, shape, parameters in (
        (Conv2d(6, 5), (1, 1, 32, 32), 156),
        (TrainableSubsampling(), (1, 6, 28, 28), 12),
        (PartialConv2d(), (1, 6, 14, 14), 1516),
        (TrainableSubsampling(), (1, 16, 10, 10), 32),
        (Conv2d(120, 5), (1, 16, 5, 5), 48120),
    ):
        assert layer.cost(Spec(shape)).parameters == parameters
    assert PartialConv2d().cost(Spec((1, 6, 14, 14))).multiply_adds == 60 * 25 * 100


def test_a_partial_convolution_is_a_dense_one_with_holes() -> None:
    rng = np.random.default_rng(1)
    layer, x = PartialConv2d(), rng.standard_normal((2, 6, 7, 8))
    p = {"weight": rng.standard_normal((60, 5, 5)), "bias": rng.standard_normal(16)}
    dense = np.zeros((16, 6, 5, 5))
    for kernel, (o, k) in zip(p["weight"], layer.pairs(6), strict=True):
        dense[o, k] = kernel
    whole = Conv2d(16, 5).forward({"weight": dense, "bias": p["bias"]}, x).ys[0]
    np.testing.assert_allclose(layer.forward(p, x).ys[0], whole, atol=1e-12)
    assert [len(maps) for maps in layer.connections(6)] == [3] * 6 + [4] * 9 + [6]


def test_trainable_subsampling_starts_as_average_pooling() -> None:
    x = np.random.default_rng(2).standard_normal((2, 3, 4, 6))
    layer = TrainableSubsampling()
    specs = layer.parameters(Spec(x.shape))
    p = {name: s.initial(np.random.default_rng(0), "float64") for name, s in specs.items()}
    average = x.reshape(2, 3, 2, 2, 3, 2).mean((3, 5))
    np.testing.assert_allclose(layer.forward(p, x).ys[0], average, atol=1e-15)


def test_a_pattern_lies_at_distance_0_from_itself() -> None:
    specs = RBF(3).parameters(Spec((1, 84)))
    p = {"weight": specs["weight"].initial(np.random.default_rng(0), "float64")}
    assert set(np.unique(p["weight"])) == {-1.0, 1.0}
    y = RBF(3).forward(p, p["weight"]).ys[0]
    assert np.array_equal(y.argmin(1), [0, 1, 2]) and np.array_equal(np.diag(y), [0, 0, 0])
    assert set(np.unique(y) % 4) == {0.0}  # each differing sign counts 4


# ---- shape ---------------------------------------------------------------------------------


def test_frames_by_hand() -> None:
    x = np.arange(1.0, 5.0).reshape(1, 1, 1, 4)
    for mode, wanted in (
        ("zeros", [0, 0, 1, 2, 3, 4, 0]),
        ("edge", [1, 1, 1, 2, 3, 4, 4]),
        ("reflect", [3, 2, 1, 2, 3, 4, 3]),
    ):
        y = Pad((0, 2, 0, 1), mode).forward({}, x).ys[0]
        assert y.ravel().tolist() == wanted


def test_maps_of_zeros_stand_in_front_and_behind() -> None:
    x = np.arange(1.0, 9.0).reshape(1, 2, 2, 2)
    layer = Pad(0, "edge", channels=(1, 2))
    y = layer.forward({}, x).ys[0]
    assert y.shape == (1, 5, 2, 2) and np.array_equal(y[:, 1:3], x)
    assert not y[:, [0, 3, 4]].any()
    (dx,) = layer.backward({}, {"x": x}, (np.arange(20.0).reshape(1, 5, 2, 2),), (True,)).dxs
    assert dx is not None and dx.ravel().tolist() == list(range(4, 12))


def test_a_frame_of_zeros_is_zero_beside_what_is_not_finite() -> None:
    x = np.full((1, 1, 1, 1), np.nan)
    y = Pad(1).forward({}, x).ys[0]
    assert np.isnan(y[0, 0, 1, 1]) and np.count_nonzero(np.nan_to_num(y)) == 0
    assert np.isnan(y).sum() == 1


def test_enlarging_by_hand_and_keeps_the_total_of_gradients() -> None:
    x = np.array([0.0, 4.0]).reshape(1, 1, 1, 2)
    assert Resize((1, 2)).forward({}, x).ys[0].ravel().tolist() == [0, 0, 4, 4]
    assert Resize((1, 2), "linear").forward({}, x).ys[0].ravel().tolist() == [0, 1, 3, 4]
    dy = np.random.default_rng(3).standard_normal((1, 1, 3, 6))
    (dx,) = Resize(3, "linear").backward({}, {"x": x}, (dy,), (True,)).dxs
    assert dx.shape == x.shape and dx.sum() == pytest.approx(dy.sum())
