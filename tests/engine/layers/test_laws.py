"""Laws that tie layers to themselves and to each other, on random settings and shapes.

Each holds exactly in real numbers and needs no second implementation to compare with.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from engine.layers.avg_pool2d import AvgPool2d
from engine.layers.base import Array, Ctx, Layer, Result, Spec
from engine.layers.batch_norm2d import BatchNorm2d
from engine.layers.concat import Concat
from engine.layers.conv2d import Conv2d
from engine.layers.conv_transpose2d import ConvTranspose2d
from engine.layers.flatten import Flatten
from engine.layers.global_avg_pool import GlobalAvgPool
from engine.layers.global_max_pool import GlobalMaxPool
from engine.layers.group_norm import GroupNorm
from engine.layers.instance_norm import InstanceNorm
from engine.layers.layer_norm import LayerNorm
from engine.layers.linear import Linear
from engine.layers.log_softmax import LogSoftmax
from engine.layers.max_pool2d import MaxPool2d
from engine.layers.pad import Pad
from engine.layers.reshape import Reshape
from engine.layers.resize import Resize
from engine.layers.slice import Slice
from engine.layers.softmax import Softmax

TRAIN = Ctx("train", (1, 2, 3))

small = st.integers(1, 3)
pairs = st.tuples(small, small)
seeds = st.integers(0, 10_000)


def shapes(low: int = 1, high: int = 6) -> st.SearchStrategy[tuple[int, int, int, int]]:
    side = st.integers(low, high)
    return st.tuples(small, st.integers(1, 4), side, side)


def normal(seed: int, *shape: int) -> Array:
    return np.random.default_rng(seed).standard_normal(shape)


def run(layer: Layer, *xs: Array, p: Any = None, ctx: Ctx = TRAIN) -> Result:
    return layer.forward(p or {}, *xs, ctx=ctx)


def pull(layer: Layer, result: Result, dy: Array, count: int = 1, p: Any = None) -> Any:
    return layer.backward(p or {}, result.saved, (dy,), (True,) * count, TRAIN)


def close(a: Array, b: Array) -> None:
    assert a.shape == b.shape
    np.testing.assert_allclose(a, b, rtol=0, atol=1e-11 * max(1.0, float(np.abs(b).max())))


# ---- poolings ------------------------------------------------------------------------------


@settings(max_examples=60)
@given(data=st.data(), shape=shapes(), seed=seeds, ties=st.booleans())
def test_max_pooling_loses_nothing_but_what_padding_won(
    data: st.DataObject, shape: Any, seed: int, ties: bool
) -> None:
    """Σ dX = Σ dY over the windows that hold a cell of the input."""
    kernel, dilation = data.draw(pairs), data.draw(pairs)
    highest = [(d * (k - 1) + 1) // 2 for k, d in zip(kernel, dilation, strict=True)]
    padding = tuple(data.draw(st.integers(0, high)) for high in highest * 2)
    layer = MaxPool2d(kernel, data.draw(pairs), padding, dilation, data.draw(st.booleans()))
    assume(min(layer.window.output_size(*shape[2:])) > 0)
    x = normal(seed, *shape)
    result = run(layer, np.round(x) if ties else x)
    dy = normal(seed + 1, *result.ys[0].shape)
    holds = np.isfinite(result.ys[0])
    assert np.array_equal(holds, result.saved["argmax"] >= 0)
    (dx,) = pull(layer, result, dy).dxs
    assert math.isclose(dx.sum(), dy[holds].sum(), abs_tol=1e-12)
    won = np.zeros(x.size, int)
    maps = np.arange(x.shape[0] * x.shape[1]).reshape(*x.shape[:2], 1, 1) * x[0, 0].size
    np.add.at(won, (maps + result.saved["argmax"])[holds], 1)
    assert np.array_equal(dx.ravel() != 0, won > 0), "a cell received that won no window"


@given(shape=shapes(), seed=seeds)
def test_one_window_over_a_map_is_global_pooling(shape: Any, seed: int) -> None:
    x, dy = normal(seed, *shape), normal(seed + 1, *shape[:2], 1, 1)
    for window, whole in (
        (AvgPool2d(shape[2:]), GlobalAvgPool()),
        (MaxPool2d(shape[2:]), GlobalMaxPool()),
    ):
        a, b = run(window, x), run(whole, x)
        close(a.ys[0], b.ys[0])
        close(pull(window, a, dy).dxs[0], pull(whole, b, dy).dxs[0])


@given(shape=shapes(2, 6), seed=seeds, kernel=pairs, stride=pairs)
def test_average_pooling_is_a_depthwise_convolution_with_equal_weights(
    shape: Any, seed: int, kernel: Any, stride: Any
) -> None:
    assume(kernel[0] <= shape[2] and kernel[1] <= shape[3])
    channels, x = shape[1], normal(seed, *shape)
    conv = Conv2d(channels, kernel, stride, groups=channels, bias=False)
    p = {"weight": np.full((channels, 1, *kernel), 1 / math.prod(kernel))}
    pool = AvgPool2d(kernel, stride)
    a, b = run(pool, x), run(conv, x, p=p)
    close(a.ys[0], b.ys[0])
    dy = normal(seed + 1, *a.ys[0].shape)
    close(pull(pool, a, dy).dxs[0], pull(conv, b, dy, p=p).dxs[0])


@pytest.mark.parametrize("low", [-1e5, -1e9, -1e300])
def test_a_maximum_may_be_as_low_as_it_likes(low: float) -> None:
    """No number stands for "nothing yet": below −1e5 some programs let their padding win."""
    x = low - np.arange(16.0).reshape(1, 1, 4, 4) * abs(low) / 100
    result = run(MaxPool2d(3, 2, 1), x)
    assert np.array_equal(result.saved["argmax"].ravel(), [0, 1, 4, 5])
    assert np.array_equal(result.ys[0].ravel(), x.ravel()[[0, 1, 4, 5]])
    assert run(GlobalMaxPool(), x).ys[0].item() == low


# ---- convolution ---------------------------------------------------------------------------


def convolution(data: st.DataObject, shape: Any, seed: int) -> tuple[Conv2d, dict[str, Array]]:
    groups = data.draw(st.sampled_from([g for g in (1, 2, 3, 4) if shape[1] % g == 0]))
    kernel, dilation = data.draw(pairs), data.draw(pairs)
    padding = data.draw(st.tuples(*[st.integers(0, 2)] * 4))
    layer = Conv2d(groups * data.draw(small), kernel, data.draw(pairs), padding, dilation, groups)
    assume(min(layer.window.output_size(*shape[2:])) > 0)
    specs = layer.parameters(Spec(shape, "float64"))
    return layer, {k: normal(seed + i, *s.shape) for i, (k, s) in enumerate(specs.items())}


@settings(max_examples=50)
@given(data=st.data(), shape=shapes(), seed=seeds)
def test_a_strided_dilated_grouped_convolution_is_a_plain_one(
    data: st.DataObject, shape: Any, seed: int
) -> None:
    """Dilation: holes in the kernel. Groups: zeros elsewhere in it. Stride: leave some out."""
    layer, p = convolution(data, shape, seed)
    window = layer.window
    (rows, columns), (dr, dc), (sr, sc) = window.kernel_size, window.dilation, window.stride
    per_in, per_out = shape[1] // layer.groups, layer.out_channels // layer.groups
    kernel = np.zeros((layer.out_channels, shape[1], dr * (rows - 1) + 1, dc * (columns - 1) + 1))
    for o in range(layer.out_channels):
        first = o // per_out * per_in
        kernel[o, first : first + per_in, ::dr, ::dc] = p["weight"][o]
    plain = Conv2d(layer.out_channels, kernel.shape[2:], 1, layer.padding)
    x = normal(seed + 9, *shape)
    y = run(layer, x, p=p).ys[0]
    close(y, run(plain, x, p={"weight": kernel, "bias": p["bias"]}).ys[0][:, :, ::sr, ::sc])


@settings(max_examples=50)
@given(data=st.data(), shape=shapes(), seed=seeds)
def test_transposed_convolution_is_the_gradient_of_convolution(
    data: st.DataObject, shape: Any, seed: int
) -> None:
    """The same weights in the other direction: Conv backward = ConvTranspose forward and back."""
    layer, p = convolution(data, shape, seed)
    p = {"weight": p["weight"]}
    conv = replace(layer, bias=False)
    x = normal(seed + 9, *shape)
    result = run(conv, x, p=p)
    dy = normal(seed + 8, *result.ys[0].shape)
    window = conv.window
    extra = tuple(
        size
        + window.before[i]
        + window.after[i]
        - window.extent[i]
        - (result.ys[0].shape[2 + i] - 1) * window.stride[i]
        for i, size in enumerate(shape[2:])
    )
    assume(
        all(e < max(s, d) for e, s, d in zip(extra, window.stride, window.dilation, strict=True))
    )
    same = {
        name: getattr(conv, name)
        for name in ("kernel_size", "stride", "padding", "dilation", "groups", "bias")
    }
    back = ConvTranspose2d(shape[1], output_padding=extra, **same)
    there = run(back, dy, p=p)
    grads = pull(conv, result, dy, p=p)
    close(there.ys[0], grads.dxs[0])
    home = pull(back, there, x, p=p)
    close(home.dxs[0], result.ys[0])
    close(home.dparams["weight"], grads.dparams["weight"])


@given(shape=shapes(1, 4), seed=seeds, out=small)
def test_linear_is_a_convolution_whose_kernel_covers_the_map(
    shape: Any, seed: int, out: int
) -> None:
    x, w, b = normal(seed, *shape), normal(seed + 1, out, *shape[1:]), normal(seed + 2, out)
    conv, flat, linear = Conv2d(out, shape[2:]), Flatten(), Linear(out)
    p, q = {"weight": w, "bias": b}, {"weight": w.reshape(out, -1), "bias": b}
    a, f = run(conv, x, p=p), run(flat, x)
    c = run(linear, f.ys[0], p=q)
    close(a.ys[0][:, :, 0, 0], c.ys[0])
    dy = normal(seed + 3, shape[0], out)
    ga, gc = pull(conv, a, dy[:, :, None, None], p=p), pull(linear, c, dy, p=q)
    close(ga.dparams["weight"].reshape(out, -1), gc.dparams["weight"])
    close(ga.dparams["bias"], gc.dparams["bias"])
    close(ga.dxs[0], pull(flat, f, gc.dxs[0]).dxs[0])


# ---- normalisation -------------------------------------------------------------------------


@settings(max_examples=40)
@given(shape=shapes(), seed=seeds, scale=st.floats(0.1, 30), shift=st.floats(-100, 100))
def test_batch_norm_neither_sees_nor_answers_shift_and_scale(
    shape: Any, seed: int, scale: float, shift: float
) -> None:
    """y does not change with scale and shift, so dx adds up to 0 and stands square on x."""
    count = math.prod(shape) // shape[1]
    assume(count >= 4)
    layer, channels = BatchNorm2d(eps=1e-12), shape[1]
    p = {"weight": normal(seed, channels), "bias": normal(seed + 1, channels)}
    p |= {"running_mean": np.zeros(channels), "running_var": np.ones(channels)}
    x, dy = normal(seed + 2, *shape), normal(seed + 3, *shape)
    result, moved = run(layer, x, p=p), run(layer, x * scale + shift, p=p)
    np.testing.assert_allclose(moved.ys[0], result.ys[0], atol=1e-7)
    dx = pull(layer, result, dy, p=p).dxs[0]
    largest = np.abs(dx).max() * count
    assert np.abs(dx.sum((0, 2, 3))).max() <= 1e-12 * largest
    assert np.abs((dx * x).sum((0, 2, 3))).max() <= 1e-8 * largest
    # the same statistics, as evaluation uses them, give the same output and another gradient
    mean, var = x.mean((0, 2, 3)), x.var((0, 2, 3))
    frozen = run(layer, x, p=p | {"running_mean": mean, "running_var": var}, ctx=Ctx("eval"))
    close(frozen.ys[0], result.ys[0])


@given(shape=shapes(), seed=seeds)
def test_group_norm_is_layer_norm_and_instance_norm_at_its_ends(shape: Any, seed: int) -> None:
    assume(shape[2] * shape[3] > 1)
    x, dy, channels = normal(seed, *shape), normal(seed + 1, *shape), shape[1]
    for groups, other in ((1, LayerNorm(affine=False)), (channels, InstanceNorm(affine=False))):
        norm = GroupNorm(affine=False, groups=groups)
        a, b = run(norm, x), run(other, x)
        close(a.ys[0], b.ys[0])
        dx = pull(norm, a, dy).dxs[0]
        close(dx, pull(other, b, dy).dxs[0])
        sums = dx.reshape(shape[0], groups, -1).sum(2)
        assert np.abs(sums).max() <= 1e-10 * np.abs(dx).max() * dx.size


@given(
    shape=st.one_of(shapes(1, 3), st.tuples(small, st.integers(1, 8))),
    seed=seeds,
    shift=st.floats(-700, 700),
)
def test_shares_add_up_to_one_and_their_gradients_to_zero(
    shape: Any, seed: int, shift: float
) -> None:
    x, dy = 9 * normal(seed, *shape), normal(seed + 1, *shape)
    softmax, log = run(Softmax(), x), run(LogSoftmax(), x)
    np.testing.assert_allclose(softmax.ys[0].sum(1), 1, rtol=1e-14)
    assert (softmax.ys[0] > 0).all()
    np.testing.assert_allclose(np.exp(log.ys[0]), softmax.ys[0], rtol=1e-12)
    np.testing.assert_allclose(run(Softmax(), x + shift).ys[0], softmax.ys[0], rtol=1e-11)
    for layer, result in ((Softmax(), softmax), (LogSoftmax(), log)):
        (dx,) = pull(layer, result, dy).dxs
        assert np.abs(dx.sum(1)).max() <= 1e-14 * max(1.0, np.abs(dy).sum())


# ---- shape ---------------------------------------------------------------------------------


@given(data=st.data(), shape=shapes(1, 4), seed=seeds)
def test_slices_take_a_concatenation_apart(data: st.DataObject, shape: Any, seed: int) -> None:
    channels = data.draw(st.lists(small, min_size=2, max_size=4))
    vectors = data.draw(st.booleans())
    rest = () if vectors else shape[2:]
    xs = [normal(seed + i, shape[0], c, *rest) for i, c in enumerate(channels)]
    whole = run(Concat(), *xs)
    dy = normal(seed + 9, *whole.ys[0].shape)
    dxs = pull(Concat(), whole, dy, len(xs)).dxs
    start, total = 0, np.zeros_like(dy)
    for x, dx in zip(xs, dxs, strict=True):
        part = Slice("channels", start, x.shape[1])
        cut = run(part, whole.ys[0])
        assert np.array_equal(cut.ys[0], x)
        assert np.array_equal(run(part, dy).ys[0], dx)
        total += pull(part, cut, dx).dxs[0]
        start += x.shape[1]
    assert np.array_equal(total, dy)


@given(
    shape=shapes(3, 5),
    seed=seeds,
    sides=st.tuples(*[st.integers(0, 2)] * 4),
    mode=st.sampled_from(("zeros", "reflect", "edge")),
)
def test_cutting_off_a_frame_gives_back_what_it_was_put_around(
    shape: Any, seed: int, sides: Any, mode: str
) -> None:
    x = normal(seed, *shape)
    framed = run(Pad(sides, mode), x)
    rows, columns = Slice("rows", sides[0], shape[2]), Slice("columns", sides[1], shape[3])
    first = run(rows, framed.ys[0])
    second = run(columns, first.ys[0])
    assert np.array_equal(second.ys[0], x)
    dy = normal(seed + 1, *shape)
    back = pull(rows, first, pull(columns, second, dy).dxs[0]).dxs[0]
    assert np.array_equal(pull(Pad(sides, mode), framed, back).dxs[0], dy)


@given(shape=shapes(1, 4), seed=seeds)
def test_what_was_flattened_can_be_put_back(shape: Any, seed: int) -> None:
    x, dy = normal(seed, *shape), normal(seed + 1, *shape)
    there = run(Flatten(), x)
    layer = Reshape(shape[1], *shape[2:])
    back = run(layer, there.ys[0])
    assert np.array_equal(back.ys[0], x)
    assert np.array_equal(pull(Flatten(), there, pull(layer, back, dy).dxs[0]).dxs[0], dy)


@given(shape=shapes(1, 4), seed=seeds, scale=pairs)
def test_pooling_takes_back_an_enlargement(shape: Any, seed: int, scale: Any) -> None:
    x = normal(seed, *shape)
    large = run(Resize(scale), x)
    close(run(AvgPool2d(scale, scale), large.ys[0]).ys[0], x)
    assert np.array_equal(run(MaxPool2d(scale, scale), large.ys[0]).ys[0], x)
    dy = normal(seed + 1, *large.ys[0].shape)
    for mode in ("nearest", "linear"):
        layer = Resize(scale, mode)
        (dx,) = pull(layer, run(layer, x), dy).dxs
        # the weights of each enlarged cell add up to 1, so nothing is lost on the way back
        assert math.isclose(dx.sum(), dy.sum(), abs_tol=1e-11)
